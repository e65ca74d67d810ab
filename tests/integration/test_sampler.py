"""What parties use is what the kernel says they used: of a target found by where it listens, of trees
whose children end, of the private services of a run; and reading it costs next to nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter

import jsonschema
import pytest

import iubench
from services import pg_program

with open(os.path.join(iubench.ROOT, "docs", "result.schema.json"), encoding="utf-8") as file:
    SCHEMA = json.load(file)

# Forks for each connection; the child burns CPU and ends, or is still there when the load is over.
FORKING = """
import os, resource, signal, socket, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
def tell(number, frame):
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(sum(one.ru_utime + one.ru_stime for one in used), flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, tell)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    if os.fork() == 0:
        connection.recv(65536)
        burn(0.02)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        os._exit(0)
    connection.close()
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


def load(tmp_path, *words):
    path = tmp_path / "result.json"
    code, _, errors = iubench.run("load", "-q", "--json", str(path), *words)
    assert code in (0, 5), errors  # 5: a busy machine
    return read(path)


def read(path):
    whole = json.loads(path.read_text())
    jsonschema.validate(whole, SCHEMA)
    return whole["targets"][0]


def ended(target):
    return target["requests"]["sent"] - target["requests"]["unfinished"]


def check_cores(target):
    """Over the run no core is used for longer than it was busy; a party's cores are at most its sum. The
    kernel counts a core's time in ticks, and on a busy machine the readings of a row lie apart."""
    busy, used, seconds = Counter(), Counter(), 0
    for row in target["series"]:
        for party in row["parties"].values():
            assert sum(party["cpu_pct_by_core"].values()) <= party["cpu_pct"] * 1.001 + 0.1
        if not row["host"] or None in row["host"]["cpu_pct_by_core"]:
            continue
        seconds += row["length_s"]
        for core, percent in enumerate(row["host"]["cpu_pct_by_core"]):
            busy[str(core)] += percent * row["length_s"]
        for party in row["parties"].values():
            for core, percent in party["cpu_pct_by_core"].items():
                used[core] += percent * row["length_s"]
    for core in used:
        assert used[core] <= busy[core] + 25 * seconds + 15, (core, used, busy)


def test_target_is_found_by_its_port(serve, tmp_path):
    """A server of this machine is a party without being named, and its CPU per request is right."""
    server = serve("static")
    before = iubench.cpu_s(server.process.pid)
    target = load(tmp_path, "-d", "3s", server.url + "/json")
    used_us = (iubench.cpu_s(server.process.pid) - before) / ended(target) * 1e6
    assert target["server_cpu_us_per_request"] == target["parties"]["target"]["cpu_us_per_request"]
    assert used_us * 0.9 - 0.5 <= target["server_cpu_us_per_request"] <= used_us * 1.02
    assert set(target["parties"]) == {"target", "client"}
    row = target["series"][0]
    party, client = row["parties"]["target"], row["parties"]["client"]
    assert row["cpu_pct"] == party["cpu_pct"] > 0 and row["rss_bytes"] == party["rss_bytes"]
    assert party["threads"] == 2 + 1 and party["fds"] >= 64
    assert 0 < party["pss_bytes"] <= party["rss_bytes"] and client["rss_bytes"] > 0
    assert client["threads"] == 1 and client["voluntary_switches"] > 0
    assert abs(client["cpu_pct"] - row["client_cpu_pct"]) <= 5 + row["client_cpu_pct"] * 0.1
    check_cores(target)


def test_target_is_found_by_its_unix_socket(start, tmp_path):
    """The same where it listens on a path."""
    path = tmp_path / "s"
    start("serve", "--mode", "static", listen=f"unix:{path}")
    target = load(tmp_path, "-d", "1s", f"unix:{path}:/json")
    assert target["server_cpu_us_per_request"] > 0


@pytest.fixture
def forking():
    process = subprocess.Popen([sys.executable, "-c", FORKING], stdout=subprocess.PIPE, text=True)
    port = int(process.stdout.readline())
    yield process, f"http://127.0.0.1:{port}/"
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("is_named", [True, False])
def test_children_that_end(forking, tmp_path, is_named):
    """Each request is a process that burns 20 ms and is gone before the next reading: counted as the
    parent's own account of its children says."""
    process, url = forking
    words = ["--pid", str(process.pid)] if is_named else []
    target = load(tmp_path, *words, "--no-keepalive", "-c", "2", "-d", "3s", url)
    process.terminate()
    told_s = float(process.stdout.read())
    used_s = target["parties"]["target"]["cpu_us_per_request"] * ended(target) / 1e6
    assert ended(target) * 0.02 * 0.8 <= used_s <= told_s + 0.1
    assert target["series"][0]["parties"]["target"]["threads"] >= 1
    check_cores(target)


