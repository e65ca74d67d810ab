"""`iubench compare`: what is claimed, what is not, and what is said of each, over results whose
numbers are set by the test."""

import copy
import json
import os
import random
import re
import subprocess

import jsonschema
import pytest

from iubench import PROGRAM, ROOT, Process

with open(f"{ROOT}/docs/comparison.schema.json", encoding="utf-8") as file:
    SCHEMA = json.load(file)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A true result, whose figures the tests replace."""
    path = tmp_path_factory.mktemp("template") / "result.json"
    target = Process("serve", "--listen", "127.0.0.1:0")
    subprocess.run([PROGRAM, "load", "-q", "-n", "5000", "-c", "4", "--json", path, target.url + "/json"],
                   check=True, capture_output=True, timeout=30)
    target.stop()
    document = json.loads(path.read_text())
    document["targets"][0]["verdict"] = document["verdict"] = {"status": "VALID", "reasons": []}
    return document


@pytest.fixture
def made(template, tmp_path):
    """Writes a result of the targets that are given as (name, {key: value}); returns its path."""
    def make(file, *targets, **root):
        document = {**copy.deepcopy(template), **root}
        document["started"] = f"2026-11-20T17:00:00.{random.randrange(10 ** 6):06}Z"
        document["targets"] = []
        for repeat, (name, values) in enumerate(targets):
            target = copy.deepcopy(template["targets"][0])
            target.update(name=name, repeat=repeat)
            for key, value in values.items():
                if key in ("p50", "p99", "p999"):
                    target["latency_us"][key] = value
                else:
                    target[key] = value
            document["targets"].append(target)
        path = tmp_path / file
        path.write_text(json.dumps(document))
        return path
    return make


def run(*words):
    """The exit code, the document (checked by its schema), and the page."""
    done = subprocess.run([PROGRAM, "compare", "--json", "-", *map(str, words)], capture_output=True,
                          text=True, timeout=30)
    document = json.loads(done.stdout) if done.stdout else None
    if document:
        jsonschema.validate(document, SCHEMA)
    return done.returncode, document, done.stderr


def change(document, metric, pair=0):
    return document["pairs"][pair]["changes"][metric]


def noisy(name, count, rps, seed):
    rng = random.Random(seed)
    return [(name, {"rps": rps * rng.gauss(1, 0.01)}) for _ in range(count)]


# --- files ---

def test_file_name_that_is_no_text(made, tmp_path):
    """A name need not be UTF-8, which JSON must be."""
    made("a.json", ("t", {"rps": 1}))
    path = tmp_path / os.fsdecode(b"\xff.json")
    os.rename(made("b.json", ("t", {"rps": 2})), path)
    document = run(tmp_path / "a.json", path)[1]
    assert document["sides"][1]["set"] == f"{tmp_path}/\\xff.json"


# --- claims ---

def test_apart(made):
    """Five runs wholly above five others: p = 2 / 252, better; medians, ratio and intervals are the
    samples' own."""
    a, b = [100, 102, 104, 101, 103], [110, 112, 111, 114, 113]
    path = made("r.json", *(("old", {"rps": v}) for v in a), *(("new", {"rps": v}) for v in b))
    code, document, page = run(path)
    assert code == 0
    found = change(document, "rps")
    assert found["claim"] == "better" and found["p"] == pytest.approx(2 / 252) and found["exact"]
    assert found["u"] == 25 and found["ratio"] == pytest.approx(112 / 102)
    low, high = found["interval"]
    assert 110 / 104 <= low < 112 / 102 < high <= 114 / 100
    old, new = document["sides"]
    assert (old["name"], new["name"], old["runs"], new["runs"]) == ("old", "new", 5, 5)
    assert old["metrics"]["rps"] == {"median": 102, "interval": [100, 104],
                                     "values": [100, 101, 102, 103, 104]}
    assert re.search(r"requests/s +102 +112 +1.098 +better, p = 0.0079", page)
    assert "93.8 %" in page and "(seed 1)" in page


