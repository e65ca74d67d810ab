"""GET /fetch-external against upstreams that are good, slow, broken, or not there."""

import json
import re
import resource
import selectors
import shutil
import socket
import subprocess
import threading
import time

import pytest

from faulty import FaultyUpstream, answer
from iubench import IS_SANITIZED, PROGRAM, run, wait_for

GET = b"GET /fetch-external HTTP/1.1\r\nHost: x\r\n\r\n"
GOOD = answer(b'{"message":"hello"}', ["Content-Type: application/json"])


@pytest.fixture
def upstream():
    """upstream(serve_one): a faulty upstream that ends with the test."""
    made = []

    def make(serve_one, **options):
        made.append(FaultyUpstream(lambda connection, number: serve_one(made_one, connection, number), **options))
        made_one = made[-1]
        return made_one

    yield make
    for one in made:
        one.close()


def always(reply, then_close=False):
    """An upstream that gives the same bytes to every request."""
    def serve_one(self, connection, _):
        while self.read_request(connection):
            connection.sendall(reply)
            if then_close:
                return
    return serve_one


def fetch(server, status):
    reply = server.get("/fetch-external")
    assert reply.status == status, reply
    if status != 200:
        assert reply.field("Content-Type") == "application/json"
        assert set(json.loads(reply.body)) == {"error"}
    return reply


# --- good ones ---


def test_relays_body_and_type(serve, upstream):
    body = json.dumps({"text": "ü\u2028" * 5000}).encode()
    good = upstream(always(answer(body, ["Content-Type: application/json; charset=utf-8"])))
    server = serve("proxy", "--upstream", good.url)
    for _ in range(5):
        reply = fetch(server, 200)
        assert reply.body == body and reply.field("Content-Type") == "application/json; charset=utf-8"


def test_request_is_a_proper_one(serve, upstream):
    seen = []

    def serve_one(self, connection, _):
        while request := self.read_request(connection):
            seen.append(request)
            connection.sendall(GOOD)

    good = upstream(serve_one)
    server = serve("proxy", "--upstream", f"http://127.0.0.1:{good.port}/a/b%20c?d=e")
    fetch(server, 200)
    head = seen[0].decode().split("\r\n")
    assert head[0] == "GET /a/b%20c?d=e HTTP/1.1" and f"Host: 127.0.0.1:{good.port}" in head


def test_connections_are_kept(serve, upstream):
    good = upstream(always(GOOD))
    server = serve("proxy", "--upstream", good.url, threads=1)
    for _ in range(200):
        assert fetch(server, 200).body == b'{"message":"hello"}'
    assert (good.connections, good.requests) == (1, 200)


@pytest.mark.parametrize("reply", [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2;x=y\r\n1}\r\n0\r\nT: v\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    b"HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    b"HTTP/1.1 200 OK\r\nContent-Type: Application/HAL+JSON;v=1\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nX: " + b"y" * 15000 + b"\r\n\r\n{\"a\":1}",
], ids=["chunked", "interim", "no reason", "another type", "long head"])
def test_good_replies_of_other_shapes(serve, upstream, reply):
    for slow in (False, True):
        def serve_one(self, connection, _, slow=slow):
            while self.read_request(connection):
                for i in range(0, len(reply), 1 if slow and len(reply) < 1000 else 5000):
                    connection.sendall(reply[i:i + (1 if slow and len(reply) < 1000 else 5000)])
        good = upstream(serve_one)
        server = serve("proxy", "--upstream", good.url, threads=1)
        for _ in range(5):
            assert fetch(server, 200).body == b'{"a":1}'
        assert good.connections == 1
        server.stop()


@pytest.mark.parametrize("reply", [
    b"HTTP/1.1 200 OK\r\n\r\n{\"a\":1}",
    b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
], ids=["until close", "1.0", "close"])
def test_good_replies_that_end_the_connection(serve, upstream, reply):
    good = upstream(always(reply, then_close=True))
    server = serve("proxy", "--upstream", good.url, threads=1)
    for _ in range(20):
        assert fetch(server, 200).body == b'{"a":1}'
    assert good.connections == 20


def test_connections_closed_between_requests(serve, upstream):
    """The upstream closes without a word after each reply: nobody may notice."""
    rude = upstream(always(GOOD, then_close=True))
    server = serve("proxy", "--upstream", rude.url, threads=1)
    with server.connect() as client:
        for n in range(300):
            assert client.request("GET", "/fetch-external").status == 200, n
            if n % 3 == 0:
                time.sleep(0.002)


