"""The page of a result in a real browser: that what is drawn is what the documents say, that a result
with something wrong in it is still a page that says so, and that a run can be followed live."""

import base64
import http.server
import json
import re
import socket
import subprocess
import threading
import time

import pytest

import browser as chromium
import results
from iubench import PROGRAM, run

DEADLINE_S = 15


@pytest.fixture(scope="module")
def shared_browser():
    driver = chromium.start()
    yield chromium.Browser(driver)
    driver.quit()


@pytest.fixture
def browser(shared_browser):
    """At the end nothing may have been complained about, and only files asked for."""
    shared_browser.open("about:blank")
    shared_browser.complaints()
    shared_browser.requests()
    yield shared_browser
    assert shared_browser.complaints() == []
    assert [url for url in shared_browser.requests() if not url.startswith(("file:", "data:", "about:"))] == []


@pytest.fixture
def show(browser, tmp_path):
    """Opens the report of documents; returns the browser."""
    def put(*documents):
        paths = []
        for i, document in enumerate(documents):
            paths.append(str(tmp_path / f"{i}.json"))
            with open(paths[-1], "w", encoding="utf-8") as to:
                to.write(json.dumps(document))
        code, _, errors = run("report", *paths, "-o", str(tmp_path / "report.html"))
        assert code == 0, errors
        browser.open(tmp_path / "report.html")
        return browser

    return put


def wait_for(what, describe=lambda: ""):
    end = time.monotonic() + DEADLINE_S
    while not (found := what()):
        assert time.monotonic() < end, describe()
        time.sleep(0.05)
    return found


def same(drawn, expected):
    assert len(drawn) == len(expected)
    for one, other in zip(drawn, expected):
        assert one == other or one == pytest.approx(other, rel=1e-9), (drawn, expected)


# --- drawn is what was measured ---

PARTIES = ("target", "postgres", "memcached", "client")
BY_PARTY = {
    "cpu": "cpu_pct",
    "memory": "pss_bytes",
    "throttling": "throttled_ms",
}
BY_KEY = {
    "rate": {"achieved": "rps", "due": "target_rps"},
    "latency": {"p50": "p50_us", "p90": "p90_us", "p99": "p99_us", "max": "max_us"},
    "heat": {"p99": "p99_us"},
    "availability": {"availability": "availability"},
    "database": {"p99 of an insert": "db_p99_us"},
    "cache": {"p99 of a set": "cache_p99_us"},
    "pool": {"connections": "pool", "inserts in flight": "pool_in_flight"},
    "in-flight": {"in flight": "in_flight", "waiting for a connection": "backlog", "connections": "connections"},
    "lag": {"p99": "send_lag_p99_us"},
}
BY_RATE = {
    "rate-latency": {"p99": "p99_us"},
    "rate-achieved": {"achieved": "rps", "offered": "target_rps"},
}


def test_each_panel_has_its_values(show):
    """Every panel, every line, every point: the document's value; and there is paint on each."""
    document = results.result()
    rows = document["targets"][0]["series"]
    rows[3]["errors"]["reset"] = 7
    for row in rows:
        for name in PARTIES:
            row["parties"][name]["throttled_ms"] = 0.5 * row["t"]
    page = show(document)
    panels = page.panels()
    for name, lines in {**BY_KEY, **BY_RATE}.items():
        assert panels[name]["lines"].keys() == lines.keys(), name
        for label, key in lines.items():
            same(panels[name]["lines"][label], [row[key] for row in rows])
    for name, key in BY_PARTY.items():
        assert tuple(panels[name]["lines"]) == PARTIES
        for label in PARTIES:
            same(panels[name]["lines"][label], [row["parties"][label][key] for row in rows])
    same(panels["rate-availability"]["lines"]["availability"], [
        row["rps"] / row["target_rps"] if row["rps"] < 0.95 * row["target_rps"] else row["availability"]
        for row in rows])
    assert panels["errors"]["lines"] == {"timeouts": [row["timeouts"] for row in rows],
                                         "reset": [row["errors"]["reset"] for row in rows]}
    assert all(panel["x"] == [row["target_rps" if name.startswith("rate-") else "t"] for row in rows]
               for name, panel in panels.items())
    assert page.paint().keys() == panels.keys() and min(page.paint().values()) > 500
    assert len(panels) == len(BY_KEY) + len(BY_RATE) + len(BY_PARTY) + 2


