"""Limits and deadlines, made small by options; replies that do not fit the socket; and a computation
that harms nobody else."""

import json
import socket
import statistics
import threading
import time

import pytest

from iubench import DEVICES, Client, cpu_s, wait_for

GET = b"GET /api/devices HTTP/1.1\r\nHost: x\r\n\r\n"
DEVICE = b'{"mac":"a","firmware":"b"}'


def took(function):
    begun = time.monotonic()
    function()
    return time.monotonic() - begun


def expect_408(client):
    reply = client.reply()
    assert reply.status == 408 and reply.is_last and json.loads(reply.body)["error"]
    client.assert_closed()


# --- deadlines ---


@pytest.mark.parametrize("part", [b"G", b"\r", b"\r\n", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_head_deadline(serve, part):
    server = serve("static", "--head-timeout", "200ms")
    with server.connect() as client:
        client.send(part)
        assert 0.15 < took(lambda: expect_408(client)) < 5
    assert server.counters()["timed_out_head"] == 1


def test_head_deadline_cannot_be_put_off(serve):
    """A byte now and then does not help (slowloris), nor does it hurt a good neighbour."""
    server = serve("static", "--head-timeout", "300ms")
    with server.connect() as slow, server.connect() as good:
        begun = time.monotonic()
        with pytest.raises(OSError):
            for byte in b"GET /healthz HTTP/1.1\r\nA: " + b"x" * 1000:
                slow.send(bytes([byte]))
                assert good.request("GET", "/healthz").status == 200
                slow.socket.setblocking(False)
                try:
                    if slow.socket.recv(4096, socket.MSG_PEEK):
                        raise ConnectionAbortedError
                except BlockingIOError:
                    pass
                slow.socket.settimeout(10)
                time.sleep(0.02)
        assert 0.25 < time.monotonic() - begun < 5
        slow.socket.settimeout(10)
        expect_408(slow)


def test_head_deadline_of_a_later_request(serve):
    server = serve("static", "--head-timeout", "200ms")
    with server.connect() as client:
        for _ in range(3):
            client.send(GET[:7])
            time.sleep(0.05)
            client.send(GET[7:] + GET)
            assert client.reply().body == DEVICES and client.reply().body == DEVICES
            time.sleep(0.3)  # idle: not the head's deadline
        client.send(GET + GET[:9])
        assert client.reply().body == DEVICES
        expect_408(client)


def test_body_deadline(serve):
    server = serve("post", "--body-timeout", "300ms")
    with server.connect() as client:
        client.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(DEVICE))
        for byte in DEVICE:  # longer in all, but never between two pieces
            client.send(bytes([byte]))
            time.sleep(0.03)
        assert client.reply().status == 201
        for start in (b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc"):
            with server.connect() as slow:
                slow.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\n" + start)
                assert 0.2 < took(lambda slow=slow: expect_408(slow)) < 5
    assert server.counters()["timed_out_body"] == 2


def test_idle_deadline(serve):
    server = serve("static", "--idle-timeout", "300ms")
    with server.connect() as fresh, server.connect() as used:
        used.request("GET", "/healthz")
        assert 0.1 < took(used.assert_closed) < 5
        fresh.assert_closed()
    assert server.counters()["timed_out_idle"] == 2


def test_idle_deadline_behind_a_request_in_pieces(serve):
    """A longer deadline that was set before does not put the idle one off."""
    server = serve("static", "--idle-timeout", "300ms", "--head-timeout", "20s")
    with server.connect() as client:
        client.send(GET[:9])
        time.sleep(0.05)
        client.send(GET[9:])
        assert client.reply().body == DEVICES
        assert took(client.assert_closed) < 5


def test_idle_deadline_spares_a_busy_connection(serve):
    server = serve("all", "--idle-timeout", "200ms", "--upstream-delay", "700ms")
    with server.connect() as client:
        for _ in range(10):
            time.sleep(0.08)
            assert client.request("GET", "/healthz").status == 200
        assert client.request("GET", "/fetch-external").status == 200


def test_linger_has_an_end(serve):
    """A client that neither reads nor closes after the last reply does not hold its connection."""
    server = serve("static")
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.reply().status == 404
        wait_for(lambda: server.counters()["connections_open"] == 1, 10)


# --- clients that do not read ---


def crowded(server, count=3000):
    """A connection on which `count` replies of some 8 KiB were asked for and none is read."""
    client = Client.__new__(Client)
    client.pending = bytearray()
    client.socket = socket.socket()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.socket.settimeout(60)
    client.socket.connect(("127.0.0.1", server.port))
    sender = threading.Thread(target=send_all, args=(client, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * count))
    sender.start()
    return client, sender


def send_all(client, data):
    try:
        client.send(data)
    except OSError:
        pass


def test_a_late_reader_gets_every_byte(serve):
    """What the socket does not take is parked, in order, and so is what comes behind it."""
    server = serve("static", threads=1)
    body = server.get("/openapi.json").body
    client, sender = crowded(server)
    time.sleep(1)
    assert server.get("/api/devices").body == DEVICES
    for _ in range(3000):
        assert client.reply().body == body
    sender.join()
    assert client.request("GET", "/healthz").body == b"OK"
    client.close()


def test_a_late_reader_that_half_closed(serve):
    server = serve("static", threads=1)
    body = server.get("/openapi.json").body
    client, sender = crowded(server, 1200)
    sender.join(1)
    finisher = threading.Thread(target=lambda: (sender.join(), client.finish()))
    finisher.start()
    time.sleep(0.5)
    for _ in range(1200):
        assert client.reply().body == body
    client.assert_closed()
    finisher.join()
    client.close()


def test_several_late_readers(serve):
    server = serve("static")
    body = server.get("/openapi.json").body
    readers = [crowded(server, 800) for _ in range(12)]
    time.sleep(0.5)
    for _ in range(800):
        for client, _ in readers:
            assert client.reply().body == body
    for client, sender in readers:
        sender.join()
        client.close()


def test_a_late_reader_holds_bounded_memory(serve):
    server = serve("static", threads=1)

    def resident_kib():
        with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
            return int(next(line for line in status if line.startswith("VmRSS")).split()[1])

    server.get("/openapi.json")
    before = resident_kib()
    readers = [crowded(server, 20000) for _ in range(8)]
    time.sleep(1.5)
    assert resident_kib() - before < 64 * 1024
    for client, sender in readers:
        client.reset()
        sender.join()


def test_write_deadline(serve):
    server = serve("static", "--write-timeout", "400ms", threads=1)
    client, sender = crowded(server)
    begun = time.monotonic()
    wait_for(lambda: server.counters()["timed_out_write"] == 1, 15)
    assert time.monotonic() - begun > 0.2
    wait_for(lambda: server.counters()["connections_open"] == 1)
    sender.join()
    client.close()
    assert server.get("/api/devices").body == DEVICES


def test_a_client_that_does_not_read_vanishes(serve):
    server = serve("static", threads=1)
    for _ in range(5):
        client, sender = crowded(server)
        time.sleep(0.1)
        client.reset()
        sender.join()
    wait_for(lambda: server.counters()["connections_open"] == 1)


def test_stop_while_a_client_does_not_read(serve):
    server = serve("static", "--drain-timeout", "500ms", threads=1)
    client, sender = crowded(server)
    time.sleep(0.5)
    server.stop(timeout=10)
    sender.join()
    client.close()


# --- limits ---


def test_max_connections(serve):
    server = serve("static", "--max-connections", "5", threads=1)
    with server.connect() as first:
        assert first.request("GET", "/healthz").status == 200
        others = [server.connect() for _ in range(4)]
        for other in others:
            assert other.request("GET", "/healthz").status == 200
        with server.connect() as refused:
            refused.assert_closed()
        assert b"iubench_over_connections_total 1\n" in first.request("GET", "/metrics").body
        others.pop().close()
        wait_for(lambda: b"iubench_connections_open 4\n" in first.request("GET", "/metrics").body)
        with server.connect() as again:
            assert again.request("GET", "/healthz").status == 200
        for other in others:
            assert other.request("GET", "/healthz").status == 200
            other.close()


def test_max_requests(serve):
    server = serve("static", "--max-requests", "3")
    for is_pipelined in (False, True):
        with server.connect() as client:
            if is_pipelined:
                client.send(GET * 10)
            for n in range(3):
                if not is_pipelined:
                    client.send(GET)
                assert client.reply().is_last == (n == 2)
            client.assert_closed()
    assert server.counters()["over_requests"] == 2


def test_heads_as_long_as_the_options_allow(serve):
    """Longer than what is kept of requests that were sent ahead, whole or in pieces, alone or not."""
    server = serve("static", "--max-head", "1M", "--max-line", "500k")
    long = b"GET /healthz?" + b"x" * 400000 + b" HTTP/1.1\r\nHost: x\r\nA: " + b"y" * 400000 + b"\r\n\r\n"
    with server.connect() as client:
        for data in (long, GET * 300 + long + GET, long * 3):
            for at in range(0, len(data), 70000):
                client.send(data[at:at + 70000])
                time.sleep(0.002)
            for _ in range(data.count(b"GET ")):
                assert client.reply().status == 200


def test_max_body(serve):
    server = serve("post", "--max-body", "100")
    pad = len(b'{"mac":"","firmware":""}')
    for size, status in ((100, 201), (101, 413)):
        body = b'{"mac":"%s","firmware":""}' % (b"m" * (size - pad))
        assert len(body) == size
        with server.connect() as client:
            assert client.request("POST", "/api/devices", body).status == status
        with server.connect() as client:
            client.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"%x\r\n%s\r\n0\r\n\r\n" % (size, body))
            assert client.reply().status == status
    assert server.counters()["over_body"] == 2
    with serve("post", "--max-body", "0").connect() as client:
        assert client.request("GET", "/healthz").status == 200
        assert client.request("POST", "/api/devices", b"x").status == 413


# --- fib ---


@pytest.mark.timing
def test_fib_does_not_delay_the_others(serve):
    server = serve("fib")
    with server.connect() as client:
        def p99():
            times = sorted(took(lambda: client.request("GET", "/api/devices")) for _ in range(1000))
            return times[990], statistics.median(times)

        idle_p99, idle_median = p99()
        busy = [server.connect() for _ in range(8)]
        for other in busy:
            other.send(b"GET /fib/40 HTTP/1.1\r\nHost: x\r\n\r\n")
        loaded_p99, loaded_median = p99()
        for other in busy:
            assert other.reply().body == b'{"n":40,"fibonacci":102334155}'
            other.close()
        assert loaded_median < 10 * idle_median + 0.005
        assert loaded_p99 < 10 * idle_p99 + 0.03


def test_fib_of_a_client_that_went_away_is_dropped(serve):
    """Eighty computations of a fifth of a second each would take seconds; nobody wants them."""
    server = serve("fib", "--fib-threads", "1")
    for leave in ("close", "reset"):
        crowd = [server.connect() for _ in range(80)]
        for client in crowd:
            client.send(b"GET /fib/40 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: server.counters()["requests_waiting"] == 81)
        for client in crowd:
            getattr(client, leave)()
        begun = time.monotonic()
        assert server.get("/fib/20").body == b'{"n":20,"fibonacci":6765}'
        assert time.monotonic() - begun < 4
    wait_for(lambda: server.counters()["connections_open"] == 1)
    counters = server.counters()
    assert counters["abandoned"] == 160 and counters["requests_waiting"] == 1


def test_fib_queue_has_an_end(serve):
    server = serve("fib", "--fib-threads", "1", "--fib-queue", "2", threads=1)
    crowd = [server.connect() for _ in range(20)]
    for client in crowd:
        client.send(b"GET /fib/38 HTTP/1.1\r\nHost: x\r\n\r\n")
    replies = [client.reply() for client in crowd]
    for reply in replies:
        assert reply.status in (200, 503)
        if reply.status == 503:
            assert int(reply.field("Retry-After")) > 0 and json.loads(reply.body)["error"]
        else:
            assert reply.body == b'{"n":38,"fibonacci":39088169}'
    good = sum(reply.status == 200 for reply in replies)
    assert 2 <= good <= 19
    for client in crowd:
        assert client.request("GET", "/fib/1").status in (200, 503)  # and the connection goes on
        client.close()
    assert server.counters()["fib_refused"] >= 20 - good


def test_fib_answers_all_who_wait(serve):
    server = serve("fib")
    crowd = [server.connect() for _ in range(100)]
    for client in crowd:
        client.send(b"GET /fib/27 HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
    for client in crowd:
        for _ in range(5):
            assert client.reply().body == b'{"n":27,"fibonacci":196418}'
        client.close()


@pytest.mark.timing
def test_fib_is_computed_the_slow_way(serve):
    """Neither remembered nor folded: each costs, and each step costs 1.6 times the one before. In CPU time,
    since others may have the machine as well."""
    server = serve("fib")

    def cost_s(client, n):
        before = cpu_s(server.process.pid)
        client.request("GET", f"/fib/{n}")
        return cpu_s(server.process.pid) - before

    with server.connect() as client:
        times = {n: min(cost_s(client, n) for _ in range(5)) for n in (30, 35, 38)}
    assert times[35] > 0.002
    assert 4 < times[35] / times[30] < 40 and 2.5 < times[38] / times[35] < 7
