"""A load that several hosts share: four clients and two targets, each a network namespace of its own. Both
targets have the address that is loaded, and each client's route leads to one of them: all have one URL, as before
a load balancer. Answers are delayed by the kernel where it can, else by the proxy before each target, which
notes what arrives there and when."""

import asyncio
import collections
import contextlib
import datetime
import os
import re
import socket
import statistics
import subprocess
import sys
import time

import pytest

from iubench import IS_SANITIZED, Process, wait_for
from netns import Hosts, needs_hosts, remove_stale
from posts import Proxy
from test_load import read
from test_shards import AS_A_WHOLE, SHARDS, files, finish, merge, soon
from test_shards import start as start_shards

ADDRESS, PORT = "198.51.100.1", 8080  # of both targets; an address for examples (RFC 5737)
URL = f"http://{ADDRESS}:{PORT}/json?n={{seq}}"
DELAY_S = 0.02
RATE, LENGTH_S = 301, 3
REQUESTS = RATE * LENGTH_S
WORDS = ["--rate", str(RATE), "-d", f"{LENGTH_S}s", "-c", "65"]  # ten times what the delay asks for
SLACK_S = 0.005  # between the wall clock and the one that a client counts by
TARGETS = ["target0", "target1"]
CLIENTS = [f"client{i}" for i in range(SHARDS)]


def shard_of(number):
    return (number - 1) % SHARDS


def due_s(number):
    return (number - 1) / RATE