def test_one_rate_as_a_whole(show):
    """Of a run at one rate the p99 is its own, not the median of its seconds'."""
    targets = [results.target(name, 6, top_rps=6000) for name in ("a", "b")]
    for i, target in enumerate(targets):
        target["latency_us"]["p99"] = 4321.0 + i
        target["held_rps"] = None
        for row in target["series"]:
            row["target_rps"] = 6000.0
    page = show(results.result(*targets))
    assert [row[3] for row in page.cells()] == ["4.32 ms", "4.32 ms"]
    assert page.run("return contestantsOf(documents).map((c) => c.curve[0].p99_us)") == [4321, 4322]


def reproduction(**changes):
    row = {"scenario": "test2", "metric": "max_rps", "heading": "held rate", "unit": "/s", "published": None,
           "contestants": [
               {"name": "fastapi-published", "published": 800, "median": 350, "interval": [310, 420],
                "values": [310, 350, 420, 400], "runs": 4, "invalid_runs": 0, "lack": None},
               {"name": "go-published", "published": 35000, "median": None, "interval": None, "values": [],
                "runs": 4, "invalid_runs": 2, "lack": "was skipped: <b>needs Go</b>"}],
           "ratio_published": [43.75, 43.75], "ratio": 6.8, "ratio_interval": [5.9, 8.1], "p": 0.03,
           "outcome": "smaller", "note": None, "cause": "a synchronous <ORM>", "report": "test2/report.html"}
    return {"schema": "iubench-reproduction/1", "iubench": "0.1.0", "started": "2026-12-01T12:00:00Z",
            "command": ["iubench", "reproduce", "all"], "environment": results.result()["environment"],
            "definition": "A ratio says how many times.", "rows": [{**row, **changes}]}


def test_reproduction(show):
    """What was published beside what was measured, with the cause; its link leads to the scenario's page."""
    page = show(reproduction())
    assert page.text("h1") == "Published beside measured"
    [row] = page.cells("#reproduction")
    assert row[0] == "test2\nheld rate" and row[1] == "43.8" and row[2] == "6.8\n5.9 – 8.1" and row[3] == "smaller"
    assert "fastapi-published 350/s 310/s – 420/s · published 800/s" in row[4]
    assert "go-published – published 35 000/s · 2 of 4 runs INVALID · was skipped: <b>needs Go</b>" in row[4]
    assert "test2: a synchronous <ORM>" in page.text("#reproduction") and "how many times" in page.text("#reproduction")
    assert page.run("return document.querySelector('#reproduction a').getAttribute('href')") == "test2/report.html"
    assert "iubench reproduce all" in page.text("#command") and "kernel" in page.text("#environment")
    assert not any(page.panels().values())


def test_reproduction_beside_a_result(show):
    page = show(results.result(), reproduction(ratio=None, ratio_interval=None, outcome="not comparable",
                                               note="a run is INVALID"))
    [row] = page.cells("#reproduction")
    assert row[2] == "–" and "test2, held rate, not comparable: a run is INVALID" in page.text("#reproduction")
    assert "rate" in page.panels()


def test_head_figures_and_table(show):
    document = results.result(reasons=["the client was the limit"], status="SUSPECT")
    document["scenario"].update(published="Go reaches 35 k", figures=[
        {"contestant": "go-published", "metric": "max_rps", "value": 35000}])
    page = show(document)
    target = document["targets"][0]
    assert page.text("h1") == "test2"
    assert "POST /api/devices · ramp" in page.text("#measured") and "8 cores" in page.text("#measured")
    assert "SUSPECT" in page.text("#verdict") and "the client was the limit" in page.text("#verdict")
    for text in ("30 000", "20.0 µs", f"p50 {target['latency_us']['p50']:.0f} µs"):
        assert text in page.text("#figures")
    [row] = page.cells()
    assert row[:3] == ["iubench", "VALID", "30 000"] and row[5] == "29.0 MB"
    assert "timeouts" in row[7]
    assert "35 000 requests/s at most" in page.text(".published").replace("\n", " ")
    assert "nofile" in page.text("#environment") and page.text("#command pre") == "iubench run test2"
    assert page.run("return panels.get('rate-latency').chart.contestants.map(kneeOf)") == [30_000]


