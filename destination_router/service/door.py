"""Accepts connections up to a bound, and none while the process cannot open more files.

asyncio's own acceptor takes any number, logs thousands of lines when descriptors run out, and
leaves Nagle's algorithm on, so that a client with keep-alive waits 40 ms for each answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Callable, Sized

_PAUSE_SECONDS = 1.0
_SPARE_FILES = 128
"""File descriptors that are reserved for the log and for connections to vendors."""

_FEWEST = 16
_BETWEEN_LINES = 60.0

_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)

_log = logging.getLogger(__name__)


def most_connections(wanted: int) -> int:
    """Compute how many connections may be open, and raise the limit of open files for them.

    Args:
        wanted: the number that the configuration wants.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < enough:
        soft = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(_FEWEST, soft - _SPARE_FILES))


class Door:
    """Accepts connections from a listening socket, one at a time.

    Args:
        listener: the listening socket.
        make_protocol: makes the protocol for one connection.
        inside: the open connections.
        most: the most that may be open.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        inside: Sized,
        most: int,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._inside = inside
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[object]] = set()
        self._opening: asyncio.TimerHandle | None = None
        self._turned_away = 0
        self._told_at = float("-inf")
        listener.setblocking(False)  # noqa: FBT003

    def open(self) -> None:
        """Begin to accept."""
        self._opening = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop accepting."""
        if self._opening is not None:
            self._opening.cancel()
        self._loop.remove_reader(self._listener.fileno())

    def _accept(self) -> None:
        try:
            client = self._listener.accept()[0]
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # no descriptor is left, or no memory: the listener stays ready
            self.close()
            self._opening = self._loop.call_later(_PAUSE_SECONDS, self.open)
            self._tell("accepting_paused", error=type(error).__name__, errno=error.errno)
            return
        client.setblocking(False)  # noqa: FBT003
        if len(self._inside) + len(self._coming) >= self._most:
            self._turn_away(client)
            return
        with contextlib.suppress(OSError):  # it may have left already
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        coming = self._loop.create_task(self._let_in(client))
        self._coming.add(coming)
        coming.add_done_callback(self._coming.discard)

    async def _let_in(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, client)
        except OSError:
            client.close()

    def _turn_away(self, client: socket.socket) -> None:
        self._turned_away += 1
        with client, contextlib.suppress(OSError):
            client.send(_TURNED_AWAY)
        self._tell("connections_refused", open=len(self._inside))

    def _tell(self, event: str, **about: object) -> None:
        now = self._loop.time()
        if now - self._told_at >= _BETWEEN_LINES:
            self._told_at = now
            _log.warning(event, extra={**about, "refused": self._turned_away})
            self._turned_away = 0
