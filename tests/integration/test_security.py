"""What docs/SECURITY.md promises and no other test holds it to."""

import os
import re
import subprocess

import pytest

from iubench import PROGRAM, ROOT, run

TEXT = open(os.path.join(ROOT, "docs", "SECURITY.md"), encoding="utf-8").read()


def bounds():
    """Rows of the table of bounds: (option, default, what is beyond, counter)."""
    section = TEXT.split("## Bounds")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in section.splitlines() if line.startswith("|")][2:]
    return [(row[1].strip("`-"), row[2], row[3], row[4]) for row in rows]


def option_help(name):
    """The words of `serve --help` about an option."""
    _, out, _ = run("serve", "--help")
    found = re.search(rf"--{name} .*?(?=\n +(?:-\w, )?--|\n\n)", out, re.DOTALL)
    assert found, f"--{name} is no option of serve"
    return " ".join(found[0].split())


@pytest.mark.parametrize("name, default, beyond, _", bounds())
def test_bounds_are_those_of_the_options(name, default, beyond, _):
    words = option_help(name)
    assert re.search(rf"\(default {default}[),;]", words), f"{words!r}: not {default}"
    status = re.match(r"4\d\d|5\d\d", beyond)
    if status and name.startswith(("max-", "head-", "body-")):
        assert status[0] in words


def test_every_limit_has_its_row():
    _, out, _ = run("serve", "--help")
    limits = set(re.findall(r"--((?:max-[a-z]+|[a-z]+-timeout|fib-max|fib-queue))\b", out))
    assert limits == {name for name, *_ in bounds()}


def test_bounds_have_their_counters(serve):
    """Each counter is there, and those of heads and bodies move."""
    server = serve("all", "--max-line", "100", "--max-head", "400", "--max-fields", "5", "--max-body",
                   "10")
    present = server.get("/metrics").body.decode()
    for *_, counter in bounds():
        assert f"iubench_{counter}_total" in present, counter
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    refused = {b"GET /" + b"a" * 100 + b" HTTP/1.1\r\nHost: x\r\n\r\n": 414,
               head + b"A: " + b"b" * 400 + b"\r\n\r\n": 431,
               head + b"A: b\r\n" * 5 + b"\r\n": 431,
               b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n": 413}
    for request, status in refused.items():
        with server.connect() as client:
            client.send(request)
            assert client.reply().status == status, request
    with server.connect() as client:
        client.send(head + b"A: b\r\n" * 4 + b"\r\n")
        assert client.reply().status == 200
    assert server.counters()["bad_requests"] == len(refused)


@pytest.mark.parametrize("words", [["--max-line", "63"], ["--max-head", "2M"], ["--max-fields", "0"],
                                   ["--max-head", "x"]])
def test_bounds_have_bounds(words):
    code, out, err = run("serve", *words)
    assert (code, out) == (2, "") and words[0] in err and err.count("\n") == 1


@pytest.mark.parametrize("command, port", [("serve", 8080), ("upstream", 5001)])
def test_binds_to_loopback_unless_told(command, port):
    """By what it says: the port itself may be taken where tests run."""
    _, out, _ = run(command, "--help")
    assert f"default 127.0.0.1:{port}" in " ".join(out.split())


def test_built_in_upstream_is_on_loopback(serve):
    assert re.search(r"built-in upstream on 127\.0\.0\.1:\d+, delay 500ms", serve("proxy").line)


def test_nothing_of_a_request_reaches_standard_error(serve):
    server = serve("all")
    marks = [b"\x1b[31mred", b"secret-of-a-client", b"\xff\xfe"]
    for mark in marks:
        for request in (b"GET /" + mark + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + mark + b"\r\nA b: c\r\n\r\n",
                        b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
                        b"Connection: close\r\n\r\n" % len(mark) + mark):
            with server.connect() as client:
                client.send(request)
                assert client.reply().status >= 400
    server.stop()
    assert server.stderr() == ""


def test_words_of_the_command_line_are_escaped():
    for words in (["serve", "--mode", "\x1b[31m"], ["serve", "--\x1b[31m"], ["load", "http://\x1b[31m/"],
                  ["run", "\x1b[31m"], ["\x1b[31m"], ["serve", "--listen", "\x1b[31m"],
                  ["serve", "--pg", "postgresql://\x1b[31m:x"], ["serve", "--memcached", "\x1b[31m"],
                  ["serve", "--upstream", "http://\x1b[31m/"], ["serve", "--cores", "\x1b[31m"]):
        code, out, err = run(*words)
        assert code != 0 and "\x1b" not in out + err, words


def test_password_is_neither_in_a_reply_nor_printed(start, postgres):
    server = start("serve", "--mode", "db", "--pg", postgres.tcp_uri, "--cache", "none")
    password = postgres.tcp_uri.split("@")[0].rpartition(":")[2]
    said = server.line + server.get("/openapi.json").body.decode() + server.get("/metrics").body.decode()
    assert password not in said
    server.stop()
    assert password not in server.stderr()


def test_sql_is_never_made_of_texts(start, postgres):
    """What would end a literal or a statement is stored as it came."""
    server = start("serve", "--mode", "db", "--pg", postgres.uri, "--cache", "none")
    text = "'); DROP TABLE device; --\\'\"$1"
    import json
    with server.connect() as client:
        body = json.dumps({"mac": text, "firmware": "$$"}).encode()
        reply = client.request("POST", "/api/devices", body)
    assert reply.status == 201 and json.loads(reply.body)["mac"] == text
    identity = json.loads(reply.body)["id"]
    assert postgres.psql(f"SELECT mac, firmware FROM device WHERE id = {identity}") == [[text, "$$"]]


def test_files_are_named_truly():
    """Each file that the page names is there."""
    for name in re.findall(r"\b(?:tests|deploy|docs|src)/[\w/.*]+\w", TEXT):
        found = subprocess.run(["sh", "-c", f"ls -d {name}"], cwd=ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)
        assert found.returncode == 0, name
    assert os.path.exists(PROGRAM)
