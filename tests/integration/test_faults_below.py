"""What comes from below: system calls and allocations that fail, limits that are small or become so,
a process that is stopped for seconds, and more load than there is room for. What fails is told in a
sentence or is counted, nothing hangs or crashes, and nobody gets an answer that is not his."""

import collections
import contextlib
import json
import mmap
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from iubench import DEVICES, IS_SANITIZED, PATIENCE_S, PROGRAM, REPORT, Client, Process, cpu_s, parse_metrics, wait_for

# Sanitizers have system calls and allocations of their own.
plain_only = pytest.mark.skipif(IS_SANITIZED, reason="not in a sanitizer build")
SERVE = ["serve", "--listen", "127.0.0.1:0", "--threads", "2", "--upstream-delay", "1ms"]
ANSWERED, REFUSED, CUT = "answered", "refused", "cut"


# --- one life of a server in which something fails ---


class Life:
    """A server that may fail to start: it is then gone with a sentence and an exit code."""

    def __init__(self, words=(), prefix=(), env=None):
        self.folder = tempfile.TemporaryDirectory(prefix="iubench-faults-")
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*prefix, PROGRAM, *SERVE, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self.errors, env={**os.environ, "TMPDIR": self.folder.name, **(env or {})})
        self.guard = threading.Timer(PATIENCE_S, self.process.kill)
        self.guard.start()
        found = re.search(rb"listening on http://([^,\s]+)", self.process.stdout.readline())
        self.address = found and found[1].decode()

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def end(self):
        """Ends it if it has not ended; returns the exit code."""
        if self.address and self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait()
        self.guard.cancel()
        self.process.stdout.close()
        return code

    def check_end(self, what):
        """It ended as a program should that cannot go on, or cleanly."""
        code, errors = self.end(), self.stderr()
        assert code in (0, 1, 4), f"{what}: exit code {code}; {errors!r}"
        assert not REPORT.search(errors.encode()), f"{what}: {errors}"
        if code:
            lines = errors.splitlines()
            assert lines and re.match(r"iubench( serve)?: \S", lines[-1]) and len(lines[-1]) > 20, f"{what}: {errors!r}"
        else:
            assert self.address, f"{what}: exit code 0 without having served"
            assert not os.listdir(self.folder.name), what
        self.errors.close()
        self.folder.cleanup()
        return code


GETS = {"devices": ("/api/devices", DEVICES), "fib": ("/fib/10", b'{"n":10,"fibonacci":55}'),
        "fetch": ("/fetch-external", b'{"message":"External service response"}'), "metrics": ("/metrics", None)}


def one(client, number, kind, close=False):
    """One request; the answer is right, or an honest refusal."""
    marker = f"{number}-{os.urandom(6).hex()}"
    if kind == "post":
        reply = client.request("POST", "/api/devices", json.dumps({"mac": "a", "firmware": marker}).encode(), close=close)
        if reply.status == 201:
            assert json.loads(reply.body)["firmware"] == marker
    else:
        path, expected = GETS[kind]
        reply = client.request("GET", path, close=close)
        if reply.status == 200:
            assert reply.body == expected if expected else parse_metrics(reply.body.decode())
    if reply.status in (200, 201):
        return ANSWERED
    assert reply.status in (502, 503, 504) and json.loads(reply.body)["error"], reply
    return REFUSED


KINDS = ("devices", "post", "fib", "fetch", "metrics")


def use(address, kinds=KINDS):
    """Each kind of request on a connection of its own, twice: what became of them."""
    outcomes = []
    for number, kind in enumerate(kinds):
        try:
            with Client(address) as client:
                outcomes += [one(client, number, kind), one(client, number, kind, close=True)]
                client.assert_closed()
        except (ConnectionError, EOFError):
            outcomes.append(CUT)
    return outcomes


def is_well(address, kinds=KINDS):
    return use(address, kinds) == [ANSWERED] * 2 * len(kinds)


