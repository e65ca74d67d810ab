"""`iubench serve` as a command: how it starts, what it says, where it listens, how it ends, and the
endpoints of each mode."""

import contextlib
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest

from iubench import DEVICES, PROGRAM, ROOT, Client, run, wait_for
from services import free_port

MODES = ["all", "static", "fib", "proxy", "post", "db"]
HAS = {  # what stands in endpoints.def, said once more
    ("GET", "/api/devices"): MODES,
    ("GET", "/healthz"): MODES,
    ("GET", "/metrics"): MODES,
    ("GET", "/openapi.json"): MODES,
    ("GET", "/json"): ["static", "all"],
    ("GET", "/plaintext"): ["static", "all"],
    ("GET", "/fib/{n}"): ["fib", "all"],
    ("GET", "/fetch-external"): ["proxy", "all"],
    ("POST", "/api/devices"): ["post", "db", "all"],
}
BODY = b'{"mac":"EF-2B-C4-F5-D6-34","firmware":"2.1.5"}'


# --- the endpoints ---


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_has_its_endpoints_and_no_others(serve, mode):
    server = serve(mode, "--upstream-delay", "1ms")
    with server.connect() as client:
        for (method, path), modes in HAS.items():
            reply = client.request(method, path.replace("{n}", "1"), BODY if method == "POST" else None)
            if mode in modes:
                assert reply.status == (201 if method == "POST" else 200), (method, path)
            elif path == "/api/devices":
                assert (reply.status, reply.field("Allow")) == (405, "GET, HEAD, OPTIONS")
            else:
                assert reply.status == 404, (method, path)
                assert set(json.loads(reply.body)) == {"error"}


def test_bodies_and_types_are_the_published_ones(serve):
    server = serve("all", "--upstream-delay", "1ms")
    expected = {
        "/api/devices": ("application/json", DEVICES),
        "/healthz": ("text/plain", b"OK"),
        "/json": ("application/json", b'{"message":"Hello, World!"}'),
        "/plaintext": ("text/plain", b"Hello, World!"),
        "/fib/35": ("application/json", b'{"n":35,"fibonacci":9227465}'),
        "/fib/0": ("application/json", b'{"n":0,"fibonacci":0}'),
        "/fib/1": ("application/json", b'{"n":1,"fibonacci":1}'),
        "/fib/2": ("application/json", b'{"n":2,"fibonacci":1}'),
    }
    assert len(DEVICES) == 541
    with server.connect() as client:
        for path, (media_type, body) in expected.items():
            reply = client.request("GET", path)
            assert (reply.status, reply.field("Content-Type"), reply.body) == (200, media_type, body)
        for path in ("/json", "/plaintext"):  # TechEmpower asks for both
            reply = client.request("GET", path)
            assert reply.field("Server") and reply.field("Date")
        fetched = client.request("GET", "/fetch-external")
        assert fetched.field("Content-Type") == "application/json"
        assert json.loads(fetched.body) == {"message": "External service response"}


def test_query_is_no_part_of_the_path(serve):
    with serve("static").connect() as client:
        assert client.request("GET", "/api/devices?a=b&c=%20/?").body == DEVICES
        assert client.request("GET", "http://any.where:80/api/devices?x").body == DEVICES
        for path in ("/api/devices/", "/api/device", "/api/devicess", "//api/devices", "/API/devices",
                     "/", "/fib", "/healthz/x"):
            assert client.request("GET", path).status == 404, path


def test_date_is_now(serve):
    date = serve("static").get("/healthz").field("Date")
    then = datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - then) < timedelta(seconds=5)


def test_head_has_the_fields_of_get_and_no_body(serve):
    server = serve("all", "--upstream-delay", "1ms")
    with server.connect() as client:
        for path in ("/api/devices", "/healthz", "/json", "/plaintext", "/fib/20", "/fetch-external",
                     "/openapi.json"):
            get, head = client.request("GET", path), client.request("HEAD", path)
            strip = [(k, v) for k, v in get.fields if k != "Date"]
            assert (head.status, [(k, v) for k, v in head.fields if k != "Date"]) == (200, strip)
            assert head.body == b"" and int(head.field("Content-Length")) == len(get.body)
        missing = client.request("HEAD", "/nowhere")
        assert missing.status == 404 and missing.body == b""
        assert client.request("GET", "/healthz").body == b"OK"  # nothing was left over


