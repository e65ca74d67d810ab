"""Runs the suites of tests/integration/test_store.c and test_cache.c on real servers, and hurts the
servers when the suites ask for it."""

import os
import shutil
import socket
import subprocess
import threading

import pytest

from iubench import wait_for
from services import PG_DATABASE, PG_PASSWORD, PG_USER, as_unprivileged, stands_still

SECONDS = 120
BODY = b'{"mac":"EF-2B-C4-F5-D6-34","firmware":"2.1.5"}'


def kill_one_backend(server):
    """SIGTERM to one connection's backend, as pg_terminate_backend() does."""
    server.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'iubench' ORDER BY random() LIMIT 1")


def obey(end, servers):
    """Carries out the requests of a test program, line by line, until it closes its end."""
    with end, end.makefile("rw") as requests:
        for line in requests:
            name, request = line.split()
            if request == "kill-one":
                kill_one_backend(servers[name])
            else:
                getattr(servers[name], request)()
            requests.write("ok\n")
            requests.flush()


def run(program, arguments=(), servers=None, **environment):
    """Runs a test program; `servers` (by name) are at its command. Returns what it printed."""
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith(("PG", "DATABASE_URL", "MEMCACHED_SERVERS"))}
    ours, theirs = socket.socketpair()
    if servers:
        environment["IUBENCH_TEST_CONTROL"] = str(theirs.fileno())
        thread = threading.Thread(target=obey, args=(ours, servers))
        thread.start()
    try:
        done = subprocess.run([program, *arguments], env={**clean, **environment}, timeout=SECONDS,
                              pass_fds=[theirs.fileno()], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    finally:
        theirs.close()
        if servers:
            thread.join(SECONDS)
        else:
            ours.close()
    assert done.returncode == 0, done.stdout
    assert "1 test(s)" in done.stdout or len(arguments) == 0, "no such test:\n" + done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def store_program(build_folder):
    return os.path.join(build_folder, "tests/integration/test_store")


@pytest.fixture(scope="session")
def cache_program(build_folder):
    return os.path.join(build_folder, "tests/integration/test_cache")


# --- PostgreSQL -------------------------------------------------------------------------------------


# How many inserts may share a transaction; 16 is more than a turn has now and then, and less than
# it has mostly.
BATCHES = ["1", "16"]


@pytest.mark.parametrize("batch", BATCHES)
def test_store_on_postgres_by_unix_socket(store_program, make_postgres, batch):
    run(store_program, IUBENCH_TEST_PG=make_postgres().uri, IUBENCH_TEST_BATCH=batch)


def test_store_on_postgres_by_tcp_with_password(store_program, make_postgres):
    run(store_program, IUBENCH_TEST_PG=make_postgres().tcp_uri)


def test_store_on_postgres_by_a_service_file(store_program, make_postgres, tmp_path):
    """A service file may list hosts, among which libpq chooses, at each connection anew."""
    server, file = make_postgres(), tmp_path / "services"
    file.write_text(f"[bench]\nhost=127.0.0.1,127.0.0.1\nport={server.port}\nuser={PG_USER}\n"
                    f"password={PG_PASSWORD}\ndbname={PG_DATABASE}\n")
    run(store_program, ["counts_a_full_turn"], IUBENCH_TEST_PG="service=bench",
        PGSERVICEFILE=str(file))


@pytest.fixture
def tls_postgres(make_postgres):
    """A server that demands TLS, where libpq carries the inserts instead of our own frames."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    server = make_postgres()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.crt"], check=True,
                   cwd=server.data, stderr=subprocess.DEVNULL, **as_unprivileged())
    os.chmod(os.path.join(server.data, "server.key"), 0o600)
    server.psql("ALTER SYSTEM SET ssl = on")
    server.psql("SELECT pg_reload_conf()")
    server.uri = server.tcp_uri + "?sslmode=require"
    return server


@pytest.mark.parametrize("batch", BATCHES)
def test_store_on_postgres_by_tls(store_program, tls_postgres, batch):
    run(store_program, IUBENCH_TEST_PG=tls_postgres.uri, IUBENCH_TEST_BATCH=batch)


def test_notices_by_tls_are_not_printed(start, tls_postgres):
    """Nor after a reconnect, where libpq's connection is another one."""
    server = start("serve", "--mode", "db", "--threads", "1", "--pg", tls_postgres.uri, "--pg-pool", "1",
                   "--cache", "none")
    kill_one_backend(tls_postgres)
    tls_postgres.psql(
        "CREATE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'hear me';"
        " RETURN NEW; END $$; CREATE TRIGGER talk BEFORE INSERT ON device FOR EACH ROW"
        " EXECUTE FUNCTION talk()")
    with server.connect() as client:
        wait_for(lambda: client.request("POST", "/api/devices", BODY).status == 201)
    assert "hear me" not in server.stderr()


@pytest.mark.parametrize("case", ["survives_kill", "survives_pause", "survives_one_backend"])
def test_store_by_tls_when_postgres_is_hurt(store_program, tls_postgres, case):
    tls_postgres.psql("ALTER SYSTEM SET synchronous_commit = on")
    tls_postgres.psql("SELECT pg_reload_conf()")
    run(store_program, [case], {"postgres": tls_postgres}, IUBENCH_TEST_PG=tls_postgres.uri)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("case", ["survives_kill", "survives_stop", "survives_pause",
                                  "survives_one_backend"])
def test_store_when_postgres_is_hurt(store_program, make_postgres, case, batch):
    # On, because a killed server may lose what it acknowledged without it.
    server = make_postgres({"synchronous_commit": "on"})
    run(store_program, [case], {"postgres": server}, IUBENCH_TEST_PG=server.uri,
        IUBENCH_TEST_BATCH=batch)


def test_store_when_a_group_is_hurt(store_program, make_postgres):
    server = make_postgres()
    run(store_program, ["loses_a_group_as_a_whole"], {"postgres": server}, IUBENCH_TEST_PG=server.uri)


def expect_message(program, server, uri, expected, **environment):
    run(program, ["says_why_it_cannot_open"], {"postgres": server}, IUBENCH_TEST_PG=uri,
        IUBENCH_TEST_EXPECT=expected, IUBENCH_TEST_SECRET=PG_PASSWORD + "-wrong", **environment)


def test_wrong_password(store_program, postgres):
    uri = postgres.tcp_uri.replace(PG_PASSWORD, PG_PASSWORD + "-wrong")
    expect_message(store_program, postgres, uri, "password authentication failed")


def test_no_password(store_program, postgres):
    expect_message(store_program, postgres, postgres.tcp_uri.replace(":" + PG_PASSWORD, ""),
                   "no password supplied")


def test_no_such_database(store_program, postgres):
    expect_message(store_program, postgres, postgres.uri.replace(PG_DATABASE, "nowhere"),
                   "database 'nowhere' does not exist; create it")


def test_nobody_listens(store_program, make_postgres):
    server = make_postgres()
    server.stop()
    expect_message(store_program, server, server.tcp_uri, "Connection refused")


def test_pause_is_over_before_anything_is_asked_of_the_paused(memcached):
    """Of the fixture: SIGSTOP takes its time on a busy machine, and what is sent in it may still be
    answered."""
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(4 * os.cpu_count())]
    try:
        for _ in range(50):
            memcached.pause()
            assert stands_still(memcached.process.pid)
            memcached.resume()
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_paused_at_start(store_program, make_postgres):
    server = make_postgres()
    server.pause()
    expect_message(store_program, server, server.uri, "timeout expired")