def test_several_contestants(show):
    """A line each, of one colour in all panels; p99 at the rate that all were offered and held, as in
    Markdown; the kinds of a panel are chosen by a switch."""
    names = ("iubench", "go", "fastapi")
    targets = [results.target(name, 20, 40_000, capacity) for name, capacity in zip(names, (30_000, 22_000, 9_000))]
    page = show(results.result(*targets))
    panels = page.panels()
    for name, lines in BY_KEY.items():
        if name != "heat":
            assert [label for label in panels[name]["lines"] if label in names] == list(names), name
            assert panels[name]["colours"][:3] == ["c0", "c1", "c2"]
    assert panels["rate"]["lines"].keys() == {*names, "due"}  # what was wanted was the same for all
    for target in targets:
        same(panels["latency"]["lines"][target["name"]], [row["p99_us"] for row in target["series"]])
    head = page.text("#contestants thead")
    assert "at 8 000/s" in head
    for cells, target in zip(page.cells(), targets):
        p99_us = next(row["p99_us"] for row in target["series"] if row["target_rps"] == 8000)
        number, unit = cells[3].split()
        assert float(number) * {"µs": 1, "ms": 1000}[unit] == pytest.approx(p99_us, rel=0.01)
    page.run("document.querySelectorAll('#panel-latency .choice input')[0].click()")
    same(page.panels()["latency"]["lines"]["go"], [row["p50_us"] for row in targets[1]["series"]])
    page.run("document.querySelectorAll('#panel-heat .choice input')[2].click()")
    same(page.panels()["heat"]["lines"]["p99"], [row["p99_us"] for row in targets[2]["series"]])


def test_several_results(show):
    """Targets of one name get names of their own, and what differs between the machines is named."""
    first, second = results.result(), results.result(scenario="test1", status="INVALID", reasons=["x"])
    second["environment"]["kernel"] = "6.2.0"
    page = show(first, second)
    assert [row[0] for row in page.cells()] == ["iubench · test2", "iubench · test1"]
    assert "VALID" in page.text("#verdict") and "INVALID" in page.text("#verdict")
    assert "not made under the same conditions: kernel." in page.text("#environment")
    assert page.run("return [...document.querySelectorAll('.differs')].map((row) => row.innerText)")[0].split()[1:] == \
        ["6.1.0", "6.2.0"]


def test_repeats(show):
    """Repeats of one contestant are lines of one colour; what failed is said with the verdict."""
    targets = [results.target(name, 5 + repeat) for repeat in (1, 2) for name in ("a", "b")]
    for i, target in enumerate(targets):
        target["repeat"] = 1 + i // 2
    page = show(results.result(*targets, races={"repeats": 2, "failures": [
        {"name": "c", "repeat": None, "skipped": True, "reason": "no Go here"}]}))
    rate = page.panels()["rate"]
    assert rate["colours"][:4] == ["c0", "c1", "c0", "c1"]
    assert [cells[0] for cells in page.cells()] == ["a #1", "b #1", "a #2", "b #2"]
    assert "c was left out: no Go here" in page.text("#verdict")


def over_races(median, low, high):
    return {"median": median, "interval": low and [low, high], "races": 5}


def test_races_together(show):
    """Medians and what they scatter over stand above; each race is there when asked for."""
    targets = [results.target("a", 5) for _ in range(5)]
    for i, target in enumerate(targets):
        target["repeat"] = i + 1
    side = {"name": "a", "races": 5, "verdicts": {"VALID": 3, "SUSPECT": 0, "INVALID": 2},
            "rps": over_races(19864, 19150, 23567), "p50_us": over_races(900, 800, 950),
            "p99_us": over_races(27800, 26200, 29800), "availability": over_races(1, 1, 1),
            "cpu_us_per_request": over_races(50.6, 42.9, 53), "memory_bytes": over_races(19.6e6, None, None)}
    page = show(results.result(*targets, races={"repeats": 5, "failures": [], "contestants": [side]}))
    legend = page.run("""return [...document.querySelectorAll("#panel-latency .legend li")].map(
        (item) => [item.innerText.trim(), item.querySelectorAll("output").length])""")
    assert legend == [["a", 5]]  # and the crosshair shows all five of them there
    first, *each = page.cells()
    assert [cell.replace("\n", " ") for cell in first] == [
        "a", "INVALID 2 of 5 races", "19 864 19 150 – 23 567", "27.8 ms 26.2 – 29.8 ms", "50.6 µs 42.9 – 53.0 µs",
        "19.6 MB", "100 % 100 %"]
    assert len(each) == 5 and page.text("#contestants summary") == "Every race (5)"
    assert page.run("return document.querySelector('#contestants details').open") is False


