"""Hosts as network namespaces on one switch: what runs in one reaches the others, and nothing else.

A namespace's name carries the pid of its test, so that those of tests that were killed are known."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess

import pytest

from iubench import PATIENCE_S

CLONE_NEWNET = 0x40000000
SWITCH = "switch"
NETWORK = "192.0.2"  # for examples (RFC 5737): nobody's


class Refused(Exception):
    """What `ip` or `tc` said."""


def call(*words):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode:
        raise Refused(f"{' '.join(done.args)}: {done.stderr.strip()}")
    return done.stdout


def remove(namespace):
    """With every process in it. Its interfaces go with it."""
    with contextlib.suppress(Refused):
        for pid in call("ip", "netns", "pids", namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    with contextlib.suppress(Refused):
        call("ip", "netns", "delete", namespace)


def remove_stale():
    """What tests left behind that ended without a chance to remove it."""
    for namespace, pid in re.findall(r"^(iubench-(\d+)-\S+)", call("ip", "netns", "list"), re.M):
        if not os.path.exists(f"/proc/{pid}"):
            remove(namespace)


class Namespace:
    def __init__(self, name, address=None):
        self.name, self.address = f"iubench-{os.getpid()}-{name}", address
        remove(self.name)  # of a dead test that had the same pid
        call("ip", "netns", "add", self.name)

    @property
    def prefix(self):
        """Words that run a program in it, in the place of themselves."""
        return ["ip", "netns", "exec", self.name]

    def ip(self, *words):
        return call("ip", "-n", self.name, *words)

    def enter(self):
        """The calling thread's sockets are made in it from now on."""
        with open(f"/run/netns/{self.name}", "rb") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns to {self.name}")

    def delay(self, seconds):
        """Whether the kernel has netem and sends off what leaves it so much later."""
        try:
            call("tc", "-n", self.name, "qdisc", "add", "dev", "eth0", "root", "netem", "delay",
                 f"{seconds * 1000:g}ms")
        except (Refused, FileNotFoundError):
            return False
        return True

    def close(self):
        remove(self.name)


class Hosts:
    """hosts["name"] is a namespace with an address of its own."""

    def __init__(self, *names):
        remove_stale()
        self.namespaces = {}
        try:
            self._add_switch()
            for number, name in enumerate(names, 1):
                self._add(name, f"{NETWORK}.{number}")
        except BaseException:
            self.close()
            raise

    def __getitem__(self, name):
        return self.namespaces[name]

    def _add_switch(self):
        switch = self.namespaces[SWITCH] = Namespace(SWITCH)
        switch.ip("link", "add", "name", SWITCH, "type", "bridge")
        switch.ip("link", "set", SWITCH, "up")

    def _add(self, name, address):
        host, switch = Namespace(name, address), self[SWITCH]
        self.namespaces[name] = host
        switch.ip("link", "add", "name", name, "type", "veth", "peer", "name", "eth0",
                  "netns", host.name)
        switch.ip("link", "set", "dev", name, "master", SWITCH, "up")
        host.ip("address", "add", f"{address}/24", "dev", "eth0")
        host.ip("link", "set", "lo", "up")
        host.ip("link", "set", "eth0", "up")

    def close(self):
        for namespace in self.namespaces.values():
            namespace.close()


def needs_hosts():
    """Skips the test where none can be made."""
    if not shutil.which("ip"):
        pytest.skip("ip is not installed: apt-get install iproute2")
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    try:
        with contextlib.closing(Namespace("probe")) as probe:
            probe.ip("link", "add", "name", "switch", "type", "bridge")
            probe.ip("link", "add", "name", "port", "type", "veth", "peer", "name", "eth0")
            call(*probe.prefix, "true")
    except Refused as refused:
        pytest.skip(f"no network namespaces with veth and bridge here: {refused}")