def test_connections_closed_between_requests_of_many(serve, upstream):
    """The end of an idle connection and the next request for it arrive in one turn."""
    rude = upstream(always(GOOD, then_close=True))
    server = serve("proxy", "--upstream", rude.url, threads=1)
    failures = []

    def load():
        with server.connect() as client:
            for _ in range(100):
                reply = client.request("GET", "/fetch-external")
                if reply.status != 200:
                    failures.append(reply)

    threads = [threading.Thread(target=load) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.is_running(), server.stderr()
    assert not failures, failures[0]


def test_connections_closed_on_the_next_request(serve, upstream):
    """A kept connection that dies as it is used again is tried once more on a fresh one."""
    def serve_one(self, connection, _):
        if self.read_request(connection):
            connection.sendall(GOOD)
            self.read_request(connection)

    rude = upstream(serve_one)
    server = serve("proxy", "--upstream", rude.url, threads=1)
    for n in range(50):
        assert fetch(server, 200).body == b'{"message":"hello"}', n


def test_a_fresh_connection_that_dies_is_not_tried_again(serve, upstream):
    rude = upstream(lambda self, connection, _: self.read_request(connection))
    server = serve("proxy", "--upstream", rude.url, threads=1)
    for n in range(1, 6):
        fetch(server, 502)
        assert rude.requests == n


# --- bad ones ---


def test_refused(serve):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        server = serve("proxy", "--upstream", f"http://127.0.0.1:{taken.getsockname()[1]}/")
        for _ in range(20):
            fetch(server, 502)
        assert server.counters()["fetch_failed"] == 20


BAD = {
    "garbage": b"\0\1\2 what?\r\n\r\n",
    "not http": b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    "HTML": answer(b"<p>", ["Content-Type: text/html; charset=utf-8"]),
    "no JSON": answer(b"1", ["Content-Type: application/jsonx"]),
    "500": answer(b"{}", status="500 Internal Server Error"),
    "404": answer(b"{}", status="404 Not Found"),
    "301": answer(b"", ["Location: /elsewhere"], status="301 Moved Permanently"),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}!",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50000,
    "endless line": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 300000,
    "endless interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 5 + b"nonsense\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
}


@pytest.mark.parametrize("kind", list(BAD))
def test_bad_replies(serve, upstream, kind):
    bad = upstream(always(BAD[kind]))
    server = serve("proxy", "--upstream", bad.url, "--upstream-timeout", "5s", threads=1)
    begun = time.monotonic()
    for _ in range(3):
        fetch(server, 502)
    assert time.monotonic() - begun < 5
    assert server.get("/healthz").status == 200


LARGE = bytes(range(256)) * 12288  # 3 MiB


def chunked(body, size=50000):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("reply", [answer(LARGE), chunked(LARGE), b"HTTP/1.1 200 OK\r\n\r\n" + LARGE],
                         ids=["length", "chunked", "until close"])
def test_large_bodies_are_relayed(serve, upstream, reply):
    """What is too large to be held is passed on as it comes, to the byte."""
    server = serve("proxy", "--upstream", upstream(always(reply, then_close=True)).url)
    for _ in range(3):
        assert fetch(server, 200).body == LARGE


