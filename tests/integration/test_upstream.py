"""`iubench upstream`: the delayed answer, alone."""

import json
import time

import pytest

from iubench import run

EXTERNAL = b"GET /external HTTP/1.1\r\nHost: x\r\n\r\n"


def test_answers_after_the_delay(start):
    upstream = start("upstream", "--delay", "300ms")
    assert upstream.line.rstrip().endswith("delay 300ms")
    with upstream.connect() as client:
        for _ in range(2):
            begun = time.monotonic()
            reply = client.request("GET", "/external")
            assert 0.299 <= time.monotonic() - begun < 5
            assert (reply.status, reply.field("Content-Type")) == (200, "application/json")
            assert json.loads(reply.body) == {"message": "External service response"}


def test_the_delay_by_default(start):
    upstream = start("upstream")
    begun = time.monotonic()
    assert upstream.get("/external").status == 200
    assert 0.499 <= time.monotonic() - begun < 5


def test_no_delay(start):
    with start("upstream", "--delay", "0ms").connect() as client:
        client.send(EXTERNAL * 1000)
        for _ in range(1000):
            assert client.reply().status == 200


def test_routes_and_methods(start):
    with start("upstream", "--delay", "1ms").connect() as client:
        assert client.request("GET", "/healthz").body == b"OK"
        head = client.request("HEAD", "/external")
        assert (head.status, head.body, int(head.field("Content-Length"))) == (200, b"", 39)
        assert client.request("GET", "/external?x=y").status == 200
        missing = client.request("GET", "/nowhere")
        assert missing.status == 404 and json.loads(missing.body)["error"]
        refused = client.request("POST", "/external", b"{}")
        assert refused.status == 405 and "GET" in refused.field("Allow")


@pytest.mark.parametrize("delay, low, high", [
    ("uniform:50ms:150ms", 0.049, 0.4), ("normal:100ms:10ms", 0.03, 0.5), ("exp:20ms", 0, 1),
])
def test_distributions(start, delay, low, high):
    with start("upstream", "--delay", delay).connect() as client:
        times = []
        for _ in range(15):
            begun = time.monotonic()
            assert client.request("GET", "/external").status == 200
            times.append(time.monotonic() - begun)
    assert low <= min(times) and max(times) < high and len(set(times)) > 1


@pytest.mark.parametrize("delay", ["", "-1ms", "uniform:5ms", "uniform:9ms:1ms", "normal:1ms:2ms:3ms", "fast"])
def test_delays_that_are_none(delay):
    code, out, err = run("upstream", "--listen", "127.0.0.1:0", "--delay", delay)
    assert (code, out) == (2, "") and "--delay" in err and err.count("\n") == 1


def test_many_wait_at_once(start):
    """A thousand answers that are due at the same time cost one delay, not a thousand."""
    upstream = start("upstream", "--delay", "400ms", "--threads", "2")
    clients = [upstream.connect() for _ in range(1000)]
    begun = time.monotonic()
    for client in clients:
        client.send(EXTERNAL)
    for client in clients:
        assert client.reply().status == 200
        client.close()
    assert 0.39 < time.monotonic() - begun < 5


def test_clients_that_go_away_are_forgotten(start):
    upstream = start("upstream", "--delay", "200ms")
    for _ in range(200):
        client = upstream.connect()
        client.send(EXTERNAL)
        client.reset()
    with upstream.connect() as client:
        assert client.request("GET", "/external").status == 200


def test_answers_what_it_has_when_it_is_stopped(start):
    upstream = start("upstream", "--delay", "500ms")
    with upstream.connect() as client:
        client.send(EXTERNAL)
        time.sleep(0.1)
        upstream.kill_with()
        reply = client.reply()
        assert reply.status == 200 and reply.is_last
        client.assert_closed()
    upstream.stop()
