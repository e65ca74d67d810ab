"""`iubench report` on the command line, and its Markdown. What the page looks like is test_page.py's."""

import json
import os
import re
import subprocess

import jsonschema
import pytest

import results
from iubench import PROGRAM, ROOT, run

PAGE_BYTES_MAX = 200_000  # without data


@pytest.fixture
def write(tmp_path):
    """Writes documents to files and returns their names."""
    def put(*documents):
        paths = []
        for i, document in enumerate(documents):
            paths.append(str(tmp_path / f"{i}.json"))
            with open(paths[-1], "w", encoding="utf-8") as to:
                to.write(json.dumps(document))
        return paths

    return put


def data_of(page):
    return re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1]


def table_of(markdown):
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("|")]
    return rows[0], rows[2:]


def test_documents_by_hand_are_results():
    """What these tests read is what the schema describes."""
    schema = json.load(open(f"{ROOT}/docs/result.schema.json", encoding="utf-8"))
    document = results.result(results.target("a", 3), results.target("b", 2))
    for target in document["targets"]:
        target["histograms"] = {"unit": "ns", "latency": "HISTFAAAA", "service_time": "HISTFAAAA"}
    jsonschema.validate(document, schema)


def test_page_has_the_documents_and_is_small(write, tmp_path):
    """The data in the page are the documents, without the histograms, which nothing draws."""
    document = results.result()
    out = tmp_path / "report.html"
    code, output, errors = run("report", *write(document), "-o", str(out))
    assert (code, output, errors) == (0, "", f"Report: {out}\n")
    page = out.read_text(encoding="utf-8")
    del document["targets"][0]["histograms"]
    assert json.loads(data_of(page)) == [document]
    assert len(page.encode()) - len(data_of(page)) <= PAGE_BYTES_MAX


def test_page_to_standard_output(write):
    code, output, _ = run("report", *write(results.result()), "--out=-")
    assert code == 0 and output.startswith("<!DOCTYPE html>") and output.endswith("</html>\n")


def test_default_is_report_html(write, tmp_path):
    """Without -o it is report.html, here; an older one is replaced."""
    subprocess.run([PROGRAM, "report", *write(results.result())], cwd=tmp_path, check=True, capture_output=True)
    first = (tmp_path / "report.html").stat().st_ino
    subprocess.run([PROGRAM, "report", *write(results.result())], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "report.html").stat().st_ino != first


def test_text_cannot_end_its_script(write):
    """No `<` of a result is one in the page."""
    bad = "</script><script>alert(1)</script><!-- <script> ]]> \u2028"
    _, page, _ = run("report", *write(results.result(results.target(bad), reasons=[bad])), "-o", "-")
    assert "<" not in data_of(page)
    assert json.loads(data_of(page))[0]["verdict"]["reasons"] == [bad]


@pytest.mark.parametrize("text, said", [
    ("", "is no JSON: line"),
    ('{"schema": "iubench-result/1", "targets": [}', "line 1, column"),
    ("[1]", 'expected "schema": "iubench-result/1"'),
    ('{"schema": "iubench-result/2", "targets": []}', 'expected "schema": "iubench-result/1"'),
    ('{"schema": "iubench-result/1"}', "targets: expected an array, found nothing"),
    ('{"schema": "iubench-result/1", "targets": {}}', "targets: expected an array, found an object"),
    ('{"schema": "iubench-result/1", "targets": [1]}', "targets[0]: expected an object"),
])
def test_no_result(tmp_path, text, said):
    """What is no result is refused with file, place and what was expected; nothing is written."""
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    code, output, errors = run("report", str(bad), "-o", str(tmp_path / "r.html"))
    assert (code, output) == (2, "")
    assert "bad.json" in errors and said in errors
    assert os.listdir(tmp_path) == ["bad.json"]


def test_cannot_be_read_or_written(write, tmp_path):
    assert run("report", str(tmp_path / "none.json"))[0] == 1
    code, _, errors = run("report", *write(results.result()), "-o", str(tmp_path / "none" / "r.html"))
    assert code == 2 and "--out" in errors and "No such file" in errors
    code, _, errors = run("report")
    assert code == 2 and "RESULT" in errors


# --- Markdown ---


def test_markdown_of_contestants(write):
    """Each cell is the document's; p99 is that at the highest rate that all were offered and held."""
    a, b = results.target("a", 20, 40_000, 30_000), results.target("b", 20, 40_000, 9_000)
    b["requests"]["errors"]["reset"] = 1234
    document = results.result(a, b, status="SUSPECT", reasons=["b: the client was the limit"])
    _, text, _ = run("report", *write(document), "--md")
    head, rows = table_of(text)
    assert text.startswith("### test2: SUSPECT\n\n- b: the client was the limit\n")
    assert head[3] == "p99 at 8 000/s"
    p99_us = [next(row["p99_us"] for row in t["series"] if row["target_rps"] == 8000) for t in (a, b)]
    assert rows[0][:3] == ["a", "VALID", "30 000"] and rows[1][:3] == ["b", "VALID", "8 000"]
    for row, us in zip(rows, p99_us):
        number, unit = row[3].split()
        assert float(number) * {"us": 1, "ms": 1000}[unit] == pytest.approx(us, rel=0.01)
    assert rows[0][4] == "20.0 us" and rows[0][5] == "29 MB"
    assert "1 234 reset" in rows[1][7] and "timeouts" in rows[1][7]
    assert "```\niubench run test2\n```" in text