def test_lower_is_better_for_latency(made):
    path = made("r.json", *(("a", {"p99": 100 + i}) for i in range(4)),
                *(("b", {"p99": 50 + i}) for i in range(4)))
    _, document, _ = run(path)
    assert change(document, "p99")["claim"] == "better"
    assert change(document, "p99")["p"] == pytest.approx(2 / 70)


def test_not_distinguishable(made):
    """Two samples of one distribution, whose medians differ all the same."""
    path = made("r.json", *noisy("a", 6, 1000, 1), *noisy("b", 6, 1000, 2))
    _, document, page = run(path)
    found = change(document, "rps")
    assert found["ratio"] != 1 and found["p"] > 0.05
    assert found["claim"] == "not distinguishable" and "not distinguishable" in page
    assert change(document, "availability")["p"] == 1  # all the same


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few(made, count):
    """However far apart: below four repeats nothing is claimed, and no interval is invented."""
    path = made("r.json", *(("a", {"rps": 100 + i}) for i in range(count)),
                *(("b", {"rps": 900 + i}) for i in range(5)))
    code, document, page = run(path)
    found = change(document, "rps")
    assert code == 0 and found["claim"] == "too few repeats"
    assert found["p"] is None and found["interval"] is None and found["ratio"] > 8
    assert document["sides"][0]["metrics"]["rps"]["interval"] is None
    assert "nothing is claimed where there are fewer than 4" in page


def test_single_runs_show_their_histograms(made, template):
    path = made("r.json", ("a", {}), ("b", {}))
    _, document, page = run(path)
    assert document["sides"][0]["latency"]["count"] == 5000
    assert document["sides"][0]["latency"]["histogram"] == template["targets"][0]["histograms"]["latency"]
    assert re.search(r"all requests +5 000 +5 000 +no claim", page)
    assert re.search(r"^p99\.9 +-? *\d?", page, re.MULTILINE) is None  # needs 10 above it
    assert re.search(r"^p99 +\d", page, re.MULTILINE)


def test_false_alarms(made):
    """Of samples that are alike, about one in twenty is called different, not more."""
    alarms = 0
    for seed in range(40):
        path = made("r.json", *noisy("a", 5, 1000, 2 * seed), *noisy("b", 5, 1000, 2 * seed + 1))
        alarms += change(run(path)[1], "rps")["claim"] != "not distinguishable"
    assert alarms <= 5


def test_same_seed_same_interval(made):
    path = made("r.json", *noisy("a", 8, 1000, 1), *noisy("b", 9, 1010, 2))
    one, two, other = run(path), run(path), run("--seed", "2", path)
    assert one[1] == two[1] and other[1]["seed"] == 2
    assert change(one[1], "rps")["p"] == change(other[1], "rps")["p"]


# --- what is beside what ---

def test_files_with_the_same_target(made):
    """Before and after: each file is a side, the first the base."""
    paths = [made(f"{i}.json", ("t", {"rps": 100 * i})) for i in (1, 2, 3)]
    _, document, _ = run(*paths)
    assert [side["runs"] for side in document["sides"]] == [1, 1, 1]
    assert [(p["base"], p["other"]) for p in document["pairs"]] == [(0, 1), (0, 2)]
    assert change(document, "rps", 1)["ratio"] == 3


def test_files_of_one_target_are_repeats(made):
    """Files with different targets: those of one name are repeats of one side."""
    a = [made(f"a{i}.json", ("a", {"rps": 100 + i})) for i in range(4)]
    b = [made(f"b{i}.json", ("b", {"rps": 200 + i})) for i in range(4)]
    _, document, _ = run(*a, *b)
    assert [(s["name"], s["runs"]) for s in document["sides"]] == [("a", 4), ("b", 4)]
    assert change(document, "rps")["claim"] == "better"


def test_labels(made):
    """LABEL=FILE keeps files of the same target apart, and those of one label together."""
    paths = [made(f"{i}.json", ("t", {"rps": 100 + i})) for i in range(8)]
    _, document, _ = run(*(f"old={p}" for p in paths[:4]), *(f"new={p}" for p in paths[4:]))
    assert [(s["name"], s["runs"]) for s in document["sides"]] == [("old", 4), ("new", 4)]
    assert change(document, "rps")["claim"] == "better"


