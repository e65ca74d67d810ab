"""How connections are shared among the threads of a server."""

import signal
from concurrent.futures import ThreadPoolExecutor

from iubench import DEVICES, Process, wait_for

SERVE = ["serve", "--mode", "static", "--listen", "127.0.0.1:0"]


def requests_by_thread(server):
    return {labels: value for (name, labels), value in server.metrics().items()
            if name == "iubench_thread_requests_total"}


def test_connections_are_dealt_out_evenly(serve):
    """Whatever the kernel's hash says, also for those that come at the same moment."""
    server = serve("static", threads=4)
    for _ in range(3):
        with ThreadPoolExecutor(16) as pool:
            clients = list(pool.map(lambda _: server.connect(), range(80)))
        wait_for(lambda: server.counters()["connections_open"] >= 80)
        before = requests_by_thread(server)
        for client in clients:
            assert client.request("GET", "/api/devices").body == DEVICES
        after = requests_by_thread(server)
        shares = [after[thread] - before[thread] for thread in after]
        assert len(shares) == 4 and 17 <= min(shares) and max(shares) <= 25, shares  # with two pages of metrics
        for client in clients:
            client.close()
        wait_for(lambda: server.counters()["connections_open"] == 1)
    counters = server.counters()
    assert counters["accepted"] == counters["closed"] + counters["connections_open"]


def test_stops_while_connections_are_handed_over():
    """None is lost on the way, whichever thread ends first."""
    for _ in range(10):
        server = Process(*SERVE, "--threads", "4", "--drain-timeout", "200ms")

        def knock(server=server):
            try:
                while True:
                    with server.connect() as client:
                        client.request("GET", "/healthz")
            except (OSError, EOFError):
                return True

        with ThreadPoolExecutor(8) as pool:
            knocking = [pool.submit(knock) for _ in range(8)]
            wait_for(lambda: server.counters()["accepted"] > 40)
            server.stop(signal.SIGTERM, 10)
            assert all(one.result(10) for one in knocking)
