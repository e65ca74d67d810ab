"""The program under test, started and stopped as a user would, and raw HTTP/1.1 connections to it.

IUBENCH names the program (default ./build/iubench), so that the same tests run against a sanitizer
build; a server that leaves a sanitizer's report, or does not end with exit code 0, fails its test."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("IUBENCH", os.path.join(ROOT, "build", "iubench"))
IS_SANITIZED = "IUBENCH_SANITIZED" in os.environ
PATIENCE_S = float(os.environ.get("IUBENCH_PATIENCE_S", 30))  # for what should come at once, on a busy machine
REPORT = re.compile(rb"Sanitizer|runtime error:|internal error at")
DEVICES = (b'[{"id":1,"uuid":"9add349c-c35c-4d32-ab0f-53da1ba40a2a","mac":"EF-2B-C4-F5-D6-34",'
           b'"firmware":"2.1.5","created_at":"2024-05-28T15:21:51.137Z",'
           b'"updated_at":"2024-05-28T15:21:51.137Z"},'
           b'{"id":2,"uuid":"d2293412-36eb-46e7-9231-af7e9249fffe","mac":"E7-34-96-33-0C-4C",'
           b'"firmware":"1.0.3","created_at":"2024-01-28T15:20:51.137Z",'
           b'"updated_at":"2024-01-28T15:20:51.137Z"},'
           b'{"id":3,"uuid":"eee58ca8-ca51-47a5-ab48-163fd0e44b77","mac":"68-93-9B-B5-33-B9",'
           b'"firmware":"4.3.1","created_at":"2024-08-28T15:18:21.137Z",'
           b'"updated_at":"2024-08-28T15:18:21.137Z"}]')


def run(*words, timeout=PATIENCE_S, env=None):
    """Runs the program to its end: (exit code, standard output, standard error)."""
    done = subprocess.run([PROGRAM, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout, env={**os.environ, **(env or {})}, check=False)
    assert not REPORT.search(done.stderr), done.stderr.decode(errors="replace")
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Process:
    """`iubench serve` or `iubench upstream`, up as soon as this is made."""

    def __init__(self, *words, prefix=(), env=None):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*prefix, PROGRAM, *words], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.errors,
                                        env={**os.environ, **(env or {})})
        self.line = self._read_line().decode()
        found = re.search(r"listening on (?:http://)?(unix:[^,\s]+|[^,\s/]+)", self.line)
        if not found:
            self.kill()
            raise AssertionError(f"no start-up line but {self.line!r}; {self.stderr()}")
        self.address = re.sub(r":?/external$", "", found[1])

    def _read_line(self):
        kill = threading.Timer(PATIENCE_S, self.process.kill)
        kill.start()
        try:
            return self.process.stdout.readline()
        finally:
            kill.cancel()

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    @property
    def url(self):
        return f"http://{self.address}"

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def connect(self, timeout=PATIENCE_S):
        return Client(self.address, timeout)

    def get(self, path, **options):
        """One request on a connection of its own."""
        with self.connect() as client:
            return client.request("GET", path, close=True, **options)

    def metrics(self):
        return parse_metrics(self.get("/metrics").body.decode())

    def counters(self):
        """The server's own counters by their short names."""
        return {name.removeprefix("iubench_").removesuffix("_total"): value
                for (name, labels), value in self.metrics().items() if name.startswith("iubench_") and not labels}

    def is_running(self):
        return self.process.poll() is None

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def kill_with(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, timeout=PATIENCE_S):
        """Waits for the end; returns the exit code."""
        try:
            return self.process.wait(timeout)
        finally:
            self.process.stdout.close()

    def stop(self, number=signal.SIGTERM, timeout=PATIENCE_S):
        """Ends it as a user would and holds it to a clean end."""
        if self.is_running():
            self.kill_with(number)
        try:
            code = self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not stop within {timeout} s; {self.stderr()}") from None
        errors = self.stderr()
        assert code == 0, f"exit code {code}; {errors}"
        assert not REPORT.search(errors.encode()), errors

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Reply:
    def __init__(self, status, fields, body, version):
        self.status, self.fields, self.body, self.version = status, fields, body, version

    def field(self, name):
        """The value of a field that may stand there once, None if it does not."""
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} stands there {len(values)} times"
        return values[0] if values else None

    @property
    def is_last(self):
        return (self.field("Connection") or "").lower() == "close"

    def __repr__(self):
        return f"Reply({self.status}, {self.fields}, {self.body[:200]!r})"