def live_through(what, prefix=(), env=None, words=(), kinds=KINDS):
    """A life with a fault somewhere in it. Returns its exit code and what became of the requests."""
    life = Life(words, prefix, env)
    outcomes = []
    try:
        if life.address:
            outcomes = use(life.address, kinds)
            if life.process.poll() is None:
                wait_for(lambda: life.process.poll() is not None or is_well(life.address, kinds), 10)
        return life.check_end(what), outcomes
    except Exception as error:
        life.process.kill()
        raise AssertionError(f"{what}: {error!r}; {outcomes}") from error


# --- the n-th system call fails ---


def can_trace():
    probe = ["strace", "-f", "-o", os.devnull, "true"]
    return shutil.which("strace") and subprocess.run(probe, capture_output=True, check=False).returncode == 0


needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace: apt-get install strace")


def traced(calls, log, inject=None):
    words = ["strace", "-D", "-f", "-qq", "-o", log, "-e", f"trace={calls}", "--seccomp-bpf"]
    return words + ([f"--inject={inject}"] if inject else [])


@pytest.fixture(scope="module")
def loader_calls():
    """How many calls of each kind the dynamic loader has made when main() begins; their failures are
    told by the loader, in its own words."""
    with tempfile.NamedTemporaryFile("r") as log:
        subprocess.run([*traced("openat,mmap,mprotect,newfstatat,munmap", log.name), PROGRAM,
                        "--version"], capture_output=True, check=False)
        wait_for(lambda: "munmap" in Path(log.name).read_text(), 10)
        calls = collections.Counter()
        for line in log:
            call = re.match(r"\d+ +(\w+)\(", line)
            if call and call[1] == "munmap":  # of its cache: the last that it does
                break
            if call:
                calls[call[1]] += 1
    return calls


def sweep(call, error, first, last=400, words=()):
    """Lets the n-th call of each thread fail, for each n until there is no n-th."""
    def at(n):
        with tempfile.NamedTemporaryFile("r") as log:
            what = f"{call} number {n}: {error}"
            code, outcomes = live_through(what, traced(call, log.name, f"{call}:error={error}:when={n}"), words=words)
            time.sleep(0.01)
            return n, "(INJECTED)" in log.read(), code, outcomes

    seen = collections.Counter()
    with ThreadPoolExecutor(2) as pool:
        for begin in range(first, last, 4):
            results = list(pool.map(at, range(begin, begin + 4)))
            for n, was_injected, code, outcomes in results:
                seen["injected"] += was_injected
                seen[code] += was_injected
                seen.update(outcomes if was_injected else ())
            if not any(was_injected for _, was_injected, *_ in results):
                break
    assert seen["injected"], f"no {call} was seen"
    print(call, error, dict(seen))
    return seen


@plain_only
@needs_strace
@pytest.mark.parametrize("call, error", [
    ("io_uring_setup", "ENOSYS"), ("io_uring_setup", "EPERM"), ("io_uring_setup", "ENOMEM"),
    ("io_uring_setup", "EMFILE"), ("io_uring_register", "ENOMEM"), ("io_uring_register", "EINVAL"),
    ("eventfd2", "EMFILE"), ("socket", "EMFILE"), ("bind", "EADDRINUSE"), ("listen", "EADDRINUSE"), ("setsockopt", "ENOPROTOOPT"),
    ("getsockname", "ENOBUFS"), ("clone3", "EAGAIN"), ("clone3", "ENOMEM"), ("prlimit64", "EPERM"),
    ("getrandom", "ENOSYS"), ("sched_getaffinity", "EINVAL"), ("mkdir", "ENOSPC"),
])
def test_a_call_of_the_start_fails(call, error):
    sweep(call, error, 1)


@plain_only
@needs_strace
@pytest.mark.parametrize("call, error", [("mmap", "ENOMEM"), ("mprotect", "ENOMEM"), ("openat", "EMFILE"),
                                         ("newfstatat", "EIO"), ("pwrite64", "ENOSPC"), ("fdatasync", "EIO")])