def test_markdown_of_a_fault(write):
    document = results.result()
    fault = {"what": "lose", "party": "memcached", "text": "memcached lost", "begin_s": 5.0, "end_s": 10.0,
             "availability": 0.5, "recovered_s": None}
    document["targets"][0]["fault"] = fault
    code, output, _ = run("report", *write(document), "--md")
    assert code == 0
    assert "\niubench: memcached lost from 5.0 to 10.0 s, availability 50 %, not as before by the end\n" \
        in output


def test_markdown_of_several_results(write):
    """Of several results each line says of which it is."""
    _, text, _ = run("report", *write(results.result(), results.result(scenario="test1")), "--md")
    _, rows = table_of(text)
    assert [row[0] for row in rows] == [f"iubench, {name}, 2026-11-20T17:00:00.000000Z" for name in ("test2", "test1")]


def test_markdown_escapes(write, tmp_path):
    """Names and reasons stay text: no cell, no tag, no emphasis, no link, no mention begins in them."""
    bad = "a|b <img src=x> *c* [d](e) `f` @g\n# h"
    document = results.result(results.target(bad), reasons=[bad])
    document["command"] = ["iubench", "it's", "```"]
    out = tmp_path / "r.md"
    assert run("report", *write(document), "--md", "-o", str(out))[:2] == (0, "")
    text = out.read_text()
    _, rows = re.search(r"- (.*)\n", text)[1], table_of(text)[1]
    assert len(rows) == 1
    assert r"a\|b &#60;img src=x&#62; \*c\* \[d\](e) \`f\` &#64;g \# h" in text
    assert "````\n" not in text.split("### ")[0] and "``````\niubench 'it'\\''s' '```'\n``````" in text


def test_markdown_of_little(write):
    """What is not known is a dash, and never a zero."""
    document = {"schema": "iubench-result/1", "targets": [{"name": "x"}]}
    code, text, _ = run("report", *write(document), "--md")
    assert code == 0
    assert table_of(text)[1] == [["x", "", "-", "-", "-", "-", "-", "-"]]


def test_run_leaves_a_report(tmp_path):
    """report.html stands beside result.json, and both have the same targets."""
    code, output, errors = run("run", "test1", "-d", "1s", "--services", "embedded", "--pin", "none",
                               "-o", str(tmp_path), timeout=60)
    assert code in (0, 5), errors
    assert f"Report: {tmp_path}/report.html" in output
    result = json.loads((tmp_path / "result.json").read_text())
    inside = json.loads(data_of((tmp_path / "report.html").read_text()))
    assert inside[0]["targets"][0]["series"] == result["targets"][0]["series"]


def test_markdown_of_repeats(tmp_path):
    """Medians with their intervals stand first; of a ramp the rate that was held. Each race is folded below."""
    def over(median, low, high):
        return {"median": median, "interval": low and [low, high], "races": 4}
    targets = [results.target("a|b", 5) for _ in range(4)]
    for i, target in enumerate(targets):
        target["repeat"] = i + 1
    side = {"name": "a|b", "races": 4, "verdicts": {"VALID": 3, "SUSPECT": 1, "INVALID": 0},
            "rps": over(1990, 1900, 2100), "held_rps": over(2000, 1900, 2100), "p50_us": over(900, 800, 950),
            "p99_us": over(27800, 26200, 29800), "availability": over(1, 1, 1),
            "cpu_us_per_request": over(None, None, None), "memory_bytes": over(19.6e6, None, None)}
    document = results.result(*targets, races={"repeats": 4, "failures": [], "contestants": [side]})
    (tmp_path / "r.json").write_text(json.dumps(document))
    code, text, errors = run("report", "--md", str(tmp_path / "r.json"))
    assert code == 0, errors
    row = ("| a\\|b | SUSPECT 1 of 4 | 2 000 (1 900 to 2 100) | 27.8 ms (26.2 ms to 29.8 ms) | - | 19.6 MB "
           "| 100 % (100 % to 100 %) |")
    lines = text.replace("\u2013", "-").splitlines()
    assert row in lines, text
    assert lines.index("<details><summary>Every race</summary>") > lines.index(row)
    assert sum(line.startswith("| a\\|b \\#") for line in lines) == 4 and "</details>" in lines
