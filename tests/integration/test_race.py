"""`iubench run` with contestants of target files: small Python services, of which some misbehave in
the ways that services do. Whatever one does, it is named and ended, and the others race on."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import jsonschema
import pytest

from iubench import PATIENCE_S, PROGRAM, REPORT, ROOT, run

with open(os.path.join(ROOT, "docs", "result.schema.json"), encoding="utf-8") as file:
    SCHEMA = json.load(file)

DEVICES = textwrap.dedent('''
    import http.server, json, os, signal, socketserver, subprocess, sys, threading, time
    DEVICES = json.dumps([
        {"id": i, "uuid": uuid, "mac": mac, "firmware": firmware, "created_at": at, "updated_at": at}
        for i, uuid, mac, firmware, at in [
            (1, "9add349c-c35c-4d32-ab0f-53da1ba40a2a", "EF-2B-C4-F5-D6-34", "2.1.5",
             "2024-05-28T15:21:51.137Z"),
            (2, "d2293412-36eb-46e7-9231-af7e9249fffe", "E7-34-96-33-0C-4C", "1.0.3",
             "2024-01-28T15:20:51.137Z"),
            (3, "eee58ca8-ca51-47a5-ab48-163fd0e44b77", "68-93-9B-B5-33-B9", "4.3.1",
             "2024-08-28T15:18:21.137Z")]]).encode()
    healthy, devices = 200, DEVICES
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *words):
            pass
        def do_GET(self):
            is_health = self.path == "/healthz"
            body = b"OK" if is_health else devices
            self.send_response(healthy if is_health else 200)
            self.send_header("Content-Type", "text/plain" if is_health else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
        request_queue_size = 64
''')
SERVE = 'Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()\n'

KINDS = {
    "good": "",
    "crashes": "print('no such table: nothing', file=sys.stderr)\nsys.exit(3)\n",
    "unhealthy": "healthy = 503\nprint('still warming up', flush=True)\n",
    "dies": "threading.Timer(1.5, lambda: (print('out of luck', flush=True), os._exit(7))).start()\n",
    "leaks": "subprocess.Popen(['setsid', 'sleep', '4711'], start_new_session=True)\n",
    # a grandchild whose parents are gone, in a session of its own: a daemon
    "daemon": "if os.fork() == 0:\n    os.setsid()\n    if os.fork():\n        os._exit(0)\n"
              "    os.execvp('sleep', ['sleep', '4712'])\n",
    "wrong": "devices = b'[]'\n",
    "stubborn": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
    "slow-end": "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(5.5), os._exit(0)))\n",
}


class Lab:
    def __init__(self, folder):
        self.folder = folder
        self.out = folder / "out"
        (folder / "short.ini").write_text(
            "[scenario]\nsummary = a second of GET\n[target]\nmode = static\n"
            "[load]\npath = /api/devices\nconnections = 4\nduration = 1s\ntimeout = 900ms\n")

    def target(self, kind, name=None, **keys):
        """Writes a service and its target file; returns the file's path."""
        name = name or kind
        (self.folder / f"{name}.py").write_text(DEVICES + KINDS[kind] + SERVE)
        keys = {"name": name, "command": f"{sys.executable} {name}.py {{host}} {{port}}", **keys}
        path = self.folder / f"{name}.ini"
        path.write_text("[target]\n" + "".join(f"{key.replace('_', '-')} = {value}\n"
                                               for key, value in keys.items()))
        return str(path)

    def run(self, *targets, words=(), timeout=4 * PATIENCE_S):
        options = [word for target in targets for word in ("--target", target)]
        code, output, errors = run("run", str(self.folder / "short.ini"), "--out", str(self.out),
                                   "--warmup", "300ms", *options, *words, timeout=timeout)
        path = self.out / "result.json"
        self.result = json.loads(path.read_text()) if path.exists() else None
        if self.result:
            jsonschema.validate(self.result, SCHEMA)
        return code, output, errors

    def names(self):
        return [target["name"] for target in self.result["targets"]]

    def failures(self):
        return {failure["name"]: failure for failure in self.result["races"]["failures"]}

    def log(self, name):
        return (self.out / f"{name}.log").read_text()


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def processes(pattern):
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True,
                          check=False).stdout.split()


def test_good(lab):
    """A contestant is started, checked, loaded and ended, and its output is kept."""
    code, output, errors = lab.run(lab.target("good"))
    assert code in (0, 5), output + errors
    target, = lab.result["targets"]
    assert target["name"] == "good" and target["requests"]["ok"] > 0
    assert target["check"]["failed"] == 0 and target["check"]["passed"] >= 3
    assert (lab.out / "good.log").exists() and lab.result["races"]["failures"] == []
    assert not processes(str(lab.folder))