def test_a_call_below_the_libraries_fails(loader_calls, call, error):
    sweep(call, error, 1 + loader_calls[call])


@plain_only
@needs_strace
@pytest.mark.parametrize("error", ["EINTR", "EAGAIN", "EBADF"])
def test_entering_the_ring_fails(error):
    """While it starts, serves and stops. The first two pass: what was queued is submitted in the
    next turn. The third ends the program, with a sentence."""
    seen = sweep("io_uring_enter", error, 1)
    if error != "EBADF":
        assert not seen[1] and not seen[4] and not seen[CUT] and not seen[REFUSED], seen
    else:
        assert seen[1]


# --- the n-th allocation fails ---


class Allocations:
    """The orders that tests/preload/faulty_malloc.c obeys, in the program that was given `env`."""

    def __init__(self, build_folder):
        library = os.path.join(build_folder, "tests", "preload", "faulty_malloc.so")
        assert os.path.exists(library), "run `make test-programs`"
        self.file = tempfile.NamedTemporaryFile()
        self.file.truncate(32)
        self.map = mmap.mmap(self.file.fileno(), 32)
        self.env = {"LD_PRELOAD": os.path.abspath(library), "FAULTY_MALLOC": self.file.name}

    def fail(self, after, count=1):
        self.map[0:16] = struct.pack("qq", after, count)

    def made(self):
        return struct.unpack_from("q", self.map, 16)[0]

    def failed(self):
        return struct.unpack_from("q", self.map, 24)[0]

    def close(self):
        self.map.close()
        self.file.close()


@pytest.fixture
def make_allocations(build_folder):
    made = []

    def make():
        made.append(Allocations(build_folder))
        return made[-1]

    yield make
    for allocations in made:
        allocations.close()


@plain_only
@pytest.mark.parametrize("words, kinds", [
    ((), KINDS), (("--mode", "post", "--cores", "0", "--metrics", "127.0.0.1:0"), ("devices", "post", "metrics"))])
def test_an_allocation_of_the_start_fails(make_allocations, words, kinds):
    seen = collections.Counter()

    def at(n):
        allocations = make_allocations()
        allocations.fail(n)
        code, outcomes = live_through(f"allocation number {n}", env=allocations.env, words=words, kinds=kinds)
        return allocations.failed(), code, outcomes

    step = 1 if "IUBENCH_THOROUGH" in os.environ else 7
    with ThreadPoolExecutor(2) as pool:
        for begin in range(0, 4000, 10 * step):
            results = list(pool.map(at, range(begin, begin + 10 * step, step)))
            seen.update(code for failed, code, _ in results if failed)
            if not any(failed for failed, *_ in results):
                break
    print(seen)
    assert seen[1] >= 2


@plain_only
@pytest.mark.parametrize("count", [1, 5, 50])
def test_an_allocation_fails_while_it_serves(make_allocations, count):
    """The server stays; what it cannot do for want of memory it refuses, and only then."""
    allocations, seen = make_allocations(), collections.Counter()
    server = Process(*SERVE, env=allocations.env)
    try:
        for after in range(45):
            allocations.fail(after, count)
            seen.update(use(server.address))
            allocations.fail(0, 0)
            assert server.is_running(), server.stderr()
            wait_for(lambda: is_well(server.address), 10)
        assert allocations.failed() > 20 and seen[REFUSED], seen
        counters = server.counters()
        assert counters["accepted"] == counters["closed"] + counters["connections_open"]
        server.stop()
    finally:
        if server.is_running():
            server.kill()


# --- limits ---


def limited(memlock=None, descriptors=None):
    """Words that run a program with small limits; without the right to exceed that of memory."""
    words = ["prlimit"]
    words += [f"--memlock={memlock}:{memlock}"] if memlock is not None else []
    words += [f"--nofile={descriptors}:{descriptors}"] if descriptors is not None else []
    drop = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"] if memlock is not None and os.geteuid() == 0 else []
    return [*words, *drop]


