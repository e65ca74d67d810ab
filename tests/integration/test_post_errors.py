"""Databases and caches that cannot be used: one clear sentence before the first request where it can
be known, 503 and a count where it cannot."""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import threading

import pytest

from iubench import PROGRAM, run, wait_for
from services import as_unprivileged, own_folder

ROUND1 = ("CREATE TABLE device (id serial PRIMARY KEY, uuid varchar(255), mac varchar(255),"
          " firmware varchar(255), created_at timestamp NOT NULL, updated_at timestamp NOT NULL)")
BODY = b'{"mac":"EF-2B-C4-F5-D6-34","firmware":"2.1.5"}'
ROUND2 = ("CREATE TABLE device (id serial PRIMARY KEY, uuid uuid, mac varchar(255),"
          " firmware varchar(255), created_at timestamptz, updated_at timestamptz)")


def refused_at_start(*words):
    """What `serve` says when it cannot start: one line, exit code 1."""
    code, out, err = run("serve", "--mode", "db", "--listen", "127.0.0.1:0", *words)
    assert code == 1 and out == "" and err.count("\n") == 1, (code, out, err)
    return err


def post(client):
    reply = client.request("POST", "/api/devices", BODY)
    assert reply.status in (201, 503), reply
    if reply.status == 503:
        assert reply.field("Retry-After") == "1" and json.loads(reply.body)["error"]
    return reply


# --- known before the first request ---


def test_database_unreachable():
    error = refused_at_start("--pg", "postgresql://nobody@127.0.0.1:1/x", "--cache", "none")
    assert "Connection refused" in error and "127.0.0.1" in error


def test_connection_text_that_libpq_refuses():
    """A wrong word is usage, not a database that is down."""
    code, out, err = run("serve", "--mode", "db", "--listen", "127.0.0.1:0", "--pg", "host=127.0.0.1 sslmode=foo")
    assert code == 2 and out == "" and "invalid sslmode value: 'foo'" in err and "--pg" in err


def test_cache_unreachable():
    error = refused_at_start("--memcached", "127.0.0.1:1", "--store", "none")
    assert "127.0.0.1:1" in error and "Connection refused" in error


def test_cache_too_old(make_memcached):
    """Of many servers each is asked, also those that the start-up line has no room for."""
    new = make_memcached().address
    with socket.create_server(("127.0.0.1", 0)) as old:
        def answer():
            with contextlib.suppress(OSError), old.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(b"VERSION 1.4.25\r\n")

        threading.Thread(target=answer, daemon=True).start()
        old_address = f"127.0.0.1:{old.getsockname()[1]}"
        error = refused_at_start("--store", "none", "--memcached", ",".join([new] * 30 + [old_address]))
    assert f"memcached at {old_address} is too old" in error


def test_cache_at_the_second_address(make_memcached, tmp_path):
    """A name with two addresses, of which the first refuses."""
    hosts, memcached = tmp_path / "hosts", make_memcached()
    hosts.write_text("::1 both\n127.0.0.1 both\n")
    script = (f'mount --bind {hosts} /etc/hosts && exec "$0" serve --mode db --listen 127.0.0.1:0'
              f' --store none --memcached both:{memcached.port}')
    words = ["unshare", "--mount", "sh", "-c", script, PROGRAM]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        process.terminate()
        errors = process.stderr.read()
    if "unshare:" in errors or "mount:" in errors:
        pytest.skip(errors)
    assert f"at both:{memcached.port}" in line, errors


def test_database_read_only(make_postgres):
    postgres = make_postgres()
    postgres.psql("ALTER DATABASE mydb SET default_transaction_read_only = on")
    error = refused_at_start("--pg", postgres.uri, "--cache", "none")
    assert "read-only" in error and "default_transaction_read_only" in error


def test_other_schema(make_postgres):
    postgres = make_postgres()
    postgres.psql(ROUND2)
    error = refused_at_start("--pg", postgres.uri, "--cache", "none")
    assert "other columns than --schema round1: uuid is uuid, expected character varying" in error


def test_other_columns(make_postgres):
    postgres = make_postgres()
    postgres.psql("CREATE TABLE device (id serial PRIMARY KEY, name text)")
    error = refused_at_start("--pg", postgres.uri, "--cache", "none")
    assert "uuid is missing" in error


