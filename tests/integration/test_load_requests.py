"""What `iubench load` sends and over which connections: several URLs, files of requests, placeholders,
pipelining, a connection per request; and which answers it takes for good."""

import asyncio
import collections
import fcntl
import os
import pty
import re
import resource
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from test_load import (IUBENCH, OK, Server, answer, close_after, garbage, half, load,  # noqa: F401
                       reset, serve, silence, slow, sometimes, status)

UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
MAC = rb"([0-9A-F]{2}-){5}[0-9A-F]{2}"


class OtherServer(Server):
    """The same at another kind of address: `listen(connected)` starts it."""

    def __init__(self, behave, listen):
        self.behave, self.requests, self.connections, self.last = behave, 0, 0, b""
        self.loop = asyncio.new_event_loop()
        self.listener = self.loop.run_until_complete(listen(self.connected))
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()


@pytest.fixture
def serve_at():
    servers = []

    def start(behave, listen):
        servers.append(OtherServer(behave, listen))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def recorder(seen, reply=OK):
    """Answers all, and keeps (method, target, head, body) of each request."""
    async def behave(server, number, reader, writer):
        head, _, body = server.last.partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        seen.append((method.decode(), target.decode(), head, body))
        writer.write(reply)
    return behave


def refused(*words):
    done = subprocess.run([IUBENCH, "load", *words], capture_output=True, text=True, timeout=10)
    assert done.returncode == 2, done.stderr
    return done.stderr


# --- several requests ---

@pytest.mark.parametrize("words", [["-n", "100"], ["-n", "100", "-t", "2"],
                                   ["--rate", "200", "-d", "500ms"]])
def test_several_urls(serve, load, words):
    """URLs take turns: a hundred requests over four URLs are 25 each."""
    seen = []
    url = serve(recorder(seen)).url
    result = load("-c", "4", *words, url + "a", url + "b", url + "c?x=1", url)
    assert result["requests"]["ok"] == 100
    assert collections.Counter(target for _, target, _, _ in seen) == {
        "/a": 25, "/b": 25, "/c?x=1": 25, "/": 25}
    assert result["method"] == "mix of 4" and result["url"] == url


def test_hosts_must_be_one(serve):
    """A load has one target."""
    server = serve(answer)
    assert "different hosts" in refused(server.url, f"http://localhost:{server.port}/")
    assert server.connections == 0


def test_requests_file(serve, load, tmp_path):
    """Weights, methods, headers, bodies, body files beside the file; -H goes with all."""
    seen = []
    url = serve(recorder(seen)).url
    (tmp_path / "body.json").write_text('{"mac": "{mac}"}')
    (tmp_path / "mix").write_text("""
# a comment
7 GET /get
2 POST /post @body.json
    Content-Type: application/x-device
1 PUT /put/{seq} some {rand:10-99} text
    X-Id: {uuid}
""")
    result = load("-n", "200", "-c", "3", "-H", "X-All: yes", "--requests-file", tmp_path / "mix", url)
    assert result["requests"]["ok"] == 200
    assert collections.Counter(method for method, _, _, _ in seen) == {
        "GET": 140, "POST": 40, "PUT": 20}
    for method, target, head, body in seen:
        assert b"\r\nX-All: yes" in head
        if method == "POST":
            assert re.fullmatch(rb'\{"mac": "' + MAC + rb'"\}', body)
            assert b"application/x-device" in head and b"application/json" not in head
        elif method == "PUT":
            assert re.fullmatch(rb"some [1-9][0-9] text", body)
            assert re.search(rb"\r\nX-Id: " + UUID, head)
            assert re.fullmatch(r"/put/\d+", target)
        else:
            assert body == b"" and b"Content-Length" not in head


def test_requests_file_mistakes(serve, tmp_path):
    """Said with the file's name and the line, before the first request."""
    server = serve(answer)
    (tmp_path / "mix").write_text("GET /\nPOST /x @none\n")
    assert "mix:2" in refused("--requests-file", tmp_path / "mix", server.url)
    assert "requests file" in refused("--requests-file", tmp_path / "none", server.url)
    assert "--requests-file" in refused("--requests-file", tmp_path / "mix", "-b", "x", server.url)
    assert server.connections == 0


def test_the_seed_decides(serve, load, tmp_path):
    """The same seed sends the same requests in the same order, another one others."""
    (tmp_path / "mix").write_text("1 GET /a/{rand:1-1000000}\n2 GET /b\n")

    def targets(seed):
        seen = []
        load("-n", "60", "-c", "1", "--seed", seed, "--requests-file", tmp_path / "mix",
             serve(recorder(seen)).url)
        return [target for _, target, _, _ in seen]

    first = targets("5")
    assert first == targets("5") != targets("6")