def test_interleaved(lab):
    """Targets race in one order and then in its reverse, each as often, and the seed repeats that."""
    targets = [lab.target("good", name) for name in ("one", "two")] + ["iubench"]
    lab.run(*targets, words=("--repeat", "2", "--order-seed", "7"))
    first = lab.names()
    assert len(first) == 6 and first[:3] == first[3:][::-1] and set(first[:3]) == {"one", "two", "iubench"}
    assert [target["repeat"] for target in lab.result["targets"]] == [1, 1, 1, 2, 2, 2]
    races = lab.result["races"]
    assert [one["name"] for one in races.pop("contestants")] == first[:3]
    assert races == {"repeats": 2, "order_seed": 7, "warmup_s": 0.3, "shape": None, "failures": []}
    lab.run(*targets, words=("--repeat", "2", "--order-seed", "7"))
    assert lab.names() == first


def test_warm_up_of_drawn_arrivals(lab):
    """A warm-up is a closed loop, in which nothing arrives by chance."""
    scenario = lab.folder / "short.ini"
    scenario.write_text(scenario.read_text().replace("[load]", "[load]\nrate = 50\narrivals = poisson"))
    code, output, errors = lab.run(lab.target("good"))
    assert code in (0, 5), output + errors
    assert lab.result["targets"][0]["requests"]["ok"] > 0


@pytest.mark.parametrize("kind, said", [
    ("crashes", "start: ended by itself with exit status 3; .*no such table: nothing"),
    ("unhealthy", "was not healthy within 1s: GET .*/healthz answered 503, expected 200; .*still warming up"),
    ("dies", "ended by itself with exit status 7; .*out of luck"),
    ("wrong", "answers wrongly at 1 of 3 points .*the three devices"),
])
def test_failing(lab, kind, said):
    """One that fails gives no numbers, is named with its last words, and the other races on."""
    words = ("-d", "3s") if kind == "dies" else ()
    code, output, errors = lab.run(lab.target(kind, start_timeout="1s" if kind == "unhealthy" else "20s"),
                                   lab.target("good"), words=words)
    assert code == 1, output + errors
    assert lab.names() == ["good"]
    failure = lab.failures()[kind]
    assert re.search(said, failure["reason"]), failure["reason"]
    assert not failure["skipped"] and f"{kind} FAILED: " in output
    assert not processes(str(lab.folder))


def test_nobody_raced(lab):
    """Where every contestant fails the result is one without targets, which says so."""
    code, output, errors = lab.run(lab.target("crashes"), lab.target("crashes", "too"))
    assert code == 1, output + errors
    assert lab.names() == [] and set(lab.failures()) == {"crashes", "too"}
    assert lab.result["scenario"]["load_model"] is None


@pytest.mark.parametrize("kind, process", [("leaks", "sleep 4711"), ("daemon", "sleep 4712")])
def test_leaking(lab, kind, process):
    """What a service leaves behind is found, whatever session it is in, named and ended."""
    code, output, errors = lab.run(lab.target(kind), lab.target("good"))
    assert code == 1, output + errors
    assert sorted(lab.names()) == sorted([kind, "good"])
    assert "left processes behind, which were killed: sleep" in lab.failures()[kind]["reason"]
    assert not processes(process)


def test_stubborn(lab):
    """One that does not end when it is told to is killed."""
    code, output, errors = lab.run(lab.target("stubborn", stop_timeout="1s"), lab.target("good"))
    assert code == 1, output + errors
    assert "did not end within 1s" in lab.failures()["stubborn"]["reason"]
    assert not processes(str(lab.folder))


def test_slow_end(lab):
    """One that may take its time to finish what it has is no failure."""
    code, output, errors = lab.run(lab.target("slow-end", "slow", stop_timeout="30s"), lab.target("good"))
    assert code in (0, 5), output + errors
    assert sorted(lab.names()) == ["good", "slow"] and not lab.failures()


def test_skipped(lab):
    """A missing toolchain skips by name, with the mend; alone it is exit 4."""
    lacking = lab.target("good", "lacking", needs="no-such-compiler", mend="apt-get install it")
    setup = lab.target("good", "setup", setup='sh -c "echo needs more: buy it >&2; exit 4"')
    code, output, errors = lab.run(lacking, setup, lab.target("good"))
    assert code in (0, 5), output + errors
    assert lab.names() == ["good"]
    failures = lab.failures()
    assert "needs no-such-compiler" in failures["lacking"]["reason"] and failures["lacking"]["skipped"]
    assert "apt-get install it" in failures["lacking"]["reason"]
    assert failures["setup"]["reason"] == "needs more: buy it" and failures["setup"]["skipped"]
    code, output, errors = lab.run(lacking)
    assert code == 4 and "apt-get install it" in errors