needs_limits = pytest.mark.skipif(not (shutil.which("prlimit") and shutil.which("setpriv")),
                                  reason="prlimit or setpriv is missing: apt-get install util-linux")


@needs_limits
@pytest.mark.parametrize("memlock", [0, 4096, 65536, 1 << 20])
def test_little_memory_may_be_locked(memlock):
    code, outcomes = live_through(f"memlock {memlock}", limited(memlock=memlock))
    assert code == 4 or outcomes == [ANSWERED] * 10


@needs_limits
def test_few_descriptors_at_start():
    """With each number it says so, or serves; with those in between it serves few at a time."""
    seen = collections.Counter()
    for descriptors in range(4, 40):  # the loader needs one beside the standard three
        code, outcomes = live_through(f"{descriptors} descriptors", limited(descriptors=descriptors),
                                      kinds=("devices", "post", "fib", "metrics"))
        seen[code] += 1
        seen.update(outcomes)
    assert seen[ANSWERED] and seen[1] + seen[4] and not seen[127], seen


@needs_limits
def test_descriptors_run_out_while_it_serves(serve):
    """Those who are connected never notice; those who come wait, also when some leave but the limit was
    lowered meanwhile, and are served when it is raised again. (The kernel notes the limit when an
    accept is armed, so the lower one counts from the first that failed.)"""
    server = serve("static", threads=1, prefix=limited(descriptors=64))
    standing = [server.connect() for _ in range(64 - server.descriptors())]
    wait_for(lambda: server.descriptors() == 64)
    with ThreadPoolExecutor(20) as pool:
        coming = [pool.submit(lambda: server.get("/api/devices").body) for _ in range(20)]
        wait_for(lambda: "accepting connections pauses: Too many open files" in server.stderr())
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (40, 64))
        for _ in range(10):
            standing.pop().close()
        before, deadline = cpu_s(server.process.pid), time.monotonic() + 1
        while time.monotonic() < deadline:
            assert all(client.request("GET", "/api/devices").body == DEVICES for client in standing)
            time.sleep(0.05)
        assert cpu_s(server.process.pid) - before < 0.5, "it asks in a loop"
        assert not any(request.done() for request in coming)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        assert all(request.result(15) == DEVICES for request in coming)
    for client in standing:
        client.close()
    assert server.counters()["accept_failures"] > 0


# --- a pause, and too much ---


