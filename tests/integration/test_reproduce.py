"""`iubench reproduce` with scenarios and contestants of the tests' own: small Python services whose
answers take 160 and 40 ms, so that the second one is about four times as fast."""

import json
import os
import subprocess
import sys

import jsonschema
import pytest

from iubench import ROOT, run
from test_race import DEVICES, SERVE

with open(os.path.join(ROOT, "docs", "reproduction.schema.json"), encoding="utf-8") as file:
    SCHEMA = json.load(file)

EXIT_INVALID = 5
SLOW_MS, FAST_MS = 160, 40
DELAY = """
class Delayed(Handler):
    wbufsize = -1  # head and body in one segment, or Nagle's algorithm delays the body
    def do_GET(self):
        time.sleep({} / 1000)
        super().do_GET()
Handler = Delayed
"""


def write_target(folder, name, delay_ms, **keys):
    (folder / f"{name}.py").write_text(DEVICES + DELAY.format(delay_ms) + SERVE)
    keys = {"name": name, "command": f"{sys.executable} {name}.py {{host}} {{port}}",
            "files": f"{name}.py", **keys}
    path = folder / f"{name}.ini"
    path.write_text("[target]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))
    return path


def write_scenario(folder, name, *contestants, **keys):
    path = folder / f"{name}.ini"
    keys = {"contestants": ",\n    ".join(map(str, contestants)), "cause": "they sleep", **keys}
    path.write_text("[scenario]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) +
                    "[target]\nmode = static\n[load]\npath = /api/devices\nconnections = 4\n"
                    "duration = 10s\ntimeout = 5s\n")
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One call, two scenarios: two contestants with a published ratio of 4 and one that is lacking;
    and one whose second contestant is lacking."""
    folder = tmp_path_factory.mktemp("reproduce")
    slow, fast = (write_target(folder, *row) for row in (("slow", SLOW_MS), ("fast", FAST_MS)))
    absent = write_target(folder, "absent", 0, needs="no-such-toolchain", mend="get-it --now")
    both = write_scenario(folder, "both", slow, fast, absent, metrics="rps, p99_us, size_bytes",
                          published="four times | as fast", figures="slow rps 10, fast rps 40")
    lone = write_scenario(folder, "lone", fast, absent, figures="fast rps 40, absent rps 160")
    out = folder / "out"
    code, shown, told = run("reproduce", str(both), str(lone), "--repeat", "4", "-d", "1s", "--warmup",
                            "0s", "--out", str(out), timeout=120)
    assert code in (0, EXIT_INVALID), told
    document = json.loads((out / "reproduction.json").read_text())
    return {"code": code, "shown": shown, "told": told, "out": out, "document": document,
            "rows": {(row["scenario"], row["metric"]): row for row in document["rows"]},
            "markdown": (out / "reproduction.md").read_text()}


def test_document_fits_its_schema(done):
    jsonschema.validate(done["document"], SCHEMA)
    assert list(done["rows"]) == [("both", "rps"), ("both", "p99_us"), ("both", "size_bytes"),
                                  ("lone", "rps")]
    assert done["document"]["repeats"] == 4 and not done["document"]["interrupted"]
    assert done["document"]["command"][1] == "reproduce"


def test_ratio_is_judged(done):
    """Four races each, the ratio of the medians with its interval, and what was published."""
    row = done["rows"]["both", "rps"]
    slow, fast, _ = row["contestants"]
    assert [c["runs"] for c in row["contestants"]] == [4, 4, 0]
    assert [c["published"] for c in row["contestants"]] == [10, 40, None]
    assert 0 < slow["median"] <= 4 * 1000 / SLOW_MS and slow["values"] == sorted(slow["values"])
    assert row["ratio_published"] == [4, 4] and row["cause"] == "they sleep"
    if done["code"] == EXIT_INVALID:
        pytest.skip("a busy machine: runs are INVALID, and nothing is compared")
    low, high = row["ratio_interval"]
    assert low <= row["ratio"] <= high
    assert row["ratio"] == pytest.approx(fast["median"] / slow["median"])
    assert row["outcome"] == "reproduced" and row["note"] is None


def test_less_is_better_of_latency_and_size(done):
    """The ratio is above 1 where the second one is better; without a published one nothing is claimed."""
    latency, size = done["rows"]["both", "p99_us"], done["rows"]["both", "size_bytes"]
    if latency["ratio"] is not None:
        assert latency["ratio"] > 1
    assert latency["outcome"] == "not comparable"
    sizes = [os.path.getsize(done["out"].parent / f"{name}.py") for name in ("slow", "fast")]
    assert [c["median"] for c in size["contestants"]] == [*sizes, None]


def test_who_is_lacking_has_a_row_that_says_so(done):
    """With the command that mends it; the others race on, and are measured."""
    row = done["rows"]["lone", "rps"]
    fast, absent = row["contestants"]
    assert fast["runs"] == 4 and fast["median"] > 0
    assert absent["median"] is None and "get-it --now" in absent["lack"]
    assert row["outcome"] == "not comparable" and "absent was skipped" in row["note"]
    assert "absent was skipped: needs no-such-toolchain" in done["shown"]


def test_tables_name_every_row(done):
    for name in ("both", "lone"):
        assert (done["out"] / name / "result.json").exists()
        assert f"[{name}]({name}/report.html)" in done["markdown"]
        assert (done["out"] / name / "report.html").exists()
    lines = [line for line in done["markdown"].splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3 * 3 + 2
    assert "four times \\| as fast" in done["markdown"] and "Reproduced: " in done["markdown"]
    assert "reproduction.md" in done["shown"].splitlines()[-2]
    assert done["shown"].splitlines()[-1] == f"Report: {done['out']}/report.html"
    page = (done["out"] / "report.html").read_text()
    assert '"schema":"iubench-reproduction/1"' in page and "both/report.html" in page


def test_report_takes_it(done, tmp_path):
    """As a page; its Markdown is there already, and nothing else takes it for a result."""
    document = str(done["out"] / "reproduction.json")
    code, _, errors = run("report", document, "-o", str(tmp_path / "page.html"))
    assert code == 0 and "iubench-reproduction/1" in (tmp_path / "page.html").read_text(), errors
    for words in (["report", "--md", document], ["compare", document, document], ["merge", document, document]):
        code, _, errors = run(*words)
        assert code == 2 and "a reproduction, which `iubench report` takes" in errors


def test_tool_puts_the_tables_into_a_page(done, tmp_path):
    """Twice is as once, and what stands there already stays."""
    page, tool = tmp_path / "page.md", os.path.join(ROOT, "tools", "reproduction")
    page.write_text("# Page\n")
    for _ in range(2):
        subprocess.run([tool, "--page", page, done["out"] / "reproduction.md"], check=True)
    text = page.read_text()
    assert text.startswith("# Page\n\n## Measured\n") and text.count("| both | requests/s |") == 1
    assert "report.html)" not in text


@pytest.mark.parametrize("words, message", [
    (["test1", "--repeat", "3"], "--repeat: \"3\" is out of range"),
    (["tets1"], "did you mean \"test1\"?"),
    (["fib"], "fib names no contestants"),
    (["test1", "test1"], "two scenarios are called test1"),
    (["test1", "-d", "soon"], "-d"),
])
def test_bad_input_is_refused_before_anything_starts(tmp_path, words, message):
    code, shown, told = run("reproduce", *words, "--out", str(tmp_path / "out"))
    assert code == 2 and message in told and not shown
    assert not (tmp_path / "out").exists()


def test_unknown_contestant_is_refused(tmp_path):
    path = write_scenario(tmp_path, "some", "iubench", "nobody-of-this-name")
    code, _, told = run("reproduce", str(path), "--out", str(tmp_path / "out"))
    assert code == 2 and "some: contestants: " in told and "nobody-of-this-name" in told
