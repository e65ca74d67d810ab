"""Faults on demand: that what is announced really befalls the party, that requests are accounted for all
the same, that all is mended afterwards whatever happens, and that the result says so."""

import json
import os
import signal
import subprocess
import time

import jsonschema
import pytest

from iubench import PATIENCE_S, PROGRAM, run
from test_race import SCHEMA, Lab

POST = """
[scenario]
services = postgres, memcached
[target]
mode = db
storage-timeout = 1s
[load]
path = /api/devices
method = POST
body = {"mac":"EF-2B-C4-F5-D6-34","firmware":"2.1.5"}
rate = 50
duration = 6s
timeout = 3s
connections = 300
[fault]
from = 33%
to = 66%
"""


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def run_fault(tmp_path, text, *words, timeout=6 * PATIENCE_S):
    """Runs a scenario; returns exit code, its only target and everything that was printed."""
    path, out = tmp_path / "fault.ini", tmp_path / "out"
    path.write_text(text)
    code, output, errors = run("run", str(path), "--out", str(out), *words, timeout=timeout)
    assert code in (0, 5), output + errors
    result = json.loads((out / "result.json").read_text())
    jsonschema.validate(result, SCHEMA)
    target, = result["targets"]
    requests = target["requests"]
    assert requests["sent"] == (requests["ok"] + requests["timeouts"] + requests["unfinished"] +
                                sum(requests["errors"].values()))
    assert requests["scheduled"] == requests["sent"] + requests["unsent"]
    return target, output, errors


def check_window(fault, begin_s, end_s):
    """At its time, give or take what a busy machine does."""
    assert begin_s - 0.1 <= fault["begin_s"] <= begin_s + 2
    assert fault["begin_s"] < fault["end_s"] and end_s - 0.1 <= fault["end_s"] <= end_s + 3


def served_late(target, after_s):
    """Whether requests ended well in the seconds that began after `after_s`."""
    return sum(row["ok"] for row in target["series"] if row["t"] - 1 >= after_s) > 0


def test_database_stalled(tmp_path):
    """Meanwhile the target answers 503 within its own deadline, and afterwards it serves again; of what
    was acknowledged nothing is missing."""
    target, output, errors = run_fault(tmp_path, POST + "what = stall\nparty = postgres\n", "--verify")
    fault = target["fault"]
    assert (fault["what"], fault["party"], fault["text"]) == ("stall", "postgres", "postgres stalled")
    check_window(fault, 2, 4)
    assert fault["availability"] < 0.9
    assert target["requests"]["errors"]["status_5xx"] > 0
    assert served_late(target, fault["end_s"])
    assert "fault     postgres stalled from 2." in output
    assert "verified: acknowledged" in output
    assert "fault: postgres stalled\n" in errors and "fault: postgres stalled, ended" in errors


def test_cache_lost(tmp_path):
    """The cache is another process afterwards, which the target finds and the sampler follows."""
    target, output, _ = run_fault(tmp_path, POST + "what = lose\nparty = memcached\n", "--verify")
    fault = target["fault"]
    assert fault["text"] == "memcached lost"
    check_window(fault, 2, 4)
    assert fault["availability"] < 0.9 and target["requests"]["errors"]["status_5xx"] > 0
    assert served_late(target, fault["end_s"])
    assert "verified: acknowledged" in output
    there = {row["t"]: bool(row["parties"] and row["parties"].get("memcached")) for row in target["series"]}
    assert there[1] and there[len(there)], there


def test_database_lost(tmp_path):
    """PostgreSQL comes back with what was committed to the disk; how soon is the machine's affair."""
    target, output, _ = run_fault(tmp_path, POST + "what = lose\nparty = postgres\n", "--verify",
                                  "--sync-commit", "-d", "12s")
    fault = target["fault"]
    assert fault["text"] == "postgres lost" and fault["availability"] < 0.9
    assert served_late(target, fault["end_s"]) or fault["end_s"] > 9
    assert "verified: acknowledged" in output


def test_descriptors_of_the_cache(tmp_path):
    """Whoever keeps its connections does not notice."""
    target, _, _ = run_fault(
        tmp_path, POST + "what = descriptors\nparty = memcached\ndescriptors = 20\n")
    assert target["fault"]["text"] == "memcached limited to 20 descriptors"
    assert target["fault"]["availability"] > 0.9