def load_of(server, folder, *words, path="/api/devices"):
    """Starts `iubench load` on the server; its result is read by `result_of`."""
    result = os.path.join(folder, f"result-{time.monotonic_ns()}.json")
    process = subprocess.Popen([PROGRAM, "load", server.url + path, "--json", result, "--quiet", *words],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return process, result


def result_of(load):
    process, result = load
    errors = process.communicate(timeout=PATIENCE_S)[1]
    assert not REPORT.search(errors), errors
    target = json.loads(Path(result).read_text())["targets"][0]
    r = target["requests"]
    assert r["sent"] == r["ok"] + sum(r["errors"].values()) + r["timeouts"] + r["unfinished"], r
    if r["scheduled"] is not None:
        assert r["scheduled"] == r["sent"] + r["unsent"], r
    return target


def goodput(target, first, last):
    return [row["rps"] * row["availability"] for row in target["series"] if first <= row["t"] <= last]


@pytest.mark.timing
def test_stopped_for_seconds_under_load(serve, tmp_path):
    """Nothing is lost but time: the requests that were due meanwhile are answered when it goes on."""
    server = serve("static")
    load = load_of(server, tmp_path, "--rate", "2000", "-d", "6s", "-c", "64")
    time.sleep(1.5)
    server.kill_with(signal.SIGSTOP)
    time.sleep(2)
    server.kill_with(signal.SIGCONT)
    target = result_of(load)
    requests = target["requests"]
    assert requests["scheduled"] == 12000 and requests["ok"] == 12000, requests
    assert target["latency_us"]["max"] > 1.5e6
    last = [row for row in target["series"] if row["t"] == 6]
    assert last and 1500 < last[0]["rps"] < 2500 and last[0]["p99_us"] < 0.5e6, target["series"]
    assert is_well(server.address, ("devices",))


@pytest.mark.timing
def test_ten_times_the_connections_that_it_takes(serve, tmp_path):
    """Those that it took go on, though each of the others costs an accept and a close."""
    server = serve("static", "--max-connections", "16", threads=1)
    alone = result_of(load_of(server, tmp_path, "-c", "8", "-d", "2s"))
    load = load_of(server, tmp_path, "-c", "8", "-d", "3s")
    wait_for(lambda: server.counters()["connections_open"] > 8)
    with ThreadPoolExecutor(8) as pool:
        end = time.monotonic() + 2
        crowd = [pool.submit(crowd_in, server.address, end) for _ in range(8)]
        served = result_of(load)
        refused = sum(part.result() for part in crowd)
    assert refused > 100 and server.counters()["over_connections"] > 100
    assert served["rps"] > 0.1 * alone["rps"], (served, alone)
    wait_for(lambda: is_well(server.address, ("devices",)), 5)


def crowd_in(address, end):
    """Holds as many connections as it can get; returns how many were closed on it."""
    held, refused = [], 0
    while time.monotonic() < end:
        client = Client(address)
        try:
            client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            client.reply()
            held.append(client)
        except (OSError, EOFError):
            client.close()
            refused += 1
        time.sleep(0.002)
    for client in held:
        client.close()
    return refused


@pytest.mark.timing
def test_ten_times_the_rate_that_it_bears(serve, tmp_path):
    """Computations of some 5 ms bound it to a few hundred a second; at ten times that it still does
    a good part of them, refuses or outlasts the rest, and is itself again within seconds."""
    server = serve("fib", "--fib-threads", "1", "--fib-queue", "64", threads=1)
    peak = result_of(load_of(server, tmp_path, "-c", "4", "-d", "2s", path="/fib/31"))
    rate = max(500, int(10 * peak["rps"]))
    over = result_of(load_of(server, tmp_path, "-c", "512", "--rate", str(rate), "-d", "3s", "-T", "2s", path="/fib/31"))
    assert over["requests"]["ok"] / over["duration_s"] > 0.3 * peak["rps"], (over["requests"], peak["rps"])
    begun = time.monotonic()
    wait_for(lambda: is_well(server.address, ("devices", "fib")), 10)
    assert time.monotonic() - begun < 5
    again = result_of(load_of(server, tmp_path, "-c", "4", "-d", "1s", path="/fib/31"))
    assert again["rps"] > 0.3 * peak["rps"], (again["rps"], peak["rps"])


# --- whose answer it is ---


def test_everybody_gets_his_own_answer(serve):
    """Clients that come and go, each with marks of its own, on more connections than are taken, some
    of them leaving before the answer: nobody is given another's."""
    server = serve("post", "--max-connections", "24", "--upstream-delay", "1ms")
    seen = collections.Counter()

    def client_life(number):
        rng = random.Random(number)
        for _ in range(25):
            try:
                with server.connect() as client:
                    seen[live_one(client, rng, number)] += 1
            except (ConnectionError, EOFError):
                seen[CUT] += 1

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(client_life, range(64)))
    assert seen[ANSWERED] > 300, seen
    counters = server.counters()
    assert counters["requests"] == counters["replies"] + counters["requests_waiting"]


def live_one(client, rng, number):
    marks = [f"{number}-{rng.getrandbits(48):x}-{i}" for i in range(rng.randrange(1, 6))]
    for mark in marks:
        body = json.dumps({"mac": "m" * rng.randrange(200), "firmware": mark}).encode()
        client.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    if rng.random() < 0.2:
        client.reset()
        return "left"
    for mark in marks:
        reply = client.reply("POST")
        assert reply.status == 201 and json.loads(reply.body)["firmware"] == mark, (mark, reply)
    return ANSWERED