# --- placeholders ---

@pytest.mark.parametrize("words", [["-n", "999", "-t", "3", "-c", "7"],
                                   ["--rate", "999", "-d", "1s", "-c", "5", "-t", "2"],
                                   ["-n", "999", "--pipeline", "8", "-t", "2", "-c", "4"]])
def test_numbers_are_unique(serve, load, words):
    """{seq} is every number once, over all threads; the length of each body is right."""
    seen = []
    load(*words, "-b", "{seq}", serve(recorder(seen)).url + "{seq}")
    assert sorted(int(body) for _, _, _, body in seen) == list(range(1, 1000))
    assert all(target == "/" + body.decode() for _, target, _, body in seen)


def test_literal(serve, load):
    """--literal sends braces as they stand."""
    seen = []
    load("-n", "2", "-c", "1", "--literal", "-b", "{seq}{rand:x}", serve(recorder(seen)).url + "{seq}")
    assert [(target, body) for _, target, _, body in seen] == [("/%7Bseq%7D", b"{seq}{rand:x}")] * 2


def test_bad_placeholder(serve):
    server = serve(answer)
    assert "{rand:LOW-HIGH}" in refused("-b", "{rand:6}", server.url)
    assert server.connections == 0


# --- which answers are good ---

@pytest.mark.parametrize("words, ok", [
    (["--expect-status", "201"], 50), (["--expect-status", "200"], 50),
    (["--expect-status", "200,201"], 100), (["--expect-status", "404"], 0),
    (["--expect-body-size", "2"], 50), (["--expect-body-size", "0"], 50),
    (["--expect-status", "201", "--expect-body-size", "0"], 50),
    (["--expect-status", "201", "--expect-body-size", "2"], 0),
])
def test_expected_answers(serve, load, words, ok):
    """200 with two bytes and 201 with none in turn: what was not expected is unexpected."""
    result = load("-n", "100", "-c", "2", *words,
                  serve(sometimes(2, status(b"201 Created"))).url)
    assert result["requests"]["ok"] == ok
    assert result["requests"]["errors"]["unexpected"] == 100 - ok


def test_expected_error(serve, load):
    """An error that is expected is a good answer, and not an error."""
    result = load("-n", "10", "-c", "2", "--expect-status", "404", serve(status(b"404 No")).url)
    assert result["exit"] == 0 and result["requests"]["ok"] == 10