def test_setup(lab):
    """Setup runs once, in the target's directory with its environment; when it fails, that is said."""
    good = lab.target("good", setup='sh -c "pwd > ran; echo $COLOUR >> ran"', env="COLOUR=blue")
    code, output, errors = lab.run(good, words=("--repeat", "2"))
    assert code in (0, 5), output + errors
    assert (lab.folder / "ran").read_text() == f"{lab.folder}\nblue\n"
    bad = lab.target("good", "bad", setup='sh -c "echo no network; exit 9"')
    code, output, errors = lab.run(bad, good)
    assert code == 1 and lab.names() == ["good"]
    assert "exit status 9" in lab.failures()["bad"]["reason"] and "no network" in lab.failures()["bad"]["reason"]


def test_last_words(lab):
    """What is told of one that fails is its own, not what its setup or an earlier start had said."""
    target = lab.target("good", setup="echo setting up", command='sh -c "exit 7"')
    code, _, errors = lab.run(target)
    assert code == 1 and "exit status 7" in errors and "last lines" not in errors
    assert "setting up" in lab.log("good")


def test_places(lab, postgres_template, memcached):
    """A service finds its database with the table in it, memcached, upstream, cores and workers, and
    tables are empty at each start."""
    script = lab.folder / "places.py"
    script.write_text(DEVICES + textwrap.dedent('''
        import re
        uri, cache, upstream, cores, workers = sys.argv[3:]
        assert re.fullmatch(r"postgresql://bench:[0-9a-f-]+@127.0.0.1:[0-9]+/postgres", uri), uri
        import urllib.request, socket
        print(urllib.request.urlopen(upstream, timeout=10).read().decode())
        host, port = cache.split(":")
        with socket.create_connection((host, int(port))) as s:
            s.sendall(b"version\\r\\n")
            print(s.recv(99).decode())
        count = lambda: subprocess.run(["psql", uri, "-Atc", "select count(*) from device"],
                                       capture_output=True, text=True, check=True).stdout.strip()
        print("rows", count())
        subprocess.run(["psql", uri, "-c", "insert into device(created_at, updated_at) values (now(), now())"], check=True)
        denied = subprocess.run(["psql", uri, "-c", "copy device to program 'true'"], capture_output=True, text=True)
        print("program", denied.returncode != 0, flush=True)
        print("cores", cores, "workers", workers, flush=True)
    ''') + SERVE)
    path = lab.folder / "places.ini"
    path.write_text(f"[target]\nname = places\ncommand = {sys.executable} places.py {{host}} {{port}} {{pg_uri}}\n"
                    "  {memcached} {upstream} {cores} {workers}\n")
    code, output, errors = lab.run(str(path), words=("--repeat", "2", "--workers", "3"))
    assert code in (0, 5), output + errors + lab.log("places")
    log = lab.log("places")
    assert log.count("External service response") == 2 and log.count("VERSION 1.") == 2
    assert re.findall(r"^rows (\d+)$", log, re.M) == ["0", "0"]
    assert log.count("program True") == 2 and "workers 3" in log


def limited(lab, *words):
    """Runs a contestant and our own under a shape; skips where this machine does not let it."""
    script = lab.folder / "asks.py"
    script.write_text(DEVICES + "print('GOMAXPROCS', os.environ.get('GOMAXPROCS'), flush=True)\n" + SERVE)
    asks = lab.folder / "asks.ini"
    asks.write_text(f"[target]\nname = asks\ncommand = {sys.executable} asks.py {{host}} {{port}}\n")
    code, output, errors = lab.run(str(asks), "iubench", words=words)
    if code == 4:
        assert "--shape" in errors and "Delegate" in errors
        pytest.skip(errors)
    assert code in (0, 5), output + errors
    return {target["name"]: target for target in lab.result["targets"]}, errors


