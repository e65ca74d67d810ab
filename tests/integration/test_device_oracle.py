"""What POST takes and refuses, against Python's json: the same texts are taken, with the same
meaning, and what comes back reads as what went in."""

import json
import random

from iubench import IS_SANITIZED, PATIENCE_S

SEED = 5
ROUNDS = 1500 if IS_SANITIZED else 6000
PIECES = ['"', "\\", "/", "\n", "\t", " ", "\x01", "\x1f", "\x7f", "é", "€", "😀", "\ud800", "\udc00", "a", "\0",
          "\u2028", "\uffff", "\U0010ffff", "{", "}", "[", "]", ":", ",", "\\u0041", "\\n", "\\ud83d\\ude00",
          "\\ud800", "\\u0000", "\\x", "mac", "firmware", "0", "-", "1.5e3", "true", "null", "NaN"]


class Refused(Exception):
    pass


def refuse(*_):
    raise Refused


def check_text(text):
    if any(0xd800 <= ord(c) < 0xe000 for c in text):
        raise Refused  # half a surrogate pair is no Unicode text (RFC 8259 section 8.2)
    return text


def check_all(value):
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, list):
        for item in value:
            check_all(item)


def check_members(pairs):
    """Every member that is read, those of nested and repeated names among them."""
    for key, value in pairs:
        check_text(key)
        check_all(value)
    return dict(pairs)


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def expected(body):
    """(mac, firmware) or None."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=check_members, parse_constant=refuse)
        if not isinstance(value, dict):
            return None
        texts = value["mac"], value["firmware"]
    except (ValueError, Refused, KeyError, RecursionError):
        return None
    if not all(isinstance(text, str) and len(text) <= 255 and "\0" not in text for text in texts):
        return None
    return texts


def random_text(rng):
    return "".join(rng.choice(PIECES) for _ in range(rng.choice((0, 1, 2, 5, 20, 253, 254, 255, 256))))


def random_value(rng, level=0):
    kind = rng.randrange(9 if level < 4 else 6)
    if kind == 0:
        return random_text(rng)
    if kind < 6:
        return (None, True, False, rng.randrange(-10**18, 10**18), rng.uniform(-1e9, 1e9))[kind - 1]
    if kind == 6:
        return [random_value(rng, level + 1) for _ in range(rng.randrange(4))]
    return {random_text(rng): random_value(rng, level + 1) for _ in range(rng.randrange(4))}


def random_document(rng):
    members = [("mac", random_text(rng)), ("firmware", random_text(rng))]
    for _ in range(rng.randrange(3)):
        members.append((rng.choice(("x", "", "Mac", "é\n")), random_value(rng)))
    rng.shuffle(members)
    if rng.random() < 0.1:
        members.pop()
    space = rng.choice(("", " ", "\n\t", " \r\n"))
    is_ascii = rng.random() < 0.5
    parts = [json.dumps(k, ensure_ascii=is_ascii) + space + ":" + space + json.dumps(v, ensure_ascii=is_ascii)
             for k, v in members]
    text = space + "{" + space + (space + "," + space).join(parts) + space + "}" + space
    return text.encode("utf-8", "surrogatepass")


def damage(rng, body):
    body = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(body) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            del body[at:at + rng.randrange(1, 4)]
        elif kind == 1:
            body[at:at] = rng.choice(PIECES).encode("utf-8", "surrogatepass")
        elif kind == 2 and at < len(body):
            body[at] = rng.randrange(256)
        else:
            del body[at:]
    return bytes(body)


def post(client, bodies):
    for body in bodies:
        client.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return [client.reply() for _ in bodies]


def compare(body, reply):
    wanted = expected(body)
    if wanted is None:
        assert reply.status == 400, (SEED, body, reply)
        assert json.loads(reply.body)["error"]
    else:
        assert reply.status == 201, (SEED, body, reply)
        device = json.loads(reply.body.decode("utf-8"))
        assert (device["mac"], device["firmware"]) == wanted, (SEED, body, reply)


def test_random_documents(serve):
    rng = random.Random(SEED)
    taken = 0
    with serve("post").connect(PATIENCE_S) as client:
        for _ in range(ROUNDS // 10):
            bodies = [random_document(rng) for _ in range(5)]
            bodies += [damage(rng, body) for body in bodies]
            for body, reply in zip(bodies, post(client, bodies)):
                compare(body, reply)
                taken += reply.status == 201
    assert ROUNDS / 20 < taken < ROUNDS  # neither side of the oracle went unused


def test_every_character(serve):
    """Each character of the basic plane and some above, raw and escaped, comes back as itself."""
    codes = [c for c in range(1, 0x10000) if not 0xd800 <= c < 0xe000] + list(range(0x10000, 0x110000, 997))
    with serve("post").connect(PATIENCE_S) as client:
        for at in range(0, len(codes), 250 * 8):
            texts = ["".join(map(chr, codes[i:i + 250])) for i in range(at, min(at + 2000, len(codes)), 250)]
            bodies = [json.dumps({"mac": text, "firmware": text}, ensure_ascii=is_ascii).encode()
                      for text in texts for is_ascii in (False, True)]
            for body, reply in zip(bodies, post(client, bodies)):
                compare(body, reply)


def test_refused_bodies_leave_the_connection_usable(serve):
    with serve("post").connect() as client:
        for body in (b"", b"{", b"[]", b"{}", b'{"mac":"a"}', b"\xff", b'{"mac":"a","firmware":"%s"}' % (b"x" * 256),
                     b'{"mac":"\\u0000","firmware":""}', b"[" * 100000):
            reply = client.request("POST", "/api/devices", body)
            assert reply.status == 400 and not reply.is_last
            assert client.request("POST", "/api/devices", b'{"mac":"a","firmware":"b"}').status == 201