def test_search(show):
    """The runs of --find-max are the curve, and the rate it found is the knee."""
    probes = [{"rate": rate, "rps": rate * 0.99, "p99_us": rate / 10, "availability": 1.0, "held": rate < 4000}
              for rate in (1000, 2000, 4000, 3000)]
    target = results.target()
    target.update(find_max={"max_rps": 3000, "probes": probes}, held_rps=None)
    panels = show(results.result(target)).panels()
    assert panels["rate-latency"]["x"] == [1000, 2000, 3000, 4000]
    assert panels["rate-latency"]["lines"]["p99"] == [100, 200, 300, 400]


# --- results with something wrong ---


FAULT = {"what": "stall", "party": "postgres", "text": "postgres stalled", "begin_s": 5.1, "end_s": 10.2,
         "availability": 0.25, "recovered_s": 1.8}


def test_fault(show):
    """The seconds that a fault on demand touched are shaded, in every panel against time, and it is told."""
    document = results.result()
    document["targets"][0]["fault"] = FAULT
    page = show(document)
    [row] = page.cells()
    assert "postgres stalled from 5 s to 10 s, availability 25 % until all was as before, 2 s after it" in \
        row[0].replace("\u202f", " ")
    page.panels()  # drawn now
    shaded = page.run("""
        const { graph, canvas } = panels.get("availability").chart;
        const context = canvas.querySelector("canvas").getContext("2d");
        const ratio = context.canvas.width / context.canvas.clientWidth;
        const y = graph.getArea().y + 1.5;
        const { data } = context.getImageData(0, y * ratio, context.canvas.width, 1);
        return arguments[0].map((x) => data[4 * Math.round(graph.toDomXCoord(x) * ratio) + 3] > 0);""",
                      [4, 7.3, 12.7])
    assert shaded == [False, True, False]


def test_holes(show):
    """Seconds that are missing break the lines, and values that are not known are none."""
    target = results.target(seconds=12)
    del target["series"][4:7]
    target["series"][1]["p99_us"] = None
    page = show(results.result(target))
    rate, latency = page.panels()["rate"], page.panels()["latency"]
    assert rate["x"] == [1, 2, 3, 4, 5, 8, 9, 10, 11, 12]
    assert rate["lines"]["achieved"][4] is None and latency["lines"]["p99"][1] is None
    assert rate["lines"]["achieved"][5] == pytest.approx(target["series"][4]["rps"])


def test_zero_requests(show):
    target = results.target(seconds=0)
    target.update(held_rps=0.0, rps=0.0, server_cpu_us_per_request=None, parties={})
    page = show(results.result(target, status="INVALID", reasons=["no connection was opened"]))
    assert "no request was sent" in page.text("#figures") and "nothing was measured" in page.text("#figures")
    [row] = page.cells()
    assert "no request was sent" in row[0] and row[6] == "–"
    assert all(panel is None for panel in page.panels().values())
    assert "no second was recorded" in page.text(".absent")


def test_one_row(show):
    page = show(results.result(results.target(seconds=1)))
    panels = page.panels()
    assert panels["rate"]["lines"]["achieved"] != [None] and page.paint()["rate"] > 300
    assert panels["rate-latency"] is None
    assert "only one rate" in page.text(".absent")


def test_days(show):
    """As many seconds as a page may hold fit, and are told in minutes."""
    page = show(results.result())
    assert page.run("return shareRange([{ values: Array(300000).fill(0.5) }])[0]") == pytest.approx(0.45)
    assert page.run("return [119, 120, 179.6].map(format.seconds)") == ["119\u202fs", "2:00", "3:00"]


def test_target_that_died(show):
    """Its lines end where it ended, its failures are counted and its line in the table says so."""
    whole, dead = results.target("whole", 20), results.target("dead", 8)
    dead["requests"].update(ok=0, errors={**dead["requests"]["errors"], "connect": dead["requests"]["sent"]})
    dead["series"][-1].update(availability=0.0)
    page = show(results.result(whole, dead, status="INVALID", reasons=["dead: its process has ended"],
                               interrupted=True))
    assert page.panels()["rate"]["lines"]["dead"][8:] == [None] * 12
    name = page.cells()[1][0]
    assert "ends after 8 s of 20 s" in name and "no request succeeded" in name
    assert "refused or unreachable" in page.cells()[1][7]
    assert "was interrupted" in page.text("#verdict")


