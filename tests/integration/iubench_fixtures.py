"""Fixtures for tests of the running program; conftest.py takes them in."""

import pytest

from iubench import Process


@pytest.fixture
def start():
    """start("serve", "--mode", "static", ...): a server on a free port, which is stopped at the
    test's end and must then have nothing to complain about."""
    processes = []

    def start_one(command, *words, listen="127.0.0.1:0", **options):
        processes.append(Process(command, "--listen", listen, *words, **options))
        return processes[-1]

    yield start_one
    running = [process for process in processes if process.process.returncode is None]
    try:
        for process in running:
            process.stop()
    finally:
        for process in running:
            if process.is_running():
                process.kill()


@pytest.fixture
def serve(start):
    """serve("static", ...): `iubench serve` in that mode, with two threads and no storage."""

    def serve_mode(mode, *words, threads=2, **options):
        storage = ["--store", "none", "--cache", "none"]
        return start("serve", "--mode", mode, "--threads", str(threads), *storage, *words, **options)

    return serve_mode
