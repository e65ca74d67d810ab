"""What RFC 9110 and RFC 9112 say that an origin server without a cache MUST and MUST NOT do: a row or a
test for each, with its section. The parser's own tests have the finer shapes."""

import json
import re
from datetime import datetime

import pytest

from faulty import FaultyUpstream, answer
from iubench import DEVICES

DEVICE = b'{"mac":"a","firmware":"b"}'
HOST = b"Host: x\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"


def get(*fields, target=b"/healthz", version=b"1.1", host=HOST, method=b"GET"):
    return b"%s %s HTTP/%s\r\n%s%s\r\n" % (method, target, version, host, b"".join(f + b"\r\n" for f in fields))


def framed(*fields, body=DEVICE, version=b"1.1"):
    """A POST whose framing is what these fields say."""
    return get(*fields, target=b"/api/devices", version=version, method=b"POST") + body


def post(*fields, length=len(DEVICE), **rest):
    return framed(b"Content-Length: %d" % length, *fields, **rest)


def coded(coding, body=b"0\r\n\r\n", **rest):
    return framed(b"Transfer-Encoding: " + coding, body=body, **rest)


def chunked(body):
    return coded(b"chunked", body)


@pytest.fixture
def server(serve):
    return serve("post")


# --- refused, with the status that is due, and the connection closed ---