def test_target_that_answers_nothing_any_more(show):
    """A second in which nothing ended has neither a time nor an availability, and a rate of which
    nothing was answered has none of its own either, whatever ended well in it."""
    target = results.target("stuck", 6, top_rps=6000)
    target["series"][3].update(rps=60.0)
    target["series"][4].update(rps=0.0, ok=0, timeouts=0, availability=1.0, p50_us=0.0, p99_us=0.0, max_us=0.0)
    panels = show(results.result(target)).panels()
    assert panels["availability"]["lines"]["availability"] == [1, 1, 1, 1, None, 1]
    assert panels["latency"]["lines"]["p99"][4] is panels["latency"]["lines"]["max"][4] is None
    assert panels["rate-availability"]["lines"]["availability"] == [1, 1, 1, 0.015, 0, 1]


def test_target_that_was_waited_for(show):
    """The seconds in which one still timed out after the schedule's end are none that another lacks."""
    slow, fast = results.target("slow", 9), results.target("fast", 6)
    for row in slow["series"][6:]:
        row["target_rps"] = 0.0
    assert "ends after" not in str(show(results.result(slow, fast)).cells())


def test_little_is_known(show):
    """A document of the schema's name and nothing else is a page with nothing on it."""
    page = show({"schema": "iubench-result/1", "targets": [{}]}, {"schema": "iubench-result/1", "targets": []})
    assert page.text("h1") == "iubench"


def test_old_result(show):
    """Before parties and buckets were recorded the target's figures stood in the row itself."""
    document = results.result()
    for row in document["targets"][0]["series"]:
        for key in ("parties", "host", "latency_buckets", "p90_us", "pool_in_flight"):
            del row[key]
    page = show(document)
    panels = page.panels()
    assert set(panels["cpu"]["lines"]) == {"target", "client"} and set(panels["memory"]["lines"]) == {"target"}
    assert panels["heat"] is None and "no buckets of latency" in page.text(".absent")


def test_text_stays_text(show):
    """Nothing in a result becomes markup, wherever it is shown."""
    bad = "</script><img src=x onerror=window.bad=1><script>window.bad=1</script><!--"
    target = results.target(bad)
    target.update(method=bad, url="http://h/" + bad, model=bad)
    document = results.result(target, results.target("b"), scenario=bad, reasons=[bad], status="INVALID")
    document.update(iubench=bad, started=bad, command=[bad])
    document["environment"] = {bad: bad, "cpu_model": bad, "kernel": bad, "cores": 2}
    document["scenario"].update(published=bad, figures=[{"contestant": bad, "metric": bad, "value": 1}])
    page = show(document)
    page.panels()
    assert page.run("return [typeof window.bad, document.images.length, document.scripts.length]") == ["undefined", 0, 3]
    for place in ("h1", "#verdict", "#contestants", "#environment", ".published", "#panel-rate"):
        assert "<img src=x" in page.text(place), place


# --- how it behaves ---


def test_only_its_own_parts_run(show):
    """The policy refuses script, style and requests that are not the page's own; no handler is inline."""
    page = show(results.result())
    refused = page.run("""
        const refused = [];
        addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.bad = 1";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<b style='color: red' onclick='1'></b>");
        const image = new Image();
        image.src = "https://example.invalid/x.png";
        return Promise.allSettled([fetch("https://example.invalid/")]).then(() =>
            new Promise((done) => setTimeout(() => done([refused, typeof window.bad]), 100)));""")
    assert refused[1] == "undefined"
    assert {"script-src-elem", "style-src-attr", "img-src", "connect-src"} <= set(refused[0])
    assert len([text for text in page.complaints() if "Content Security Policy" in text]) >= 4
    page.requests()  # of what was refused
    assert page.run("return [...document.querySelectorAll('main *, header *')].flatMap((e) => [...e.attributes])"
                    ".filter((a) => a.name.startsWith('on')).length") == 0


