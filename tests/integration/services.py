"""Private PostgreSQL and memcached servers for tests: in a folder of their own, on a Unix socket and
a free TCP port of 127.0.0.1, started, paused, killed and stopped by process id."""

import contextlib
import glob
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PG_USER = "bench"
PG_PASSWORD = "s3cr3t-of-tests"
PG_DATABASE = "mydb"


# Below those that the kernel gives to outgoing connections and those that the program itself tries
# (sock_free_port()), and between its own defaults. Each process of the tests has every n-th of them.
PORTS = range(5002, 8000)
ports_of_mine = itertools.cycle(range(
    PORTS.start + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")), PORTS.stop,
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
for _ in range(random.randrange(len(PORTS))):
    next(ports_of_mine)


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on now, nor will until it has been asked for: a
    server that prepares for a second before it binds still finds it free."""
    for port in itertools.islice(ports_of_mine, len(PORTS)):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"every port from {PORTS.start} to {PORTS.stop - 1} is in use")


def unprivileged():
    """The user that servers run as when we are root (initdb refuses root); None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("root, and neither of the users postgres and nobody exists")


def as_unprivileged():
    """Arguments for subprocess that change the user if needed."""
    user = unprivileged()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def own_folder(prefix):
    """A short temporary folder (Unix socket paths end at 107 bytes) that the servers' user owns."""
    folder = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
    user = unprivileged()
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    os.chmod(folder, 0o755)
    return folder


def pg_program(name):
    """Path of a PostgreSQL program of the newest version installed, None if there is none."""
    found = glob.glob("/usr/lib/postgresql/*/bin/" + name)
    if found:
        return max(found, key=lambda path: int(path.split("/")[4]))
    return shutil.which(name)


def wait_until(condition, seconds=20.0, what="condition"):
    """Polls until `condition()` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for: {what}")
        time.sleep(0.02)


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(child) for child in f.read().split()]
    except FileNotFoundError:
        return []


def is_gone(pid):
    """True once the process has ended (a zombie has ended)."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def stands_still(pid):
    """True once every thread of the process is stopped. On a busy machine that is tens of
    milliseconds after SIGSTOP was sent, and until then the threads go on answering."""
    try:
        stats = [Path(task, "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return is_gone(pid)
    return all(stat.rsplit(")", 1)[1].split()[0] in "TZ" for stat in stats)


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Server:
    """A process that can be started, paused, killed and started again with the same address."""

    process = None

    def pids(self):
        """The server's process and the ones that it started."""
        if not self.process or self.process.poll() is not None:
            return []
        return [self.process.pid] + children_of(self.process.pid)

    def launch(self, command):
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            cwd=self.folder, start_new_session=True, **as_unprivileged())
        try:
            wait_until(self.is_answering, what=f"{command[0]} to answer")
        except BaseException:
            self.kill()
            raise

    def pause(self):
        """Stops every process of it (SIGSTOP), so that the kernel still accepts connections, and
        returns once none of them does anything any more."""

        def is_paused():
            pids = self.pids()
            signal_all(pids, signal.SIGSTOP)
            return all(map(stands_still, pids))

        wait_until(is_paused, what="every thread to stand still")

    def resume(self):
        signal_all(self.pids(), signal.SIGCONT)

    def kill(self):
        """Ends every process of it at once (SIGKILL) and waits for their end."""
        pids = self.pids()
        signal_all(pids, signal.SIGKILL)
        for pid in pids[1:]:
            wait_until(lambda: is_gone(pid), what="a killed process to go")
        if self.process:
            self.process.wait(20)
            self.process = None
            self.log.close()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Server):
    """`uri` reaches it by its Unix socket without a password, `tcp_uri` by TCP with one."""

    template = None

    def __init__(self, settings=None):
        self.folder = own_folder("iubench-pg-")
        self.data = os.path.join(self.folder, "data")
        self.port = free_port()
        self.settings = {
            "shared_buffers": "32MB", "max_connections": 50, "synchronous_commit": "off",
            "fsync": "off", "full_page_writes": "off", "listen_addresses": "'127.0.0.1'",
            "unix_socket_directories": f"'{self.folder}'", "port": self.port,
            "timezone": "'Etc/UTC'", "autovacuum": "off", "max_wal_size": "256MB",
            **(settings or {})}
        self.uri = (f"postgresql://{PG_USER}@/{PG_DATABASE}?host={self.folder}&port={self.port}")
        self.tcp_uri = (
            f"postgresql://{PG_USER}:{PG_PASSWORD}@127.0.0.1:{self.port}/{PG_DATABASE}")
        try:
            self.initialise()
            self.start()
            self.psql(f"CREATE DATABASE {PG_DATABASE}", database="postgres")
        except BaseException:
            self.close()
            raise

    @classmethod
    def prepare_template(cls):
        """One initdb for all the servers of a test session."""
        if cls.template:
            return
        folder = own_folder("iubench-pgdata-")
        password = os.path.join(folder, "password")
        with open(password, "w") as f:
            f.write(PG_PASSWORD)
        subprocess.run(
            [pg_program("initdb"), "-D", os.path.join(folder, "data"), "-U", PG_USER, "-E", "UTF8",
             "--locale=C", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256",
             "--pwfile", password],
            check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_unprivileged())
        cls.template = folder

    @classmethod
    def drop_template(cls):
        if cls.template:
            shutil.rmtree(cls.template, ignore_errors=True)
            cls.template = None

    def initialise(self):
        self.prepare_template()
        subprocess.run(["cp", "-a", os.path.join(self.template, "data"), self.data], check=True)
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            for name, value in self.settings.items():
                f.write(f"{name} = {value}\n")

    def start(self):
        """Also after kill(): whatever is left of the killed one is out of the way."""
        try:
            os.unlink(os.path.join(self.data, "postmaster.pid"))
        except FileNotFoundError:
            pass
        self.launch([pg_program("postgres"), "-D", self.data])

    def is_answering(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log")) as f:
                raise RuntimeError("PostgreSQL ended at its start: " + f.read()[-2000:])
        return subprocess.run(
            [pg_program("pg_isready"), "-q", "-h", self.folder, "-p", str(self.port)]
        ).returncode == 0

    def stop(self):
        """An orderly end: clients are told (57P01)."""
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
            self.process = None
            self.log.close()

    def psql(self, sql, database=PG_DATABASE, user=PG_USER):
        """Runs SQL and returns its rows as lists of texts."""
        done = subprocess.run(
            [pg_program("psql"), "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", self.folder,
             "-p", str(self.port), "-U", user, "-d", database, "-c", sql],
            check=True, stdout=subprocess.PIPE, text=True)
        return [line.split("\t") for line in done.stdout.splitlines()]


class Memcached(Server):
    """`address` is what --memcached takes: 127.0.0.1:PORT, or the path of a Unix socket."""

    def __init__(self, unix=False, arguments=()):
        self.folder = own_folder("iubench-mc-")
        self.path = os.path.join(self.folder, "memcached.sock") if unix else None
        self.port = None if unix else free_port()
        self.address = self.path or f"127.0.0.1:{self.port}"
        self.arguments = list(arguments)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        where = ["-s", self.path, "-a", "0777"] if self.path else [
            "-l", "127.0.0.1", "-p", str(self.port), "-U", "0"]
        self.launch(["memcached", "-m", "64", "-t", "1", "-R", "200"] + where + self.arguments)

    def is_answering(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log")) as f:
                raise RuntimeError("memcached ended at its start: " + f.read()[-2000:])
        try:
            return self.ask("mn") == "MN"
        except OSError:
            return False

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process = None
            self.log.close()

    def connect(self):
        if self.path:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(5)
            s.connect(self.path)
            return s
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def ask(self, command):
        """Sends one meta command; returns the first line of the answer."""
        with self.connect() as s, s.makefile("rwb") as f:
            f.write(command.encode() + b"\r\n")
            f.flush()
            return f.readline().decode().rstrip("\r\n")

    def get(self, key):
        """The value of a key as text, None if it is not there."""
        with self.connect() as s, s.makefile("rwb") as f:
            f.write(b"mg " + key.encode() + b" v\r\n")
            f.flush()
            head = f.readline().split()
            return f.read(int(head[1])).decode() if head[0] == b"VA" else None

    def ttl(self, key):
        """Seconds until a key expires, None if it is not there."""
        head = self.ask(f"mg {key} t").split()
        return int(head[1][1:]) if head[0] == "HD" else None

    def count(self):
        """How many items it holds."""
        with self.connect() as s, s.makefile("rwb") as f:
            f.write(b"stats\r\n")
            f.flush()
            for line in f:
                if line.startswith(b"STAT curr_items "):
                    return int(line.split()[2])
                if line.startswith(b"END"):
                    return 0
