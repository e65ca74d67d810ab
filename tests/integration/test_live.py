"""The live dashboard of `iubench load` and `iubench run`: its events, read strictly, are the result's
series; whoever watches, in whatever way, the run is as it was; and its metrics add up."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from iubench import PATIENCE_S, PROGRAM, REPORT, Client, parse_metrics, run, wait_for
from services import free_port

VIEWERS_MAX = 32
VALID = (0, 5)  # on a busy machine a verdict may be INVALID: this is not what is tested here


class Live:
    """A load or a run with a dashboard, up as soon as that can be asked."""

    def __init__(self, folder, *words, dashboard="--dashboard=127.0.0.1:0"):
        self.json = folder / "result.json"
        out = ["--json", self.json] if words[0] == "load" else ["--out", folder]
        self.errors = open(folder / "stderr", "w+b")
        self.process = subprocess.Popen([PROGRAM, words[0], dashboard, *out, *words[1:]],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=self.errors)
        said = r"dashboard: (?:http://([^/\s]+)/|(unix:\S+))\n"
        found = wait_for(lambda: re.search(said, self.stderr()) or self.process.poll() is not None)
        assert found is not True, self.stderr()
        self.address = found[1] or found[2]

    def stderr(self):
        with open(self.errors.name, encoding="utf-8") as file:
            return file.read()

    def get(self, path, method="GET", **options):
        with Client(self.address) as client:
            return client.request(method, path, close=True, **options)

    def metrics(self):
        return parse_metrics(self.get("/metrics").body.decode())

    def watch(self):
        return Viewer(self.address)

    def wait(self, codes=VALID):
        code = self.process.wait(PATIENCE_S)
        assert not REPORT.search(self.stderr().encode()), self.stderr()
        assert code in codes, (code, self.stderr())
        return code

    def result(self, codes=VALID):
        self.wait(codes)
        return json.loads(self.json.read_text())


class Viewer(Client):
    """A connection to /events."""

    def __init__(self, address, fields=()):
        super().__init__(address)
        self.body = bytearray()
        self.send("\r\n".join(["GET /events HTTP/1.1", "Host: test", *fields, "", ""]).encode())
        self.head = self._until(b"\r\n\r\n").decode()
        assert self.head.startswith("HTTP/1.1 200 ") and "Content-Type: text/event-stream\r\n" in self.head
        assert "Cache-Control: no-store\r\n" in self.head

    def event(self):
        """The next one, (name, data); None at the stream's end, which must be a whole one."""
        while (at := self.body.find(b"\n\n")) < 0:
            size = int(self._until(b"\r\n"), 16)
            self.body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"
            if not size:
                assert not self.body, "the stream ends within an event"
                return None
        block = self.body[:at].decode()
        del self.body[:at + 2]
        match = re.fullmatch(r"(retry: \d+\n)?event: (start|target|second|end)\ndata: (.+)", block)
        assert match and (match[1] is None) == (match[2] != "start"), block[:200]
        return match[2], json.loads(match[3])

    def events(self):
        found = []
        while event := self.event():
            found.append(event)
        return found


def follow(events):
    """Holds a stream to its order; returns the series by target as a page that follows it has them,
    how many rows of them were there at the start, and the final document."""
    names = [name for name, _ in events]
    assert names[0] == "start" and names[-1] == "end"
    assert set(names[1:-1]) <= {"target", "second"}
    document = events[0][1]
    assert document["schema"] == "iubench-result/1" and document["live"] is True
    targets = document["targets"]
    at_start = sum(len(target["series"]) for target in targets)
    for name, data in events[1:-1]:
        if name == "target":
            assert data["index"] == len(targets) and data["target"]["series"] == []
            targets.append(data["target"])
        else:
            assert data["target"] == len(targets) - 1
            targets[-1]["series"].append(data["row"])
    return targets, at_start, events[-1][1]


def assert_same(targets, final):
    for seen, told in zip(targets, final["targets"], strict=True):
        assert seen["series"] == told["series"]
        for key, value in seen.items():
            assert told[key] == value, key