def test_too_few_connections(make_postgres):
    postgres = make_postgres({"max_connections": 10, "max_wal_senders": 0})
    error = refused_at_start("--pg", postgres.uri, "--pg-pool", "50", "--cache", "none")
    assert "allows 10 connections" in error and "50 are needed" in error


def test_embedded_database_read_only():
    """As a user whom permissions bind, which they do not root."""
    folder = own_folder("iubench-readonly-")
    try:
        program, path = shutil.copy(PROGRAM, folder), os.path.join(folder, "devices.db")
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE other (id integer)")
        os.chmod(path, 0o444)
        os.chmod(folder, 0o555)
        done = subprocess.run([program, "serve", "--mode", "db", "--listen", "127.0.0.1:0", "--store",
                               f"sqlite:{path}"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, timeout=60, **as_unprivileged())
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, done
        assert path in done.stderr and "readonly" in done.stderr
    finally:
        os.chmod(folder, 0o755)
        shutil.rmtree(folder)


# --- only known later ---


@pytest.fixture
def server(start, make_postgres, make_memcached):
    postgres, memcached = make_postgres(), make_memcached()
    process = start("serve", "--mode", "db", "--threads", "1", "--pg", postgres.uri, "--memcached",
                    memcached.address)
    process.postgres = postgres
    return process


def errors(server, op):
    return sum(value for (name, labels), value in server.metrics().items()
               if name == "myapp_errors_count" and f'op="{op}"' in labels)


def refused_under_load(server, hurt, mend):
    """503 while it is hurt, counted; 201 before and after, on the connections that there were."""
    with server.connect() as client:
        assert post(client).status == 201
        server.postgres.psql(hurt)
        wait_for(lambda: post(client).status == 503)
        before = errors(server, "insert")
        for _ in range(5):
            assert post(client).status == 503
        assert errors(server, "insert") == before + 5
        server.postgres.psql(mend)
        wait_for(lambda: post(client).status == 201)
        for _ in range(5):
            assert post(client).status == 201
    reconnects = [value for (name, labels), value in server.metrics().items()
                  if name == "iubench_storage_reconnects_total" and "insert" in labels]
    assert reconnects == [0]
    assert server.stderr().count("PostgreSQL refuses inserts (SQLSTATE ") == 1  # not for each of them


def raising(sqlstate, text):
    """An insert that fails as it would on a server in trouble."""
    return ("CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
            f" '{text}' USING ERRCODE = '{sqlstate}'; END $$;"
            " CREATE TRIGGER trouble BEFORE INSERT ON device EXECUTE FUNCTION trouble()")


def test_disk_full(server):
    refused_under_load(server, raising("53100", "could not extend file: No space left on device"),
                       "DROP FUNCTION trouble CASCADE")


def test_becomes_read_only(server):
    refused_under_load(server, raising("25006", "cannot execute INSERT in a read-only transaction"),
                       "DROP FUNCTION trouble CASCADE")


def test_table_is_renamed(server):
    refused_under_load(server, "ALTER TABLE device RENAME TO elsewhere",
                       "ALTER TABLE elsewhere RENAME TO device")


def test_ids_are_used_up(server):
    """A sequence at its end is no fault of the device that meets it."""
    refused_under_load(server,
                       "SELECT setval('device_id_seq', 2); ALTER SEQUENCE device_id_seq MAXVALUE 2",
                       "ALTER SEQUENCE device_id_seq NO MAXVALUE")


def test_table_changes(server):
    """A table that is made anew with another kind of id: the statement is prepared again."""
    server.postgres.psql("ALTER TABLE device RENAME TO old")
    server.postgres.psql(ROUND1.replace("serial", "bigserial"))
    with server.connect() as client:
        for _ in range(10):
            wait_for(lambda: post(client).status == 201)
        for _ in range(10):
            assert post(client).status == 201


def test_error_at_the_commit(server):
    """A deferred constraint says no after the row was returned: it is not acknowledged."""
    refused_under_load(
        server,
        raising("53100", "late").replace("CREATE TRIGGER trouble BEFORE INSERT ON device",
                                         "CREATE CONSTRAINT TRIGGER trouble AFTER INSERT ON device"
                                         " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
        "DROP FUNCTION trouble CASCADE")
    assert server.postgres.psql("SELECT count(*) FROM device WHERE id IS NULL") == [["0"]]


def test_grouped_inserts(start, make_postgres):
    """With --pg-batch: said wherever the store is named, far fewer transactions, and of those who
    share one only the row to blame is refused."""
    postgres = make_postgres()
    process = start("serve", "--mode", "db", "--threads", "1", "--pg", postgres.uri, "--cache", "none",
                    "--pg-batch", "16")
    assert "up to 16 inserts a commit" in process.line
    contract = json.loads(process.get("/openapi.json").body)["x-iubench"]
    assert contract["pg_batch"] == 16 and "up to 16 inserts a commit" in contract["store"]
    postgres.psql("ALTER TABLE device ADD CHECK (firmware::int % 100 <> 0)")
    bodies = [b'{"mac":"m","firmware":"%d"}' % i for i in range(1000)]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(process.connect()) for _ in range(50)]
        for at in range(0, 1000, 50):
            for client, body in zip(clients, bodies[at:at + 50]):
                client.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                            % len(body) + body)
            for i, client in enumerate(clients, at):
                reply = client.reply("POST")
                assert reply.status == (400 if i % 100 == 0 else 201), (i, reply)
    rows = postgres.psql("SELECT firmware, xmin FROM device")
    assert {int(row[0]) for row in rows} == {i for i in range(1000) if i % 100}
    assert len({row[1] for row in rows}) < 500


