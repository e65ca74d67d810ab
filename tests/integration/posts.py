"""Clients that POST devices and remember what became of each, and a proxy that mistreats what goes
through it."""

import asyncio
import contextlib
import json
import random
import socket
import threading
import time


SLOW_S = 0.1  # later, each piece that a slow way takes


class Posts:
    """Threads that POST, one request at a time each, every device with a firmware of its own.

    `acknowledged`: the objects of all 201s. `refused`: firmware of 503s, `unknown`: firmware of
    requests without an answer; both may or may not be stored. `slowest_s`: of any answer."""

    def __init__(self, server, threads=8, pause_s=0.0):
        self.server, self.pause_s = server, pause_s
        self.acknowledged, self.refused, self.unknown, self.wrong = [], [], [], []
        self.last_created = self.slowest_s = self.slowest_get_s = 0.0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.post, args=(i,)) for i in range(threads)]
        self.threads.append(threading.Thread(target=self.get))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def post(self, number):
        count, client = 0, None
        while not self.stopping.is_set():
            firmware = f"{number}-{count}"
            count += 1
            body = json.dumps({"mac": f"mac of {firmware}", "firmware": firmware}).encode()
            begun = time.monotonic()
            try:
                client = client or self.server.connect()
                reply = client.request("POST", "/api/devices", body)
            except (OSError, EOFError):
                self.unknown.append(firmware)
                client = None
                self.stopping.wait(0.01)
                continue
            self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            self.take(firmware, reply)
            if self.pause_s:
                self.stopping.wait(self.pause_s)
            elif reply.status != 201:
                self.stopping.wait(0.005)
            if reply.is_last:
                client = None

    def take(self, firmware, reply):
        device = json.loads(reply.body)
        if reply.status == 201 and device["firmware"] == firmware and (
                device["mac"] == f"mac of {firmware}"):
            self.acknowledged.append(device)
            self.last_created = time.monotonic()
        elif reply.status == 503 and "error" in device and reply.field("Retry-After") == "1":
            self.refused.append(firmware)
        else:
            self.wrong.append((firmware, reply))

    def get(self):
        client = None
        while not self.stopping.is_set():
            begun = time.monotonic()
            try:
                client = client or self.server.connect()
                reply = client.request("GET", "/api/devices")
            except (OSError, EOFError):
                client = None
                self.stopping.wait(0.01)
                continue
            self.slowest_get_s = max(self.slowest_get_s, time.monotonic() - begun)
            if reply.status != 200:
                self.wrong.append(("GET", reply))
            self.stopping.wait(0.002)

    def until_created(self, count=20, seconds=20.0):
        """Waits for more 201s; returns how long the first of them took."""
        begun, before = time.monotonic(), len(self.acknowledged)
        first = None
        while len(self.acknowledged) < before + count:
            assert time.monotonic() < begun + seconds, f"no 201 within {seconds} s"
            if first is None and len(self.acknowledged) > before:
                first = time.monotonic() - begun
            time.sleep(0.002)
        return first if first is not None else time.monotonic() - begun

    def check(self, postgres):
        """Nothing acknowledged is missing, different or there twice; nothing is there that was not
        sent; no reply reached another client."""
        assert not self.wrong, self.wrong[:3]
        rows = postgres.psql("SELECT id, uuid, mac, firmware FROM device")
        by_id = {int(row[0]): row for row in rows}
        firmwares = [row[3] for row in rows]
        assert len(set(firmwares)) == len(firmwares), "a device is stored twice"
        assert len({device["id"] for device in self.acknowledged}) == len(self.acknowledged)
        for device in self.acknowledged:
            assert by_id.get(device["id"]) == [str(device["id"]), device["uuid"], device["mac"],
                                               device["firmware"]], device
        surplus = set(firmwares) - {device["firmware"] for device in self.acknowledged}
        assert surplus <= set(self.refused) | set(self.unknown)


class Proxy:
    """A TCP proxy, on a free port if none is given. `mode` can be changed at any time and counts for
    what arrives from then on:

    pass   as it is                        slice  single bytes
    stall  nothing goes on, nothing ends   reset  a reset in the midst of the next reply
    slow   each piece a little later       cut    replies end after some bytes, then the connection does
    """

    def __init__(self, family, address, seed=1, listen=("127.0.0.1", 0)):
        self.family, self.address, self.listen, self.mode = family, address, listen, "pass"
        self.accepted = 0
        self.random = random.Random(seed)
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        self.ready.wait()

    def run(self):
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self.serve())
        finally:
            self.ready.set()

    async def serve(self):
        self.ending = asyncio.Event()
        server = await asyncio.start_server(self.connected, *self.listen)
        self.port = server.sockets[0].getsockname()[1]
        self.tasks = set()
        self.ready.set()
        await self.ending.wait()
        server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def connected(self, reader, writer):
        self.accepted += 1
        self.tasks.add(asyncio.current_task())
        try:
            if self.family == socket.AF_UNIX:
                far = await asyncio.open_unix_connection(self.address)
            else:
                far = await asyncio.open_connection(*self.address)
        except OSError:
            writer.close()
            return
        budget = [self.random.randrange(1, 2000)]
        both = [asyncio.ensure_future(self.copy(reader, far[1], None)),
                asyncio.ensure_future(self.copy(far[0], writer, budget))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for end in (writer, far[1]):
                with contextlib.suppress(Exception):
                    end.close()

    async def copy(self, reader, writer, budget):
        """`budget`: what may still go this way while replies are cut; None: these are no replies."""
        while data := await reader.read(65536):
            while self.mode == "stall":
                await asyncio.sleep(0.01)
            if self.mode == "slow":
                await asyncio.sleep(SLOW_S)
            if self.mode == "reset" and budget is not None:
                writer.write(data[:len(data) // 2])
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            if self.mode == "cut" and budget is not None:
                writer.write(data[:budget[0]])
                budget[0] -= len(data)
                if budget[0] <= 0:
                    await writer.drain()
                    return
            elif self.mode == "slice":
                for at in range(len(data)):
                    writer.write(data[at:at + 1])
                    await asyncio.sleep(0)
            else:
                writer.write(data)
            await writer.drain()

    def drop(self):
        """Ends the connections that there are."""
        self.loop.call_soon_threadsafe(lambda: [task.cancel() for task in self.tasks])

    def close(self):
        self.loop.call_soon_threadsafe(self.ending.set)
        self.thread.join()
        self.loop.close()