def test_quota(lab):
    """A quota throttles who would use more, ours as well, and is told to Go's runtime."""
    targets, errors = limited(lab, "--shape", "0.05:256M", "-d", "2s")
    assert "shape: 0.05 CPUs, 256M scaled by 1: quota 0.05 CPUs, memory 256M" in errors
    assert lab.result["races"]["shape"] == {"cpus": 0.05, "memory_bytes": 1 << 28, "scale": 1.0,
                                            "quota_cpus": 0.05, "memory_limit_bytes": 1 << 28,
                                            "postgres": None, "memcached": None}
    assert sum(row["throttled_ms"] for row in targets["iubench"]["series"]) > 0
    for target in targets.values():
        assert {row["parties"]["target"]["quota_cpus"] for row in target["series"]} == {0.05}
    assert "GOMAXPROCS 1" in lab.log("asks")
    assert "iubench serve: listening" in lab.log("iubench")


def test_shape_and_pinning_of_a_scenario(lab):
    """Those of its file count where no option says otherwise."""
    scenario = lab.folder / "short.ini"
    scenario.write_text(scenario.read_text().replace("[target]", "shape = 0.5:128M\npin = none\n[target]"))
    _, errors = limited(lab)
    assert "shape: 0.5 CPUs, 128M scaled by 1: quota 0.5 CPUs, memory 128M" in errors
    assert lab.result["environment"]["pinning"]["cores"] == "not pinned"
    _, errors = limited(lab, "--shape", "0.25:256M", "--pin", "auto")
    assert "shape: 0.25 CPUs, 256M" in errors
    assert (lab.result["environment"]["pinning"]["cores"] == "not pinned") == (len(os.sched_getaffinity(0)) == 1)


def test_without_quota(lab):
    """Without the quota nothing is throttled; a pod larger than the cores is scaled."""
    targets, errors = limited(lab, "--shape", "1000:400G", "--without-quota")
    shape = lab.result["races"]["shape"]
    assert shape["quota_cpus"] is None and 0 < shape["scale"] < 1
    for target in targets.values():
        assert not sum(row["throttled_ms"] or 0 for row in target["series"])
    assert "GOMAXPROCS None" in lab.log("asks")


def test_verified_as_a_process_of_its_own(lab):
    """What a target stores is read back also where it is not in this process."""
    limited(lab, "--shape", "0.5:256M")  # skips where there are none
    code, output, errors = run("run", "test2", "--shape", "1:512M", "--verify", "--rps-ramp", "40:80:40/1s",
                               "--out", str(lab.folder / "shaped"), timeout=4 * PATIENCE_S)
    assert code in (0, 5), output + errors
    assert "verified: acknowledged 120, rows 120, sampled 15 equal" in output
    rows = json.loads((lab.folder / "shaped" / "result.json").read_text())["targets"][0]["series"]
    for key in ("db_p99_us", "cache_p99_us", "pool"):  # as where it is in this process
        assert any(row[key] for row in rows), (key, rows)


def test_services_have_their_share(lab):
    """They run in groups of their own, also when they were killed and started again."""
    limited(lab, "--shape", "0.5:256M")  # skips where there are none
    scenario = lab.folder / "killed.ini"
    scenario.write_text("[scenario]\nname = killed\nservices = postgres, memcached\n[target]\nmode = db\n[load]\n"
                        "path = /api/devices\nmethod = POST\nrate = 40\nduration = 4s\ntimeout = 2s\n"
                        "header = Content-Type: application/json\n"
                        'body = {"mac":"EF-2B-C4-F5-D6-34","firmware":"2.1.5"}\n'
                        "[fault]\nwhat = lose\nparty = postgres\nfrom = 25%\nto = 50%\n")
    code, output, errors = run("run", str(scenario), "--shape", "1:1G/0.5:512M/0.25:256M", "--out",
                               str(lab.folder / "killed"), timeout=4 * PATIENCE_S)
    assert code in (0, 5), output + errors
    result = json.loads((lab.folder / "killed" / "result.json").read_text())
    assert "PostgreSQL 0.5 CPUs: quota 0.5 CPUs, memory 512M; memcached 0.25 CPUs: quota" in errors
    assert result["races"]["shape"]["postgres"] == {"cpus": 0.5, "memory_bytes": 512 << 20, "quota_cpus": 0.5,
                                                    "memory_limit_bytes": 512 << 20}
    rows = result["targets"][0]["series"]
    for party, quota in (("postgres", 0.5), ("memcached", 0.25)):
        quotas = [row["parties"][party]["quota_cpus"] for row in rows if row["parties"].get(party)]
        assert quotas[0] == quota and quotas[-1] == quota, (party, quotas)


def test_shape_refused(lab):
    """A shape that is none is said before anything starts."""
    code, _, errors = lab.run("iubench", words=("--shape", "vide"))
    assert code == 2 and "--shape" in errors


