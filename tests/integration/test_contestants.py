"""The contestants: each is set up and started as its target file says, with PostgreSQL, memcached
and an external service of the tests' own, does what the contract demands but for the deviations
that its file names, gets over a lost database and a lost cache, and leaves no process behind.

Programs and virtual environments stand in build/contestants, so that only the first run installs.
A contestant for which this machine lacks something (contestants/setup ends with 4) is skipped."""

import ast
import contextlib
import fcntl
import http.client
import http.server
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import types
import uuid

import pytest

from conftest import ROOT, needs_memcached
from iubench import DEVICES, IS_SANITIZED, run
from services import Memcached, Postgres, free_port, wait_until

if IS_SANITIZED:
    pytest.skip("no program of the build runs in these tests", allow_module_level=True)

CONTESTANTS = os.path.join(ROOT, "contestants")
NAMES = sorted(name for name in os.listdir(CONTESTANTS)
               if os.path.exists(os.path.join(CONTESTANTS, name, "target.ini")))
KEYS = {"name", "summary", "needs", "mend", "setup", "command", "directory", "health", "env",
        "deviations", "files", "start-timeout", "stop-timeout", "stop-signal"}
SETUP_S = 300
CHECK_S = 120
STOP_S = 10
WORKERS = 2
DEVICE = {"mac": "EF-2B-C4-F5-D6-34", "firmware": "2.1.5"}
CONTRACT_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def read_target(name):
    """The section [target] as {key: [value, ...]}; an indented line continues the one above."""
    values = {}
    with open(os.path.join(CONTESTANTS, name, "target.ini"), encoding="ascii") as file:
        for line in file:
            assert len(line) <= 190, line
            if line.startswith((";", "[")) or not line.strip():
                continue
            if line[0].isspace():
                values[key][-1] += " " + line.strip()
            else:
                key, _, value = (part.strip() for part in line.partition("="))
                values.setdefault(key, []).append(value)
    return values


# --- the parties -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(postgres_template):
    server = Postgres({"max_connections": 300})
    with open(os.path.join(ROOT, "storage", "schema_round1.sql"), encoding="ascii") as file:
        server.psql(file.read())
    yield server
    server.close()


@pytest.fixture(scope="module")
def cache():
    needs_memcached()
    server = Memcached(arguments=["-c", "4096"])  # aiomcache opens 500 in each of 4 workers
    yield server
    server.close()


@pytest.fixture(scope="module")
def external():
    """The external service: `url`, and the `status` that it answers with."""
    service = types.SimpleNamespace(status=200)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = b'{"message": "External service response"}'
            self.send_response(service.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    service.url = f"http://127.0.0.1:{server.server_port}/external"
    yield service
    server.shutdown()
    server.server_close()


class Contestant:
    """A running one, as its target file has it."""

    def __init__(self, name, database, cache, external):
        self.target = read_target(name)
        self.deviations = set(re.findall(r"[\w-]+", self.one("deviations", "")))
        self.port = free_port()
        self.values = {"host": "127.0.0.1", "port": self.port, "pg_uri": database.tcp_uri,
                       "memcached": cache.address, "upstream": external.url, "cores": 2,
                       "workers": WORKERS}
        self.directory = os.path.join(CONTESTANTS, name, self.one("directory", "."))
        self.log = tempfile.TemporaryFile()

    def one(self, key, otherwise):
        (value,) = self.target.get(key, [otherwise])
        return value

    def environment(self):
        added = dict(line.format(**self.values).split("=", 1) for line in self.target["env"])
        return {**os.environ, **added}

    def set_up(self):
        done = subprocess.run(shlex.split(self.one("setup", "true")), cwd=self.directory, text=True,
                              env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=SETUP_S, check=False)
        if done.returncode == 4:
            pytest.skip(done.stderr.strip().splitlines()[-1])
        assert done.returncode == 0, done.stderr

    def start(self):
        words = [word.format(**self.values) for word in shlex.split(self.one("command", None))]
        self.process = subprocess.Popen(words, cwd=self.directory, env=self.environment(),
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True)
        seconds = float(self.one("start-timeout", "30s").removesuffix("s"))
        wait_until(self.is_healthy, seconds, f"{words[0]} to be healthy; {self.text()}")

    def is_healthy(self):
        assert self.process.poll() is None, self.text()
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get(self.one("health", "/healthz")).status == 200

    def processes(self):
        """The ids of what runs in its session."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", encoding="ascii") as file:
                state, _, _, session = file.read().rpartition(") ")[2].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found.append(int(entry))
        return found

    def stop(self):
        """Ends it as its file says; returns what was left over, and killed. Helpers of its workers,
        such as Python's resource tracker, may end a moment after it."""
        self.process.send_signal(getattr(signal, self.one("stop-signal", "SIGTERM")))
        with contextlib.suppress(subprocess.TimeoutExpired, TimeoutError):
            self.process.wait(STOP_S)
            wait_until(lambda: not self.processes(), STOP_S, "its helpers to end")
        left = self.processes()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(STOP_S)
        return left

    def text(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-4000:]

    def request(self, method, path, body=None):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            fields = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, body, fields)
            response = connection.getresponse()
            kind = (response.headers["Content-Type"] or "").partition(";")[0]
            return types.SimpleNamespace(status=response.status, body=response.read(), type=kind,
                                         retry=response.headers["Retry-After"])

    def get(self, path):
        return self.request("GET", path)

    def post(self, device=None):
        return self.request("POST", "/api/devices", json.dumps(device or DEVICE))