def test_head_that_is_refused_has_no_body_either(serve):
    """RFC 9110 section 9.3.2, whatever is wrong with the request behind its first line."""
    server = serve("static", "--max-body", "10", "--head-timeout", "200ms", "--body-timeout", "200ms")
    head = b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n"
    for rest, status in ((b"no colon\r\n\r\n", 400), (b"Expect: miracles\r\n\r\n", 417), (b"A: b\r\n" * 101, 431),
                         (b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501), (b"Content-Length: 11\r\n\r\n", 413),
                         (b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400), (b"A: b\r\n", 408),
                         (b"Content-Length: 5\r\n\r\nabc", 408)):
        with server.connect() as client:
            client.send(head + rest)
            reply = client.reply("HEAD")
            assert reply.status == status and reply.is_last
            assert int(reply.field("Content-Length")) > 0
            client.assert_closed()


def test_methods_that_an_endpoint_does_not_have(serve):
    server = serve("all", "--upstream-delay", "1ms")
    with server.connect() as client:
        for path, allow in (("/api/devices", "GET, HEAD, POST, OPTIONS"),
                            ("/healthz", "GET, HEAD, OPTIONS"), ("/fib/3", "GET, HEAD, OPTIONS"),
                            ("/metrics", "GET, HEAD, OPTIONS")):
            for method in ("PUT", "DELETE", "PATCH", "TRACE"):
                reply = client.request(method, path)
                assert (reply.status, reply.field("Allow")) == (405, allow), (method, path)
                assert json.loads(reply.body)["error"]
            options = client.request("OPTIONS", path)
            assert (options.status, options.field("Allow"), options.body) == (204, allow, b"")
            assert options.field("Content-Length") is None  # RFC 9110 section 8.6
            unknown = client.request("BREW", path)
            assert unknown.status == 501 and json.loads(unknown.body)["error"]
        assert client.request("POST", "/healthz", b"x").status == 405
        assert client.request("OPTIONS", "/nowhere").status == 404


def test_options_of_the_server_itself(serve):
    """RFC 9110 section 9.3.7: "*" asks about the server in general."""
    with serve("all").connect() as client:
        reply = client.request("OPTIONS", "*")
        assert (reply.status, reply.field("Allow")) == (204, "GET, HEAD, POST, OPTIONS")
    with serve("static").connect() as client:
        assert client.request("OPTIONS", "*").field("Allow") == "GET, HEAD, OPTIONS"


def test_fib_refuses_what_it_does_not_compute(serve):
    with serve("fib").connect() as client:
        for n in ("41", "93", "-1", "+1", "", "x", "1.0", "1e1", "0x1", "%31", "1 ".strip() + "%20",
                  "99999999999999999999999", "18446744073709551617"):
            reply = client.request("GET", "/fib/" + n)
            assert reply.status == 400 and "0 to 40" in json.loads(reply.body)["error"], n
        assert client.request("GET", "/fib/1/2").status == 404
        assert client.request("GET", "/fib/5?n=7").body == b'{"n":5,"fibonacci":5}'
    with serve("fib", "--fib-max", "3").connect() as client:
        assert client.request("GET", "/fib/3").body == b'{"n":3,"fibonacci":2}'
        assert "0 to 3" in json.loads(client.request("GET", "/fib/4").body)["error"]


