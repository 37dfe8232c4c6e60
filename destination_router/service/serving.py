"""Serves an ASGI app on a socket during a block."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import uvicorn

from destination_router.faults import UsageError
from destination_router.service.door import Door, most_connections
from destination_router.service.protocol import BoundedProtocol, HttpBounds
from destination_router.service.read_buffer import ReadBuffer

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

LOOPBACK = "127.0.0.1"

_NO_LISTENING = {
    errno.EADDRINUSE: "another program does; end it, or choose another port",
    errno.EADDRNOTAVAIL: "it is no address of this machine",
    errno.EACCES: "this user may not; choose a port from 1024 on",
}


_BACKLOG = 1024


class BoundedServer(uvicorn.Server):
    """uvicorn, with bounds on what its clients may take.

    Args:
        config: uvicorn's.
        bounds: the bounds.
    """

    def __init__(self, config: uvicorn.Config, bounds: HttpBounds) -> None:
        super().__init__(config)
        self._bounds = bounds
        self._doors: list[Door] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections from listening sockets."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(1)
        self.servers = []
        bounds = self._bounds
        most = most_connections(bounds.connections)
        self._buffer = ReadBuffer(most, bounds.read_bytes, bounds.most_read_bytes)
        for listener in sockets or []:
            door = Door(listener, self._protocol, self.server_state.connections, most)
            self._doors.append(door)
            door.open()
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, and let requests under way end."""
        for door in self._doors:
            door.close()
        await super().shutdown(sockets)

    def _protocol(self) -> BoundedProtocol:
        state, app_state = self.server_state, self.lifespan.state
        return BoundedProtocol(self._bounds, self._buffer, self.config, state, app_state)


class _Server(BoundedServer):
    """Ignores signals, because the code that opened the block ends it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    app: Asgi, host: str = LOOPBACK, port: int = 0, bounds: HttpBounds | None = None
) -> AsyncIterator[str]:
    """Serve an app. The block starts when it answers, and ends with a graceful stop.

    Args:
        app: any ASGI app.
        host: loopback unless the caller says otherwise.
        port: 0 takes a free one.
        bounds: what clients may take.

    Yields:
        The app's base URL.

    Raises:
        UsageError: the address cannot be had.
    """
    listener = listen(host, port, backlog=_BACKLOG)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=5
    )
    server = _Server(config, bounds or HttpBounds())
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if running.done():
                running.result()
                raise RuntimeError("the server ended before it could answer")
            await asyncio.sleep(0.005)
        yield url_of(host, listener)
    finally:
        server.should_exit = True
        await running
        listener.close()


def listen(host: str, port: int, *, backlog: int | None = None) -> socket.socket:
    """Listen on an address, of IPv4 or IPv6.

    Args:
        host: a name or an address.
        port: 0 takes a free one.
        backlog: the most connections that wait to be accepted; None is the system's default.

    Raises:
        UsageError: the address is not available. The text names it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        number = error.errno or 0
        reason = _NO_LISTENING.get(number) or os.strerror(number)
        if number < 0:  # as for a name that nobody knows; none of the system's numbers
            reason = "it is no address, and no host is called so"
    else:
        # What it accepts has it too. Else an answer's second packet waits 40 ms for the first one.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    raise UsageError(f"cannot listen on {host}:{port}: {reason}")


def url_of(host: str, listener: socket.socket) -> str:
    """Write the URL of a socket that listens on a host."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