@pytest.fixture(scope="module", params=NAMES)
def contestant(request, database, cache, external):
    one = Contestant(request.param, database, cache, external)
    one.set_up()
    try:
        one.start()
        yield one
    finally:
        left = one.stop()
        one.log.close()
    assert not left, f"{request.param} left processes over"


def assert_error(contestant, reply, *statuses):
    """An error of one of these, in the contract's form where no deviation is named."""
    assert reply.status in statuses, (reply, contestant.text())
    if "error-body" not in contestant.deviations:
        assert reply.type == "application/json" and isinstance(json.loads(reply.body)["error"], str)


def status_when_away(contestant):
    """What a POST is answered with when database or cache is away."""
    return (400 if "errors-are-400" in contestant.deviations else
            500 if "errors-are-500" in contestant.deviations else 503)


def wrong_input(contestant):
    """The statuses that a wrong input may be answered with."""
    return (400, 422) if "wrong-input-is-422" in contestant.deviations else (400,)


# --- the contract ----------------------------------------------------------------------------------


def test_healthz_answers_ok(contestant):
    reply = contestant.get("/healthz")
    assert (reply.status, reply.body, reply.type) == (200, b"OK", "text/plain")


def test_devices_are_the_published_three(contestant):
    reply = contestant.get("/api/devices")
    assert (reply.status, reply.type) == (200, "application/json")
    assert reply.body.rstrip(b"\n") == DEVICES


def test_post_stores_a_row_and_caches_it(contestant, database, cache):
    """One row, and its object in the cache for 20 s, both as the reply has them."""
    before = database.psql("SELECT count(*) FROM device")
    reply = contestant.post()
    assert (reply.status, reply.type) == (201, "application/json"), (reply, contestant.text())
    made = json.loads(reply.body)
    assert list(made) == ["id", "uuid", "mac", "firmware", "created_at", "updated_at"] or (
        contestant.deviations and set(made) == {"id", "uuid", "created_at", "updated_at", *DEVICE})
    assert {key: made[key] for key in DEVICE} == DEVICE
    assert str(uuid.UUID(made["uuid"])) == made["uuid"] and uuid.UUID(made["uuid"]).version == 4
    assert made["created_at"] == made["updated_at"]
    if "time-format" not in contestant.deviations:
        assert re.fullmatch(CONTRACT_TIME, made["created_at"])

    rows = database.psql("SELECT id, uuid, mac, firmware, created_at = updated_at,"
                         " abs(extract(epoch FROM now() AT TIME ZONE 'UTC' - created_at)) < 60"
                         f" FROM device WHERE uuid = '{made['uuid']}'")
    assert rows == [[str(made["id"]), made["uuid"], *DEVICE.values(), "t", "t"]]
    assert int(database.psql("SELECT count(*) FROM device")[0][0]) == int(before[0][0]) + 1
    check_cached(contestant, cache, made)


def check_cached(contestant, cache, made):
    key = made["uuid"]
    if "cache-key-is-hex" in contestant.deviations:
        key = key.replace("-", "")
    wait_until(lambda: cache.get(key), what="the value in the cache")
    assert 15 <= cache.ttl(key) <= 20
    if "cache-value-is-repr" in contestant.deviations:
        tree = ast.parse(cache.get(key), mode="eval").body
        found = {k.value: v.value for k, v in zip(tree.keys, tree.values)
                 if isinstance(v, ast.Constant)}
        assert found == {k: v for k, v in made.items() if not k.endswith("_at")}
    else:
        assert json.loads(cache.get(key)) == made


@pytest.mark.parametrize("body", [
    "", "{", "[]", '"text"', '{"mac": "x"}', '{"mac": 1, "firmware": "2.1.5"}',
    '{"mac": null, "firmware": "2.1.5"}'])
def test_post_refuses_a_wrong_body(contestant, database, body):
    """With 400, or 422 where that is a deviation; no row is made."""
    if "unchecked-fields" in contestant.deviations and body.startswith("{") and len(body) > 1:
        pytest.skip("the deviation unchecked-fields")
    before = database.psql("SELECT count(*) FROM device")
    reply = contestant.request("POST", "/api/devices", body)
    assert_error(contestant, reply, *wrong_input(contestant))
    assert database.psql("SELECT count(*) FROM device") == before