def test_fib_delays_no_other_request(serve):
    """fib(40) takes 0.2 s on each of its threads, and eight of them follow each other: a request that
    waited for one of them would take as long."""
    server = serve("all", "--fib-threads", "1", threads=1)
    with contextlib.ExitStack() as stack:
        computing = [stack.enter_context(server.connect()) for _ in range(8)]
        for client in computing:
            client.send(b"GET /fib/40 HTTP/1.1\r\nHost: x\r\n\r\n")
        other, took = stack.enter_context(server.connect()), []
        while not select.select([computing[-1].socket], [], [], 0)[0]:
            begun = time.monotonic()
            assert other.request("GET", "/api/devices").body == DEVICES
            took.append(time.monotonic() - begun)
        assert [client.reply().body for client in computing] == [b'{"n":40,"fibonacci":102334155}'] * 8
    assert len(took) > 100 and sorted(took)[len(took) // 2] < 0.05


def test_post_answers_with_the_object(serve):
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    with serve("post").connect() as client:
        seen = set()
        for _ in range(100):
            reply = client.request("POST", "/api/devices", BODY)
            assert (reply.status, reply.field("Content-Type")) == (201, "application/json")
            device = json.loads(reply.body)
            assert list(device) == ["uuid", "mac", "firmware", "created_at", "updated_at"]
            assert (device["mac"], device["firmware"]) == ("EF-2B-C4-F5-D6-34", "2.1.5")
            assert uuid.UUID(device["uuid"]).version == 4 and device["uuid"] == device["uuid"].lower()
            assert device["created_at"] == device["updated_at"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", device["created_at"])
            made = datetime.fromisoformat(device["created_at"].replace("Z", "+00:00"))
            assert before < made < datetime.now(timezone.utc) + timedelta(seconds=1)
            seen.add(device["uuid"])
        assert len(seen) == 100


def test_openapi_names_every_endpoint(serve):
    server = serve("all")
    reply = server.get("/openapi.json")
    assert reply.field("Content-Type") == "application/json"
    document = json.loads(reply.body)
    assert document["openapi"].startswith("3.1")
    with open(os.path.join(ROOT, "src/target/endpoints.def"), encoding="utf-8") as rows:
        endpoints = re.findall(r'^ENDPOINT\((\w+), "([^"]+)"', rows.read(), re.MULTILINE)
    assert len(endpoints) == len(HAS)
    named = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert named == {(method, path + "{n}" if path.endswith("/") else path) for method, path in endpoints}
    about = document["x-iubench"]
    assert (about["mode"], about["store"], about["cache"]) == ("all", "none", "none")
    assert about["version"] in run("--version")[1]
    references = set(re.findall(r'"\$ref": *"#/([^"]+)"', reply.body.decode()))
    for reference in references:
        node = document
        for key in reference.split("/"):
            node = node[key]


@pytest.mark.parametrize("mode", MODES)
def test_openapi_says_the_mode(serve, mode):
    assert json.loads(serve(mode).get("/openapi.json").body)["x-iubench"]["mode"] == mode


# --- metrics ---


def test_metrics_add_up(serve):
    server = serve("all", "--upstream-delay", "1ms", threads=1)
    assert server.get("/metrics").field("Content-Type").startswith("text/plain; version=0.0.4")
    with server.connect() as kept:
        for path in ("/api/devices", "/nowhere", "/fib/99", "/fetch-external"):
            kept.request("GET", path)
        with server.connect() as bad:
            bad.send(b"rubbish\r\n\r\n")
            assert bad.reply().status == 400
        wait_for(lambda: server.counters()["connections_open"] == 2)
        kept_alive = server.counters()
        assert kept_alive["accepted"] == kept_alive["connections_open"] + kept_alive["closed"]
        assert kept_alive["requests"] == kept_alive["replies"] + kept_alive["requests_waiting"]
        assert kept_alive["requests_waiting"] == 1  # the one that asks
        assert kept_alive["replies"] == sum(kept_alive[f"replies_{n}xx"] for n in (2, 4, 5))
        assert kept_alive["replies_4xx"] == 3 and kept_alive["bad_requests"] == 1
        assert kept_alive["received_bytes"] > 0 and kept_alive["sent_bytes"] > len(DEVICES)


def test_metrics_on_a_port_of_their_own(start):
    """A free one as well, which the first line then tells."""
    server = start("serve", "--mode", "static", "--threads", "2", "--metrics", "127.0.0.1:0")
    with Client(re.search(r", metrics on (127\.0\.0\.1:[1-9]\d*)$", server.line)[1]) as client:
        assert b"iubench_requests_total" in client.request("GET", "/metrics").body
        assert client.request("HEAD", "/metrics").status == 200
        assert client.request("GET", "/healthz").body == b"OK"
        assert client.request("GET", "/api/devices").status == 404
        assert client.request("POST", "/metrics", b"").status == 405
    assert server.get("/metrics").status == 200


def test_metrics_on_a_unix_socket(start, tmp_path):
    path = tmp_path / "m"
    server = start("serve", "--mode", "static", "--metrics", f"unix:{path}")
    with Client(f"unix:{path}") as client:
        assert client.request("GET", "/healthz").body == b"OK"
    server.stop()
    assert not path.exists()


def test_metrics_while_threads_still_start(start):
    """A scrape may arrive as soon as the first loop listens."""
    for _ in range(5):
        port = free_port()
        is_over = threading.Event()

        def scrape():
            while not is_over.is_set():
                try:
                    with Client(f"127.0.0.1:{port}", timeout=5) as client:
                        client.request("GET", "/metrics", close=True)
                except (OSError, EOFError):
                    pass  # not there yet, or gone

        scrapers = [threading.Thread(target=scrape) for _ in range(4)]
        for scraper in scrapers:
            scraper.start()
        try:
            start("serve", "--mode", "static", "--threads", "64", listen=f"127.0.0.1:{port}").stop()
        finally:
            is_over.set()
            for scraper in scrapers:
                scraper.join()


# --- where it listens ---


def test_unix_socket(serve, tmp_path):
    path = tmp_path / "s"
    server = serve("static", listen=f"unix:{path}")
    assert str(path) in server.line
    assert server.get("/api/devices").body == DEVICES
    server.stop()
    assert not path.exists()


def accepts(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


def test_unix_socket_left_behind_is_replaced(serve, tmp_path):
    path = tmp_path / "s"
    first = serve("static", listen=f"unix:{path}")
    first.process.kill()
    first.wait()
    wait_for(lambda: not accepts(path))  # the kernel ends a killed ring's accept a little later
    assert path.exists()
    assert serve("static", listen=f"unix:{path}").get("/healthz").status == 200


@pytest.mark.parametrize("command, words", [("serve", ["--mode", "proxy", "--threads", "1", "--upstream-delay", "1s"]),
                                            ("upstream", ["--delay", "1s"])])
def test_unix_socket_of_a_successor_is_left_alone(start, tmp_path, command, words):
    """While the first finishes what it has, another may listen there already."""
    path = tmp_path / "s"
    first = start(command, *words, listen=f"unix:{path}")
    with first.connect() as client:
        client.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"/fetch-external" if command == "serve" else b"/external"))
        with first.connect() as idle:
            assert idle.request("GET", "/healthz").status == 200  # the one before has arrived
        first.kill_with(signal.SIGTERM)
        wait_for(lambda: not accepts(path))
        second = start(command, *words, listen=f"unix:{path}")
        assert client.reply().status == 200 and first.wait() == 0
    assert second.get("/healthz").status == 200
    second.stop()
    assert not path.exists()


@pytest.mark.parametrize("command", ["serve", "upstream"])
def test_unix_socket_of_another_is_left_alone(start, tmp_path, command):
    path = tmp_path / "s"
    words = ["--mode", "static"] if command == "serve" else []
    first = start(command, *words, listen=f"unix:{path}")
    code, out, err = run(command, *words, "--listen", f"unix:{path}")
    assert (code, out) == (1, "") and "taken" in err and err.count("\n") == 1
    assert path.exists(), "the failed start removed the socket of the running server"
    assert first.get("/healthz").status == 200


@pytest.mark.parametrize("command", ["serve", "upstream"])
def test_a_failed_start_removes_no_file(tmp_path, command):
    path = tmp_path / "precious"
    path.write_text("data")
    assert run(command, "--listen", f"unix:{path}")[0] == 1
    assert run(command, "--listen", f"unix:{path}", "--cores", "9999")[0] != 0
    assert path.read_text() == "data"


def test_ipv6(serve):
    try:
        server = serve("static", listen="[::1]:0")
    except AssertionError as error:
        if "not an address" in str(error) or "Address family" in str(error):
            pytest.skip("no IPv6 here")
        raise
    assert server.line.count("[::1]:") == 1
    assert server.get("/api/devices").body == DEVICES


def test_every_address(serve):
    server = serve("static", listen=":0")
    with Client(f"127.0.0.1:{server.port}") as client:
        assert client.request("GET", "/healthz").status == 200


def test_port_taken(serve):
    server = serve("static")
    for command in ("serve", "upstream"):
        code, out, err = run(command, "--listen", server.address)
        assert (code, out) == (1, "")
        assert f"{server.address} is taken" in err and "--listen" in err and err.count("\n") == 1
    assert server.get("/healthz").status == 200


def test_the_same_port_again_at_once(serve):
    """A server that has ended leaves its port free, whatever its connections did."""
    port = free_port()
    for _ in range(3):
        server = serve("static", listen=f"127.0.0.1:{port}")
        with server.connect() as client:
            assert client.request("GET", "/healthz").status == 200
            server.stop()


def test_metrics_port_taken(serve):
    server = serve("static")
    code, _, err = run("serve", "--mode", "static", "--listen", "127.0.0.1:0", "--metrics", server.address)
    assert code == 1 and server.address in err and err.count("\n") == 1


# --- the command line ---


@pytest.mark.parametrize("words, code, hint", [
    (["serve", "--mdoe", "db"], 2, "--mode"),
    (["serve", "--threds=2"], 2, "--threads"),
    (["serve", "--mode", "statc"], 2, "static"),
    (["serve", "--mode"], 2, "--mode"),
    (["serve", "--threads", "0"], 2, "--threads"),
    (["serve", "--threads", "-1"], 2, "--threads"),
    (["serve", "--threads", "9999999999"], 2, "--threads"),
    (["serve", "--head-timeout", "5parsecs"], 2, "--head-timeout"),
    (["serve", "--max-body", "lots"], 2, "--max-body"),
    (["serve", "--listen", "nonsense"], 2, "--listen"),
    (["serve", "--listen", "127.0.0.1:65536"], 2, "--listen"),
    (["serve", "--listen", "::1:80"], 2, "[::1]:80"),
    (["serve", "--listen", "unix:"], 2, "--listen"),
    (["serve", "--listen", "unix:" + "x" * 200], 2, "--listen"),
    (["serve", "--cores", "a-b"], 2, "--cores"),
    (["serve", "--cores", "3-1"], 2, "--cores"),
    (["serve", "--cores", ""], 2, "--cores"),
    (["serve", "--upstream", "ftp://x/"], 2, "--upstream"),
    (["serve", "--upstream", "https://x/"], 2, "--upstream"),
    (["serve", "--upstream", ""], 2, "--upstream"),
    (["serve", "stray"], 2, "stray"),
    (["upstream", "--dealy", "1ms"], 2, "--delay"),
    (["upstream", "--delay", "gamma:1ms"], 2, "--delay"),
    (["upstream", "--listen", "nonsense"], 2, "--listen"),
    (["upstream", "--cores", "a-b"], 2, "--cores"),
    (["serv"], 2, "serve"),
    (["--hepl"], 2, '"--help"?'),
    (["--versoin"], 2, '"--version"?'),
    (["serve", "--hepl"], 2, "--help?"),
    (["doctor", "--hlep"], 2, "--help?"),
    (["--mode"], 2, "--mode"),
])
def test_wrong_words_are_refused_in_one_sentence(words, code, hint):
    is_code, out, err = run(*words)
    assert (is_code, out) == (code, ""), err
    assert hint in err and err.count("\n") == 1, err


def test_cores_that_are_not_there():
    code, out, err = run("serve", "--mode", "static", "--listen", "127.0.0.1:0", "--cores", "4000")
    assert code == 4 and out == "" and "--cores" in err and err.count("\n") == 1, err


def test_no_words_and_help():
    code, out, err = run()
    assert (code, out) == (2, "") and "serve" in err
    for words in (["--help"], ["help"], ["help", "--help"], ["serve", "--help"], ["help", "serve"], ["--help", "serve"],
                  ["upstream", "-h"]):
        code, out, err = run(*words)
        assert (code, err) == (0, "") and out, words
    assert "--write-timeout" in run("serve", "--help")[1]
    code, out, _ = run("--version")
    assert code == 0 and re.fullmatch(r"iubench \d+\.\d+\.\d+(\+g[0-9a-f]{7})?\n", out)


def test_a_long_list_of_cores(serve):
    """The start-up line is bounded, whatever was given."""
    core = str(min(os.sched_getaffinity(0)))
    server = serve("proxy", "--cores", ",".join([core] * 40000), "--upstream", "http://127.0.0.1:9/" + "x" * 1500)
    assert server.get("/healthz").status == 200


def test_cores_pin_the_loops(serve):
    core = max(os.sched_getaffinity(0))
    server = serve("static", "--cores", str(core), threads=3)
    assert f"on cores {core}" in server.line and "3 threads" in server.line
    pid = server.process.pid
    masks = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as comm:
            masks.setdefault(comm.read().strip(), os.sched_getaffinity(int(task)))
    assert {f"target-{n}" for n in range(3)} <= set(masks)
    assert all(masks[f"target-{n}"] == {core} for n in range(3))


def test_threads_default_to_the_mask(start):
    core = str(min(os.sched_getaffinity(0)))
    server = start("serve", "--mode", "static", prefix=["taskset", "-c", core])
    assert "1 thread" in server.line and "1 threads" not in server.line


# --- the end ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_at_once_when_nothing_is_open(serve, number):
    server = serve("all")
    begun = time.monotonic()
    server.stop(number)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_are_answered(serve, number):
    """One thread, so that the close of the idle connection shows that the whole server is stopping."""
    server = serve("all", "--upstream-delay", "700ms", threads=1)
    with server.connect() as fetch, server.connect() as fib, server.connect() as post, server.connect() as idle:
        assert idle.request("GET", "/healthz").status == 200
        fetch.send(b"GET /fetch-external HTTP/1.1\r\nHost: x\r\n\r\n")
        fib.send(b"GET /fib/39 HTTP/1.1\r\nHost: x\r\n\r\n")
        post.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY[:9])
        wait_for(lambda: server.counters()["connections_open"] == 5)
        server.kill_with(number)
        assert idle.rest() == b""
        post.send(BODY[9:])
        for client, status in ((post, 201), (fib, 200), (fetch, 200)):
            reply = client.reply()
            assert reply.status == status and reply.is_last
            client.assert_closed()
    server.stop()