@pytest.mark.parametrize("table, expected", [
    ("id serial, name text", "uuid is missing, expected character varying(255)"),
    ("id serial, uuid uuid, mac text, firmware text, created_at timestamptz,"
     " updated_at timestamptz", "uuid is uuid, expected character varying(255)"),
    ("id serial, uuid varchar(9), mac text, firmware text, created_at timestamp,"
     " updated_at timestamp", "uuid is character varying(9), expected character varying(255)"),
    ("id int NOT NULL, uuid text, mac text, firmware text, created_at timestamp,"
     " updated_at timestamp", "id is not null and without a default"),
    ("id serial, uuid text, mac text, firmware text, created_at timestamp, updated_at timestamp,"
     " colour text NOT NULL", "colour is not null and without a default"),
])
def test_wrong_columns(store_program, make_postgres, table, expected):
    server = make_postgres()
    server.psql(f"CREATE TABLE device ({table})")
    expect_message(store_program, server, server.uri, expected)


def test_too_few_connections(store_program, make_postgres):
    server = make_postgres({"max_connections": 5, "superuser_reserved_connections": 0,
                            "max_wal_senders": 0})
    expect_message(store_program, server, server.uri, "allows 5 connections, of which 0 are in use",
                   IUBENCH_TEST_POOL="6")