FETCH = """
[target]
mode = proxy
[upstream]
delay = 300ms
[load]
path = /fetch-external
keepalive = no
stages = 2s:10,2s:300,2s:10
timeout = 4s
connections = 1000
[fault]
what = descriptors
party = target
descriptors = 40
from = 33%
to = 66%
"""


def test_descriptors_of_the_target(tmp_path):
    """Our own target is a process of its own then, refuses or lets wait what it has no descriptor for, and
    serves again."""
    target, _, errors = run_fault(tmp_path, FETCH)
    fault = target["fault"]
    assert fault["text"] == "target limited to 40 descriptors"
    assert "target: iubench at" in errors and "process" in errors
    assert max(row["parties"]["target"]["fds"] for row in target["series"]
               if row["parties"].get("target")) <= 40
    late = [row for row in target["series"] if fault["begin_s"] < row["t"] <= fault["end_s"] + 4]
    assert max(row["p99_us"] for row in late) > 600_000 or target["requests"]["errors"]["status_5xx"]
    assert served_late(target, 4)


def test_target_stalled(lab):
    """Somebody else's service, with all its processes."""
    text = ("[target]\nmode = static\n[load]\npath = /api/devices\nrate = 20\nduration = 8s\ntimeout = 3s\n"
            "connections = 100\n[fault]\nwhat = stall\nparty = target\nfrom = 12.5%\nto = 37.5%\n")
    target, _, _ = run_fault(lab.folder, text, "--target", lab.target("good"))
    fault = target["fault"]
    assert fault["text"] == "target stalled"
    check_window(fault, 1, 3)
    assert target["latency_us"]["max"] > 1_000_000
    assert served_late(target, fault["end_s"])


def test_overload(tmp_path):
    """Made by the load alone; marked all the same."""
    text = ("[target]\nmode = static\n[load]\npath = /api/devices\nstages = 1s:100,1s:2000,1s:100\n"
            "connections = 100\n[fault]\nwhat = overload\nfrom = 33%\nto = 66%\n")
    target, output, _ = run_fault(tmp_path, text)
    assert target["fault"]["text"] == "target overloaded"
    assert "fault     target overloaded from 1." in output or "from 0.9" in output


def refused(tmp_path, text, *words):
    path = tmp_path / "fault.ini"
    path.write_text(text)
    code, output, errors = run("run", str(path), "--out", str(tmp_path / "out"), *words)
    assert code == 2, output + errors
    assert not (tmp_path / "out").exists()
    return errors


def test_refused(tmp_path):
    """What cannot be done is said before anything is started."""
    stall = POST + "what = stall\nparty = postgres\n"
    assert "the run has none of its own" in refused(tmp_path, stall, "--services", "embedded")
    assert "the run has none of its own" in refused(tmp_path, stall, "--target", "http://127.0.0.1:1")
    assert "by a target file" in refused(tmp_path, FETCH, "--target", "http://127.0.0.1:1")
    by_count = stall.replace("rate = 50\nduration = 6s", "requests = 100")
    assert "give -d in place of -n" in refused(tmp_path, by_count)


def processes_in(folder):
    """Those that have `folder` in their command line."""
    found = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False)
    return found.stdout.split()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ended_while_it_goes_on(tmp_path, number):
    """Nothing stays stalled, and nothing is left behind."""
    path, services = tmp_path / "fault.ini", tmp_path / "services"
    path.write_text(POST + "what = stall\nparty = postgres\n")
    services.mkdir(mode=0o777)
    services.chmod(0o777)
    environment = {**os.environ, "TMPDIR": str(services)}
    with open(tmp_path / "errors", "w", encoding="utf-8") as errors:
        process = subprocess.Popen([PROGRAM, "run", str(path), "--out", str(tmp_path / "out")],
                                   stdout=subprocess.DEVNULL, stderr=errors, env=environment)
    end = time.monotonic() + 4 * PATIENCE_S
    while "fault: postgres stalled" not in (tmp_path / "errors").read_text():
        assert time.monotonic() < end and process.poll() is None, (tmp_path / "errors").read_text()
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=4 * PATIENCE_S) == (130 if number == signal.SIGINT else -9)
    while processes_in(services) or list(services.iterdir()):
        assert time.monotonic() < end + PATIENCE_S, processes_in(services)
        time.sleep(0.05)
    if number == signal.SIGINT:
        fault = json.loads((tmp_path / "out/result.json").read_text())["targets"][0]["fault"]
        assert fault["recovered_s"] is None and fault["end_s"] > fault["begin_s"]
