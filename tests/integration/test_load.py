"""`iubench load` against servers that misbehave in one known way each: every request is accounted
for, whatever happens, and what is reported is what the server did."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time

import jsonschema
import pytest

from services import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IUBENCH = os.environ.get("IUBENCH", os.path.join(ROOT, "build", "iubench"))
with open(os.path.join(ROOT, "docs", "result.schema.json"), encoding="utf-8") as file:
    SCHEMA = json.load(file)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """An HTTP server in a thread of its own; `behave(server, number, reader, writer)` answers one
    request, whose number counts from 1, and returns False to end the connection."""

    def __init__(self, behave):
        self.behave, self.requests, self.connections, self.last = behave, 0, 0, b""
        self.loop = asyncio.new_event_loop()
        self.listener = self.loop.run_until_complete(
            asyncio.start_server(self.connected, "127.0.0.1", 0, backlog=512))
        self.port = self.listener.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.port}/"

    async def connected(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                          if line.startswith(b"content-length:")]
                self.last = head + (await reader.readexactly(length[0]) if length else b"")
                self.requests += 1
                if await self.behave(self, self.requests, reader, writer) is False:
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def close(self):
        def stop():
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_later(0.05, self.loop.stop)
        self.loop.call_soon_threadsafe(stop)
        self.thread.join()
        self.listener.close()
        self.loop.close()


@pytest.fixture
def serve():
    servers = []

    def start(behave):
        servers.append(Server(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def load(tmp_path):
    """Runs a load; returns the first target's part of its result, with the rest under "whole" and
    the exit code under "exit"."""

    def run(*words, timeout=30):
        path = tmp_path / "result.json"
        done = subprocess.run([IUBENCH, "load", "--json", path, *words], timeout=timeout,
                              capture_output=True, text=True)
        assert path.exists(), done.stderr
        return read(path, done.returncode, done.stdout)

    return run


def read(path, exit_code, output):
    whole = json.loads(path.read_text())
    jsonschema.validate(whole, SCHEMA)
    target = whole["targets"][0]
    target.update(whole=whole, exit=exit_code, output=output)
    check_sums(target)
    return target


def check_sums(target):
    """CONTRACT section 3: what must hold for every result."""
    requests = target["requests"]
    failed = sum(requests["errors"].values())
    ended = requests["ok"] + failed + requests["timeouts"]
    assert requests["sent"] == ended + requests["unfinished"]
    if target["whole"]["scenario"]["load_model"] == "open":
        assert requests["scheduled"] == requests["sent"] + requests["unsent"]
    else:
        assert requests["scheduled"] is None and requests["unsent"] == 0
        assert target["latency_us"] == target["service_time_us"]
    due = ended + requests["unsent"]
    assert target["availability"] == pytest.approx(requests["ok"] / due if due else 1)
    for key in ("scheduled", "unsent", "sent", "ok", "timeouts"):
        if requests[key] is not None:
            assert sum(row[key] for row in target["series"]) == requests[key]
    if target["held_rps"] is None and target["duration_s"]:
        assert target["rps"] == pytest.approx(requests["ok"] / target["duration_s"])
        answered = ended - sum(requests["errors"][k]
                               for k in ("dns", "connect", "reset", "bad_response"))
        assert target["latency_us"]["count"] == answered + requests["unsent"]


async def answer(server, number, reader, writer):
    writer.write(OK)


def slow(seconds):
    async def behave(server, number, reader, writer):
        await asyncio.sleep(seconds)
        writer.write(OK)
    return behave


def sometimes(every, other):
    """Every so many requests something else than an answer."""
    async def behave(server, number, reader, writer):
        return await (other if number % every == 0 else answer)(server, number, reader, writer)
    return behave


async def silence(server, number, reader, writer):
    await asyncio.sleep(60)


async def reset(server, number, reader, writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                               b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
    return False


async def half(server, number, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    await writer.drain()
    return False


async def garbage(server, number, reader, writer):
    writer.write(b"SSH-2.0-not a web server\r\n\r\n")
    await writer.drain()


async def chunked(server, number, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await writer.drain()
    await asyncio.sleep(0.001)
    writer.write(b"2;x=y\r\nde\r\n0\r\n\r\n")


def status(line):
    async def behave(server, number, reader, writer):
        writer.write(b"HTTP/1.1 " + line + b"\r\nContent-Length: 0\r\n\r\n")
    return behave


async def close_after(server, number, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    await writer.drain()
    return False


# --- what comes back ---

@pytest.mark.parametrize("threads", ["1", "3"])
def test_requests_are_exact(serve, load, threads):
    """-n sends just so many, also when they do not divide by threads or connections."""
    server = serve(answer)
    result = load("-n", "1001", "-c", "7", "-t", threads, server.url)
    assert result["exit"] == 0
    assert result["requests"]["sent"] == result["requests"]["ok"] == server.requests == 1001
    assert server.connections == 7
    assert result["whole"]["client"]["threads"] == int(threads)


def test_cores_are_in_the_result(serve, load):
    core = min(os.sched_getaffinity(0))
    result = load("-n", "5", "-c", "1", "--cores", str(core), serve(answer).url)
    assert result["whole"]["environment"]["pinning"] == {"cores": f"client {core}"}


def test_body_and_headers_arrive(serve, load, tmp_path):
    """The request that the server sees is the one that was asked for."""
    server = serve(answer)
    body = tmp_path / "body"
    body.write_bytes(b"[1, 2]")
    load("-n", "3", "-c", "1", "-H", "X-A: b", "-b", f"@{body}", server.url)
    head, _, got = server.last.partition(b"\r\n\r\n")
    assert got == b"[1, 2]"
    assert head.split(b"\r\n")[0] == b"POST / HTTP/1.1"
    assert b"X-A: b" in head and b"Content-Type: application/json" in head
    assert b"Host: 127.0.0.1:%d" % server.port in head


@pytest.mark.parametrize("behave, key", [
    (reset, "reset"), (half, "reset"), (garbage, "bad_response"),
    (status(b"404 Not Found"), "status_4xx"), (status(b"503 Busy"), "status_5xx"),
    (status(b"301 Moved"), "status_3xx"),
])
@pytest.mark.parametrize("words", [["-n", "200"], ["--rate", "200", "-d", "1s"]])
def test_failures_are_told_apart(serve, load, behave, key, words):
    """One request in four fails in one way: a quarter is counted there, the rest is ok."""
    server = serve(sometimes(4, behave))
    result = load("-c", "4", *words, server.url)
    requests = result["requests"]
    assert requests["sent"] + requests["unsent"] == 200
    assert requests["errors"].pop(key) == server.requests // 4 > 0
    assert not any(requests["errors"].values())
    assert requests["ok"] == server.requests - server.requests // 4


def test_nothing_but_failures(serve, load):
    """No request succeeded: exit 1."""
    result = load("-n", "20", "-c", "2", serve(status(b"500 Oh")).url)
    assert result["exit"] == 1 and result["availability"] == 0


def test_chunked(serve, load):
    """Chunked answers in several pieces are answers."""
    result = load("-n", "100", "-c", "4", serve(chunked).url)
    assert result["requests"]["ok"] == 100


@pytest.mark.parametrize("words", [["-n", "100"], ["--rate", "100", "-d", "1s"]])
def test_connection_per_request(serve, load, words):
    """A server that closes after each answer costs connections, not requests."""
    server = serve(close_after)
    result = load("-c", "4", *words, server.url)
    assert result["requests"]["ok"] == 100
    assert server.connections >= 100


# --- nobody there ---

def test_refused_closed_loop(load):
    """A refused target is tried again and again, but not as fast as it can refuse."""
    result = load("-d", "1s", "-c", "4", f"http://127.0.0.1:{free_port()}/")
    errors = result["requests"]["errors"]
    assert result["exit"] == 1
    assert 20 < errors["connect"] == result["requests"]["sent"] < 200
    assert result["whole"]["verdict"]["status"] == "INVALID"
    assert "refused" in " ".join(result["whole"]["verdict"]["reasons"])


def test_refused_requests_are_exact(load):
    """-n holds for requests that failed to connect, too."""
    result = load("-n", "30", "-c", "4", f"http://127.0.0.1:{free_port()}/")
    assert result["requests"]["sent"] == result["requests"]["errors"]["connect"] == 30


def test_refused_open_loop(load):
    """What finds no connection waits up to the timeout, and was then never sent."""
    result = load("--rate", "200", "-d", "1s", "-T", "500ms", f"http://127.0.0.1:{free_port()}/")
    assert result["requests"]["unsent"] == result["requests"]["scheduled"] == 200
    assert result["latency_us"]["min"] >= 500_000
    assert result["latency_us"]["max"] < 800_000
    assert result["exit"] == 1


def test_comes_back(serve, load):
    """Connections lost in the middle are opened again; the schedule goes on."""
    server = serve(sometimes(50, reset))
    result = load("--rate", "500", "-d", "2s", "-c", "8", server.url)
    assert result["requests"]["scheduled"] == 1000
    assert result["requests"]["errors"]["reset"] == server.requests // 50
    assert result["series"][-1]["connections"] >= 7  # the one lost last may just be coming back


@pytest.fixture
def dying(serve):
    """A server that answers `limit` requests, the last of them by its end: nobody listens any more."""
    def start(limit):
        async def behave(server, number, reader, writer):
            if number >= limit:
                server.listener.close()
                return False
            writer.write(OK)
            return True
        return serve(behave)
    return start


def test_target_dies_in_a_closed_loop(dying, load):
    """What is lost while nobody is there is a small part of what was sent before; it is said all the
    same, and the result cannot pass for that of a target that lives."""
    result = load("-d", "5s", "-c", "8", dying(500).url)
    verdict = result["whole"]["verdict"]
    assert result["requests"]["ok"] > 400
    assert (verdict["status"], result["exit"]) == ("INVALID", 5)
    assert "s no connection was open nor could be made: Connection refused" in verdict["reasons"][0]


@pytest.mark.parametrize("words", [["-d", "1s"], ["--rate", "100", "-d", "1s", "-T", "300ms"]])
def test_nobody_there_without_keep_alive(load, words):
    result = load("--no-keepalive", *words, f"http://127.0.0.1:{free_port()}/")
    verdict = result["whole"]["verdict"]
    assert (verdict["status"], result["exit"]) == ("INVALID", 1)
    assert verdict["reasons"][0] == "no connection was ever open: Connection refused"


# --- time ---

def test_timeouts_are_in_the_histogram(serve, load):
    """A server that never answers: every request is a timeout, recorded as just that long."""
    result = load("-d", "1s", "-c", "5", "-T", "300ms", serve(silence).url)
    requests = result["requests"]
    assert requests["timeouts"] == requests["sent"] == 20  # 0, 0.3, 0.6, 0.9 s; the last awaited
    assert result["latency_us"]["min"] == pytest.approx(300_000, rel=0.002)
    assert result["latency_us"]["max"] == pytest.approx(300_000, rel=0.002)
    assert result["exit"] == 1


def test_timeouts_open_loop(serve, load):
    """Two of 100 a second hang: two timeouts a second, at p99 and above, the rest unharmed."""
    result = load("--rate", "100", "-d", "2s", "-T", "500ms", "-c", "16",
                  serve(sometimes(50, silence)).url)
    assert result["requests"]["timeouts"] == 4
    assert result["requests"]["ok"] == 196
    assert result["latency_us"]["p99"] >= 500_000 > result["latency_us"]["p95"]


@pytest.mark.timing
def test_rate_is_kept(serve, load):
    """As many requests as the rate says, when it says."""
    result = load("--rate", "400", "-d", "3s", serve(answer).url)
    assert result["requests"]["scheduled"] == result["requests"]["ok"] == 1200
    assert result["rps"] == pytest.approx(400, rel=0.01)
    assert [row["scheduled"] for row in result["series"]] == pytest.approx([400] * 3, abs=15)


@pytest.mark.timing
def test_a_late_answer_delays_nobody(serve, load):
    """Half the connections hang for long; every request is sent at its time by the others."""
    result = load("--rate", "100", "-d", "2s", "-c", "40", serve(sometimes(10, slow(0.9))).url)
    assert result["requests"]["ok"] == 200
    assert result["latency_us"]["p75"] < 100_000
    assert result["latency_us"]["p99"] >= 900_000


@pytest.mark.timing
def test_waiting_for_a_connection_counts(serve, load):
    """One connection, 100 ms an answer, 20 a second due: service time 100 ms, but the last request
    waits until 40 were answered; the answers come at 10 a second, whatever was asked for."""
    result = load("--rate", "20", "-d", "2s", "-c", "1", serve(slow(0.1)).url)
    assert result["requests"]["ok"] == 40
    assert result["service_time_us"]["p50"] == pytest.approx(100_000, rel=0.1)
    assert result["latency_us"]["max"] == pytest.approx(2_050_000, rel=0.1)
    assert result["rps"] == pytest.approx(10, rel=0.12)
    assert result["whole"]["verdict"]["status"] == "INVALID"


@pytest.mark.timing
def test_closed_loop_rate_is_honest(serve, load):
    """Ten connections at 200 ms an answer are 50 a second, although the window ends in the middle
    of an answer."""
    result = load("-d", "1500ms", "-c", "10", serve(slow(0.2)).url)
    assert result["requests"]["sent"] == result["requests"]["ok"] == 80
    assert result["rps"] == pytest.approx(50, rel=0.05)


def test_client_is_judged_while_it_works(serve, load):
    """One connection that never gets an answer keeps the run for seconds in which the client does
    nothing: they say nothing of how busy it was."""
    async def behave(server, number, reader, writer):
        return await (silence if number == 1 else answer)(server, number, reader, writer)
    result = load("-d", "1s", "-c", "8", serve(behave).url)
    assert result["requests"]["timeouts"] == 1 and len(result["series"]) > 3
    assert result["whole"]["client"]["cpu_pct"] > 0.6 * result["series"][0]["client_cpu_pct"]


@pytest.mark.timing
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a core beside the starved one")
def test_starved_client_is_said(start, load):
    """A client that shares its core with a dozen others uses little of it, and is the limit still."""
    core, other = sorted(os.sched_getaffinity(0))[:2]
    busy = [subprocess.Popen(["taskset", "-c", str(core), "sh", "-c", "while :; do :; done"])
            for _ in range(12)]
    try:
        target = start("serve", "--mode", "static", "--cores", str(other), "--store", "none",
                       "--cache", "none")
        result = load("-d", "3s", "--cores", str(core), f"http://{target.address}/healthz")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    client = result["whole"]["client"]
    assert client["cpu_pct_worst_thread"] < 60 and client["starved_pct_worst_thread"] > 30
    verdict = result["whole"]["verdict"]
    assert verdict["status"] == "SUSPECT"
    assert "the client was the limit" in verdict["reasons"][0] and "waited for it" in verdict["reasons"][0]


@pytest.mark.timing
def test_ramp(serve, load):
    """A ramp quotes its last held step and says which that was."""
    result = load("--rps-ramp", "100:300:100/1s", serve(answer).url)
    assert result["requests"]["scheduled"] == 600
    assert result["held_rps"] == 300 and result["rps"] == pytest.approx(300, rel=0.02)
    for part in ("latency_us", "service_time_us", "send_lag_us"):
        assert result[part]["count"] == 300, part
    assert [row["target_rps"] for row in result["series"][:3]] == [100, 200, 300]


def test_pause_is_no_step_that_was_held(serve, load):
    """Of two stages that fail nothing is quoted, though the request that is due as the pause between
    them begins is answered."""
    async def behave(server, number, reader, writer):
        if number == 71:
            writer.write(OK)
        else:
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    result = load("--stages", "700ms:100,300ms:0,300ms:20", "-c", "8", serve(behave).url)
    assert result["requests"]["ok"] == 1
    assert result["held_rps"] == 0 and result["latency_us"]["count"] == 76
    assert any("held no step" in reason for reason in result["verdict"]["reasons"])


@pytest.mark.timing
def test_climb_ends_when_the_target_falls_behind(serve, load):
    """--rps-ramp alone stops 3 s after the target can do no more, and quotes what it held."""
    async def behave(server, number, reader, writer):
        time.sleep(0.0004)  # one thread: 2500 a second at most
        writer.write(OK)
    result = load("-T", "1s", "--rps-ramp", "--", serve(behave).url, timeout=60)
    assert len(result["series"]) <= 9
    assert result["held_rps"] in (0, 1000, 2000)


@pytest.mark.timing
def test_ramp_over_a_slow_target(serve, load):
    """Half a second for each answer is no falling behind."""
    result = load("-d", "3s", "-c", "2000", "--rps-ramp=50:150:50/1s", serve(slow(0.5)).url)
    assert result["requests"]["ok"] == 300
    assert result["held_rps"] == 150


# --- ended by a signal ---

@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("words", [[], ["--rate", "100"]])
def test_signal_gives_what_there_is(serve, tmp_path, number, code, words):
    """The result is complete and says that it was interrupted."""
    path = tmp_path / "result.json"
    child = subprocess.Popen([IUBENCH, "load", "-d", "30s", "-c", "4", "--json", path, *words,
                              serve(slow(0.01)).url], stdout=subprocess.PIPE, text=True)
    time.sleep(1.2)
    child.send_signal(number)
    output, _ = child.communicate(timeout=10)
    result = read(path, child.returncode, output)
    assert child.returncode == code
    assert result["whole"]["interrupted"] is True
    assert result["requests"]["ok"] > 50 and result["requests"]["unfinished"] <= 4
    assert result["duration_s"] < 3
    assert "interrupted" in output


def test_signal_while_the_last_answers_are_awaited(serve, tmp_path):
    """A climb that has ended by itself ends at once: who waits longer is not asked."""
    path = tmp_path / "result.json"
    child = subprocess.Popen([IUBENCH, "load", "-c", "4", "-T", "20s", "--json", path, "--rps-ramp", "--",
                              serve(silence).url], stdout=subprocess.PIPE, text=True)
    time.sleep(4.5)  # it gave up after 3
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=15)
    result = read(path, child.returncode, output)
    assert child.returncode == 130 and result["requests"]["unfinished"] == 4
    assert result["series"][-1]["target_rps"] == 0


# --- connections that cannot be had ---

APART = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]


@pytest.fixture
def apart():
    """Words before a program that give it a network of its own, without any address."""
    done = subprocess.run([*APART, "true"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("no user may have a network of its own here")
    return APART


def test_address_of_a_kind_that_is_not_here(apart):
    """Where there is no IPv6 the error number is that of ports that have run out; none have."""
    done = subprocess.run([*apart, IUBENCH, "load", "-d", "300ms", "-c", "4", "http://[::1]:9/"], timeout=30,
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert "only 0 of 4 connections were ever open" in done.stdout
    assert "ports ran out" not in done.stdout


def test_ports_run_out(apart):
    """Ten local ports, and two loads that want eight each."""
    shell = ("ip link set lo up && echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range || exit 77; "
             "$0 serve --mode static --listen 127.0.0.1:8080 & server=$!; "
             "until $0 load -n 1 http://127.0.0.1:8080/json; do sleep 0.1; done; "
             "$0 load -d 4s -c 8 -r 10 http://127.0.0.1:8080/json & first=$!; "
             "sleep 1; $0 load -d 300ms -c 8 http://127.0.0.1:8080/json; wait $first; kill $server; wait")
    done = subprocess.run([*apart, "sh", "-c", shell, IUBENCH], timeout=30, capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("the range of ports cannot be set here")
    assert "local ports ran out" in done.stdout, done.stdout + done.stderr


# --- bad input ---

@pytest.mark.parametrize("words, message", [
    (["--rate", "10", "-n", "5"], "-n"),
    (["-d", "1s", "-T", "2s"], "timeout"),
    (["-b", "@/no/such/file"], "body file"),
    (["-b", "@/dev/zero"], "at most 256 MiB"),
    (["-t", "9", "-c", "8"], "threads"),
    (["-H", "no colon"], "-H"),
    (["--rps-ramp", "5x:6/1s"], "--rps-ramp"),
    (["--stages", "10s"], "--stages"),
    (["--rate", "5", "--stages", "1s:1"], "--rate"),
    (["--json", "/no/such/folder/x.json"], "--json"),
])
def test_mistakes_are_said_first(serve, words, message):
    """Exit 2, the option in the message, and no request sent."""
    server = serve(answer)
    done = subprocess.run([IUBENCH, "load", *words, server.url], capture_output=True, text=True,
                          timeout=10)
    assert done.returncode == 2
    assert message in done.stderr
    assert server.connections == 0


def test_too_many_connections(serve):
    """More connections than descriptors: exit 4 and how to mend it."""
    done = subprocess.run([IUBENCH, "load", "-c", "900000", serve(answer).url], timeout=10,
                          capture_output=True, text=True)
    assert done.returncode == 4 and "ulimit" in done.stderr