def test_body_size_of_chunks(serve, load):
    """The size is that of the payload, not of its framing."""
    async def chunks(server, number, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    result = load("-n", "10", "-c", "2", "--expect-body-size", "5", serve(chunks).url)
    assert result["requests"]["ok"] == 10


def test_redirects_are_not_followed(serve, load):
    """They are counted; nobody asks for what they name."""
    seen = []
    result = load("-n", "10", "-c", "2", serve(recorder(
        seen, b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")).url)
    assert result["requests"]["errors"]["status_3xx"] == len(seen) == 10
    assert {target for _, target, _, _ in seen} == {"/"}


@pytest.mark.parametrize("value", ["abc", "20", "200,", "99999"])
def test_bad_expectation(serve, value):
    assert "--expect-status" in refused("--expect-status", value, serve(answer).url)


# --- a connection for each request ---

@pytest.mark.parametrize("words", [["-n", "100"], ["--rate", "100", "-d", "1s"],
                                   ["-n", "101", "-t", "2"]])
@pytest.mark.parametrize("behave", [answer, close_after])
def test_no_keepalive(serve, load, words, behave):
    """As many connections as requests, whether the server closes them or not."""
    seen = []

    async def both(server, number, reader, writer):
        seen.append(server.last)
        return await behave(server, number, reader, writer)

    server = serve(both)
    result = load("-c", "4", "--no-keepalive", *words, server.url)
    assert result["requests"]["ok"] == result["requests"]["sent"] == len(seen)
    assert server.connections == len(seen) == result["connections_made"]
    assert result["keepalive"] is False
    assert all(b"\r\nConnection: close\r\n" in head for head in seen)


@pytest.mark.parametrize("words", [["-n", "30", "-c", "3"], ["--rate", "50", "-d", "500ms", "-c", "50"]])
def test_no_keepalive_refused(load, words):
    """Each refused connection is a request that failed."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    result = load("--no-keepalive", *words, f"http://127.0.0.1:{port}/")
    requests = result["requests"]
    assert requests["errors"]["connect"] == requests["sent"] > 20
    assert requests["ok"] == 0 and result["exit"] == 1


@pytest.mark.parametrize("behave, key", [(reset, "reset"), (half, "reset"), (garbage, "bad_response")])
@pytest.mark.parametrize("words", [["-n", "100"], ["--rate", "100", "-d", "1s"]])
def test_no_keepalive_failures(serve, load, behave, key, words):
    """Failures are told apart as with keep-alive."""
    result = load("-c", "4", "--no-keepalive", *words, serve(sometimes(4, behave)).url)
    assert result["requests"]["errors"][key] == 25 and result["requests"]["ok"] == 75


def test_no_keepalive_timeouts(serve, load):
    """A time-out counts from the beginning of the connection."""
    result = load("-d", "1s", "-c", "5", "-T", "300ms", "--no-keepalive", serve(silence).url)
    requests = result["requests"]
    assert requests["timeouts"] == requests["sent"] == 20
    assert result["latency_us"]["min"] == pytest.approx(300_000, rel=0.002)


def test_connecting_is_in_the_latency():
    """A listener whose queue is full: connections wait, and their requests time out, connecting."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        done = subprocess.run([IUBENCH, "load", "--no-keepalive", "-d", "500ms", "-T", "200ms", "-c",
                               "2", f"http://127.0.0.1:{port}/"], capture_output=True, text=True,
                              timeout=20)
        for filler in fillers:
            filler.close()
    assert done.returncode in (1, 5) and "timeouts" in done.stdout, done.stdout + done.stderr


# --- pipelining ---

@pytest.mark.parametrize("words", [["-n", "1000", "-c", "2"], ["-n", "1000", "-c", "3", "-t", "3"],
                                   ["--rate", "1000", "-d", "1s", "-c", "2"]])
def test_pipeline(serve, load, words):
    """Every request is answered, over as few connections as before."""
    server = serve(answer)
    result = load("--pipeline", "8", *words, server.url)
    assert result["requests"]["ok"] == server.requests == 1000
    assert server.connections == int(words[words.index("-c") + 1])
    assert result["pipeline"] == 8


@pytest.mark.timing
def test_pipeline_is_deep(serve, load):
    """A server that takes all requests before it answers any sees as many as the depth."""
    deepest = []

    async def count(server, number, reader, writer):
        await asyncio.sleep(0.05)
        deepest.append(bytes(reader._buffer).count(b"\r\n\r\n"))
        writer.write(OK)

    result = load("-n", "40", "-c", "1", "--pipeline", "10", serve(count).url)
    assert result["requests"]["ok"] == 40
    assert max(deepest) == 9  # behind the one that is being answered
    # the first ten leave together: 50, 100, ... 500 ms; from then on each waits behind nine
    assert result["latency_us"]["min"] == pytest.approx(50_000, rel=0.3)
    assert result["latency_us"]["p75"] == pytest.approx(500_000, rel=0.2)


@pytest.mark.timing
def test_pipeline_only_behind_busy_ones(serve, load):
    """In open loop no request waits behind another as long as a connection is free."""
    result = load("--rate", "100", "-d", "1s", "-c", "30", "--pipeline", "4",
                  serve(sometimes(10, slow(0.8))).url)
    assert result["requests"]["ok"] == 100
    assert result["latency_us"]["p75"] < 100_000


@pytest.mark.parametrize("behave", [reset, half, close_after, garbage])
@pytest.mark.parametrize("words", [["-n", "400"], ["--rate", "400", "-d", "1s"]])
def test_pipeline_lost_connections(serve, load, behave, words):
    """A connection that is lost takes all its requests with it, and each is accounted for."""
    server = serve(sometimes(20, behave))
    result = load("-c", "2", "--pipeline", "6", *words, server.url)
    requests = result["requests"]
    errors = requests["errors"]
    assert requests["sent"] == 400
    assert requests["ok"] + errors["reset"] + errors["bad_response"] == 400
    lost = server.requests // 20
    assert errors["bad_response"] == (lost if behave is garbage else 0)
    assert errors["reset"] >= (0 if behave in (garbage, close_after) else lost)


def test_pipeline_timeouts(serve, load):
    """A hanging answer is a timeout; what waited behind it is lost with the connection."""
    result = load("-n", "100", "-c", "1", "-T", "300ms", "--pipeline", "5",
                  serve(sometimes(30, silence)).url)
    requests = result["requests"]
    assert requests["timeouts"] >= 1
    assert requests["ok"] + requests["timeouts"] + requests["errors"]["reset"] == 100


def test_pipeline_interrupted(serve, load):
    """What is in flight at the end of an open loop's time is awaited, then unfinished."""
    result = load("--rate", "40", "-d", "500ms", "-T", "400ms", "-c", "1", "--pipeline", "50",
                  serve(sometimes(5, silence)).url)
    assert result["requests"]["scheduled"] == 20


def test_pipeline_does_not_go_with(serve):
    url = serve(answer).url
    assert "--no-keepalive" in refused("--pipeline", "2", "--no-keepalive", url)
    assert "--pipeline" in refused("--pipeline", "0", url)


# --- where to ---

def test_unix_socket(serve_at, load, tmp_path):
    """unix:PATH:/target, with and without keep-alive."""
    path = tmp_path / "s.sock"
    seen = []
    server = serve_at(recorder(seen), lambda connected: asyncio.start_unix_server(connected, path))
    assert load("-n", "50", "-c", "2", f"unix:{path}:/x")["requests"]["ok"] == 50
    assert load("-n", "50", "-c", "2", "--no-keepalive", f"unix:{path}")["requests"]["ok"] == 50
    assert server.connections == 2 + 50
    assert collections.Counter(target for _, target, _, _ in seen) == {"/x": 50, "/": 50}


def test_ipv6(serve_at, load):
    server = serve_at(answer, lambda connected: asyncio.start_server(connected, "::1", 0))
    port = server.listener.sockets[0].getsockname()[1]
    assert load("-n", "50", "-c", "2", f"http://[::1]:{port}/")["requests"]["ok"] == 50


@pytest.mark.parametrize("words", [[], ["--no-keepalive"]])
@pytest.mark.parametrize("listen", ["127.0.0.1", "::1"])
def test_every_address_of_a_name_is_tried(serve_at, load, listen, words):
    """localhost is two addresses; whichever answers is used, and the other is no failure."""
    names = {info[4][0] for info in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    if listen not in names:
        pytest.skip(f"localhost is not {listen} here")
    server = serve_at(answer, lambda connected: asyncio.start_server(connected, listen, 0))
    port = server.listener.sockets[0].getsockname()[1]
    result = load("-n", "50", "-c", "2", *words, f"http://localhost:{port}/")
    assert result["requests"]["ok"] == 50


def test_unknown_name():
    done = subprocess.run([IUBENCH, "load", "http://no-such-name.invalid/"], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode in (1, 2) and "no-such-name.invalid" in done.stderr


# --- threads and memory ---

@pytest.mark.parametrize("threads, connections", [(2, 5), (3, 64), (4, 7)])
def test_threads_share_connections(serve, load, threads, connections):
    """Every connection is opened, the remainder of the division too, and the schedule is whole."""
    server = serve(answer)
    result = load("--rate", "301", "-d", "1s", "-t", str(threads), "-c", str(connections), server.url)
    assert server.connections == connections == result["series"][0]["connections"]
    assert result["requests"]["scheduled"] == result["requests"]["ok"] == 301


@pytest.fixture
def static_target():
    """Our own target on a free port of an address of its own; gives its URL."""
    with subprocess.Popen([IUBENCH, "serve", "--listen", "127.0.0.77:0", "--mode", "static"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        yield "http://" + re.search(r"127\.0\.0\.77:\d+", server.stdout.readline())[0]
        server.terminate()
        server.communicate(timeout=20)


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


@pytest.mark.timing
def test_thousands_connect_within_a_short_timeout(static_target):
    """They settle: those that stand are not given up because making the others takes longer than the
    time-out. What a busy machine refused at first is tried again."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 12000:
        pytest.skip("the hard limit of descriptors is below 12000")
    with subprocess.Popen([IUBENCH, "load", "-r", "100", "-d", "60s", "-T", "100ms", "-c", "10000", "-q", static_target],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        until = time.monotonic() + 40
        while descriptors(child) < 10000 and time.monotonic() < until:
            time.sleep(0.05)
        seen = []
        for _ in range(10):
            seen.append(descriptors(child))
            time.sleep(0.1)
        child.terminate()
        child.wait(timeout=20)
    assert min(seen) >= 10000


def test_memory_per_connection(static_target):
    """Ten thousand connections cost at most 2 KiB each of this process."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 12000:
        pytest.skip("the hard limit of descriptors is below 12000")
    if "IUBENCH_SANITIZED" in os.environ:
        pytest.skip("a sanitizer has memory of its own for each of ours")

    def memory(connections):
        with subprocess.Popen([IUBENCH, "load", "-r", "1", "-d", "60s", "-c", str(connections),
                               static_target], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as child:
            child.stderr.readline()  # the heading comes with the first second
            with open(f"/proc/{child.pid}/status", encoding="ascii") as status_file:
                kilobytes = int(re.search(r"VmRSS:\s+(\d+)", status_file.read())[1])
            opened = descriptors(child)
            child.terminate()
            child.communicate(timeout=20)
        return kilobytes * 1024, opened

    few, few_opened = memory(64)
    many, many_opened = memory(10000)
    assert many_opened - few_opened == 9936
    assert (many - few) / 9936 <= 2048


# --- the terminal ---

def on_terminal(words, act=lambda child: None, environment=None, size=(24, 80)):
    """Runs a load on a pseudo-terminal, lets `act(child)` do something after 1.5 s, and returns what it
    wrote, its exit status, and whether the terminal's modes are as before."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    before = termios.tcgetattr(slave)
    written = []

    def read():
        try:
            while data := os.read(master, 65536):
                written.append(data)
        except OSError:
            pass

    def own_terminal():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    child = subprocess.Popen([IUBENCH, "load", *words], stdin=slave, stdout=slave, stderr=slave,
                             preexec_fn=own_terminal,
                             env={"PATH": os.environ["PATH"], "TERM": "xterm-256color",
                                  **(environment or {})})
    time.sleep(1.5)
    act(child)
    status_code = child.wait(timeout=20)
    time.sleep(0.1)
    is_restored = termios.tcgetattr(slave) == before
    os.close(slave)
    reader.join(5)
    os.close(master)
    return b"".join(written), status_code, is_restored


ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


def test_view_comes_and_goes(serve):
    """A view on the alternate screen, several frames a second, then the summary on the usual one."""
    text, code, is_restored = on_terminal(["-r", "100", "-d", "2s", serve(answer).url])
    frames = text.count(b"\x1b[H")
    assert code in (0, 5) and is_restored
    assert text.count(ENTER) == text.count(LEAVE) == 1
    assert 8 <= frames <= 30
    assert b"ok/s" in text and "█".encode() in text and b"\x1b[38;5;" in text
    summary = text[text.index(LEAVE):]
    assert b"requests/s" in summary and len(summary.splitlines()) <= 24
    assert text.count(b"\x1b[2J") <= 2  # entering, and the first frame: no flicker


@pytest.mark.parametrize("number, code", [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, -signal.SIGHUP),
    (signal.SIGQUIT, -signal.SIGQUIT), (signal.SIGSEGV, None)])
def test_view_gives_the_terminal_back(serve, number, code):
    """Whatever ends the program; an interrupted one still says what it has."""
    text, got, is_restored = on_terminal(["-r", "100", "-d", "20s", serve(answer).url],
                                         lambda child: child.send_signal(number))
    assert is_restored and text.count(ENTER) == text.count(LEAVE) == 1
    assert b"\x1b[?25h" in text
    if code is not None:
        assert got == code
    if number in (signal.SIGINT, signal.SIGTERM):
        assert b"interrupted" in text[text.index(LEAVE):]


def test_view_is_stopped_and_continued(serve):
    """Stopped it gives the terminal back, continued it takes it again."""
    def act(child):
        child.send_signal(signal.SIGTSTP)
        time.sleep(0.5)
        child.send_signal(signal.SIGCONT)
    text, _, is_restored = on_terminal(["-r", "100", "-d", "3s", serve(answer).url], act)
    assert is_restored and text.count(ENTER) == text.count(LEAVE)


@pytest.mark.parametrize("words, environment", [
    (["-q"], {}), ([], {"TERM": "dumb"}), ([], {"TERM": ""})])
def test_no_view(serve, words, environment):
    """Not when quiet, nor where the cursor cannot be moved."""
    text, _, _ = on_terminal([*words, "-r", "100", "-d", "1s", serve(answer).url],
                             environment=environment)
    assert ENTER not in text and b"\x1b[H" not in text
    assert b"requests/s" in text


def test_view_without_colour(serve):
    """NO_COLOR: no colours; a locale without UTF-8: no blocks."""
    text, _, _ = on_terminal(["-r", "100", "-d", "2s", serve(answer).url],
                             environment={"NO_COLOR": "1", "LC_ALL": "C"})
    assert ENTER in text
    assert not re.search(rb"\x1b\[[0-9;]+m", text.replace(b"\x1b[0m\x1b[?25h", b""))
    assert all(byte < 128 for byte in text)