def test_crosshair_is_shared(show):
    """By keys and by pointer: all panels against time show the same second and its values."""
    page = show(results.result())
    row = results.result()["targets"][0]["series"][2]
    page.run("document.querySelector('#panel-rate .plot').focus()")
    for _ in range(3):
        page.run("""document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true, cancelable: true }))""")
    assert page.text("#panel-rate .legend output") == f"{row['rps']:,.0f}".replace(",", " ")
    seen = page.run("""return [...document.querySelectorAll("#against-time .hair")]
        .filter((hair) => hair.closest(".plot").chart.isInSight && !hair.closest(".panel").hidden)
        .map((hair) => [hair.hidden, hair.dataset.at, Math.round(parseFloat(hair.style.left))])""")
    assert len(seen) >= 2 and len({tuple(one) for one in seen}) == 1 and seen[0][0] is False
    page.run("""document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }))""")
    assert page.text("#panel-rate .legend output") == ""
    page.run("""const box = document.querySelector("#panel-latency .plot").getBoundingClientRect();
        document.querySelector("#panel-latency .plot").dispatchEvent(new PointerEvent("pointermove",
            { clientX: box.right - 4, clientY: box.top + 20, bubbles: true, pointerType: "mouse" }))""")
    assert page.text("#panel-rate .legend output") != ""


def test_log_axis_and_zoom(show):
    page = show(results.result())
    page.click("#panel-latency .log input")
    assert page.run("return panels.get('latency').chart.graph.getOption('logscale')") is True
    page.run("timeGroup.zoom([5, 10])")
    assert page.run("return ['rate', 'latency'].map((id) => panels.get(id).chart.graph.xAxisRange())") == [[5, 10]] * 2


def test_light_dark_phone_paper(show):
    """Both schemes and the switch between them; a phone's width is enough; paper is light."""
    page = show(results.result(results.target("a"), results.target("b" * 60)))
    ground = "return getComputedStyle(document.body).backgroundColor"
    light, line = page.run(ground), page.run("return colour('c0')")
    page.media("dark")
    dark = page.run(ground)
    assert dark != light and page.run("return colour('c0')") != line
    assert page.run("redraw(true); return panels.get('rate').chart.graph.getOption('colors')[0] === colour('c0')")
    page.click("#theme")
    assert page.run(ground) == light and page.text("#theme") == "Dark"
    page.click("#theme")
    assert page.run(ground) == dark
    page.size(390, 844)
    assert page.run("return document.documentElement.scrollWidth") <= 390
    paper = base64.b64decode(page.driver.print_page())
    shown = [panel for panel in page.panels().values() if panel]
    assert paper.startswith(b"%PDF-") and len(re.findall(rb"/Subtype\s*/Image", paper)) >= len(shown) > 10
    assert page.run(ground) == dark and page.run("return document.documentElement.className") == ""
    assert page.run("return document.querySelectorAll('img').length") == 0
    assert page.run("return [...document.querySelectorAll('canvas')].every((c) => !c.style.visibility)")


@pytest.mark.timing
def test_an_hour_of_five_contestants(show):
    """3600 seconds of five contestants, all their keys: in sight in under a second."""
    document = results.result(*[results.target(name, 60, 60_000, 20_000) for name in "abcde"])
    for target in document["targets"]:
        target["series"] = [{**target["series"][t % 60], "t": t + 1, "target_rps": 10.0 * t} for t in range(3600)]
    page = show(document)
    took_ms = page.run("""
        const documents = JSON.parse(byId("data").textContent);
        const times = [];
        for (let i = 0; i < 3; i++) {
            const begun = performance.now();
            show(documents);
            times.push(performance.now() - begun);
        }
        return Math.min(...times)""")
    assert page.run("return [...panels.values()].filter((p) => p.chart.isInSight && p.chart.lines).length") >= 4
    assert took_ms < 1000
    assert page.run("return panels.get('rate').chart.lines.map((line) => line.values.length)") == [3600] * 6


# --- live ---


