"""`iubench run` as a command: what the command line says over what a scenario's file says, and that
mistakes in it are said before anything runs."""

import json

import jsonschema
import pytest

from iubench import run
from test_race import SCHEMA


def target_of(out):
    result = json.loads((out / "result.json").read_text())
    jsonschema.validate(result, SCHEMA)
    target, = result["targets"]
    return target


@pytest.mark.parametrize("scenario, words, model, count", [
    ("test1", ["--rate", "100", "-d", "1s"], "constant", 100),
    ("test1", ["--stages", "1s:50,1s:100"], "stages", 150),
    ("test1", ["-n", "40"], "closed", 40),
    ("test1-closed", ["-r", "50", "-d", "2s"], "constant", 100),
    ("test1-closed", ["--rps-ramp", "50:100:50/1s"], "ramp", 150),
    ("fib", ["-r", "5", "-d", "2s"], "constant", 10),
])
def test_another_load(tmp_path, scenario, words, model, count):
    """How much is sent and when is one thing: what is given takes the place of the file's."""
    code, output, errors = run("run", scenario, *words, "--out", str(tmp_path / "out"))
    assert code in (0, 5), output + errors
    target = target_of(tmp_path / "out")
    assert target["model"] == model
    assert (target["requests"]["scheduled"] or target["requests"]["sent"]) == count


def test_clients_in_place_of_a_ramp(tmp_path):
    code, output, errors = run("run", "test1", "--clients-ramp", "1x2/500ms,think=10ms", "--out",
                               str(tmp_path / "out"))
    assert code in (0, 5), output + errors
    assert target_of(tmp_path / "out")["clients_ramp"]["clients_per_pod_max"] == 2


def test_two_ways_at_once(tmp_path):
    code, _, errors = run("run", "test1", "--rate", "100", "--stages", "1s:50", "--out", str(tmp_path / "out"))
    assert code == 2 and "give one of them" in errors


@pytest.mark.parametrize("lines, said", [
    ("rate = 10\nrequests = 5", "-n"),
    ("connections = 900000", "ulimit"),
    ("body = @/no/such/file", "/no/such/file"),
    ("cores = 0", "--pin TARGET/CLIENT"),
])
def test_load_that_cannot_be_is_said_before_the_target(tmp_path, lines, said):
    """With the scenario's name, since several may be run."""
    scenario = tmp_path / "mine.ini"
    scenario.write_text(f"[scenario]\nname = mine\n[target]\nmode = static\n[load]\npath = /json\n{lines}\n")
    code, output, errors = run("run", str(scenario), "--out", str(tmp_path / "out"))
    assert code in (2, 4) and output == "" and said in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_several(tmp_path):
    """A folder each; a mistake in the last is said before the first."""
    code, output, errors = run("run", "techempower-json", "rps-table", "-d", "500ms", "--out", str(tmp_path / "out"))
    assert code in (0, 5), output + errors
    for name in ("techempower-json", "rps-table"):
        result = json.loads((tmp_path / "out" / name / "result.json").read_text())
        assert result["scenario"]["name"] == name
        assert (tmp_path / "out" / name / "report.html").exists()
    for second, said in (("test3", "unknown scenario"), ("rps-table", "two scenarios are called")):
        code, output, errors = run("run", "rps-table", second, "--out", str(tmp_path / "other"))
        assert code == 2 and said in errors and output == ""
        assert not (tmp_path / "other").exists()


def test_named_storage_is_not_passed_over(tmp_path):
    out = ["--out", str(tmp_path / "out"), "-d", "1s"]
    for services in ("managed", "embedded"):
        code, _, errors = run("run", "test2", "--services", services, "--pg", "postgresql://nowhere/", *out)
        assert code == 2 and "--pg names a service of yours" in errors
    # nobody is there, and nothing stands in for it
    code, _, errors = run("run", "test2", "--pg", "host=127.0.0.1 port=1 user=nobody", *out)
    assert code == 1 and "PostgreSQL" in errors
    code, _, errors = run("run", "test2", "--services", "external", "--pg", "host=127.0.0.1 port=1 user=nobody", *out)
    assert code == 1 and "PostgreSQL" in errors


def test_what_is_another_target_s_cannot_be_verified(tmp_path):
    code, _, errors = run("run", "test2", "--verify", "--target", "http://127.0.0.1:1", "--out", str(tmp_path / "out"))
    assert code == 2 and "cannot be read back" in errors
