"""What is published for Prometheus, held to Prometheus itself: its linter, its configuration, and its
answers to every query of the Grafana dashboard in deploy/, while a run goes on."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest

from iubench import ROOT, wait_for
from services import free_port
from test_live import live, of, target  # noqa: F401

CONFIG = os.path.join(ROOT, "deploy", "prometheus", "prometheus.yml")
DASHBOARD = os.path.join(ROOT, "deploy", "grafana", "iubench.json")

# Published names that today's linter would have otherwise.
PUBLISHED = ('myapp_errors_count counter metrics should have "_total" suffix\n'
             'myapp_errors_count non-histogram and non-summary metrics should not have "_count" suffix\n')

# What only the one or only the other can tell.
OF_RUN = "iubench_run_"
OF_SERVE = 'myapp_request_duration_seconds|iubench_storage_|job="iubench-serve"'


def tool(name):
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not installed: tools/setup test")
    return path


def promtool(*words, text=None):
    return subprocess.run([tool("promtool"), *words], input=text, capture_output=True, text=True,
                          timeout=30, check=False)


class Prometheus:
    """With the configuration of deploy/, its ports exchanged, in a folder of its own."""

    def __init__(self, folder, addresses):
        with open(CONFIG, encoding="utf-8") as file:
            config = file.read()
        for usual, address in addresses.items():
            assert config.count(f'"{usual}"') == 1
            config = config.replace(usual, address)
        path = folder / "prometheus.yml"
        path.write_text(config)
        self.address = f"127.0.0.1:{free_port()}"
        self.log = open(folder / "prometheus.log", "wb")
        self.process = subprocess.Popen(
            [tool("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={self.address}", "--log.level=warn"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def is_ready(self):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5):
            return True
        return False

    def ask(self, query):
        """The values of an instant query, those that are no number left out."""
        url = f"http://{self.address}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(url, timeout=10) as reply:
            answer = json.load(reply)
        assert answer["status"] == "success" and not answer.get("warnings"), answer
        return [float(one["value"][1]) for one in answer["data"]["result"] if one["value"][1] != "NaN"]

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()


@pytest.fixture
def prometheus(tmp_path):
    started = []

    def start(addresses):
        started.append(Prometheus(tmp_path, addresses))
        wait_for(started[-1].is_ready)
        return started[-1]

    yield start
    for one in started:
        one.close()


def queries():
    """(panel, query) of the dashboard, its variables as Grafana would fill them in."""
    with open(DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)
    names = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert names == {"datasource", "target"}
    for panel in dashboard["panels"]:
        for one in panel["targets"]:
            assert one["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            query = one["expr"].replace("$__rate_interval", "4s").replace("$target", ".*")
            assert "$" not in query
            yield panel["title"], query


def test_the_dashboard_is_well_formed():
    with open(DASHBOARD, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells)), "panels lie on one another"
    for panel in panels:
        letters = [one["refId"] for one in panel["targets"]]
        assert len(set(letters)) == len(letters) and panel["description"]


def test_every_metric_that_is_asked_for_is_one_of_ours():
    """A name in a query that nothing publishes is a slip."""
    known = set()
    for folder, _, files in os.walk(os.path.join(ROOT, "src")):
        for name in files:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                known |= set(re.findall(r'"([a-z]+(?:_[a-z0-9]+)+)', file.read()))
    for _, query in queries():
        for metric in re.findall(r"\b((?:iubench|myapp|tester|process)_\w+)", query):
            base = re.sub(r"_bucket$", "", metric)
            counter = re.fullmatch(r"iubench_load_(\w+)_total", base)
            assert base in known or (counter and "iubench_load_" in known or counter), metric


# --- promtool ---


def test_configuration():
    done = promtool("check", "config", CONFIG)
    assert done.returncode == 0, done.stderr


def test_metrics_of_serve(serve):
    """Of every mode; nothing is said but of the published names."""
    for words in (("all",), ("db", "--store", "sqlite", "--cache", "memory")):
        page = serve(words[0], *words[1:]).get("/metrics").body.decode()
        assert "process_resident_memory_bytes" in page
        done = promtool("check", "metrics", text=page)
        assert done.stdout + done.stderr == PUBLISHED and done.returncode == 3


def test_metrics_of_a_load(live, target):
    shown = live("load", "-r", "100", "-d", "3s", target.url + "/json?\"\\\u00e4", target.url + "/nothing")
    wait_for(lambda: of(shown.metrics(), "iubench_load_sent_total"))
    done = promtool("check", "metrics", text=shown.get("/metrics").body.decode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    shown.wait()


def test_metrics_before_the_first_second(live, target):
    shown = live("load", "-r", "100", "-d", "2s", target.url + "/json")
    done = promtool("check", "metrics", text=shown.get("/metrics").body.decode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    shown.wait()


# --- Prometheus ---


def unknown_here(shown):
    """What this machine does not tell of any party: without a cgroup nobody is throttled."""
    document = json.loads(shown.get("/result.json").body)
    rows = [row for one in document["targets"] for row in one["series"]]
    parties = [party for row in rows for party in row["parties"].values()]
    assert parties
    return "" if any(party["throttled_ms"] is not None for party in parties) else "|iubench_party_throttled_"


def assert_answers(prometheus, shown, absent):
    """Every query has data, but those that match `absent`, which have none."""
    wait_for(lambda: json.loads(shown.get("/result.json").body)["targets"][0]["series"])
    absent = re.compile(absent + unknown_here(shown))
    wanted = [(panel, query) for panel, query in queries() if not absent.search(query)]
    assert len(wanted) > 15
    missing = wanted

    def all_answered():
        nonlocal missing
        missing = [(panel, query) for panel, query in missing if not prometheus.ask(query)]
        return not missing

    try:
        wait_for(all_answered)
    except AssertionError:
        raise AssertionError(f"no data: {missing}") from None
    for panel, query in queries():
        if absent.search(query):
            assert not prometheus.ask(query), (panel, query)


def test_serve_and_load_answer_the_dashboard(live, serve, prometheus):
    server = serve("db", "--store", "sqlite", "--cache", "memory")
    shown = live("load", "-r", "200", "-d", "60s", "-b", '{"mac":"{mac}","firmware":"1.{rand:0-9}"}',
                 server.url + "/api/devices")
    prom = prometheus({"127.0.0.1:8080": server.address, "127.0.0.1:8081": shown.address})
    assert_answers(prom, shown, OF_RUN)
    wait_for(lambda: 150 < prom.ask('sum(rate(iubench_load_ok_total[4s]))')[0] < 250)
    assert prom.ask('sum(up{job=~"iubench-.*"})') == [2]
    shown.process.terminate()
    shown.wait((143,))


def test_a_run_answers_the_dashboard(live, prometheus):
    """Alone: what serve would tell, it tells as a party."""
    shown = live("run", "test2", "--services", "embedded", "-d", "60s")
    prom = prometheus({"127.0.0.1:8080": f"127.0.0.1:{free_port()}", "127.0.0.1:8081": shown.address})
    assert_answers(prom, shown, OF_SERVE)
    shown.process.terminate()
    shown.wait((143,))


def test_the_published_queries_are_answered(live, target, prometheus):
    """As they stand in the published dashboards, their labels those that we have."""
    shown = live("load", "-r", "200", "-d", "60s", target.url + "/json", target.url + "/nothing")
    prom = prometheus({"127.0.0.1:8080": target.address, "127.0.0.1:8081": shown.address})
    wait_for(lambda: prom.ask('sum(rate(tester_request_duration_seconds_count{status=~"4.*"}[4s]))'))
    assert wait_for(lambda: prom.ask(
        'histogram_quantile(0.90, sum(rate(tester_request_duration_seconds_bucket{status=~"2.*"}[4s])) by (le))'))
    share = prom.ask('sum(rate(tester_request_duration_seconds_count{status!~"4..|5.."}[4s]))'
                     ' / sum(rate(tester_request_duration_seconds_count[4s]))')
    assert 0.4 < share[0] < 0.6
    shown.process.terminate()
    shown.wait((143,))
