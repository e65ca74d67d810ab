"""Fixtures that every integration test may use. `postgres` and `memcached` are shared by a session:
leave them running. `make_postgres` and `make_memcached` start servers of a test's own, which may be
killed, paused and configured at will; all are stopped and removed at the end, whatever happens."""

import os
import shutil

import pytest

from iubench_fixtures import serve, start  # noqa: F401
from services import Memcached, Postgres, pg_program

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Where tests run side by side, those that share something made for their module stay together."""
    for item in items:
        made = {name for name, ways in item._fixtureinfo.name2fixturedefs.items() if ways[-1].scope == "module"}
        if made:
            params = getattr(item, "callspec", None) and item.callspec.params or {}
            item.add_marker(pytest.mark.xdist_group("-".join([item.path.stem, *(str(params[name]) for name in
                                                                               sorted(made & set(params)))])))


def needs_postgres():
    if not pg_program("initdb"):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")


def needs_memcached():
    if not shutil.which("memcached"):
        pytest.skip("memcached is not installed: apt-get install memcached")


@pytest.fixture(scope="session")
def build_folder():
    """Where the programs under test were built: beside the program that IUBENCH names."""
    return os.path.dirname(os.environ.get("IUBENCH", os.path.join(ROOT, "build", "iubench")))


@pytest.fixture(scope="session")
def postgres_template():
    needs_postgres()
    yield
    Postgres.drop_template()


@pytest.fixture(scope="session")
def postgres(postgres_template):
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def make_postgres(postgres_template):
    servers = []

    def make(settings=None):
        servers.append(Postgres(settings))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def memcached():
    needs_memcached()
    server = Memcached()
    yield server
    server.close()


@pytest.fixture
def make_memcached():
    needs_memcached()
    servers = []

    def make(**options):
        servers.append(Memcached(**options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()