def test_read_only(store_program, make_postgres):
    server = make_postgres()
    server.psql(f"ALTER ROLE {PG_USER} SET default_transaction_read_only = on")
    expect_message(store_program, server, server.uri, "is read-only")


def test_no_right_to_make_the_table(store_program, make_postgres):
    server = make_postgres()
    server.psql("CREATE ROLE poor LOGIN; REVOKE CREATE ON SCHEMA public FROM public")
    uri = server.uri.replace(PG_USER + "@", "poor@")
    expect_message(store_program, server, uri, "permission denied for schema public")


def test_no_right_to_insert(store_program, make_postgres):
    server = make_postgres()
    server.psql("CREATE TABLE device (id serial, uuid text, mac text, firmware text,"
                " created_at timestamp, updated_at timestamp); CREATE ROLE poor LOGIN")
    uri = server.uri.replace(PG_USER + "@", "poor@")
    expect_message(store_program, server, uri, "may not insert into the table device")


# --- memcached --------------------------------------------------------------------------------------


def oracle_of(servers):
    """The configuration text by which libmemcached's own client finds the same servers."""
    return " ".join(f'--SOCKET="{s.path}"' if s.path else f"--SERVER=127.0.0.1:{s.port}"
                    for s in servers)


def run_cache(program, servers, case=None, address=None, oracle=None):
    return run(program, [case] if case else [], {"memcached": servers[0]} if case else None,
               IUBENCH_TEST_MEMCACHED=address or ",".join(s.address for s in servers),
               IUBENCH_TEST_ORACLE=oracle or oracle_of(servers))


def test_cache_on_memcached(cache_program, make_memcached):
    server = make_memcached()
    output = run_cache(cache_program, [server])
    key = output.split("key ", 1)[1].split()[0]
    assert 10 <= server.ttl(key) <= 20


def test_cache_by_unix_socket(cache_program, make_memcached):
    run_cache(cache_program, [make_memcached(unix=True)])


def test_cache_on_two_servers(cache_program, make_memcached):
    servers = [make_memcached(), make_memcached()]
    run_cache(cache_program, servers)
    first, second = (server.count() for server in servers)
    assert 0.4 < first / (first + second) < 0.6


def test_cache_on_two_servers_with_weights(cache_program, make_memcached):
    servers = [make_memcached(), make_memcached()]
    weighted = [f"127.0.0.1:{server.port}/?{1 + 2 * i}" for i, server in enumerate(servers)]
    run_cache(cache_program, servers, address=",".join(weighted),
              oracle=" ".join(f"--SERVER={item}" for item in weighted))
    first, second = (server.count() for server in servers)
    assert 0.15 < first / (first + second) < 0.35


def test_cache_configured_by_libmemcached(cache_program, make_memcached):
    servers = [make_memcached(), make_memcached()]
    text = oracle_of(servers) + " --DISTRIBUTION=consistent --HASH=MD5"
    run_cache(cache_program, servers, address=text, oracle=text)
    assert all(server.count() > 0 for server in servers)


@pytest.mark.parametrize("case", ["survives_kill", "survives_stop", "survives_pause"])
def test_cache_when_memcached_is_hurt(cache_program, make_memcached, case):
    run_cache(cache_program, [make_memcached()], case)


def test_cache_does_not_stall_others(cache_program, make_memcached):
    run_cache(cache_program, [make_memcached(), make_memcached()], "does_not_stall_others")


def test_cache_that_is_full(cache_program, make_memcached):
    run_cache(cache_program, [make_memcached(arguments=["-M", "-m", "2"])], "tells_refusals_apart")
