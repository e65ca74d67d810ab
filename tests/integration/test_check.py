"""`iubench check`: our own server keeps every point in every mode, and each point is shown to fail by
a proxy before it that spoils its replies."""

import json
import re
import socket
import threading
import time

import pytest

from iubench import PATIENCE_S, run

MODES = ["all", "static", "fib", "proxy", "post", "db"]


def check(url, *words):
    code, output, errors = run("check", "--json", url, *words, timeout=4 * PATIENCE_S)
    assert output, errors
    document = json.loads(output)
    assert document["schema"] == "iubench-check/1"
    assert code == (1 if document["failed"] else 0), errors
    return {point["point"]: point for point in document["points"]}


def failed(points):
    return {name for name, point in points.items() if point["status"] == "failed"}


class Proxy:
    """Takes requests to `server` and hands their replies, piece by piece, to spoil(request, reply),
    which returns what the client gets instead. `kept` leaves connections open that the server closed;
    `cut` closes after the first piece."""

    def __init__(self, server, spoil=lambda request, reply: reply, kept=False, cut=False, delay=None):
        self.server, self.spoil, self.kept, self.cut, self.delay = server, spoil, kept, cut, delay
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        server = self.server.connect().socket
        seen = bytearray()

        def forward():
            try:
                while piece := client.recv(1 << 16):
                    seen.extend(piece[:4096])
                    server.sendall(piece)
                server.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        threading.Thread(target=forward, daemon=True).start()
        try:
            while piece := server.recv(1 << 20):
                request = bytes(seen)
                if self.delay and self.delay[0] in request:
                    time.sleep(self.delay[1])
                if piece := self.spoil(request, piece):
                    client.sendall(piece)
                if self.cut:
                    break
            if self.kept:
                time.sleep(1.5)
        except OSError:
            pass
        for connection in (client, server):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()


def status(reply):
    return int(reply[9:12])


def as_status(reply, number):
    return reply[:9] + b"%d" % number + reply[12:]


def with_body(change):
    """Spoils the body and mends its length."""
    def spoil(request, reply):
        head, end, body = reply.partition(b"\r\n\r\n")
        body = change(request, body)
        head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
        return head + end + body
    return spoil


def without(*names):
    return lambda request, reply: re.sub(rb"\r\n(?:%s): [^\r]*" % b"|".join(names), b"", reply)


def change_member(name, value):
    return with_body(lambda request, body: re.sub(rb'("%s":)(?:"[^"]*"|\d+)' % name, rb"\g<1>" + value, body)
                     if request.startswith(b"POST") else body)


@pytest.mark.parametrize("mode", MODES)
def test_own(start, mode):
    """Each mode keeps all of its points, and has no route of another."""
    server = start("serve", "--mode", mode, "--upstream-delay", "10ms")
    points = check(server.url)
    assert not failed(points)
    assert not [point for point in points.values() if point["status"] == "allowed"]
    absent = {name for name, point in points.items() if point["status"] == "absent"}
    has = {"POST /api/devices": mode in ("post", "db", "all"), "GET /fib/1": mode in ("fib", "all"),
           "GET /fetch-external": mode in ("proxy", "all"), "GET /json": mode in ("static", "all"),
           "GET /plaintext": mode in ("static", "all")}
    assert absent == {name for name, is_there in has.items() if not is_there}


def test_own_storage(start, postgres, memcached):
    """The row is in the database and the value in the cache, as it was answered."""
    server = start("serve", "--mode", "db", "--pg", postgres.uri, "--memcached", memcached.address)
    points = check(server.url, "--pg", postgres.uri, "--memcached", memcached.address)
    assert not failed(points)
    for name in ("the row in PostgreSQL", "the value is the object", "it expires after 20 s"):
        assert points[f"POST /api/devices: {name}"]["status"] == "passed"


def test_own_storage_of_the_second_round(start, make_postgres):
    """The other layout of the table is read as well, in whatever time zone the server is."""
    uri = make_postgres({"timezone": "'<+05>-05'"}).uri
    server = start("serve", "--mode", "db", "--pg", uri, "--schema", "round2", "--cache", "none")
    points = check(server.url, "--pg", uri)
    assert not failed(points)
    assert points["POST /api/devices: the row in PostgreSQL"]["status"] == "passed"


def test_missing_route(start):
    """What a mode demands must be there."""
    server = start("serve", "--mode", "static")
    points = check(server.url, "--mode", "fib")
    assert "GET /fib/20" in failed(points)