REFUSED = [
    ("9110 4.2.1", "an http URI without a host", get(target=b"http:///healthz"), 400),
    ("9110 5.5", "NUL in a value", get(b"A: b\0c"), 400),
    ("9110 5.5", "CR in a value", get(b"A: b\rc"), 400),
    ("9110 5.5", "LF in a value", get(b"A: b\nc"), 400),
    ("9110 7.4", "https on a connection that is not secured", get(target=b"https://x/healthz"), 400),
    ("9110 8.6", "a length beyond every integer", post(length=10 ** 30), 400),
    ("9110 8.6", "a length list of two", post(b"Content-Length: 26"), 400),
    ("9112 2.2", "a bare CR in the request line", b"GET /heal\rthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("9112 2.2", "a space before the first field", get(host=b" " + HOST), 400),
    ("9112 2.2", "a tab before the first field", get(host=b"\t" + HOST), 400),
    ("9112 2.3", "the version in lower case", b"GET /healthz http/1.1\r\n" + HOST + b"\r\n", 400),
    ("9112 3", "a target longer than any", get(target=b"/" + b"x" * 9000), 414),
    ("9112 3.2", "no Host", get(host=b""), 400),
    ("9112 3.2", "two Hosts", get(b"Host: x"), 400),
    ("9112 3.2", "an invalid Host", get(host=b"Host: a/b\r\n"), 400),
    ("9112 3.2", "an invalid Host in HTTP/1.0", get(host=b"Host: a b\r\n", version=b"1.0"), 400),
    ("9112 3.2", "two Hosts in HTTP/1.0", get(b"Host: x", version=b"1.0"), 400),
    ("9112 3.2.2", "no Host beside an absolute target", get(target=b"http://x/healthz", host=b""), 400),
    ("9112 3.2.3", "an authority with GET", get(target=b"x:80"), 400),
    ("9112 3.2.4", "an asterisk with GET", get(target=b"*"), 400),
    ("9112 5.1", "a space before the colon", get(b"A : b"), 400),
    ("9112 5.1", "a tab before the colon", get(b"A\t: b"), 400),
    ("9112 5.2", "a folded field", get(b"A: b", b" c"), 400),
    ("9112 5.2", "a folded field by tab", get(b"A: b", b"\tc"), 400),
    ("9112 6.1", "chunked in HTTP/1.0", coded(b"chunked", version=b"1.0"), 400),
    ("9112 6.1", "length beside chunked", post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    ("9112 6.1", "chunked beside length",
     framed(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), 400),
    ("9112 6.1", "a coding that is not known", coded(b"br, chunked"), 501),
    ("9112 6.1", "chunked twice", coded(b"chunked\r\nTransfer-Encoding: chunked"), 400),
    ("9112 6.3", "chunked not the last", coded(b"chunked, gzip"), 400),
    ("9112 6.3", "no chunked at all", coded(b"identity", DEVICE), 400),
    ("9112 6.3", "differing lengths", post(b"Content-Length: 3"), 400),
    ("9112 6.3", "a signed length", framed(b"Content-Length: +26"), 400),
    ("9112 6.3", "a length in hexadecimal", framed(b"Content-Length: 0x1a"), 400),
    ("9112 6.3", "an empty length", framed(b"Content-Length:"), 400),
    ("9112 7.1", "a chunk larger than every integer", chunked(b"1" + b"0" * 16 + b"\r\n"), 400),
    ("9112 7.1", "a signed chunk", chunked(b"+1\r\na\r\n0\r\n\r\n"), 400),
    ("9112 7.1", "a chunk that ends elsewhere", chunked(b"1\r\nab\r\n0\r\n\r\n"), 400),
    ("9112 7.1.1", "a bare LF in an extension", chunked(b"1;a\nb\r\n{\r\n0\r\n\r\n"), 400),
    ("9112 7.1.2", "a trailer that is no field", chunked(b"0\r\nGET / HTTP/1.1\r\n\r\n"), 400),
]


def names(rows):
    return [f"{row[0]} {row[1]}" for row in rows]


@pytest.mark.parametrize("section, what, request_bytes, status", REFUSED, ids=names(REFUSED))
def test_refused(server, section, what, request_bytes, status):
    """Behind a good request, and with one behind it that must not be heard: nothing is smuggled."""
    with server.connect() as client:
        client.send(HEALTH + request_bytes + HEALTH)
        assert client.reply().body == b"OK"
        reply = client.reply()
        assert reply.status == status and reply.is_last and json.loads(reply.body)["error"]
        client.assert_closed()


# --- taken, and what follows on the connection ---

LAST, KEPT = False, True
DATE = b"Sat, 29 Oct 1994 19:43:31 GMT"
TAKEN = [
    ("9110 2.5", "a higher minor version is the highest known", get(version=b"1.9"), 200, KEPT),
    ("9110 5.1", "names in any case", get(b"cOnNeCtIoN: close"), 200, LAST),
    ("9110 5.5", "no white space round a value", get(b"Connection:close"), 200, LAST),
    ("9110 5.5", "white space round a value", get(b"Connection:\t close \t"), 200, LAST),
    ("9110 5.6.1.2", "empty elements of lists", get(b"Connection: , ,close, ,"), 200, LAST),
    ("9110 7.6.1", "options in any case", get(b"Connection: CLOSE"), 200, LAST),
    ("9110 7.8", "no switch to another protocol", get(b"Connection: Upgrade", b"Upgrade: h2c, websocket"), 200, KEPT),
    ("9110 7.8", "Upgrade in HTTP/1.0 is ignored",
     get(b"Connection: Upgrade", b"Upgrade: h2c", version=b"1.0"), 200, LAST),
    ("9110 9.1", "GET is there", get(), 200, KEPT),
    ("9110 9.1", "methods are told by case", get(method=b"get"), 501, KEPT),
    ("9110 9.1", "a method that nobody knows", get(method=b"BREW"), 501, KEPT),
    ("9110 9.3.6", "CONNECT is no tunnel", get(method=b"CONNECT", target=b"x:80"), 405, KEPT),
    ("9110 9.3.8", "TRACE is not echoed", get(method=b"TRACE"), 405, KEPT),
    ("9110 13.1.1", "a tag where nothing has one", get(b'If-Match: "x"'), 412, KEPT),
    ("9110 13.1.1", "a tag of what would be changed", post(b'If-Match: "x"'), 412, KEPT),
    ("9110 13.1.1", "whatever is there", get(b"If-Match: *"), 200, KEPT),
    ("9110 13.1.2", "unless anything is there", get(b"If-None-Match: *"), 304, KEPT),
    ("9110 13.1.2", "a change unless anything is there", post(b"If-None-Match: *"), 412, KEPT),
    ("9110 13.1.2", "unless there is what nothing is", get(b'If-None-Match: "x", W/"y"'), 200, KEPT),
    ("9110 13.2.1", "a condition on what is not there", get(b'If-Match: "x"', target=b"/nowhere"), 404, KEPT),
    ("9110 13.2.1", "a condition of OPTIONS", get(b'If-Match: "x"', method=b"OPTIONS"), 204, KEPT),
    ("9110 13.2.2", "If-Match goes before", get(b"If-None-Match: *", b'If-Match: "x"'), 412, KEPT),
    ("9110 13.1.3", "a date where there is none to compare", get(b"If-Modified-Since: " + DATE), 200, KEPT),
    ("9110 13.1.4", "a date where there is none to compare", get(b"If-Unmodified-Since: " + DATE), 200, KEPT),
    ("9110 13.1.5", "If-Range without Range", get(b'If-Range: "x"'), 200, KEPT),
    ("9110 14.2", "a unit that is not known", get(b"Range: lines=1-2"), 200, KEPT),
    ("9110 14.2", "Range with POST", post(b"Range: bytes=0-1"), 201, KEPT),
    ("9110 15.5.6", "a method that is not there", get(method=b"DELETE"), 405, KEPT),
    ("9110 15.6.6", "another major version", get(version=b"2.0"), 505, LAST),
    ("9112 2.2", "an empty line before a request", b"\r\n" + get(), 200, KEPT),
    ("9112 3.2", "no Host in HTTP/1.0", get(host=b"", version=b"1.0"), 200, LAST),
    ("9112 3.2.2", "an absolute target", get(target=b"http://other.example:81/healthz"), 200, KEPT),
    ("9112 3.2.2", "an absolute target in upper case", get(target=b"HTTP://X/healthz"), 200, KEPT),
    ("9112 3.2.4", "an asterisk with OPTIONS", get(target=b"*", method=b"OPTIONS"), 204, KEPT),
    ("9112 6.1", "chunked is decoded", chunked(b"1\r\n{\r\n19\r\n" + DEVICE[1:] + b"\r\n0\r\n\r\n"), 201, KEPT),
    ("9112 7", "codings in any case", coded(b"CHUNKED", b"1a\r\n" + DEVICE + b"\r\n0\r\n\r\n"), 201, KEPT),
    ("9112 7.1", "leading zeros of a chunk", chunked(b"0" * 30 + b"1A\r\n" + DEVICE + b"\r\n000\r\n\r\n"), 201, KEPT),
    ("9112 7.1.1", "extensions are ignored",
     chunked(b'1a;a;b=c;d="\\"\\\\"\r\n' + DEVICE + b"\r\n0;e\r\n\r\n"), 201, KEPT),
    ("9112 7.1.2", "trailers are no fields of the head",
     chunked(b"1a\r\n" + DEVICE + b"\r\n0\r\nConnection: close\r\nContent-Length: 7\r\nHost: y\r\n\r\n"), 201, KEPT),
    ("9112 9.3", "HTTP/1.1 persists", get(), 200, KEPT),
    ("9112 9.3", "HTTP/1.0 does not", get(version=b"1.0"), 200, LAST),
    ("9112 9.3", "HTTP/1.0 does with keep-alive", get(b"Connection: keep-alive", version=b"1.0"), 200, KEPT),
    ("9112 9.3", "close goes before keep-alive", get(b"Connection: keep-alive, close"), 200, LAST),
    ("9112 9.3", "a body that nobody wants is read", get(b"Content-Length: %d" % len(HEALTH)) + HEALTH, 200, KEPT),
    ("9112 9.6", "nothing is heard behind close", get(b"Connection: close"), 200, LAST),
]


@pytest.mark.parametrize("section, what, request_bytes, status, is_kept", TAKEN, ids=names(TAKEN))
def test_taken(server, section, what, request_bytes, status, is_kept):
    with server.connect() as client:
        client.send(request_bytes + HEALTH)
        reply = client.reply()
        assert reply.status == status and reply.is_last is not is_kept
        if is_kept:
            assert client.reply().body == b"OK"
        else:
            client.assert_closed()


def test_a_condition_on_what_is_computed(serve):
    """RFC 9110 section 13.2.1: what is refused without it is refused as ever, before it is looked at."""
    with serve("fib").connect() as client:
        for target, status in ((b"/fib/x", 400), (b"/fib/1", 412)):
            client.send(get(b'If-Match: "x"', target=target))
            assert client.reply().status == status


# --- what replies have ---


def test_a_replys_version_is_ours(server):
    """RFC 9110 section 2.5: the highest that is known, whatever the request's."""
    for version in (b"1.0", b"1.1", b"1.9"):
        with server.connect() as client:
            client.send(get(version=version))
            assert client.reply().version == "HTTP/1.1"


def test_date(server):
    """RFC 9110 sections 6.6.1 and 5.6.7: in every reply but 1xx, in one form."""
    for request in (get(), post(), get(target=b"/nowhere"), get(method=b"PUT"), get(method=b"OPTIONS"), get(host=b""),
                    get(version=b"2.0")):
        with server.connect() as client:
            client.send(request)
            assert datetime.strptime(client.reply().field("Date"), "%a, %d %b %Y %H:%M:%S GMT")


def test_head(server):
    """RFC 9110 sections 9.1, 9.3.2 and 8.6: there where GET is, with its length, without its content."""
    with server.connect() as client:
        for target in (b"/api/devices", b"/healthz", b"/nowhere"):
            client.send(get(target=target) + get(target=target, method=b"HEAD"))
            whole, head = client.reply(), client.reply("HEAD")
            assert (head.status, head.field("Content-Length")) == (whole.status, str(len(whole.body)))
        client.send(HEALTH)
        assert client.reply().body == b"OK"


def test_allow(server):
    """RFC 9110 sections 15.5.6 and 10.2.1: 405 says what is there."""
    with server.connect() as client:
        for method in (b"PUT", b"DELETE", b"PATCH", b"TRACE"):
            client.send(get(target=b"/api/devices", method=method))
            reply = client.reply()
            assert (reply.status, reply.field("Allow")) == (405, "GET, HEAD, POST, OPTIONS")


def test_no_length_where_there_is_no_content(server):
    """RFC 9110 section 8.6, RFC 9112 section 6.1: neither length nor coding in 1xx and 204."""
    with server.connect() as client:
        client.send(post(b"Expect: 100-continue", body=b""))
        interim = client.reply()
        assert (interim.status, interim.fields) == (100, [])
        client.send(DEVICE)
        assert client.reply().status == 201
        client.send(get(method=b"OPTIONS"))
        reply = client.reply()
        assert reply.status == 204 and not reply.field("Content-Length") and not reply.field("Transfer-Encoding")


def test_status_line_has_its_second_space(server):
    """RFC 9112 section 4: also where a reason is empty; all of ours have one."""
    with server.connect() as client:
        client.send(get(b"Connection: close"))
        assert re.match(rb"HTTP/1\.1 200 [^\r]*\r\n", client.rest())


def test_expect(server):
    """RFC 9110 section 10.1.1: 100 or a final status at once, never waiting for the content; then the final
    one; not for HTTP/1.0 (section 15.2), nor where there is no content."""
    expects = b"Expect: 100-CONTINUE"
    with server.connect() as client:
        client.send(post(expects, body=b""))
        assert client.reply().status == 100
        client.send(DEVICE + get(expects))
        assert [client.reply().status, client.reply().status] == [201, 200]
        client.send(post(expects, body=b"", length=1 << 40))
        assert client.reply().status == 413
    with server.connect() as client:
        client.send(post(expects, version=b"1.0"))
        assert client.reply().status == 201
        client.assert_closed()


def test_replies_come_in_order(serve):
    """RFC 9112 section 9.3.2, though a later one is ready first."""
    server = serve("all", "--upstream-delay", "100ms")
    with server.connect() as client:
        client.send(get(target=b"/fetch-external") + get(target=b"/api/devices") + get(target=b"/fib/20") + HEALTH)
        bodies = [client.reply().body for _ in range(4)]
        assert b"External" in bodies[0] and bodies[1] == DEVICES and b"6765" in bodies[2] and bodies[3] == b"OK"


def test_no_coding_for_http_1_0(serve):
    """RFC 9112 section 6.1: a body of unknown length then ends with the connection."""
    body = b'{"a":"%s"}' % (b"x" * 500000)

    def serve_one(connection, _):
        while upstream.read_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                               b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    upstream = FaultyUpstream(serve_one)
    server = serve("proxy", "--upstream", upstream.url)
    with server.connect() as client:
        client.send(get(b"Connection: keep-alive", target=b"/fetch-external", version=b"1.0"))
        head, _, rest = client.rest().partition(b"\r\n\r\n")
        assert rest == body and b"ransfer-" not in head and b"Connection: close" in head
    with server.connect() as client:
        client.send(get(target=b"/fetch-external"))
        reply = client.reply()
        assert (reply.body, reply.field("Transfer-Encoding")) == (body, "chunked")
    upstream.close()


def test_interim_replies_end_at_the_proxy(serve):
    """RFC 9110 section 15.2: what the upstream said before its answer is no answer of ours."""
    def serve_one(connection, _):
        while upstream.read_request(connection):
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(b"{}"))

    upstream = FaultyUpstream(serve_one)
    with serve("proxy", "--upstream", upstream.url).connect() as client:
        client.send(get(target=b"/fetch-external"))
        assert (client.reply().status, client.pending) == (200, b"")
    upstream.close()