@pytest.mark.parametrize("mac", ["x" * 256, "with\0nul"])
def test_post_refuses_a_text_that_does_not_fit(contestant, database, mac):
    """Whether the service or the database finds out; no row is made."""
    before = database.psql("SELECT count(*) FROM device")
    reply = contestant.post({**DEVICE, "mac": mac})
    found_by_database = (500,) if "errors-are-500" in contestant.deviations else ()
    assert_error(contestant, reply, *wrong_input(contestant), *found_by_database)
    assert database.psql("SELECT count(*) FROM device") == before


def test_post_keeps_a_text_that_fits(contestant, database):
    """255 characters outside ASCII reach the row as they are."""
    if "ascii-only" in contestant.deviations:
        pytest.skip("the deviation ascii-only")
    device = {"mac": "é" * 255, "firmware": 'a"\\\u20acb'}
    reply = contestant.post(device)
    assert reply.status == 201, (reply, contestant.text())
    made = json.loads(reply.body)
    assert {key: made[key] for key in device} == device
    stored = database.psql(f"SELECT row_to_json(device) FROM device WHERE uuid = '{made['uuid']}'")
    assert {key: json.loads(stored[0][0])[key] for key in device} == device


def test_fib_is_computed(contestant):
    for n, number in ((0, 0), (1, 1), (2, 1), (20, 6765)):
        reply = contestant.get(f"/fib/{n}")
        assert (reply.status, reply.type) == (200, "application/json")
        assert json.loads(reply.body) == {"n": n, "fibonacci": number}


@pytest.mark.parametrize("n", ["41", "-1", "x"])
def test_fib_refuses_what_is_no_number_or_takes_too_long(contestant, n):
    if n != "x" and "fib-unlimited" in contestant.deviations:
        pytest.skip("the deviation fib-unlimited")
    assert_error(contestant, contestant.get(f"/fib/{n}"), *wrong_input(contestant))


def test_hello_is_techempowers(contestant):
    """Of those that the scenarios techempower-json and techempower-plaintext may race."""
    if contestant.target["name"][0] in ("django", "django-ninja", "gin-article"):
        pytest.skip("it has no such routes")
    reply = contestant.get("/json")
    assert (reply.status, reply.type) == (200, "application/json")
    assert json.loads(reply.body) == {"message": "Hello, World!"}
    reply = contestant.get("/plaintext")
    assert (reply.status, reply.type, reply.body) == (200, "text/plain", b"Hello, World!")


def test_fetch_external_relays_the_answer(contestant):
    reply = contestant.get("/fetch-external")
    assert (reply.status, reply.type) == (200, "application/json")
    assert json.loads(reply.body) == {"message": "External service response"}


def test_fetch_external_tells_a_failure(contestant, external):
    external.status = 500
    try:
        reply = contestant.get("/fetch-external")
    finally:
        external.status = 200
    expected = 500 if "upstream-errors-are-500" in contestant.deviations else 502
    assert_error(contestant, reply, expected)


def test_metrics_have_the_published_names(contestant):
    """Both histograms with the 261 bounds and infinity; of several workers a scrape shows any one."""
    assert contestant.post().status == 201
    reply = contestant.get("/metrics")
    assert (reply.status, reply.type) == (200, "text/plain")
    page = reply.body.decode()
    for op, db in (("insert", "postgres"), ("set", "memcache")):
        found = re.findall(r'^myapp_request_duration_seconds_bucket\{([^}]*)\} ', page, re.MULTILINE)
        mine = [labels for labels in found if f'op="{op}"' in labels and f'db="{db}"' in labels]
        assert len(mine) == 262
        bounds = [float(re.search(r'le="([^"]+)"', labels)[1]) for labels in mine]
        assert bounds == sorted(set(bounds))
        assert (bounds[0], bounds[-2], bounds[-1]) == (10e-6, 5.0, float("inf"))


def test_check_finds_nothing_but_its_deviations(contestant, database, cache):
    """The whole of `iubench check`, with row and value: its target file tells all that is other."""
    code, output, errors = run(
        "check", "--pg", database.uri, "--memcached", cache.address, "--allow",
        ",".join(contestant.deviations) or "no-head", "--timeout", "60s",
        f"http://127.0.0.1:{contestant.port}", timeout=CHECK_S)
    failed = [line for line in output.splitlines() if line.startswith("FAILED")]
    assert code == 0 and not failed, "\n".join(failed) + errors