@pytest.mark.parametrize("under_way", [b"GET /healthz HT", b"GET /fib/40 HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
                                       b"GET /fetch-external HTTP/1.1\r\nHost: x\r\n\r\n"],
                         ids=["head", "fib", "fetch"])
def test_the_drain_has_an_end(serve, under_way):
    server = serve("all", "--upstream-delay", "1m", "--drain-timeout", "300ms")
    with server.connect() as client:
        client.send(under_way)
        wait_for(lambda: server.counters()["connections_open"] == 2)
        begun = time.monotonic()
        server.kill_with()
        server.wait(10)
        assert time.monotonic() - begun > 0.2
    server.stop()


def test_upstream_stops_though_answers_are_due(start):
    """An answer that is due in a minute is not waited for once its client has gone."""
    upstream = start("upstream", "--delay", "1m")
    client = upstream.connect()
    client.send(b"GET /external HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.2)
    client.close()
    time.sleep(0.2)
    upstream.stop(timeout=5)


def test_stops_under_load_without_a_lost_reply(serve):
    """What was sent whole on a standing connection is answered or refused by a close, never half."""
    server = serve("static")
    outcome = {"replies": 0, "torn": 0}
    lock = threading.Lock()

    def load():
        replies = 0
        with server.connect() as client:
            while True:
                try:
                    reply = client.request("GET", "/api/devices")
                except (EOFError, OSError) as error:
                    with lock:
                        outcome["replies"] += replies
                        outcome["torn"] += isinstance(error, EOFError) and "after b''" not in str(error)
                    return
                assert reply.body == DEVICES
                replies += 1

    threads = [threading.Thread(target=load) for _ in range(16)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    server.stop()
    for thread in threads:
        thread.join()
    assert outcome["torn"] == 0 and outcome["replies"] > 100


def test_starting_and_stopping_leaves_nothing(serve):
    for _ in range(10):
        server = serve("all", "--upstream-delay", "1ms")
        assert server.get("/fetch-external").status == 200
        server.stop()


def test_a_signal_right_after_the_line(serve):
    for _ in range(5):
        serve("all").stop(signal.SIGINT)


def test_standard_output_closed():
    """Nobody has to read the start-up line."""
    process = subprocess.Popen([PROGRAM, "serve", "--mode", "static", "--listen", "127.0.0.1:0"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode in (0, 1) and b"Sanitizer" not in err


# --- descriptors ---


def test_descriptors_run_out_and_come_back(serve):
    """Accepting pauses; connections that stand never notice; nothing is lost for good."""
    limit = 48
    server = serve("static", threads=1, prefix=["prlimit", f"--nofile={limit}:{limit}"])
    with server.connect() as standing:
        assert standing.request("GET", "/healthz").status == 200
        crowd = []
        for _ in range(limit + 20):
            crowd.append(server.connect())
        wait_for(lambda: b"iubench_accept_failures_total 0\n" not in standing.request("GET", "/metrics").body)
        assert server.descriptors() <= limit
        for _ in range(100):
            assert standing.request("GET", "/api/devices").body == DEVICES
        for client in crowd:
            client.close()
        late = [server.connect() for _ in range(5)]
        for client in late:
            assert client.request("GET", "/healthz").body == b"OK"
            client.close()
        wait_for(lambda: server.counters()["connections_open"] == 2)
    assert "pauses" in server.stderr() and server.stderr().count("\n") < 10


def test_descriptors_run_out_before_the_start():
    done = subprocess.run(["prlimit", "--nofile=12:12", PROGRAM, "serve", "--mode", "static", "--listen",
                           "127.0.0.1:0", "--threads", "64"], capture_output=True, timeout=30, check=False)
    assert done.returncode in (1, 4) and done.stdout == b"", done
    assert done.stderr.count(b"\n") == 1 and b"open files" in done.stderr, done.stderr


def test_raises_the_soft_limit(start):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    server = start("serve", "--mode", "static", prefix=["prlimit", f"--nofile=64:{hard}"])
    assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)