class Witness(Proxy):
    """Stands before a target on its host, answers so much later, and notes when which request came."""

    def __init__(self, host, target, delay_s):
        self.host, self.delay_s, self.arrivals = host, delay_s, {}
        super().__init__(socket.AF_INET, ("127.0.0.1", target.port), listen=("0.0.0.0", PORT))

    async def serve(self):
        self.host.enter()
        await super().serve()

    async def copy(self, reader, writer, budget):
        await (self.requests(reader, writer) if budget is None else self.replies(reader, writer))

    async def requests(self, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if number := re.search(rb"[?]n=(\d+) ", head):
                self.arrivals.setdefault(int(number[1]), []).append(time.time())
            writer.write(head)

    async def replies(self, reader, writer):
        while data := await reader.read(65536):
            await asyncio.sleep(self.delay_s)
            writer.write(data)


class Network:
    """The hosts, with all that is theirs; gone when the stack is."""

    def __init__(self, stack):
        hosts = Hosts(*TARGETS, *CLIENTS)
        stack.callback(hosts.close)
        self.reference = f"http://{hosts[TARGETS[0]].address}:{PORT}/healthz"
        self.prefixes = [hosts[name].prefix for name in CLIENTS]
        self.witnesses = [self._add_target(stack, hosts[name]) for name in TARGETS]
        for i, name in enumerate(CLIENTS):
            hosts[name].ip("route", "add", ADDRESS, "via", hosts[TARGETS[i % 2]].address)

    def _add_target(self, stack, host):
        host.ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
        server = Process("serve", "--mode", "static", "--listen", "127.0.0.1:0", prefix=host.prefix)
        stack.callback(server.stop)
        witness = Witness(host, server, 0 if host.delay(DELAY_S) else DELAY_S)
        stack.callback(witness.close)
        return witness

    def start(self, folder, *words, ahead_s=4, prefixes=None, **options):
        """The clients, and when they begin."""
        for witness in self.witnesses:
            witness.arrivals = {}
        start_at = soon(ahead_s)
        clients = start_shards(folder, URL, *words, start_at=start_at,
                               prefixes=prefixes or self.prefixes, **options)
        return clients, datetime.datetime.fromisoformat(start_at.replace("Z", "+00:00")).timestamp()

    def arrivals(self):
        """When each request came, by target."""
        return [dict(witness.arrivals) for witness in self.witnesses]

    def late_s(self, began):
        """How long after it was due each request came, by its number."""
        return {number: time - began - due_s(number)
                for arrivals in self.arrivals() for number, (time, *_) in arrivals.items()}


@pytest.fixture(scope="module")
def network():
    needs_hosts()
    with contextlib.ExitStack() as stack:
        yield Network(stack)


Load = collections.namedtuple("Load", "target late_s arrivals")


def load_alone(network, folder):
    """One client sends the whole schedule."""
    clients, began = network.start(folder, *WORDS, shards=[0], count=1)
    finish(clients)
    return Load(read(folder / "0.json", 0, ""), network.late_s(began), network.arrivals())


def load_together(network, folder):
    """Four clients share it."""
    clients, began = network.start(folder, *WORDS)
    finish(clients)
    code, whole, errors = merge(folder, *files(folder))
    assert code in AS_A_WHOLE, errors
    return Load(whole["targets"][0], network.late_s(began), network.arrivals())


@pytest.fixture(scope="module")
def alone(network, tmp_path_factory):
    return load_alone(network, tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def together(network, tmp_path_factory):
    return load_together(network, tmp_path_factory.mktemp("together"))


# --- many clients, one result ---


def test_together_is_what_one_client_sends(alone, together):
    """Each request is sent once, none before it is due; all that is counted is the same."""
    for load in (alone, together):
        numbers = [number for arrivals in load.arrivals for number, times in arrivals.items() for _ in times]
        assert sorted(numbers) == list(range(1, REQUESTS + 1))
        assert min(load.late_s.values()) > -SLACK_S
        assert load.target["requests"]["ok"] == REQUESTS
        assert load.target["latency_us"]["min"] > (DELAY_S - 0.001) * 1e6
    for key in ("url", "method", "model", "arrivals", "target_rps", "requests", "availability",
                "received_bytes", "connections_made"):
        assert together.target[key] == alone.target[key], key


def test_each_target_has_its_shards(together):
    """Two of the four each, which neither client nor merge know: the address is one."""
    for i, arrivals in enumerate(together.arrivals):
        assert {shard_of(number) for number in arrivals} == {i, i + 2}


def differences(one, other):
    """In latencies, and in when each request came: what is more than a busy machine makes of it."""
    figures = [(key, name, one.target[key][name], other.target[key][name])
               for key in ("latency_us", "service_time_us") for name in ("p50", "p90")]
    apart_s = statistics.median(abs(one.late_s[number] - other.late_s[number]) for number in one.late_s)
    return ([figure for figure in figures if max(figure[2:]) > 2 * min(figure[2:]) + 50_000] +
            [("apart_s", apart_s)] * (apart_s > 0.05))


@pytest.mark.timing
def test_together_is_as_fast(network, alone, together, tmp_path_factory):
    """In one of four rounds: a stall of the machine meets one of the two, a fault would meet all."""
    for _ in range(3):
        if not differences(alone, together):
            return
        alone = load_alone(network, tmp_path_factory.mktemp("alone"))
        together = load_together(network, tmp_path_factory.mktemp("together"))
    assert not differences(alone, together)


# --- a host is lost ---


def test_killed_shard_is_named(network, tmp_path):
    """It is killed with a part of its requests sent. The others send all of theirs, and are a
    result that says which shard it lacks."""
    lost = 2
    clients, _ = network.start(tmp_path, *WORDS)

    def sent():
        return [number for arrivals in network.arrivals() for number in arrivals if shard_of(number) == lost]
    wait_for(lambda: len(sent()) > REQUESTS / SHARDS / 4)
    clients[lost].kill()
    clients[lost].communicate(timeout=10)
    assert clients[lost].returncode < 0 and not (tmp_path / f"{lost}.json").exists()
    rest = [i for i in range(SHARDS) if i != lost]
    finish([clients[i] for i in rest])
    seen = {number for arrivals in network.arrivals() for number in arrivals}
    of_rest = {number for number in range(1, REQUESTS + 1) if shard_of(number) != lost}
    assert of_rest < seen and len(sent()) < REQUESTS // SHARDS
    code, whole, errors = merge(tmp_path, *files(tmp_path, rest))
    assert code == 1 and f"1 of 4 shards are missing: {lost};" in errors
    assert whole["shards"]["missing"] == [lost]
    assert whole["verdict"]["status"] in ("SUSPECT", "INVALID")
    assert any(f"missing ({lost})" in reason for reason in whole["verdict"]["reasons"])
    assert whole["targets"][0]["requests"]["ok"] == len(of_rest)
    code, whole, _ = merge(tmp_path, "--partial", *files(tmp_path, rest))
    assert code in AS_A_WHOLE and whole["shards"]["missing"] == [lost]


# --- clocks ---


def shifted(build_folder, ahead_s):
    """Words that run a program whose clock is ahead."""
    library = os.path.abspath(os.path.join(build_folder, "tests", "preload", "shifted_clock.so"))
    assert os.path.exists(library), "run `make test-programs`"
    return ["env", f"LD_PRELOAD={library}", f"CLOCK_AHEAD_US={ahead_s * 1e6:.0f}"]


@pytest.mark.skipif(IS_SANITIZED, reason="not in a sanitizer build")
def test_clocks_apart_are_measured(network, build_folder, tmp_path):
    """One client's clock is ahead: by the reference that all asked it is found to be, it begins so
    much earlier, and the result states how far they are apart."""
    ahead_s, odd = 1.5, 3
    prefixes = [*network.prefixes[:odd], network.prefixes[odd] + shifted(build_folder, ahead_s)]
    clients, began = network.start(tmp_path, *WORDS, "--clock-from", network.reference, ahead_s=13,
                                   prefixes=prefixes)
    finish(clients)
    earliest_s = [min(late_s for number, late_s in network.late_s(began).items() if shard_of(number) == shard)
                  for shard in range(SHARDS)]
    code, whole, errors = merge(tmp_path, *files(tmp_path))
    assert code in AS_A_WHOLE and "by the reference that they asked" in errors
    offsets = [part["shard"]["clock"]["reference_ahead_us"] for part in whole["shards"]["parts"]]
    for shard, (low, high) in enumerate(offsets):
        truth_s = -ahead_s if shard == odd else 0
        assert low - 2000 <= truth_s * 1e6 <= high + 2000, offsets
        assert truth_s - SLACK_S < earliest_s[shard] < truth_s + ahead_s / 2, earliest_s
        assert shard == odd or offsets[odd][1] < low, offsets
    assert whole["shards"]["clocks_by"] == network.reference
    apart_us = whole["shards"]["clocks_apart_us_max"]
    assert apart_us == max(o[1] for o in offsets) - min(o[0] for o in offsets)
    assert ahead_s * 1e6 - 4000 <= apart_us < 2 * ahead_s * 1e6


# --- the hosts themselves ---

LEFT_BEHIND = """
import subprocess, sys, time
from netns import Hosts
hosts = Hosts("a", "b")
process = subprocess.Popen([*hosts["b"].prefix, "sleep", "600"], stdout=subprocess.DEVNULL)
print(process.pid, flush=True)
time.sleep(600)
"""


def namespaces_of(pid):
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True)
    return re.findall(rf"^iubench-{pid}-(\S+)", done.stdout, re.M)


def test_killed_test_leaves_nothing():
    """The next one removes its hosts, with what still runs there."""
    needs_hosts()
    folder = os.path.dirname(os.path.abspath(__file__))
    test = subprocess.Popen([sys.executable, "-c", LEFT_BEHIND], cwd=folder, stdout=subprocess.PIPE)
    sleeper = int(test.stdout.readline())
    test.kill()
    test.communicate()
    assert sorted(namespaces_of(test.pid)) == ["a", "b", "switch"]
    remove_stale()
    assert not namespaces_of(test.pid)
    wait_for(lambda: not os.path.exists(f"/proc/{sleeper}"))