def test_targets_across_sets(made):
    """With several targets in each, each is measured by its own name."""
    old = made("old.json", ("go", {"rps": 100}), ("py", {"rps": 10}))
    new = made("new.json", ("py", {"rps": 20}), ("go", {"rps": 300}))
    _, document, _ = run(old, new)
    names = [side["name"] for side in document["sides"]]
    assert [(names[p["base"]].split()[-1], names[p["other"]].split()[-1],
             p["changes"]["rps"]["ratio"]) for p in document["pairs"]] == [("py", "py", 2), ("go", "go", 3)]


def test_differences_are_named(made, template):
    environment = {**template["environment"], "kernel": "9.9", "limits": {"nofile": 7}}
    a = made("a.json", ("t", {}))
    b = made("b.json", ("t", {"timeout_s": 9.0}), environment=environment)
    _, document, page = run(f"a={a}", f"b={b}")
    lines = document["differences"]
    assert any(re.fullmatch(r"kernel: \S+ in a, 9\.9 in b", line) for line in lines), lines
    assert any(line.startswith("limits.nofile: ") for line in lines)
    assert any(line.startswith("timeout_s: 5") for line in lines)
    assert "made under different conditions" in page
    _, document, page = run(f"a={a}", f"b={made('c.json', ('t', {}))}")
    assert document["differences"] == [] and "made under different conditions" not in page


# --- --expect ---

def expectation(made, bound, base, value, metric="rps", count=1):
    path = made("r.json", *(("a", {metric: base + i}) for i in range(count)),
                *(("b", {metric: value + i}) for i in range(count)))
    code, document, page = run("--expect", bound, path)
    met = document["pairs"][0]["expectations"][0]["met"]
    assert (code == 0) == met and code in (0, 3) and ("NOT MET" in page) == (not met)
    return met


@pytest.mark.parametrize("bound, base, value, is_met", [
    ("rps>-3%", 1000, 980, True), ("rps>-3%", 1000, 970, False), ("rps>=-3%", 1000, 970, True),
    ("rps>-3%", 1000, 960, False), ("rps>+10%", 1000, 1090, False), ("rps > +10%", 1000, 1110, True),
    ("rps>=1.5x", 1000, 1500, True), ("rps<2x", 1000, 2000, False), ("rps<=+0%", 1000, 1000, True),
])
def test_bounds(made, bound, base, value, is_met):
    assert expectation(made, bound, base, value) == is_met


def test_regression_of_repeats(made):
    """A regression that the repeats show is not met; one that they do not show is."""
    assert not expectation(made, "p99<+5%", 100, 110, "p99", 4)
    assert expectation(made, "p99<+0.1%", 100, 101, "p99", 5)  # overlapping: not distinguishable
    assert not expectation(made, "p99<-1%", 100, 99, "p99", 5)  # nor is it an improvement


def test_unknown_is_not_met(made):
    path = made("r.json", *((name, {"server_cpu_us_per_request": None}) for name in "ab"))
    code, _, page = run("--expect", "cpu<+5%", path)
    assert code == 3 and "nothing to measure it by" in page


@pytest.mark.parametrize("bound, said", [
    ("p98<+5%", "names no metric"), ("p99+5%", "names no metric"), ("p99=+5%", "compares nothing"),
    ("p99<5%", "is no change"), ("p99<+5", "is no change"), ("p99<-100%", "is no change"),
    ("p99<0x", "is no change"), ("p99<10ms", "is no change"), ("p99<+5%,,", "names no metric"),
    ("", "names no metric"),
])
def test_bad_bounds(made, bound, said):
    path = made("r.json", ("a", {}), ("b", {}))
    code, document, errors = run("--expect", bound, path)
    assert code == 2 and said in errors and "--expect" in errors and document is None


# --- INVALID ---

def test_invalid_goes_first(made):
    """Exit 5 before 3; its reasons are shown, and nothing is claimed of it."""
    invalid = {"verdict": {"status": "INVALID", "reasons": ["the client sent late"]}}
    path = made("r.json", *(("a", {"rps": 100 + i}) for i in range(4)),
                *(("b", {"rps": 50 + i, **(invalid if i == 2 else {})}) for i in range(4)))
    code, document, page = run("--expect", "rps>-3%", path)
    assert code == 5 and change(document, "rps")["claim"] == "INVALID"
    assert document["sides"][1]["invalid_runs"] == 1
    assert "INVALID, run 3: the client sent late" in page
    assert "INVALID: no claim" in page


