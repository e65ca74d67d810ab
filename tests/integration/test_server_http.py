"""HTTP/1.1 on the wire: framing, persistence, pipelining, requests in pieces, and what is refused."""

import contextlib
import json
import random
import re
import socket
import threading
import time

import pytest

from iubench import DEVICES, wait_for

GET = b"GET /api/devices HTTP/1.1\r\nHost: x\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
DEVICE = b'{"mac":"a","firmware":"b"}'
POST = b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(DEVICE) + DEVICE
CHUNKED = b"POST /api/devices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(data, size, extension=b"", trailer=b""):
    pieces = [data[i:i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces) + b"0\r\n" + trailer + b"\r\n"


@pytest.fixture
def server(serve):
    return serve("post")


# --- persistence ---


def test_a_connection_is_kept(server):
    with server.connect() as client:
        for _ in range(100):
            reply = client.request("GET", "/api/devices")
            assert reply.body == DEVICES and reply.field("Connection") is None


@pytest.mark.parametrize("version, fields, is_kept", [
    ("1.1", [], True),
    ("1.1", ["Connection: keep-alive"], True),
    ("1.1", ["Connection: close"], False),
    ("1.1", ["Connection: CLOSE"], False),
    ("1.1", ["Connection: keep-alive, close"], False),
    ("1.1", ["Connection: foo", "Connection: close"], False),
    ("1.0", [], False),
    ("1.0", ["Connection: keep-alive"], True),
    ("1.0", ["Connection: Keep-Alive"], True),
    ("1.0", ["Connection: close, keep-alive"], False),
])
def test_persistence(server, version, fields, is_kept):
    with server.connect() as client:
        for _ in range(2 if is_kept else 1):
            reply = client.request("GET", "/api/devices", version=version, fields=fields)
            assert reply.body == DEVICES and reply.is_last is not is_kept
            if version == "1.0" and is_kept:
                assert reply.field("Connection").lower() == "keep-alive"
        if not is_kept:
            client.assert_closed()


def test_http_1_0_needs_no_host(server):
    with server.connect() as client:
        client.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert client.reply().body == b"OK"
        client.assert_closed()


def test_a_higher_minor_version_is_taken_as_1_1(server):
    with server.connect() as client:
        assert client.request("GET", "/healthz", version="1.7").body == b"OK"
        assert client.request("GET", "/healthz").body == b"OK"


def test_nothing_behind_close_is_answered(server):
    with server.connect() as client:
        client.send(GET[:-2] + b"Connection: close\r\n\r\n" + HEALTH * 5)
        assert client.reply().body == DEVICES
        client.assert_closed()


# --- bodies ---


def test_body_of_an_endpoint_that_wants_none_is_passed_over(server):
    with server.connect() as client:
        assert client.request("GET", "/healthz", b"GET /nowhere HTTP/1.1\r\n\r\n").body == b"OK"
        assert client.request("PUT", "/nowhere", b"x" * 100000).status == 404
        client.send(b"DELETE /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"x" * 999, 10))
        assert client.reply().status == 405
        assert client.request("GET", "/healthz").body == b"OK"


def test_chunked_bodies(server):
    with server.connect() as client:
        for size in (1, 2, 7, len(DEVICE)):
            for extension, trailer in ((b"", b""), (b";a=b", b""), (b' ; q="x;\\"y"', b"X: y\r\nZ:\r\n")):
                client.send(CHUNKED + chunks(DEVICE, size, extension, trailer))
                assert json.loads(client.reply().body)["mac"] == "a"
        big = json.dumps({"pad": "x" * 500000, "mac": "m", "firmware": "f"}).encode()
        client.send(CHUNKED + chunks(big, 4097))
        assert client.reply().status == 201
        client.send(CHUNKED + chunks(big, 1))
        assert client.reply().status == 201
        assert client.request("GET", "/healthz").body == b"OK"


def test_length_and_upper_case_hexadecimal(server):
    with server.connect() as client:
        client.send(CHUNKED + b"0000001A\r\n" + DEVICE + b"\r\n00\r\n\r\n")
        assert client.reply().status == 201


def test_expect_100_continue(server):
    with server.connect() as client:
        head = b"POST /api/devices HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % len(DEVICE)
        client.send(head)
        interim = client.reply()
        assert (interim.status, interim.fields) == (100, [])
        client.send(DEVICE)
        assert client.reply().status == 201
        client.send(head + DEVICE)  # the body is here already: no need to ask for it
        assert client.reply().status == 201
        client.send(head.replace(b"/1.1", b"/1.0", 1))
        client.send(DEVICE)
        assert client.reply().status == 201
        client.assert_closed()


def test_expect_something_else(server):
    with server.connect() as client:
        assert client.request("POST", "/api/devices", DEVICE, ["Expect: miracles"]).status == 417
        client.assert_closed()


# --- pipelining and pieces ---


def test_pipelining_in_one_write(server):
    with server.connect() as client:
        client.send((GET + HEALTH + POST + CHUNKED + chunks(DEVICE, 5)) * 250)
        for _ in range(250):
            assert client.reply().body == DEVICES
            assert client.reply().body == b"OK"
            assert client.reply().status == 201
            assert client.reply().status == 201
    assert server.counters()["replies"] == 1000


def test_pipelining_a_thousand_gets_in_one_write(server):
    with server.connect() as client:
        client.send(GET * 1000)
        for _ in range(1000):
            assert client.reply().body == DEVICES


def test_pipelining_far_ahead(server):
    """More than the server keeps: reading stops until replies have gone, and loses nothing."""
    count = 20000
    with server.connect() as client:
        sender = threading.Thread(target=client.send, args=(GET * count,))
        sender.start()
        for _ in range(count):
            assert client.reply().body == DEVICES
        sender.join()
        assert client.request("GET", "/healthz").body == b"OK"


def test_pipelining_behind_a_slow_request(serve):
    """Replies come in order though the first takes long; what was sent meanwhile waits its turn."""
    server = serve("all", "--upstream-delay", "300ms")
    with server.connect() as client:
        sender = threading.Thread(target=client.send, args=(
            (b"GET /fetch-external HTTP/1.1\r\nHost: x\r\n\r\n" + GET * 3000) * 2,))
        sender.start()
        for _ in range(2):
            assert b"External" in client.reply().body
            for _ in range(3000):
                assert client.reply().body == DEVICES
        sender.join()


def test_one_request_cut_at_every_byte(server):
    request = POST + CHUNKED + chunks(DEVICE, 9, b";e", b"T: v\r\n") + GET
    with server.connect() as client:
        for at in range(1, len(request)):
            client.send(request[:at])
            time.sleep(0.001)
            client.send(request[at:])
            assert [client.reply().status for _ in range(3)] == [201, 201, 200], at


def test_byte_by_byte(server):
    with server.connect() as client:
        for byte in POST + CHUNKED + chunks(DEVICE, 3) + GET:
            client.send(bytes([byte]))
            time.sleep(0.0005)
        assert [client.reply().status for _ in range(3)] == [201, 201, 200]


def test_pieces_at_random(server):
    seed = 7
    rng = random.Random(seed)
    for _ in range(30):
        data = (GET + POST + HEALTH) * 60
        with server.connect() as client:
            def send(client=client, data=data):
                at = 0
                while at < len(data):
                    step = rng.choice((1, 3, 50, 700, 5000, 2047, 2048, 2049))
                    client.send(data[at:at + step])
                    at += step
            sender = threading.Thread(target=send)
            sender.start()
            for _ in range(60):
                assert client.reply().body == DEVICES, f"seed {seed}"
                assert client.reply().status == 201
                assert client.reply().body == b"OK"
            sender.join()


def test_an_empty_line_before_a_request(server):
    with server.connect() as client:
        client.send(GET + b"\r\n" + GET)
        assert client.reply().body == DEVICES and client.reply().body == DEVICES


# --- clients that close half or whole ---


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_half_closed_client_gets_every_reply(server, count):
    with server.connect() as client:
        client.send(GET * count)
        client.finish()
        for _ in range(count):
            assert client.reply().body == DEVICES
        client.assert_closed()


def test_half_closed_far_ahead(server):
    """The end of stream arrives while replies are still parked behind a full socket."""
    count = 5000
    with server.connect() as client:
        def send():
            client.send(GET * count)
            client.finish()
        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(0.3)
        for _ in range(count):
            assert client.reply().body == DEVICES
        client.assert_closed()
        sender.join()


@pytest.mark.parametrize("part", [b"GET /hea", POST[:-1], CHUNKED + b"5\r\nab", CHUNKED, b"\r\n", b"\r"])
def test_half_closed_within_a_request(server, part):
    with server.connect() as client:
        client.send(part)
        client.finish()
        assert client.rest() in (b"",) or b" 400 " in client.rest()
    wait_for(lambda: server.counters()["connections_open"] == 1)


def test_half_closed_while_a_slow_reply_is_due(serve):
    """An end of stream may be the client's end; whatever is said then is one whole reply."""
    server = serve("all", "--upstream-delay", "200ms")
    for path in (b"/fib/35", b"/fetch-external"):
        with server.connect() as client:
            client.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            client.finish()
            reply = client.reply()
            assert reply.status == 200 or (reply.status == 503 and b"the client closed" in reply.body)
            client.assert_closed()


def test_clients_that_vanish(server):
    """Resets at any moment harm nobody and leave nothing open."""
    rng = random.Random(3)
    with server.connect() as standing:
        for _ in range(300):
            client = server.connect()
            data = (GET + POST) * rng.choice((1, 2, 200))
            client.send(data[:rng.randrange(1, len(data))])
            if rng.random() < 0.3:
                client.socket.settimeout(0.002)
                with contextlib.suppress(TimeoutError):
                    client.socket.recv(rng.randrange(1, 2000))
            client.reset() if rng.random() < 0.7 else client.close()
        for _ in range(20):
            assert standing.request("GET", "/api/devices").body == DEVICES
        wait_for(lambda: server.counters()["connections_open"] == 2)
    counters = server.counters()
    assert counters["requests"] == counters["replies"] + 1


# --- refused ---

BAD = {
    b"\0\r\n\r\n": 400,
    b"GET\r\n\r\n": 400,
    b"GET /\r\n\r\n": 400,
    b"GET / HTTP/1.1\nHost: x\n\n": 400,
    b" GET / HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET /  HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n": 400,
    b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET / http/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET /#f HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET * HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET x HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 1\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n": 413,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n": 501,
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n": 400,
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n": 505,
    b"GET / HTTP/0.9\r\nHost: x\r\n\r\n": 505,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": 505,
    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n": 414,
    b"M" * 9000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n": 501,
    b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 30000 + b"\r\n\r\n": 431,
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n": 431,
    CHUNKED + b"x\r\n": 400,
    CHUNKED + b"-1\r\n": 400,
    CHUNKED + b" 5\r\n": 400,
    CHUNKED + b"0x5\r\n": 400,
    CHUNKED + b"5\nabcde\r\n": 400,
    CHUNKED + b"5\r\nabcdeX": 400,
    CHUNKED + b"ffffffffffffffffffff\r\n": 400,
    CHUNKED + b"\r\n": 400,
    CHUNKED + b"1;" + b"x" * 5000: 400,
    CHUNKED + b"0\r\nbad trailer\r\n\r\n": 400,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": 400,  # TLS
}


@pytest.mark.parametrize("data", list(BAD), ids=lambda d: re.sub(r"\W+", "_", repr(d[:70]))[2:])
def test_refused_with_json_and_a_close(server, data):
    """Whether it comes alone, whole, behind good requests, or byte by byte; nobody else is harmed."""
    status = BAD[data]
    with server.connect() as other:
        assert other.request("GET", "/healthz").status == 200
        for before, is_slow in ((b"", False), (GET * 3, False), (b"", len(data) < 1000)):
            with server.connect() as client:
                client.send(before)
                if is_slow:
                    for byte in data:
                        client.send(bytes([byte]))
                else:
                    client.send(data + HEALTH)
                if is_slow and not data.endswith(b"\n"):
                    client.send(b"\r\n\r\n")
                for _ in range(before.count(b"GET")):
                    assert client.reply().body == DEVICES
                reply = client.reply()
                assert (reply.status, reply.field("Content-Type")) == (status, "application/json"), reply
                assert json.loads(reply.body)["error"] and reply.is_last
                client.assert_closed()
        assert other.request("GET", "/api/devices").body == DEVICES


def test_long_but_within_the_limits(server):
    with server.connect() as client:
        assert client.request("GET", "/healthz?" + "x" * 8100).body == b"OK"
        assert client.request("GET", "/healthz", fields=["A: " + "x" * 15900]).body == b"OK"
        assert client.request("GET", "/healthz", fields=["A: b"] * 99).body == b"OK"


def test_body_too_large_is_refused_before_it_is_sent(server):
    with server.connect() as client:
        client.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n")
        reply = client.reply()
        assert reply.status == 413 and reply.is_last
        client.assert_closed()


def test_body_too_large_is_refused_though_the_client_goes_on_sending(server):
    """The refusal must be readable: no reset may overtake it."""
    for head, body in ((b"Content-Length: 8000000\r\n\r\n", b"x" * 8000000),
                       (b"Transfer-Encoding: chunked\r\n\r\n", chunks(b"x" * 3000000, 10000))):
        with server.connect() as client:
            client.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\n" + head)
            try:
                client.send(body)
            except OSError:
                pass
            assert client.reply().status == 413
            client.assert_closed()


def test_random_rubbish(server):
    seed = 11
    rng = random.Random(seed)
    pieces = [b"GET ", b"POST ", b"/", b" HTTP/1.1", b"\r\n", b"\n", b"\r", b"Host: x", b":", b" ", b"\0",
              b"Transfer-Encoding: chunked", b"Content-Length: ", b"5", b"a", b"\xff", b",", b"chunked", GET, POST]
    for i in range(1500):
        data = b"".join(rng.choice(pieces) for _ in range(rng.randrange(1, 25)))
        with server.connect() as client:
            client.send(data)
            client.finish()
            text = client.rest()
            assert not text or text.startswith(b"HTTP/1.1 "), (seed, i, data)
    assert server.get("/api/devices").body == DEVICES
    counters = server.counters()
    assert counters["requests"] == counters["replies"] + counters["requests_waiting"]
    wait_for(lambda: server.counters()["connections_open"] == 1)


def test_many_connections_at_once(server):
    clients = [server.connect() for _ in range(500)]
    for client in clients:
        client.send(GET)
    for client in clients:
        assert client.reply().body == DEVICES
    assert server.counters()["connections_open"] == 501
    for client in clients:
        client.close()
    wait_for(lambda: server.counters()["connections_open"] == 1)


def test_urgent_data_is_no_reason_to_fall(server):
    with server.connect() as client:
        client.socket.send(b"x", socket.MSG_OOB)
        assert client.request("GET", "/healthz").status == 200