def resident_bytes(server):
    with open(f"/proc/{server.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_a_slow_reader_holds_the_upstream_up(serve, upstream):
    """Neither side's speed makes the proxy keep more than a bounded part of the body."""
    body = LARGE * 16
    server = serve("proxy", "--upstream", upstream(always(answer(body))).url, threads=1)
    assert fetch(server, 200).body == body
    before = resident_bytes(server)
    with server.connect() as client:
        client.send(b"GET /fetch-external HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1)
        # a sanitizer keeps what was freed
        assert IS_SANITIZED or resident_bytes(server) - before < 8 << 20
        assert client.reply().body == body
    assert server.get("/healthz").status == 200


def test_a_reader_that_stops_leaves_nothing_to_the_kernel(serve, upstream):
    """Past the write deadline the connection is reset: what its socket still holds goes with it."""
    large = upstream(always(answer(LARGE * 16)))
    server = serve("proxy", "--upstream", large.url, "--write-timeout", "300ms", threads=1)
    with server.connect() as client:
        client.send(GET)
        wait_for(lambda: server.counters()["timed_out_write"] == 1)
        wait_for(lambda: server.counters()["connections_open"] == 1)
        with pytest.raises(ConnectionResetError):
            client.reply()


@pytest.mark.parametrize("reply", [answer(LARGE)[:-1000], chunked(LARGE)[:-1000]], ids=["length", "chunked"])
def test_large_bodies_cut_short_are_seen_to_be(serve, upstream, reply):
    server = serve("proxy", "--upstream", upstream(always(reply, then_close=True)).url, threads=1)
    with server.connect() as client:
        client.send(b"GET /fetch-external HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(EOFError):
            client.reply()
    assert server.get("/healthz").status == 200


def test_a_reader_that_goes_ends_the_relay(serve, upstream):
    large = upstream(always(answer(LARGE * 16)))
    server = serve("proxy", "--upstream", large.url, threads=1)
    for _ in range(20):
        with server.connect() as client:
            client.send(b"GET /fetch-external HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: server.counters()["requests_waiting"] == 1 and server.counters()["connections_open"] == 1)


@pytest.mark.parametrize("reply", [b"", b"HTT", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
                                   b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"])
def test_replies_cut_short(serve, upstream, reply):
    bad = upstream(always(reply, then_close=True))
    server = serve("proxy", "--upstream", bad.url, threads=1)
    for _ in range(5):
        fetch(server, 502)


def test_more_than_was_asked_for(serve, upstream):
    """What an upstream says unasked is no answer to the next request."""
    bad = upstream(always(GOOD + answer(b"poison")))
    server = serve("proxy", "--upstream", bad.url, threads=1)
    for _ in range(20):
        reply = server.get("/fetch-external")
        assert reply.body == b'{"message":"hello"}' or reply.status == 502


@pytest.mark.parametrize("first_bytes", [None, 2048], ids=["in one piece", "in pieces"])
def test_more_than_was_asked_for_while_others_wait(serve, upstream, first_bytes):
    """RFC 9112 section 9.2: what had come before a request left is no answer to it, though it takes over
    the connection at that very moment."""
    body = b'{"message":"hello"}'
    pad = first_bytes - len(answer(body, ["X: "])) if first_bytes else 0  # the rest is a completion of its own
    bad = upstream(always(answer(body, ["X: " + "x" * pad]) + answer(b"poison")))
    server = serve("proxy", "--upstream", bad.url, "--upstream-connections", "1", threads=1)
    crowd = [server.connect() for _ in range(20)]
    for client in crowd:
        client.send(GET)
    replies = [client.reply() for client in crowd]
    assert all(reply.body == body or reply.status == 502 for reply in replies)
    assert sum(reply.status == 200 for reply in replies) >= (1 if first_bytes else len(replies))
    for client in crowd:
        client.close()
    assert server.get("/healthz").status == 200


def test_resets(serve, upstream):
    def serve_one(self, connection, number):
        if number % 2:
            self.read_request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    server = serve("proxy", "--upstream", upstream(serve_one).url, threads=1)
    for _ in range(20):
        fetch(server, 502)


# --- slow ones ---


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"],
                         ids=["silent", "head", "body"])
def test_timeout(serve, upstream, reply):
    def serve_one(self, connection, _):
        self.read_request(connection)
        connection.sendall(reply)
        connection.recv(1)  # until it is given up

    server = serve("proxy", "--upstream", upstream(serve_one).url, "--upstream-timeout", "300ms")
    for _ in range(3):
        begun = time.monotonic()
        fetch(server, 504)
        assert 0.25 < time.monotonic() - begun < 5


def test_timeout_is_for_the_whole_reply(serve, upstream):
    """A byte now and then does not prolong it."""
    def serve_one(self, connection, _):
        self.read_request(connection)
        for byte in GOOD:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    server = serve("proxy", "--upstream", upstream(serve_one).url, "--upstream-timeout", "400ms")
    begun = time.monotonic()
    fetch(server, 504)
    assert 0.3 < time.monotonic() - begun < 5


def test_timeout_of_a_connect(serve):
    """A listener whose queue is full answers no connection at all."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
            fillers.append(filler)
        time.sleep(0.1)
        server = serve("proxy", "--upstream", f"http://127.0.0.1:{hole.getsockname()[1]}/", "--upstream-timeout", "300ms")
        begun = time.monotonic()
        assert server.get("/fetch-external").status == 504
        assert time.monotonic() - begun < 5
        for filler in fillers:
            filler.close()


def test_recovers_when_the_upstream_does(serve, upstream):
    def serve_one(self, connection, number):
        while self.read_request(connection):
            if number < 5:
                time.sleep(5)
            connection.sendall(GOOD)

    server = serve("proxy", "--upstream", upstream(serve_one).url, "--upstream-timeout", "100ms", threads=1)
    for _ in range(5):
        fetch(server, 504)
    for _ in range(20):
        fetch(server, 200)


def test_fetches_beyond_the_connections_wait(serve, upstream):
    def serve_one(self, connection, _):
        while self.read_request(connection):
            time.sleep(0.1)
            connection.sendall(GOOD)

    slow = upstream(serve_one)
    server = serve("proxy", "--upstream", slow.url, "--upstream-connections", "2", threads=1)
    crowd = [server.connect() for _ in range(10)]
    begun = time.monotonic()
    for client in crowd:
        client.send(GET)
    for client in crowd:
        assert client.reply().status == 200
        client.close()
    assert time.monotonic() - begun > 0.4 and slow.connections == 2


def test_fetches_that_wait_time_out_as_well(serve, upstream):
    def serve_one(self, connection, _):
        self.read_request(connection)
        connection.recv(1)

    server = serve("proxy", "--upstream", upstream(serve_one).url, "--upstream-connections", "1",
                   "--upstream-timeout", "400ms", threads=1)
    crowd = [server.connect() for _ in range(10)]
    begun = time.monotonic()
    for client in crowd:
        client.send(GET)
    for client in crowd:
        assert client.reply().status == 504
    assert time.monotonic() - begun < 5
    for client in crowd:
        client.close()


def test_clients_that_go_away_free_their_fetches(serve, upstream):
    def serve_one(self, connection, _):
        self.read_request(connection)
        connection.recv(1)

    silent = upstream(serve_one)
    server = serve("proxy", "--upstream", silent.url, "--upstream-connections", "20", threads=1)
    for leave in ("close", "reset"):
        crowd = [server.connect() for _ in range(60)]
        for client in crowd:
            client.send(GET)
        wait_for(lambda: server.counters()["requests_waiting"] == 61)
        for client in crowd:
            getattr(client, leave)()
        wait_for(lambda: server.counters()["requests_waiting"] == 1)
    wait_for(lambda: not silent.open)
    counters = server.counters()
    assert (counters["connections_open"], counters["abandoned"]) == (1, 120)
    assert counters["fetch_failed"] == 0  # not the upstream's doing


def test_faults_at_random_under_load(serve, upstream):
    """Every fetch is answered, whatever the upstream does, and the server lives on."""
    def serve_one(self, connection, number):
        for n in range(5):
            if not self.read_request(connection):
                return
            kind = (number * 7 + n * 3) % 8
            if kind == 0:
                return
            if kind == 1:
                connection.sendall(b"rubbish\r\n\r\n")
            elif kind == 2:
                connection.sendall(GOOD[:-3])
                return
            elif kind == 3:
                time.sleep(0.08)
                connection.sendall(GOOD)
            else:
                connection.sendall(GOOD)

    server = serve("proxy", "--upstream", upstream(serve_one).url, "--upstream-timeout", "60ms", threads=2)
    seen = {}
    lock = threading.Lock()

    def load():
        with server.connect() as client:
            for _ in range(60):
                status = client.request("GET", "/fetch-external").status
                with lock:
                    seen[status] = seen.get(status, 0) + 1

    threads = [threading.Thread(target=load) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.is_running(), server.stderr()
    assert set(seen) <= {200, 502, 504} and sum(seen.values()) == 16 * 60 and seen[200] > 100, seen


def test_descriptors_run_out_for_the_upstream(serve, upstream):
    """Without a descriptor for a connection a fetch fails at once, and the next may succeed."""
    def serve_one(self, connection, _):
        while self.read_request(connection):
            time.sleep(0.2)
            connection.sendall(GOOD)

    server = serve("proxy", "--upstream", upstream(serve_one).url, threads=1, prefix=["prlimit", "--nofile=40:40"])
    crowd = [server.connect() for _ in range(25)]
    for client in crowd:
        assert client.request("GET", "/healthz").status == 200
    for client in crowd:
        client.send(GET)
    statuses = [client.reply().status for client in crowd]
    assert set(statuses) == {200, 502}
    for client in crowd:
        client.close()
    wait_for(lambda: fetch(server, 200))


# --- addresses ---


def test_host_names_and_unix_sockets(serve, upstream, start, tmp_path):
    good = upstream(always(GOOD))
    server = serve("proxy", "--upstream", f"http://localhost:{good.port}/external")
    for _ in range(6):  # whichever of the host's addresses answers
        fetch(server, 200)
    start("upstream", "--delay", "0ms", listen=f"unix:{tmp_path}/u")
    by_path = serve("proxy", "--upstream", f"unix:{tmp_path}/u:/external")
    assert b"External" in fetch(by_path, 200).body


def test_ipv6_upstream(serve, upstream):
    try:
        good = upstream(always(GOOD), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    server = serve("proxy", "--upstream", f"http://[::1]:{good.port}/external")
    fetch(server, 200)


def test_unknown_host():
    code, out, err = run("serve", "--mode", "proxy", "--listen", "127.0.0.1:0", "--upstream", "http://no.such.host.invalid/")
    assert (code, out) == (1, "") and "no.such.host.invalid" in err and err.count("\n") == 1


# --- many at once ---


def fetch_all(server, connections, each):
    """Seconds that `connections` kept-alive connections need for `each` fetches, one after the other."""
    left = {}
    begun = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            client = server.connect()
            client.send(GET)
            left[client] = each
            selector.register(client.socket, selectors.EVENT_READ, client)
        while left:
            for key, _ in selector.select():
                client = key.data
                assert client.reply().status == 200
                left[client] -= 1
                if left[client]:
                    client.send(GET)
                else:
                    selector.unregister(client.socket)
                    client.close()
                    del left[client]
    return time.monotonic() - begun


@pytest.mark.timing
def test_a_thousand_fetches_of_half_a_second(serve):
    """100 at once, 1000 in all, 500 ms each: 5 seconds and next to nothing on top."""
    assert 5.0 <= fetch_all(serve("proxy"), 100, 10) < 5.4


@pytest.mark.timing
def test_a_thousand_fetches_by_ab(serve):
    """ab opens its connections one after the other, which is the other half second."""
    if not shutil.which("ab"):
        pytest.skip("ab is not installed: apt-get install apache2-utils")
    for words in (["-k"], []):
        done = subprocess.run(["ab", "-q", *words, "-c", "100", "-n", "1000", serve("proxy").url + "/fetch-external"],
                              capture_output=True, text=True, timeout=60, check=True)
        seconds = float(re.search(r"Time taken for tests:\s+([\d.]+)", done.stdout)[1])
        assert int(re.search(r"Complete requests:\s+(\d+)", done.stdout)[1]) == 1000
        assert int(re.search(r"Failed requests:\s+(\d+)", done.stdout)[1]) == 0
        assert "Non-2xx" not in done.stdout and 5.0 <= seconds < 6.5


# --- many ---


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"RssAnon:\s+(\d+)", status.read())[1]) * 1024


def test_nine_thousand_fetches_in_flight(start, tmp_path):
    """Each takes two descriptors and at most 4 KiB, and each is answered."""
    fetches = 9000
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2 * fetches + 100:
        pytest.skip("the hard limit of descriptors is too low")
    if IS_SANITIZED:
        pytest.skip("a sanitizer has memory of its own for each of ours")
    slow = start("upstream", "--delay", "4s", listen="127.0.0.88:0")
    server = start("serve", "--mode", "proxy", "--threads", "1", "--upstream", f"{slow.url}/external",
                   listen="127.0.0.77:0")
    before = anonymous_bytes(server.process.pid)
    result = tmp_path / "result.json"
    with subprocess.Popen([PROGRAM, "load", "-c", str(fetches), "-n", str(fetches), "-T", "60s", "-q", "--json", result,
                           f"{server.url}/fetch-external"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as client:
        wait_for(lambda: server.descriptors() >= 2 * fetches)
        assert (anonymous_bytes(server.process.pid) - before) / fetches <= 4096
        _, errors = client.communicate(timeout=90)
    assert client.returncode in (0, 5), errors
    assert json.loads(result.read_text())["targets"][0]["requests"]["ok"] == fetches