STATUSES = lambda request, reply: as_status(reply, 418) if status(reply) < 400 else as_status(reply, 299)
SPOILERS = {
    "statuses": {"spoil": STATUSES},
    "types": {"spoil": lambda request, reply: re.sub(rb"Content-Type: [^\r]*", b"Content-Type: x/y", reply)},
    "fields": {"spoil": without(b"Server", b"Date", b"Allow")},
    "bodies": {"spoil": with_body(lambda request, body: b"x" * len(body) if body else body)},
    "numbers": {"spoil": with_body(lambda request, body: re.sub(rb'"fibonacci":\d', b'"fibonacci":9', body))},
    "uuid": {"spoil": change_member(b"uuid", b'"D2293412-36EB-46E7-9231-AF7E9249FFFE"')},
    "mac": {"spoil": change_member(b"(?:mac|firmware)", b'"EF"')},
    "times": {"spoil": change_member(b"(?:created|updated)_at", b'"yesterday"')},
    "id": {"spoil": change_member(b"id", b"0")},
    "errors": {"spoil": with_body(lambda request, body: body.replace(b'"error"', b'"detail"'))},
    "cut": {"cut": True},
    "kept": {"kept": True},
    "refusals": {"spoil": lambda request, reply: as_status(reply, 200) if status(reply) >= 400 else reply},
    "head": {"spoil": lambda request, reply: re.sub(rb"Content-Length: 541", b"Content-Length: 7", reply)
             if request.startswith(b"HEAD") else reply},
    "slow": {"delay": (b"GET /api/devices", 0.4)},
    # all POSTs but the first, whose failure ends that route
    "posts": {"spoil": lambda request, reply: as_status(reply, 400)
              if request.startswith(b"POST") and b"EF-2B" not in request else reply},
    "down": {"spoil": lambda request, reply: as_status(reply, 500) if b"/healthz" in request else reply},
}


def test_every_point_fails(start):
    """Each point is failed by one spoiler or another; the proxy alone changes nothing."""
    server = start("serve", "--mode", "all", "--upstream-delay", "10ms")
    with Proxy(server) as proxy:
        whole = check(proxy.url)
        assert not failed(whole)
    found = set()
    for name, options in SPOILERS.items():
        with Proxy(server, **options) as proxy:
            now = failed(check(proxy.url, "--mode", "all", "-T", "3s"))
            assert now, name
            found |= now
    assert set(whole) - found == set()


def test_storage_points_fail(start, postgres, memcached):
    """What is not stored, or stored otherwise, is found."""
    server = start("serve", "--mode", "db", "--pg", postgres.uri, "--memcached", memcached.address)
    services = ["--pg", postgres.uri, "--memcached", memcached.address]
    prefix = "POST /api/devices: "

    def store(value, expiry, wait=0.0):
        def spoil(request, reply):
            uuid = re.search(rb'"uuid":"([^"]*)"', reply)
            if request.startswith(b"POST") and uuid:
                def later():
                    with memcached.connect() as cache:
                        cache.sendall(b"set %s 0 %d %d\r\n%s\r\n" % (uuid[1], expiry, len(value), value))
                        cache.recv(64)
                with memcached.connect() as cache:
                    cache.sendall(b"delete %s\r\n" % uuid[1])
                    cache.recv(64)
                if wait:
                    threading.Timer(wait, later).start()
                else:
                    later()
            return reply
        return spoil

    for spoil, points in [
            (change_member(b"uuid", b'"d2293412-36eb-46e7-9231-af7e9249fffe"'),
             {"the row in PostgreSQL", "a value in memcached, its key the UUID"}),
            (change_member(b"id", b"2000000000"), {"the row in PostgreSQL", "the value is the object"}),
            (store(b"{'mac': 'EF'}", 20), {"the value is the object"}),
            (store(b"{}", 0), {"it expires after 20 s", "the value is the object"}),
            (store(b"{}", 20, 0.05), {"it is there with the answer", "the value is the object"})]:
        with Proxy(server, spoil) as proxy:
            now = failed(check(proxy.url, *services))
            assert {prefix + point for point in points} <= now, now


def test_allowed(start):
    """A deviation by name is allowed, and shown; an unknown one is refused with the nearest."""
    server = start("serve", "--mode", "post")
    spoil = lambda request, reply: re.sub(
        rb"Content-Length: \d+\r\n\r\n.*", b'Content-Length: 12\r\n\r\n{"detail":1}',
        as_status(reply, 422) if b"POST" in request and status(reply) == 400 else reply, flags=re.S) \
        if status(reply) >= 400 else reply
    with Proxy(server, spoil) as proxy:
        points = check(proxy.url)
        assert points["POST /api/devices, not JSON"]["deviation"] == "wrong-input-is-422"
        points = check(proxy.url, "--allow", "wrong-input-is-422,error-body")
        assert not failed(points)
        assert points["POST /api/devices, not JSON"]["status"] == "allowed"
        code, output, _ = run("check", proxy.url, "--allow", "wrong-input-is-422", "--allow", "error-body")
        assert code == 0 and re.search(r"^allowed +POST .*not JSON: expected 400, found 422.*\[wrong-input-is-422\]$",
                                       output, re.M)
    code, _, errors = run("check", server.url, "--allow", "eror-body")
    assert code == 2 and "did you mean error-body?" in errors


def test_nobody(start):
    """Nobody there, and no HTTP, are said in one sentence."""
    code, _, errors = run("check", "http://127.0.0.1:1")
    assert code == 1 and "nothing listens" in errors
    code, _, errors = run("check", "https://127.0.0.1:1")
    assert code == 2
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: [listener.accept()[0].close() for _ in range(500)], daemon=True).start()
    points = check(f"http://127.0.0.1:{listener.getsockname()[1]}", "-T", "500ms")
    assert "GET /api/devices: status" in failed(points)
    listener.close()