def test_fine_readings(serve, tmp_path):
    """Ten readings a second become one row with its least and its most."""
    target = load(tmp_path, "--sample-interval", "100ms", "--rate", "500", "-d", "2s", serve("static").url + "/json")
    party = target["series"][0]["parties"]["target"]
    assert party["cpu_pct_min"] <= party["cpu_pct"] <= party["cpu_pct_max"]
    assert party["rss_bytes_min"] <= party["rss_bytes"] <= party["rss_bytes_max"]


def test_target_that_dies(serve, tmp_path):
    """Rows go on without the party that is gone. It goes when the first row is there, however long the start
    takes."""
    server = serve("static")
    path = tmp_path / "result.json"
    with subprocess.Popen([iubench.PROGRAM, "load", "--json", path, "--rate", "200", "-d", "4s",
                           server.url + "/json"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as loading:
        assert any(line.split()[:1] == ["1s"] for line in loading.stderr)
        server.kill()
        loading.communicate(timeout=iubench.PATIENCE_S)
    target = read(path)
    assert "target" in target["series"][0]["parties"] and "target" in target["parties"]
    assert "target" not in target["series"][-1]["parties"] and target["series"][-1]["cpu_pct"] is None
    assert "client" in target["series"][-1]["parties"]


@pytest.mark.parametrize("words, says", [
    (["--pid", "4194305"], "no such process"),
    (["--sample-interval", "1ms"], "--sample-interval must be from 10ms to 1s"),
    (["--sample-interval", "2s"], "--sample-interval must be from 10ms to 1s"),
])
def test_bad_words(words, says):
    """Said before anything is sent."""
    code, _, errors = iubench.run("load", *words, "-d", "1s", "http://127.0.0.1:1/")
    assert code == 2 and says in errors


def sampler_cpu_s(pid):
    """Of the sampler's thread; None before it is there."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as comm:
            if comm.read() == "sampler\n":
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    return int(stat.read().split()[0]) / 1e9
    return None


def test_run_with_services(tmp_path):
    """A run shows each of its parties, whose sums are possible; the sampler takes little."""
    if not shutil.which("memcached") or not pg_program("initdb"):
        pytest.skip("PostgreSQL or memcached is not installed: apt-get install postgresql memcached")
    running = subprocess.Popen([iubench.PROGRAM, "run", "test2", "--services", "managed", "-d", "4s", "--out", tmp_path],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    first = last = None
    try:
        while running.poll() is None:
            try:
                cost_s = sampler_cpu_s(running.pid)
            except OSError:  # a thread has just ended
                continue
            if cost_s is not None:
                last = (time.monotonic(), cost_s)
                first = first or last
            time.sleep(0.05)
    finally:
        errors = running.stderr.read()
        running.stderr.close()
        running.wait()
    assert running.returncode in (0, 5), errors  # 5: a busy machine
    target = read(tmp_path / "result.json")
    assert set(target["parties"]) >= {"target", "client", "postgres", "memcached"}
    for name in ("target", "postgres", "memcached"):
        assert 0 < target["parties"][name]["cpu_us_per_request"] < 10000
        assert target["parties"][name]["pss_bytes_max"] > 0
    assert target["parties"]["client"]["rss_bytes_max"] is None  # stands with the target
    sampled = [row for row in target["series"] if row["parties"]]
    assert sampled and all(row["parties"]["postgres"]["threads"] > 3 for row in sampled)
    assert all(row["pool"] > 0 and row["pool_in_flight"] >= 0 and row["db_errors"] == 0 for row in sampled)
    check_cores(target)
    versions = json.loads((tmp_path / "result.json").read_text())["environment"]["versions"]
    assert versions["postgres"] and versions["memcached"]
    if not iubench.IS_SANITIZED:
        assert (last[1] - first[1]) / (last[0] - first[0]) < 0.05


def test_external_services(postgres, memcached, tmp_path):
    """Servers that were there before are parties as well, found by where they listen."""
    code, output, errors = iubench.run(
        "run", "test2", "--pg", postgres.uri, "--memcached", memcached.address, "--rps-ramp", "100:200:100/1s",
        "--out", str(tmp_path / "out"))
    assert code in (0, 5), output + errors
    target = read(tmp_path / "out" / "result.json")
    for party in ("postgres", "memcached"):
        assert target["parties"][party]["cpu_us_per_request"] > 0, target["parties"]
