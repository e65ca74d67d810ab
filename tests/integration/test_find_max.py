"""`--find-max` against a server whose limit is known: it admits a fixed rate and refuses the rest."""

import re
import signal
import subprocess
import time

import pytest

from iubench import Process
from services import free_port
from test_load import IUBENCH, OK, answer, load, read, serve, silence  # noqa: F401

WORDS = ["--probe-time", "300ms", "-d", "600ms", "-c", "32", "-T", "300ms"]


def limited(rate, burst):
    """Answers 200 at most `rate` times a second after a burst, else 503."""
    state = {"tokens": burst, "at": time.monotonic()}

    async def behave(server, number, reader, writer):
        now = time.monotonic()
        state["tokens"] = min(burst, state["tokens"] + rate * (now - state["at"]))
        state["at"] = now
        if state["tokens"] >= 1:
            state["tokens"] -= 1
            writer.write(OK)
        else:
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    return behave


@pytest.mark.timing
def test_limit_is_found(serve, load):
    """400 a second are admitted: that is found, confirmed three times, bracketed by an interval,
    and what broke above it is named."""
    result = load("--find-max", "availability>=98%", "--find-start", "100", *WORDS,
                  serve(limited(400, 5)).url, timeout=90)
    found = result["find_max"]
    assert 340 < found["max_rps"] < 460
    low, high = found["interval_rps"]
    assert low <= found["max_rps"] <= high and 300 < low and high < 500
    assert found["confirmations"] == 3 and len(found["bisection_ends_rps"]) == 5
    assert found["broke_at_rps"] > found["max_rps"]
    assert found["broke_first"].startswith("availability >= 98 %: ")
    last = found["probes"][-3:]
    assert all(p["confirmation"] and p["held"] for p in last)
    assert len({p["rate"] for p in last}) == 1
    # the target's figures are those of the last run
    assert result["target_rps"] == pytest.approx(found["max_rps"])
    assert re.match(r"[\d ]+ requests/s hold availability >= 98 %; 95 % interval", result["output"])
    assert re.search(r"^broke     first at [\d ]+/s: availability >= 98 %: ", result["output"], re.MULTILINE)


def test_each_run_is_a_line(serve):
    done = subprocess.run([IUBENCH, "load", "--find-max", "availability>=98%", "--find-start", "100",
                           *WORDS, serve(limited(300, 5)).url], capture_output=True, text=True,
                          timeout=90)
    lines = [line for line in done.stderr.splitlines() if re.match(r" *[\d]+/s +(try|confirm) ", line)]
    assert len(lines) >= 10
    assert all(("holds" in line) != ("breaks: " in line) for line in lines)


def test_nothing_holds(serve, load):
    """A server that never answers: exit 3, 0 found, and it ends by itself."""
    result = load("--find-max", "p99<50ms", "--find-start", "4", "--probe-time", "300ms", "-d",
                  "500ms", "-T", "300ms", "-c", "4", serve(silence).url)
    assert result["exit"] == 3
    assert result["find_max"]["max_rps"] == 0 and result["find_max"]["interval_rps"] is None
    assert result["output"].startswith("no rate was found")


def test_nobody_there(load):
    """That no rate holds where nobody listens is known after one run, and is not the rate's fault."""
    result = load("--find-max", "p99<50ms", *WORDS, f"http://127.0.0.1:{free_port()}/")
    assert result["exit"] == 1
    assert len(result["find_max"]["probes"]) == 1
    assert "no request succeeded; only 0 of 32 connections were ever open: Connection refused" in result["output"]


def test_percentile_that_rests_on_too_few(load):
    """A p99.9 asked for needs ten thousand requests in the run that confirms it."""
    target = Process("serve", "--mode", "static", "--listen", "127.0.0.1:0")
    result = load("--find-max", "p999<5s,rps<2k", "--find-start", "1500", "--probe-time", "200ms", "-d", "1s",
                  target.url + "/json", timeout=90)
    target.stop()
    assert 1000 < result["latency_us"]["count"] < 9000
    assert any("needs 10000" in reason for reason in result["verdict"]["reasons"])


def test_interrupted(serve, tmp_path):
    """Ctrl-C leaves what was tried so far, and no rate that was not confirmed."""
    path = tmp_path / "r.json"
    child = subprocess.Popen([IUBENCH, "load", "--find-max", "p99<5s", "--find-start", "50",
                              *WORDS, "--json", path, serve(answer).url],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1.5)
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=10)
    result = read(path, child.returncode, output)
    assert child.returncode == 130 and result["whole"]["interrupted"] is True
    assert result["find_max"]["max_rps"] == 0 and result["find_max"]["probes"]


@pytest.mark.parametrize("words", [["--rate", "5"], ["-n", "5"], ["--stages", "1s:5"],
                                   ["--rps-ramp", "1:2/1s"], ["--clients-ramp", "1x1/1s"]])
def test_other_models(serve, words):
    """It finds the rate itself: another model beside it is a mistake."""
    server = serve(answer)
    done = subprocess.run([IUBENCH, "load", "--find-max", "p99<1s", *words, server.url], timeout=10,
                          capture_output=True, text=True)
    assert done.returncode == 2 and "--find-max" in done.stderr and server.connections == 0