@pytest.mark.parametrize("kind", ["good", "stubborn"])
def test_interrupt(lab, kind):
    """Ctrl-C ends the contestant as well, soon, and what has been measured is left."""
    good = lab.target(kind, "good", stop_timeout=f"{4 * PATIENCE_S}s")
    process = subprocess.Popen([PROGRAM, "run", str(lab.folder / "short.ini"), "-d", "60s", "--out",
                                str(lab.out), "--target", good], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE_S
    while not processes(str(lab.folder / "good.py")) and not (lab.out / "good.log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, errors
    assert not REPORT.search(errors)
    assert not processes(str(lab.folder))


def test_killed(lab):
    """Should iubench itself be killed, its contestant is ended by the warden."""
    good = lab.target("good")
    process = subprocess.Popen([PROGRAM, "run", str(lab.folder / "short.ini"), "-d", "60s", "--out",
                                str(lab.out), "--target", good], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    for line in process.stderr:
        if b"target: good" in line:
            break
    process.kill()
    process.wait()
    process.stderr.close()
    deadline = time.monotonic() + PATIENCE_S
    while processes("good.py 127.0.0.1"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_with_limits(lab):
    """Nor does a control group stay."""
    limited(lab, "--shape", "0.5:256M")  # skips where there are none
    process = subprocess.Popen([PROGRAM, "run", str(lab.folder / "short.ini"), "-d", "60s", "--out", str(lab.out),
                                "--target", lab.target("good"), "--shape", "0.5:256M"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    for line in process.stderr:
        if b"target: good" in line:
            break
    groups = subprocess.run(["find", "/sys/fs/cgroup", "-name", f"iubench-target-{process.pid}"],
                            capture_output=True, text=True, check=False).stdout.split()
    assert groups
    process.kill()
    process.wait()
    process.stderr.close()
    deadline = time.monotonic() + PATIENCE_S
    while any(os.path.exists(group) for group in groups):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_warden_killed(lab):
    """Should the warden itself be killed, what it had started is ended all the same."""
    (lab.folder / "parent.py").write_text(DEVICES + "subprocess.Popen(['sleep', '4713'])\n" + SERVE)
    path = lab.folder / "parent.ini"
    path.write_text(f"[target]\nname = parent\ncommand = {sys.executable} parent.py {{host}} {{port}}\n")
    process = subprocess.Popen([PROGRAM, "run", str(lab.folder / "short.ini"), "-d", "60s", "--out",
                                str(lab.out), "--target", str(path)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "target: parent" in line:
            break
    warden, = subprocess.run(["pgrep", "-P", str(process.pid), "iubench-warden"], capture_output=True,
                             text=True, check=True).stdout.split()
    assert processes("sleep 4713")
    os.kill(int(warden), signal.SIGKILL)
    assert "was ended by signal 9" in process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 1
    assert not processes("sleep 4713") and not processes(str(lab.folder))


@pytest.mark.parametrize("text, said", [
    ("[target]\nname = x\n", "has no command"),
    ("[target]\nname = x y\n", r"x\.ini:2: name: \"x y\" is not a name"),
    ("[target]\nname = x\ncomand = y\n", r"x\.ini:3: unknown key \"comand\", did you mean \"command\"\?"),
    ("[target]\nname = x\ncommand = y {prt}\n", r"x\.ini:3: command: \{prt\} is no placeholder"),
    ("[target]\nname = x\ncommand = y \"z\n", r"x\.ini:3: command: a \" is never closed"),
    ("[target]\nname = x\nname = y\n", r"x\.ini:3: \"name\" was given on line 2 already"),
    ("[target]\nstop-signal = SIGSEGV\n", r"x\.ini:2: stop-signal: .*expected SIGTERM"),
    ("[target]\nenv = x\n", r"x\.ini:2: env: expected NAME=VALUE"),
    ("[target]\nstart-timeout = soon\n", r"x\.ini:2: start-timeout: .*duration"),
    ("[service]\nname = x\n", r"x\.ini:2: .*expected|x\.ini:2: .*\[target\]"),
])
def test_bad_files(lab, text, said):
    """What is wrong with a target file is said with its line, before anything starts."""
    (lab.folder / "x.ini").write_text(text)
    code, _, errors = lab.run(str(lab.folder / "x.ini"))
    assert code == 2 and re.search(said, errors), errors


def test_unknown(lab):
    """An unknown name is told with the one that was meant."""
    code, _, errors = lab.run("go-tund")
    assert code == 2 and 'unknown target "go-tund"' in errors
    if os.path.exists(os.path.join(os.path.dirname(PROGRAM), "..", "contestants")):
        assert 'did you mean "go-tuned"?' in errors
