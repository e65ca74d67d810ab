"""Upstreams that misbehave: a thread per connection runs what the test gives it."""

import contextlib
import socket
import threading


class FaultyUpstream:
    """Calls `serve_one(connection, number)` in a thread for each connection, the first is number 0;
    the connection is closed when it returns."""

    def __init__(self, serve_one, family=socket.AF_INET, backlog=512):
        self.serve_one, self.connections, self.requests, self.is_over = serve_one, 0, 0, False
        self.lock = threading.Lock()
        self.open = set()
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.listener.listen(backlog)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/external"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.is_over:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                number, self.connections = self.connections, self.connections + 1
                self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.serve_one(connection, number)
        with self.lock:
            self.open.discard(connection)
        connection.close()

    def read_request(self, connection):
        """One request's head; b"" at the end of stream."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        with self.lock:
            self.requests += 1
        return data

    def close(self):
        self.is_over = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def answer(body, fields=(), status="200 OK"):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body