class Client:
    """One connection, as raw as a test needs it. Replies are read to the byte."""

    def __init__(self, address, timeout=PATIENCE_S):
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address[5:])
        else:
            host, _, port = address.rpartition(":")
            self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with a reset instead of an end of stream."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def finish(self):
        """Our end of stream; replies can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def _fill(self):
        data = self.socket.recv(1 << 16)
        self.pending += data
        return bool(data)

    def _take(self, count):
        taken = bytes(self.pending[:count])
        del self.pending[:count]
        return taken

    def _until(self, mark):
        start = 0
        while (at := self.pending.find(mark, start)) < 0:
            start = max(0, len(self.pending) - len(mark))
            if not self._fill():
                raise EOFError(f"end of stream after {bytes(self.pending)!r}")
        return self._take(at + len(mark))

    def _exactly(self, count):
        while len(self.pending) < count:
            if not self._fill():
                raise EOFError(f"{len(self.pending)} of {count} bytes of a body")
        return self._take(count)

    def _chunks(self):
        body = bytearray()
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"
        assert self._exactly(2) == b"\r\n"
        return bytes(body)

    def reply(self, method="GET"):
        """The next reply, whose framing must be exact."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        assert re.fullmatch(r"HTTP/1\.1 [1-5]\d\d [ -~]*", head[0]), head[0]
        status = int(head[0][9:12])
        fields = []
        for line in head[1:]:
            assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [ -~]*", line), line
            fields.append(tuple(line.split(": ", 1)))
        reply = Reply(status, fields, b"", head[0][:8])
        length, coding = reply.field("Content-Length"), reply.field("Transfer-Encoding")
        if status >= 200 and status not in (204, 304):
            assert (length is None) == (coding == "chunked") and reply.field("Date"), head
        if method != "HEAD" and coding:
            reply.body = self._chunks()
        if method != "HEAD" and length:
            reply.body = self._exactly(int(length))
        return reply

    def request(self, method, path, body=None, fields=(), close=False, version="1.1"):
        lines = [f"{method} {path} HTTP/{version}", "Host: test", *fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        if close:
            lines.append("Connection: close")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
        return self.reply(method)

    def rest(self):
        """Everything up to the server's end of stream."""
        with contextlib.suppress(ConnectionResetError):
            while self._fill():
                pass
        return self._take(len(self.pending))

    def assert_closed(self):
        assert self.rest() == b""


def cpu_s(pid):
    """CPU time of all threads that there are, by the scheduler."""
    return sum(int(Path(task, "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def parse_metrics(page):
    """Prometheus' text format, read strictly: {(name, labels): value}. Every sample belongs to a
    family that has HELP and TYPE and stands in one piece; a histogram's buckets rise to its count."""
    samples, types, helps, order = {}, {}, set(), []
    assert page.endswith("\n")
    for line in page.splitlines():
        if match := re.fullmatch(r"# HELP ([a-zA-Z_:][\w:]*) (.+)", line):
            assert match[1] not in helps, line
            helps.add(match[1])
            continue
        if match := re.fullmatch(r"# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram)", line):
            assert match[1] not in types, line
            types[match[1]] = match[2]
            continue
        match = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
        assert match, line
        name, labels, value = match[1], match[2] or "", float(match[3])
        assert not labels or re.fullmatch(r'([a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)+', labels), line
        family = name if name in types else re.sub(r"_(bucket|sum|count)$", "", name)
        assert family in types and family in helps, f"{line}: a sample without its family"
        assert family == name or types[family] == "histogram", line
        if not order or order[-1] != family:
            assert family not in order, f"{family} stands in two places"
            order.append(family)
        assert (name, labels) not in samples, line
        samples[name, labels] = value
    check_histograms(samples)
    return samples


def check_histograms(samples):
    series = {}
    for (name, labels), value in samples.items():
        if name.endswith("_bucket"):
            bound = re.search(r'le="([^"]*)"', labels)[1]
            others = re.sub(r',?le="[^"]*"', "", labels)
            series.setdefault((name[:-7], others), []).append((float(bound), value))
    for (name, labels), buckets in series.items():
        assert buckets == sorted(buckets) and len({b for b, _ in buckets}) == len(buckets), name
        assert [v for _, v in buckets] == sorted(v for _, v in buckets), name
        assert buckets[-1] == (float("inf"), samples[name + "_count", labels]), name


def wait_for(condition, seconds=PATIENCE_S):
    """Until `condition()` holds; fails if it never does."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return value