@pytest.fixture
def live(tmp_path):
    started = []

    def start(*words, **options):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Live(folder, *map(str, words), **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one.errors.close()


@pytest.fixture
def target(serve):
    return serve("all")


# --- events ---


def test_events_are_the_series(live, target):
    shown = live("load", "-r", "200", "-d", "3s", target.url + "/json")
    with shown.watch() as viewer:
        targets, _, final = follow(viewer.events())
    assert final == shown.result()
    assert_same(targets, final)
    assert [row["t"] for row in targets[0]["series"]] == list(range(1, len(targets[0]["series"]) + 1))
    assert targets[0]["method"] == "GET" and targets[0]["model"] == "constant"
    assert "live" not in final


def test_who_comes_later_has_it_all(live, target):
    """A connection begins with all so far; nothing is missing and nothing comes twice."""
    shown = live("load", "-c", "2", "-d", "4s", target.url + "/json")
    viewers = [shown.watch()]
    for _ in range(2):
        viewers[-1].event()
        while viewers[-1].event()[0] != "second":
            pass
        viewers[-1].close()  # and connects again, as a browser does
        viewers.append(shown.watch())
    targets, at_start, final = follow(viewers[-1].events())
    assert at_start >= 1
    assert_same(targets, final)
    assert final == shown.result()


def test_document_so_far(live, target):
    shown = live("load", "-c", "2", "-d", "3s", target.url + "/json")

    def so_far():
        reply = shown.get("/result.json")
        assert reply.status == 200 and reply.field("Content-Type") == "application/json"
        return json.loads(reply.body)

    document = wait_for(lambda: (d := so_far())["targets"][0]["series"] and d)
    assert document["live"] is True
    series = shown.result()["targets"][0]["series"]
    assert document["targets"][0]["series"] == series[:len(document["targets"][0]["series"])]


def test_several_contestants(live, target):
    """Each begins a line of its own."""
    shown = live("run", "test1", "--target", "iubench", "--target", target.url, "-d", "2s", "--pin", "none")
    with shown.watch() as viewer:
        events = viewer.events()
    targets, _, final = follow(events)
    assert {one["name"] for one in targets} == {"iubench", target.url}
    assert [one["repeat"] for one in targets] == [1, 1]
    assert_same(targets, final)
    assert final == shown.result()
    assert [data["index"] for name, data in events if name == "target"][-1] == 1


def test_a_search_is_one_line(live, target):
    """The seconds of its runs are counted on."""
    shown = live("load", "--find-max", "p99<10s", "--find-start", "100", "--probe-time", "1s", "-d", "1s",
                 "-c", "1", "-T", "1s", target.url + "/fib/22")
    with shown.watch() as viewer:
        viewer.event()
        rows = []
        while len(rows) < 4:
            name, data = viewer.event()
            rows += [data["row"]["t"]] if name == "second" else []
    assert rows == list(range(rows[0], rows[0] + 4))
    shown.process.send_signal(signal.SIGINT)
    shown.wait((130,))


# --- whoever watches, the run is as it was ---


def stuck_viewer(shown):
    """It asks and never reads; its window is small, and what there is to tell is a megabyte."""
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    host, port = shown.address.split(":")
    stuck.connect((host, int(port)))
    stuck.sendall(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
    return stuck


def long_urls(target):
    """The command line is part of what is told."""
    return [f"{target.url}/json?{n}{2000 * 'x'}" for n in range(500)]


def test_a_viewer_that_does_not_read(live, target):
    """It is cut after ten seconds; the others, and the run, do not notice."""
    shown = live("load", "-r", "100", "-d", "13s", *long_urls(target))
    descriptors = f"/proc/{shown.process.pid}/fd"
    with shown.watch() as viewer:
        viewer_events = [viewer.event(), viewer.event()]
        before = len(os.listdir(descriptors))
        stuck, begin = stuck_viewer(shown), time.monotonic()
        wait_for(lambda: len(os.listdir(descriptors)) == before + 1)
        wait_for(lambda: len(os.listdir(descriptors)) == before)
        assert time.monotonic() - begin > 9 and shown.process.poll() is None
        targets, _, final = follow(viewer_events + viewer.events())
    assert_same(targets, final)
    assert shown.result()["targets"][0]["requests"]["sent"] == 1300
    stuck.close()


def test_the_end_waits_a_second_at_most(live, target):
    shown = live("load", "-n", "10", *long_urls(target))
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ConnectionError):
            for _ in range(8):
                stack.enter_context(stuck_viewer(shown))
        begin = time.monotonic()
        shown.wait()
        assert time.monotonic() - begin < 5


def test_viewers_are_bounded(live, target):
    """One more is refused and says so; a place that is left is free again."""
    shown = live("load", "-c", "1", "-d", "30s", target.url + "/json")
    viewers = [shown.watch() for _ in range(VIEWERS_MAX)]
    reply = shown.get("/events")
    assert reply.status == 503 and reply.field("Retry-After") and b"error" in reply.body
    assert shown.get("/metrics").status == 200
    viewers.pop().close()
    wait_for(lambda: shown.get("/events", method="HEAD").status == 200)
    viewers.append(shown.watch())
    shown.process.send_signal(signal.SIGINT)
    for viewer in viewers:
        assert follow(viewer.events())[2]["interrupted"] is True
        viewer.close()
    assert shown.result((130,))["interrupted"] is True


def test_an_interrupted_run_is_shown_to_its_end(live):
    shown = live("run", "test1", "-d", "30s")
    with shown.watch() as viewer:
        events = [viewer.event()]
        while events[-1][0] != "second":
            events.append(viewer.event())
        shown.process.send_signal(signal.SIGINT)
        targets, _, final = follow(events + viewer.events())
    assert final["interrupted"] is True
    assert_same(targets, final)
    assert shown.result((130,)) == final


def test_viewers_that_come_and_go(live, target):
    """Reset, half closed, cut off in the middle of a request; and nothing is left of them."""
    shown = live("load", "-c", "1", "-d", "3s", target.url + "/json")
    descriptors = f"/proc/{shown.process.pid}/fd"
    with shown.watch() as first:
        before = len(os.listdir(descriptors))
        for n in range(90):
            viewer = shown.watch()
            if n % 3 == 0:
                viewer.reset()
            elif n % 3 == 1:
                viewer.finish()
                viewer.rest()
                viewer.close()
            else:
                viewer.close()
        wait_for(lambda: len(os.listdir(descriptors)) <= before)
        follow(first.events())
    shown.wait()


def test_the_thread_keeps_off_the_client(live, target):
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("there is one CPU")
    shown = live("load", "--cores", cpus[0], "-c", "1", "-d", "2s", target.url + "/json")
    allowed = {}
    for task in os.listdir(f"/proc/{shown.process.pid}/task"):
        with contextlib.suppress(FileNotFoundError):
            with open(f"/proc/{shown.process.pid}/task/{task}/comm", encoding="ascii") as file:
                allowed[file.read().strip()] = os.sched_getaffinity(int(task))
    assert allowed["dashboard"] == set(cpus[1:])
    shown.wait()


# --- HTTP ---


def test_pages(live, target):
    shown = live("load", "-c", "1", "-d", "3s", target.url + "/json")
    page = shown.get("/")
    assert page.status == 200 and page.field("Content-Type") == "text/html; charset=utf-8"
    assert re.search(rb'<script[^>]* type="application/json"[^>]*>null</script>', page.body)
    assert shown.get("/healthz").body == b"OK"
    for path in ("/", "/events", "/result.json", "/metrics", "/healthz"):
        assert shown.get(path, method="HEAD").status == 200
        refused = shown.get(path, method="POST", body=b"x")
        assert refused.status == 405 and refused.field("Allow") == "GET, HEAD"
    assert shown.get("/no").status == 404
    with Client(shown.address) as old:
        old.send(b"GET /events HTTP/1.0\r\n\r\n")
        head, _, body = old.rest().partition(b"\r\n\r\n")
    assert b"Connection: close" in head and b"chunked" not in head
    assert body.startswith(b"retry: 1000\nevent: start\ndata: {") and b"event: end\n" in body
    shown.wait()


def test_unix_socket(live, target, tmp_path):
    path = tmp_path / "d.sock"
    shown = live("load", "-c", "1", "-d", "1s", target.url + "/json", dashboard=f"--dashboard=unix:{path}")
    with shown.watch() as viewer:
        follow(viewer.events())
    shown.wait()
    assert not path.exists()


@pytest.mark.parametrize("option", ["--dashboard", "--metrics"])
@pytest.mark.parametrize("command", ["load", "run"])
def test_address_taken(target, option, command):
    """Said before anything is sent or started."""
    what = target.url + "/json" if command == "load" else "test1"
    code, out, err = run(command, option, target.address, what)
    assert code == 1 and not out
    assert f"{option}: {target.address} is taken" in err and err.count("\n") == 1


@pytest.mark.parametrize("words", [["--dashboard=nonsense"], ["--metrics", "127.0.0.1"], ["--dashboard=1:99999"]])
def test_bad_address(target, words):
    code, _, err = run("load", *words, target.url + "/json")
    assert code == 2 and words[0].split("=")[0] in err


def test_usual_address_taken(live, target):
    """Without a value: 127.0.0.1:8081, or a free port."""
    with socket.socket() as holder:
        with contextlib.suppress(OSError):  # taken already
            holder.bind(("127.0.0.1", 8081))
            holder.listen()
        shown = live("load", "-c", "1", "-d", "1s", target.url + "/json", dashboard="--dashboard")
        assert shown.address.startswith("127.0.0.1:") and not shown.address.endswith(":8081")
        assert shown.get("/healthz").status == 200
        shown.wait()


# --- metrics ---


def of(samples, name, **labels):
    return sum(value for (sample, text), value in samples.items()
               if sample == name and all(f'{key}="{wanted}"' in text for key, wanted in labels.items()))


def test_metrics_add_up(live, target):
    shown = live("load", "-r", "300", "-d", "4s", target.url + "/json", target.url + "/fib/99",
                 target.url + "/nothing")
    samples = wait_for(lambda: (m := shown.metrics()) and of(m, "iubench_load_sent_total") > 400 and m)
    sent, ok = of(samples, "iubench_load_sent_total"), of(samples, "iubench_load_ok_total")
    errors = of(samples, "iubench_load_errors_total", cause="status_4xx")
    assert ok and errors == of(samples, "iubench_load_errors_total")
    assert ok + errors + of(samples, "iubench_load_in_flight") == sent
    durations = "tester_request_duration_seconds_count"
    assert of(samples, durations, status="2xx") == ok
    assert of(samples, durations, status="4xx") == errors
    assert of(samples, durations) == ok + errors
    assert of(samples, "iubench_load_send_lag_seconds_count") == sent
    assert of(samples, "iubench_load_target_rate") == 300
    assert of(samples, "myapp_clients") == of(samples, "iubench_load_connections") == 64
    assert of(samples, "iubench_load_cpu_seconds_total") > 0
    shown.wait()


def test_timeouts_have_no_status(live, serve):
    slow = serve("proxy", "--upstream-delay", "5s")
    shown = live("load", "-r", "50", "-T", "200ms", "-c", "100", "-d", "3s", slow.url + "/fetch-external")
    samples = wait_for(lambda: (m := shown.metrics()) and of(m, "iubench_load_timeouts_total") and m)
    assert of(samples, "tester_request_duration_seconds_count", status="0") == of(
        samples, "iubench_load_timeouts_total")
    assert of(samples, "tester_request_duration_seconds_count", status="2xx") == 0
    shown.wait((0, 1, 5))


def test_metrics_on_a_port_of_their_own(live, target):
    address = f"127.0.0.1:{free_port()}"
    shown = live("load", "-c", "1", "-d", "2s", "--metrics", address, target.url + "/json")
    with Client(address) as client:
        page = client.request("GET", "/metrics")
        assert page.status == 200 and parse_metrics(page.body.decode())
        assert page.field("Content-Type").startswith("text/plain; version=0.0.4")
        assert client.request("GET", "/").status == 404
        assert client.request("POST", "/metrics", b"").status == 405
    shown.wait()
