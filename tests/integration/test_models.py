"""The load models beside constant rates: random arrivals and the published tester's clients."""

import asyncio
import contextlib
import socket
import subprocess
import threading
import time

import pytest

from test_load import IUBENCH, OK, answer, load, serve, silence, slow  # noqa: F401


# --- --arrivals poisson ---

@pytest.mark.timing
def test_poisson_arrivals(serve, load):
    """As many requests as the rate says, at times that vary as independent users' do: the standard
    deviation of the gaps is their mean, where uniform arrivals have almost none."""
    times = []

    async def behave(server, number, reader, writer):
        times.append(time.monotonic())
        writer.write(OK)
    result = load("--rate", "200", "-d", "4s", "--arrivals", "poisson", "--seed", "7",
                  serve(behave).url)
    assert result["requests"]["scheduled"] == result["requests"]["ok"] == 800
    assert result["arrivals"] == "poisson" and result["seed"] == 7
    gaps = [b - a for a, b in zip(times, times[1:])]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert 0.8 < deviation / mean < 1.25


def test_threads_share_one_schedule(serve, load):
    """Two threads send what one does, second by second: the seed alone says when."""
    def counts(*words):
        result = load("--rate", "300", "-d", "3s", "--arrivals", "poisson", *words,
                      serve(answer).url)
        assert result["requests"]["scheduled"] == 900
        return [row["scheduled"] for row in result["series"]]
    one, two = counts("-t", "1"), counts("-t", "2")
    assert one[:2] == pytest.approx(two[:2], abs=12)  # a row ends some ms late
    assert len(set(one)) > 1


@pytest.mark.parametrize("words, message", [
    (["--arrivals", "poisson"], "--arrivals"),
    (["--arrivals", "weekly"], "--arrivals"),
    (["--clients-ramp", "3x4"], "--clients-ramp"),
    (["--clients-ramp", "3x4/1s", "-c", "5"], "-c"),
    (["--clients-ramp", "3x4/1s", "-n", "5"], "-n"),
    (["--clients-ramp", "3x4/1s", "--rate", "5"], "--clients-ramp"),
])
def test_mistakes(serve, words, message):
    server = serve(answer)
    done = subprocess.run([IUBENCH, "load", *words, server.url], capture_output=True, text=True,
                          timeout=10)
    assert done.returncode == 2 and message in done.stderr
    assert server.connections == 0


# --- --clients-ramp ---

@pytest.mark.parametrize("threads", ["1", "2"])
def test_clients_grow(serve, load, threads):
    """In stage n there are pods x n clients with a connection each, and never more at once."""
    under_way, most = 0, []

    async def behave(server, number, reader, writer):
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        writer.write(OK)
    server = serve(behave)
    result = load("--clients-ramp", "2x3/1s,think=0s", "-t", threads, server.url)
    assert [row["clients"] for row in result["series"]][:3] == [2, 4, 6]
    assert server.connections == 6 and max(most) == 6
    assert result["whole"]["scenario"]["load_model"] == "closed" and result["model"] == "clients"
    assert result["clients_ramp"] == {"pods": 2, "clients_per_pod_max": 3, "stage_s": 1,
                                      "think_us": 0, "think_is": "uniform"}
    first, second = result["series"][0], result["series"][1]
    assert first["ok"] <= 2 * 52 and second["ok"] <= 4 * 52 + 4
    assert first["equivalent_rps"] == pytest.approx(first["rps"], rel=0.25)


@pytest.mark.timing
def test_fixed_think_time(serve, load):
    """Think 100 ms, answer in 100 ms: five requests a second and client."""
    result = load("--clients-ramp", "4x1/2s,think=100ms,think-is=fixed", serve(slow(0.1)).url)
    assert result["requests"]["ok"] == pytest.approx(40, abs=5)
    assert result["latency_us"]["p50"] == pytest.approx(100_000, rel=0.1)


@pytest.mark.timing
def test_uniform_think_time(serve, load):
    """Think 0 to 100 ms, no service time: 20 requests a second and client."""
    result = load("--clients-ramp", "8x2/2s,think=100ms", serve(answer).url)
    assert result["series"][0]["ok"] + result["series"][1]["ok"] == pytest.approx(320, rel=0.15)
    assert result["requests"]["ok"] == pytest.approx(320 + 640, rel=0.12)


def test_who_thinks_until_the_end(serve, load):
    """A client that joins the last stage and thinks for longer than it lasts has no connection, and
    should have none."""
    server = serve(answer)
    result = load("--clients-ramp", "1x3/300ms,think=500ms,think-is=fixed", server.url)
    assert server.connections < 3 and result["requests"]["ok"] > 0
    assert not [r for r in result["verdict"]["reasons"] if "ever open" in r]


def test_preset_is_compressed(serve, load):
    """published-test1 with its 100 ms time-out; -d takes all stages into that time; a silent target
    has no stage that was held."""
    result = load("--clients-ramp", "published-test1", "-d", "200ms", serve(silence).url)
    assert result["timeout_s"] == pytest.approx(0.1)
    assert result["clients_ramp"]["stage_s"] == pytest.approx(0.0002)
    assert result["requests"]["ok"] == 0 and result["exit"] == 1
    assert result["held_rps"] == 0


def test_held_stage_is_quoted(serve, load):
    """Once four requests are under way the fifth gets no answer: what is quoted are the first two
    stages, which were held."""
    under_way = 0

    async def behave(server, number, reader, writer):
        nonlocal under_way
        if under_way >= 4:
            await silence(server, number, reader, writer)
        under_way += 1
        await asyncio.sleep(0.05)
        under_way -= 1
        writer.write(OK)
    result = load("--clients-ramp", "2x4/1s,think=0s", "-T", "500ms", serve(behave).url)
    assert result["requests"]["timeouts"] > 0
    assert result["latency_us"]["max"] < 400_000
    assert 40 < result["held_rps"] <= 84


@pytest.fixture
def narrow():
    """Answers its first three clients and takes no more; where the kernel has no room for another that
    waits to be taken, connecting times out. Its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        def answer_one(connection):
            with connection, contextlib.suppress(OSError):
                while connection.recv(65536):
                    connection.sendall(OK)

        def accept():
            with contextlib.suppress(OSError):
                for _ in range(3):
                    threading.Thread(target=answer_one, args=(listener.accept()[0],), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_who_cannot_connect_beyond_the_quoted_stage(narrow, load):
    """A ramp goes on until the target is overloaded. That some clients then have no connection is what it
    is overloaded with; the stage that is quoted was held by all of its."""
    result = load("--clients-ramp", "1x7/1s,think=0s", "-T", "400ms", narrow)
    assert result["requests"]["errors"]["connect"] > 0 and result["held_rps"] > 0
    assert "connections were ever open" not in " ".join(result["whole"]["verdict"]["reasons"])