class Run:
    """A run that is followed: the page, and its events, which a test sends."""

    def __init__(self, page):
        self.page, self.streams, self.known = page, [], results.result(results.target(seconds=2), live=True)
        self.known["targets"][0] = {key: self.known["targets"][0][key]
                                    for key in ("name", "url", "method", "model", "series")}
        del self.known["verdict"], self.known["client"]
        self.changed = threading.Condition()
        self.is_refusing = False
        run_of_this = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                run_of_this.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, handler):
        is_page = handler.path == "/"
        handler.send_response(200 if is_page or not self.is_refusing else 503)
        handler.send_header("Content-Type", "text/html" if is_page else "text/event-stream")
        handler.end_headers()
        if is_page:
            handler.wfile.write(self.page)
        elif not self.is_refusing:
            with self.changed:
                self.put(handler, "start", self.known)
                self.streams.append(handler)
                self.changed.wait_for(lambda: handler not in self.streams)
            handler.connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def put(handler, name, data):
        handler.wfile.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        handler.wfile.flush()

    def send(self, name, data):
        with self.changed:
            for handler in self.streams:
                self.put(handler, name, data)

    def second(self, row, target=0):
        self.known["targets"][target]["series"].append(row)
        self.send("second", {"target": target, "row": row})

    def cut(self):
        with self.changed:
            self.streams.clear()
            self.changed.notify_all()

    def close(self):
        self.cut()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def followed(shared_browser, tmp_path):
    nothing = tmp_path / "nothing.json"
    nothing.write_text('{"schema": "iubench-result/1", "targets": []}')
    _, page, _ = run("report", str(nothing), "-o", "-")
    live = Run(re.sub(r'(type="application/json">).*?(</script>)', r"\1null\2", page, count=1, flags=re.DOTALL).encode())
    shared_browser.open("about:blank")
    shared_browser.complaints()
    yield live
    shared_browser.open("about:blank")
    live.close()


def test_live(shared_browser, followed):
    """Numbers move and lines grow; a lost stream is said and made again; the end brings the result."""
    page, rows = shared_browser, results.target(seconds=12)["series"]
    state = lambda: page.text("#state")
    achieved = lambda: (page.panels()["rate"] or {"lines": {"achieved": []}})["lines"]["achieved"]
    page.open(followed.url)
    wait_for(lambda: state() == "live" and len(achieved()) == 2, state)
    before = page.text("#figures")
    for row in rows[2:5]:
        followed.second(row)
    wait_for(lambda: len(achieved()) == 5)
    same(achieved()[2:], [row["rps"] for row in rows[2:5]])
    assert page.text("#figures") != before and "now" in page.text("#figures")
    followed.cut()
    wait_for(lambda: state() == "connection lost, trying again", state)
    followed.known["targets"][0]["series"].append(rows[5])  # while nobody listened
    wait_for(lambda: state() == "live" and len(achieved()) == 6, state)
    followed.is_refusing = True  # a server that starts anew may say no at first
    followed.cut()
    wait_for(lambda: state() == "connection lost, trying again", state)
    time.sleep(0.5)
    followed.is_refusing = False
    wait_for(lambda: state() == "live", state)
    followed.known["targets"].append({"name": "go", "series": []})
    followed.send("target", {"index": 1, "target": {"name": "go", "url": "http://h/", "method": "GET", "model": "ramp"}})
    followed.second(rows[0], 1)
    wait_for(lambda: "go" in page.text("#contestants"))
    followed.send("end", results.result(results.target(seconds=12), results.target("go", 12)))
    wait_for(lambda: state() == "the run has ended" and "VALID" in page.text("#verdict"), state)
    assert len(page.panels()["rate"]["lines"]["iubench"]) == 12
    followed.cut()
    time.sleep(0.2)
    assert state() == "the run has ended"
    complaints = [text for text in page.complaints() if "events" not in text and "favicon" not in text]
    assert complaints == []


def test_live_run(shared_browser, tmp_path):
    """A real run from its first second to its verdict."""
    page = shared_browser
    page.open("about:blank")
    page.complaints()
    process = subprocess.Popen([PROGRAM, "run", "test1", "-d", "4s", "--pin", "none", "--dashboard", "127.0.0.1:0",
                                "-o", str(tmp_path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    try:
        url = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+/(?=\s|$)", line) for line in process.stderr)))[0]
        threading.Thread(target=process.stderr.read, daemon=True).start()
        page.open(url)
        counts = set()
        wait_for(lambda: counts.add(page.run("return panels.get('rate').chart.x?.length ?? 0")) or
                 page.text("#state") == "the run has ended", lambda: page.text("#state"))
        assert len(counts) >= 3
        process.wait(DEADLINE_S)
    finally:
        process.kill()
        process.wait()
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["verdict"]["status"] in page.text("#verdict")
    same(page.panels()["rate"]["lines"]["achieved"], [row["rps"] for row in result["targets"][0]["series"]])
    assert [text for text in page.complaints() if "favicon" not in text] == []