def test_in_flight_by_connection(start, make_postgres):
    """What is under way is told for the pool and for each of its connections."""
    postgres = make_postgres()
    process = start("serve", "--mode", "db", "--threads", "1", "--pg", postgres.uri, "--cache", "none",
                    "--pg-pool", "3")

    def gauges():
        page = process.metrics()
        return [[value for (name, labels), value in page.items()
                 if name == f"iubench_storage_{what}" and 'op="insert"' in labels]
                for what in ("pool", "in_flight", "connection_in_flight")]

    postgres.pause()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(process.connect()) for _ in range(30)]
        for client in clients:
            client.send(b"POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                        % len(BODY) + BODY)
        wait_for(lambda: gauges() == [[3], [30], [10, 10, 10]])
        postgres.resume()
        assert all(client.reply("POST").status == 201 for client in clients)
    assert gauges() == [[3], [0], [0, 0, 0]]


def test_grouping_is_for_postgres():
    for store in ("sqlite", "none"):
        code, out, err = run("serve", "--mode", "db", "--listen", "127.0.0.1:0", "--store", store,
                             "--pg-batch", "2")
        assert code == 2 and out == "" and "--pg-batch is for PostgreSQL" in err


def test_notices_are_passed_over(server):
    """A trigger that talks with every row disturbs nothing."""
    server.postgres.psql(
        "CREATE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE WARNING '%', repeat('x', 5000); RETURN NEW; END $$;"
        " CREATE TRIGGER talk BEFORE INSERT ON device FOR EACH ROW EXECUTE FUNCTION talk()")
    with server.connect() as client:
        for _ in range(20):
            assert post(client).status == 201


def test_cache_refuses(start, make_postgres, make_memcached):
    """memcached answers SERVER_ERROR when it is full and may not evict."""
    memcached, postgres = make_memcached(arguments=["-M", "-m", "2"]), make_postgres()
    process = start("serve", "--mode", "db", "--threads", "1", "--pg", postgres.uri, "--memcached",
                    memcached.address)
    body = json.dumps({"mac": "m" * 255, "firmware": "f" * 255}).encode()
    with process.connect() as client:
        statuses = [client.request("POST", "/api/devices", body).status for _ in range(6000)]
    assert statuses[0] == 201 and set(statuses) == {201, 503}
    assert errors(process, "set") == statuses.count(503)


@pytest.mark.parametrize("store, told", [
    ("sqlite", "the cache did not confirm: the device is stored, and may or may not be cached"),
    ("none", "the cache did not confirm: the device may or may not be cached")])
def test_cache_stalls(start, make_memcached, store, told):
    """A set that was not confirmed may have been done: nobody is told that it was not."""
    memcached = make_memcached()
    process = start("serve", "--mode", "db", "--threads", "1", "--store", store, "--memcached",
                    memcached.address, "--storage-timeout", "300ms")
    memcached.pause()
    with process.connect() as client:
        reply = post(client)
    assert reply.status == 503 and json.loads(reply.body) == {"error": told}
    memcached.resume()
    wait_for(lambda: memcached.count() == 1)