def test_it_serves_many_at_once(contestant, database):
    """200 POSTs of 20 connections: as many rows, none of them twice."""
    made = []

    def some():
        for _ in range(10):
            reply = contestant.post()
            made.append(json.loads(reply.body)["uuid"] if reply.status == 201 else reply.status)

    threads = [threading.Thread(target=some) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 200, contestant.text()
    listed = ",".join(f"'{one}'" for one in made)
    assert database.psql(f"SELECT count(*) FROM device WHERE uuid IN ({listed})") == [["200"]]


# --- faults ----------------------------------------------------------------------------------------


def post_until(contestant, status):
    """Whichever worker is asked, within some seconds."""
    deadline = time.monotonic() + 15
    while (reply := contestant.post()).status != status:
        assert time.monotonic() < deadline, (reply, contestant.text())
        time.sleep(0.1)
    return reply


def test_a_lost_table_is_told_and_got_over(contestant, database):
    database.psql("ALTER TABLE device RENAME TO away")
    try:
        reply = contestant.post()
    finally:
        database.psql("ALTER TABLE away RENAME TO device")
    assert_error(contestant, reply, status_when_away(contestant))
    assert (reply.retry is not None) == (reply.status == 503)
    post_until(contestant, 201)


def test_a_lost_cache_is_told_and_got_over(contestant, cache):
    cache.stop()
    try:
        if "cache-not-awaited" not in contestant.deviations:
            reply = contestant.post()
            assert_error(contestant, reply, status_when_away(contestant))
            assert (reply.retry is not None) == (reply.status == 503)
    finally:
        cache.start()
    made = json.loads(post_until(contestant, 201).body)
    if "cache-not-awaited" not in contestant.deviations:
        check_cached(contestant, cache, made)


# --- a race ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_it_races(name, tmp_path):
    """A few seconds of test 2: started, checked, loaded and ended by `iubench run`. Its storage is seen as
    that of our own is: latencies on its page of metrics, connections in the database."""
    code, output, errors = run("run", "test2", "--target", name, "--services", "managed", "-r", "30", "-d", "3s",
                               "-c", "8", "--out", str(tmp_path / "out"), timeout=SETUP_S)
    if code == 4:
        pytest.skip(errors.strip().splitlines()[-1])
    assert code in (0, 5), output + errors
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    target, = result["targets"]
    assert target["name"] == name and not result["races"]["failures"]
    assert target["requests"]["scheduled"] == 90 and target["requests"]["ok"] > 60
    assert target["server_cpu_us_per_request"] > 0
    rows = target["series"]
    assert max(row["parties"]["target"]["rss_bytes"] for row in rows) > 5 << 20
    for key in ("db_p99_us", "cache_p99_us"):
        known = [row[key] for row in rows if row[key] is not None]
        has_workers = name.startswith(("django", "fastapi"))  # of which an idle one may be heard
        assert (known or has_workers) and all(0 < us < 5_000_000 for us in known), (key, rows)
    assert max(row["pool"] or 0 for row in rows) >= 1


# --- the files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_target_file_is_well_formed(name):
    target = read_target(name)
    assert set(target) <= KEYS and {"name", "command", "setup", "needs", "mend"} <= set(target)
    assert target["name"] == [name]
    assert all(len(values) == 1 for key, values in target.items() if key != "env")
    with open(os.path.join(CONTESTANTS, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    assert f"`{name}`" in readme
    for deviation in re.findall(r"[\w-]+", target.get("deviations", [""])[0]):
        assert f"| `{deviation}` |" in readme


def test_setup_goes_on_without_a_toolchain(tmp_path):
    """Go is missing: told with its mend, exit status 4, and what is named next is still done."""
    for tool in ("sh", "dirname", "mktemp", "mkdir", "sed", "rm", "cat", "grep", "cmp", "flock"):
        os.symlink(f"/usr/bin/{tool}", tmp_path / tool)
    done = subprocess.run([os.path.join(CONTESTANTS, "setup"), "go-tuned", "gin"], text=True,
                          env={"PATH": str(tmp_path)}, capture_output=True, check=False)
    assert done.returncode == 4, done.stderr
    assert "go-tuned: needs Go" in done.stderr and "gin: needs Go" in done.stderr
    assert "apt-get install golang-go" in done.stderr


def test_setup_names_what_there_is():
    done = subprocess.run([os.path.join(CONTESTANTS, "setup"), "go-tunde"], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 2
    assert "'go-tunde' is no contestant" in done.stderr and "go-tuned" in done.stderr


def test_setups_of_one_contestant_follow_each_other():
    """One that another call is making is waited for."""
    if not shutil.which("go"):
        pytest.skip("Go is not installed")
    command = [os.path.join(CONTESTANTS, "setup"), "go-tuned"]
    folder = os.path.join(ROOT, "build", "contestants")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ".go-tuned.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(timeout=1)
            fcntl.flock(lock, fcntl.LOCK_UN)
            _, errors = child.communicate(timeout=300)
            assert child.returncode == 0, errors
