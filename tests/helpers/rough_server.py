"""A server that answers as no HTTP library would: in pieces, cut short, or never."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

Behave = Callable[[socket.socket, threading.Event], None]
"""Answers one request on a socket; ends early when the event is set."""


class RoughServer:
    """Answers every request in its own way, each in a thread, until it is closed.

    Args:
        behave: what follows a request.
        fair: requests that begin so get an empty object in place of it.
    """

    def __init__(self, behave: Behave, *, fair: bytes = b"") -> None:
        self.asked = threading.Semaphore(0)
        """Released for each request that has come."""
        self.left = threading.Semaphore(0)
        """Released for each client that closes, or whose request was answered."""
        self._behave = behave
        self._fair = fair
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = _read_request(connection)
            self.asked.release()
            if self._fair and request.startswith(self._fair):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            else:
                self._behave(connection, self._over)
        self.left.release()


def _read_request(connection: socket.socket) -> bytes:
    content = b""
    while b"\r\n\r\n" not in content:
        content += connection.recv(65536)
    head, _, body = content.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
    while missing > 0:
        missing -= len(connection.recv(65536))
    return content


def says(content: bytes) -> Behave:
    """Send these bytes and close."""
    return lambda connection, _: connection.sendall(content)


def hang(connection: socket.socket, _: threading.Event) -> None:
    """Say nothing until the client leaves."""
    connection.recv(1)


def drip(connection: socket.socket, over: threading.Event) -> None:
    """Send a good answer, one byte at a time, without an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not over.wait(0.01):
        connection.sendall(b" ")
