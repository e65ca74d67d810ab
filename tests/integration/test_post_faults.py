"""Nothing that was acknowledged is lost, whatever happens to database, cache, the way to them, or
the server itself, under load."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import time

import pytest

from iubench import IS_SANITIZED, PROGRAM, run, wait_for
from posts import Posts, Proxy
from services import PG_DATABASE, PG_PASSWORD, PG_USER

TIMEOUT_S = 1.0
BODY = b'{"mac":"EF-2B-C4-F5-D6-34","firmware":"2.1.5"}'
SLACK_S = 2.5 if IS_SANITIZED else 1.0  # of a busy machine
HARMLESS = ("slice", "slow")  # what is only slower
# A crash of PostgreSQL may lose what it acknowledged with synchronous_commit=off: its promise, not
# ours.
DURABLE = {"synchronous_commit": "on"}


@pytest.fixture
def services(make_postgres, make_memcached):
    return {"postgres": make_postgres(DURABLE), "memcached": make_memcached()}


@pytest.fixture
def proxies():
    made = []

    def make(*arguments):
        made.append(Proxy(*arguments))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def serve_on(start, pg, memcached, *words):
    return start("serve", "--mode", "db", "--threads", "2", "--pg", pg, "--memcached", memcached,
                 f"--storage-timeout={int(TIMEOUT_S * 1000)}ms", *words)


def answers(postgres, query="SELECT 1"):
    with contextlib.suppress(subprocess.CalledProcessError):
        return postgres.psql(query)


def kill_backends(postgres):
    """SIGKILL to every backend, once there are some; the postmaster then starts all over by itself."""
    backends = "SELECT pid FROM pg_stat_activity WHERE application_name = 'iubench'"
    for (pid,) in wait_for(lambda: answers(postgres, backends)):
        subprocess.run(["kill", "-KILL", pid], check=False)


HURTS = {
    "backends": ("postgres", kill_backends, lambda server: None),
    "postmaster": ("postgres", lambda server: server.kill(), lambda server: server.start()),
    "memcached": ("memcached", lambda server: server.kill(), lambda server: server.start()),
}


@pytest.mark.parametrize("what, words", [*((what, ()) for what in HURTS),
                                         ("backends", ("--pg-batch", "16"))])
def test_kills_lose_nothing(start, services, what, words):
    """Three times over: killed under load, started again, and served again within a second."""
    victim, hurt, mend = HURTS[what]
    server = serve_on(start, services["postgres"].uri, services["memcached"].address, *words)
    chance = random.Random(5)
    with Posts(server) as posts:
        for _ in range(3):
            posts.until_created()
            time.sleep(chance.uniform(0, 0.2))
            hurt(services[victim])
            time.sleep(chance.uniform(0, 0.6))
            mend(services[victim])
            if what == "backends":
                wait_for(lambda: answers(services[victim]))
            assert posts.until_created() < 1 + SLACK_S
    posts.check(services["postgres"])
    if what == "postmaster":
        assert "PostgreSQL: every connection is lost; trying again" in server.stderr()
        assert "PostgreSQL is connected again" in server.stderr()
    assert len(posts.acknowledged) >= 120
    assert posts.slowest_s < TIMEOUT_S + SLACK_S
    assert posts.slowest_get_s < SLACK_S


def test_end_under_load_loses_nothing(start, services):
    """SIGTERM: what was begun is answered, and every 201 has its row; three servers in turn."""
    acknowledged = 0
    for _ in range(3):
        services["postgres"].psql("DROP TABLE IF EXISTS device")
        server = serve_on(start, services["postgres"].uri, services["memcached"].address)
        with Posts(server) as posts:
            posts.until_created(50)
            server.stop(signal.SIGTERM)
        posts.check(services["postgres"])
        assert not posts.refused
        acknowledged += len(posts.acknowledged)
    assert acknowledged >= 150


@pytest.mark.parametrize("victim", ["postgres", "memcached"])
def test_stalls_end_in_time(start, services, victim):
    """SIGSTOP: POST answers 503 within its deadline, GET is unharmed, and all is well within a
    second of SIGCONT."""
    server = serve_on(start, services["postgres"].uri, services["memcached"].address)
    with Posts(server) as posts:
        for _ in range(2):
            posts.until_created()
            services[victim].pause()
            time.sleep(2.5 * TIMEOUT_S)
            assert posts.refused
            services[victim].resume()
            assert posts.until_created() < 1 + SLACK_S
    posts.check(services["postgres"])
    assert posts.slowest_s < 2 * TIMEOUT_S + SLACK_S  # an insert and a set, each with its deadline
    assert posts.slowest_get_s < SLACK_S


BAD_WAYS = [(way, mode, ()) for way in ("postgres", "memcached")
            for mode in (*HARMLESS, "cut", "reset", "stall")]
GROUPED = ("--pg-batch", "16")


@pytest.mark.parametrize("way, mode, words", [*BAD_WAYS, ("postgres", "cut", GROUPED),
                                              ("postgres", "reset", GROUPED)])
def test_bad_ways_lose_nothing(start, services, proxies, way, mode, words):
    """A proxy slices, slows, cuts, resets or stalls what comes from one of the two."""
    postgres, memcached = services["postgres"], services["memcached"]
    proxy = proxies(socket.AF_INET, ("127.0.0.1", services[way].port))
    pg_port = proxy.port if way == "postgres" else postgres.port
    pg = f"postgresql://{PG_USER}:{PG_PASSWORD}@127.0.0.1:{pg_port}/{PG_DATABASE}"
    cache = f"127.0.0.1:{proxy.port}" if way == "memcached" else memcached.address
    server = serve_on(start, pg, cache, *words)
    with Posts(server) as posts:
        for _ in range(2):
            posts.until_created()
            proxy.mode = mode
            time.sleep(1.5 * TIMEOUT_S)
            if mode in HARMLESS:
                posts.until_created(5)
            proxy.mode = "pass"
            assert posts.until_created() < 1 + SLACK_S
    posts.check(postgres)
    assert posts.slowest_s < 2 * TIMEOUT_S + SLACK_S
    assert posts.slowest_get_s < SLACK_S
    assert mode in HARMLESS or posts.refused


@pytest.mark.parametrize("way", ["postgres", "memcached"])
def test_connecting_has_time(start, services, proxies, way):
    """A short deadline of inserts and sets is none of connecting, which takes several turns on the way."""
    proxy = proxies(socket.AF_INET, ("127.0.0.1", services[way].port))
    port = proxy.port if way == "postgres" else services["postgres"].port
    pg = f"postgresql://{PG_USER}:{PG_PASSWORD}@127.0.0.1:{port}/{PG_DATABASE}"
    cache = f"127.0.0.1:{proxy.port}" if way == "memcached" else services["memcached"].address
    server = serve_on(start, pg, cache, "--storage-timeout=350ms", "--pg-pool=2")
    proxy.mode, before = "slow", proxy.accepted
    proxy.drop()
    wait_for(lambda: proxy.accepted > before)
    with server.connect() as client:
        wait_for(lambda: client.request("POST", "/api/devices", BODY).status == 201)


def test_the_loads_sums_hold_while_backends_die(start, services, tmp_path):
    """The generator accounts for every request, and every row for a 201 or a 503."""
    postgres = services["postgres"]
    server = serve_on(start, postgres.uri, services["memcached"].address)
    load = subprocess.Popen(
        [PROGRAM, "load", server.url + "/api/devices", "-m", "POST", "-b", '{"mac":"m","firmware":"f"}',
         "-H", "Content-Type: application/json", "-r", "1000", "-d", "3s", "-c", "32", "--quiet", "--json",
         str(tmp_path / "result.json")], stdout=subprocess.DEVNULL)
    for _ in range(5):
        time.sleep(0.5)
        kill_backends(postgres)
    assert load.wait(60) in (0, 5)  # 5: so busy a machine that the client sent late
    requests = json.loads((tmp_path / "result.json").read_text())["targets"][0]["requests"]
    assert requests["scheduled"] == requests["sent"] + requests["unsent"] == 3000
    assert requests["sent"] == requests["ok"] + sum(requests["errors"].values()) + (
        requests["timeouts"] + requests["unfinished"])
    failed = requests["errors"]["status_5xx"]
    assert failed and requests["ok"] > 500
    rows = int(wait_for(lambda: answers(postgres, "SELECT count(*) FROM device"))[0][0])
    assert requests["ok"] <= rows <= requests["ok"] + failed


@pytest.mark.parametrize("batch", [1, 16])
def test_run_verifies(tmp_path, batch):
    """`run --verify` counts rows and reads values back, and says so in one line; what shares commits
    is marked."""
    code, out, err = run("run", "test2", "--services", "managed", "--verify", "-c", "16", "--rps-ramp",
                         "200:600:200/1s", "--pg-batch", str(batch), "--out", str(tmp_path), timeout=120)
    line = re.search(r"^verified: acknowledged (\d+), rows (\d+), sampled (\d+) equal$", out,
                     re.MULTILINE)
    assert code in (0, 5) and line, out + err  # 5: so busy a machine that the client sent late
    assert line[1] == line[2] == "1200" and int(line[3]) == 1200 / 8
    scenario = json.loads((tmp_path / "result.json").read_text())["scenario"]
    assert scenario["pg_batch"] == batch
    for text in (out, err, scenario["store"]):
        assert ("up to 16 inserts" in text) == (batch == 16)
    assert ("not comparable with a commit per request" in out) == (batch == 16)


def test_run_verify_needs_something_to_read():
    code, _, err = run("run", "test2", "--services", "embedded", "--verify", "-d", "1s", timeout=60)
    assert code == 2
    assert "only rows in PostgreSQL can be read back" in err


@pytest.mark.skipif(os.geteuid() != 0 or PROGRAM.startswith("/tmp/"), reason="folders for all are mounted over, by root")
def test_services_without_a_folder_for_their_user():
    """Root's servers run as another user: where that one can walk nowhere, it is said, with the mend."""
    mount = 'mount -t tmpfs -o mode=700 tmpfs /tmp && mount -t tmpfs -o mode=700 tmpfs /var/tmp && exec "$@"'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", mount, "sh", PROGRAM, "run", "test2", "--services",
                           "managed", "-d", "1s", "--out", "results"], cwd="/tmp", capture_output=True, text=True, timeout=60,
                          env={**os.environ, "TMPDIR": ""}, check=False)
    if "unshare: " in done.stderr:
        pytest.skip("no folder can be mounted here")
    assert done.returncode == 1 and "users other than root cannot walk there (chmod o+x" in done.stderr
