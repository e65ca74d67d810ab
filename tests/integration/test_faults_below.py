"""What comes from below: system calls and allocations that fail, limits that are small or become so,
a process that is stopped for seconds, and more load than there is room for. What fails is told in a
sentence or is counted, nothing hangs or crashes, and nobody gets an answer that is not his."""

import collections
import contextlib
import json
import mmap
import os
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

from iubench import DEVICES, IS_SANITIZED, PATIENCE_S, PROGRAM, REPORT, Client, Process, parse_metrics, wait_for

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
            assert lines and re.match(r"iubench( serve)?: \w", lines[-1]) and len(lines[-1]) > 20, f"{what}: {errors!r}"
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


def live_through(what, prefix=(), env=None, words=()):
    """A life with a fault somewhere in it. Returns its exit code and what became of the requests."""
    life = Life(words, prefix, env)
    outcomes = []
    try:
        if life.address:
            outcomes = use(life.address)
            if life.process.poll() is None:
                wait_for(lambda: life.process.poll() is not None or is_well(life.address), 10)
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
            call = re.match(r"\d+ (\w+)\(", line)
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
