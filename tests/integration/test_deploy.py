"""What stands in deploy/: the seccomp profile and the systemd unit allow what iubench needs."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from iubench import IS_SANITIZED, PROGRAM, ROOT, Process

PROFILE = os.path.join(ROOT, "deploy", "seccomp", "iubench.json")
UNIT = os.path.join(ROOT, "deploy", "systemd", "iubench.service")
IO_URING = ["io_uring_enter", "io_uring_register", "io_uring_setup"]
ROUTES = ["/api/devices", "/healthz", "/json", "/plaintext", "/fib/20", "/fetch-external", "/metrics",
          "/openapi.json"]
DEVICE = '{"mac": "EF-2B", "firmware": "1"}'

needs_plain_build = pytest.mark.skipif(IS_SANITIZED, reason="sanitizers make calls of their own")


def python_with_seccomp():
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run(
                [python, "-c", "import seccomp"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return python
    pytest.skip("python3-seccomp is not installed: tools/setup test")


def under(profile):
    """The words that run a program under a profile."""
    return [python_with_seccomp(), os.path.join(ROOT, "tests", "integration", "seccomp_exec.py"),
            str(profile)]


def curl(server, path, *words):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed: tools/setup test")
    done = subprocess.run(["curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", *words,
                           server.url + path], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout or done.stderr


def works_under(profile, *words):
    """Starts serve, asks every route, posts, loads, ends."""
    server = Process("serve", "--listen", "127.0.0.1:0", *words, prefix=under(profile))
    try:
        assert {path: curl(server, path) for path in ROUTES} == {path: "200" for path in ROUTES}
        assert curl(server, "/api/devices", "-d", DEVICE) == "201"
        load = subprocess.run([*under(profile), PROGRAM, "load", "-q", "-n", "1000", "-c", "8", "-b",
                               DEVICE, server.url.replace("127.0.0.1", "localhost") + "/api/devices"],
                              capture_output=True, text=True, timeout=60, check=False)
        assert load.returncode in (0, 5), load.stderr
        assert server.counters()["replies_5xx"] == 0
        server.stop()
    finally:
        if server.is_running():
            server.kill()


# --- seccomp ---


@needs_plain_build
def test_profile_lets_everything_embedded_work():
    works_under(PROFILE, "--cores", str(min(os.sched_getaffinity(0))))


@needs_plain_build
def test_profile_lets_servers_by_socket_work(postgres, memcached):
    works_under(PROFILE, "--pg", postgres.uri, "--memcached", memcached.address)


@needs_plain_build
def test_profile_lets_servers_by_name_work(postgres, memcached):
    works_under(PROFILE, "--pg", postgres.tcp_uri.replace("127.0.0.1", "localhost"), "--memcached",
                f"localhost:{memcached.port}")


@needs_plain_build
def test_without_io_uring_it_says_what_mends_it(tmp_path):
    """As under the default profile of a container runtime: EPERM, exit code 4."""
    with open(PROFILE, encoding="utf-8") as f:
        profile = json.load(f)
    blocks = [block for block in profile["syscalls"] if block["names"] == IO_URING]
    assert len(blocks) == 1, "the three calls stand in a block of their own, and only there"
    blocks[0] |= {"action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    done = subprocess.run([*under(path), PROGRAM, "serve", "--listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 4 and "seccomp" in done.stderr, done.stderr


def test_profile_names_each_call_once_and_no_dangerous_one():
    with open(PROFILE, encoding="utf-8") as f:
        profile = json.load(f)
    plain = [name for block in profile["syscalls"] for name in block["names"] if "args" not in block]
    assert len(plain) == len(set(plain))
    assert not {"clone3", "ptrace", "mount", "bpf", "keyctl", "unshare", "setns", "kexec_load",
                "init_module", "perf_event_open", "userfaultfd", "socket", "clone"} & set(plain)


# --- systemd ---


@pytest.fixture
def unit(tmp_path):
    """The unit, with the program under test in the place of the installed one."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    with open(UNIT, encoding="utf-8") as f:
        text = f.read()
    assert "/usr/local/bin/iubench" in text
    path = tmp_path / "iubench.service"
    path.write_text(text.replace("/usr/local/bin/iubench", PROGRAM))
    return path


def analyze(*words):
    return subprocess.run(["systemd-analyze", *map(str, words)], capture_output=True, text=True,
                          timeout=60, check=False)


def test_unit_is_good(unit):
    done = analyze("verify", "--man=no", unit)
    assert done.returncode == 0 and "iubench.service" not in done.stderr, done.stderr


def test_unit_exposes_little(unit):
    """systemd's own measure, 0 to 10 times 10."""
    done = analyze("security", "--offline=yes", "--threshold=15", unit)
    if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
        pytest.skip("this systemd cannot judge a file")
    assert done.returncode == 0, done.stdout


def calls_of(names):
    """The system calls of names and of sets (@...) of systemd's."""
    calls = set()
    for name in names:
        if not name.startswith("@"):
            calls.add(name)
            continue
        done = analyze("syscall-filter", name)
        assert done.returncode == 0, done.stderr
        words = [line.strip() for line in done.stdout.splitlines()[1:]]
        calls |= calls_of(word for word in words if word and not word.startswith("#"))
    return calls


@needs_plain_build
def test_unit_lets_everything_work(unit, tmp_path, postgres, memcached):
    """Under the filter that systemd would make of SystemCallFilter=."""
    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.*)", unit.read_text(), re.MULTILINE):
        if line.startswith("~"):
            allowed -= calls_of(line[1:].split())
        else:
            allowed |= calls_of(line.split())
    assert allowed > set(IO_URING)
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": [
        {"names": sorted(allowed), "action": "SCMP_ACT_ALLOW"}]}))
    works_under(path)
    works_under(path, "--pg", postgres.uri, "--memcached", memcached.address)