def test_suspect_is_told(made):
    suspect = {"verdict": {"status": "SUSPECT", "reasons": ["the client was the limit"]}}
    code, document, page = run(made("r.json", ("a", suspect), ("b", {})))
    assert code == 0 and document["sides"][0]["suspect_runs"] == 1
    assert "SUSPECT, run 1: the client was the limit" in page


# --- forms ---

def test_markdown(made, tmp_path):
    path = made("r.json", *(("a|b", {"rps": 1000 + i}) for i in range(4)),
                *(("c", {"rps": 2000 + i}) for i in range(4)))
    done = subprocess.run([PROGRAM, "compare", path, "--md", tmp_path / "c.md", "--json",
                           tmp_path / "c.json"], capture_output=True, text=True, timeout=30)
    text = (tmp_path / "c.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == r"| | a\|b | c | ratio | |" and rows[1] == "| --- | --- | --- | --- | --- |"
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert any(row.startswith("| requests/s | 1 002 (1 000 to 1 003) | 2 002 ") for row in rows), rows
    assert "better, p = 0.029" in text and "requests/s" in done.stdout
    assert json.loads((tmp_path / "c.json").read_text())["pairs"]


def test_texts_of_others_do_no_harm(made, tmp_path):
    """Names and reasons that stand in a document stay text on a terminal and in Markdown."""
    name, verdict = "<b>@all \x1b[2J_a_", {"status": "SUSPECT", "reasons": ["[x](http://y) <i>"]}
    path = made("r.json", (name, {"verdict": verdict}), ("c", {}))
    page = subprocess.run([PROGRAM, "compare", path, "--md", tmp_path / "c.md"], capture_output=True, text=True,
                          timeout=30).stdout
    text = (tmp_path / "c.md").read_text()
    assert "\x1b" not in page + text and "@all" in page
    assert not re.search(r"<[bi]>|@all|(?<!\\)\[|(?<!\\)_a", text)


# --- what cannot be read ---

def test_bad_input(made, template, tmp_path):
    good = made("good.json", ("a", {}))

    def said(change_it, *words):
        document = copy.deepcopy(template)
        change_it(document)
        (tmp_path / "bad.json").write_text(json.dumps(document))
        code, _, errors = run(good, *words, tmp_path / "bad.json")
        assert code == 2, errors
        assert f"{tmp_path / 'bad.json'}: " in errors
        return errors
    assert "targets: expected an array, found nothing" in said(lambda d: d.pop("targets"))
    assert "expected a target at least" in said(lambda d: d.update(targets=[]))
    assert "targets[0]: expected an object, found null" in said(lambda d: d.update(targets=[None]))
    assert "targets[0].rps: expected a number, found a text" in said(
        lambda d: d["targets"][0].update(rps="1"))
    assert "targets[0].latency_us.p99: expected a number, found nothing" in said(
        lambda d: d["targets"][0]["latency_us"].pop("p99"))
    assert "targets[0].histograms.latency: expected a histogram" in said(
        lambda d: d["targets"][0]["histograms"].update(latency="HISTFAAAAB"))
    assert "targets[0].verdict.status: expected VALID, SUSPECT or INVALID" in said(
        lambda d: d["targets"][0]["verdict"].update(status="FINE"))
    assert "no result of iubench" in said(lambda d: d.update(schema="k6"))


def test_nothing_to_compare(made):
    path = made("a.json", ("a", {}))
    code, _, errors = run(path)
    assert code == 2 and "there is nothing to compare" in errors
    code, _, errors = run(path, path)
    assert code == 2 and "a run is no repeat of itself" in errors
    code, _, errors = run(f"x={path}", f"x={path}", f"y={path}")
    assert code == 2 and "a run is no repeat of itself" in errors
    code, _, errors = run("/no/such.json")
    assert code == 1 and "cannot be read" in errors
