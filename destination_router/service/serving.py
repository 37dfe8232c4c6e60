"""Serve an ASGI app on a socket for as long as a block lasts."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import uvicorn

from destination_router.faults import UsageError

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

LOOPBACK = "127.0.0.1"

_NO_LISTENING = {
    errno.EADDRINUSE: "another program does; end it, or choose another port",
    errno.EADDRNOTAVAIL: "it is no address of this machine",
    errno.EACCES: "this user may not; choose a port from 1024 on",
}


class _Server(uvicorn.Server):
    """Leaves signals alone: whoever opened the block decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Asgi, host: str = LOOPBACK, port: int = 0) -> AsyncIterator[str]:
    """Serve an app; the block starts when it answers and ends with a graceful stop.

    Args:
        app: any ASGI app.
        host: loopback unless the caller says otherwise.
        port: 0 takes a free one.

    Yields:
        The app's base URL.

    Raises:
        UsageError: the address cannot be had.
    """
    listener = listen(host, port)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = _Server(config)
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
        backlog: how many connections may wait to be taken; the system's own number if None.

    Raises:
        UsageError: it cannot be had; names the address, which neither Python nor the system does.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        number = error.errno or 0
        reason = _NO_LISTENING.get(number) or os.strerror(number)
        if number < 0:  # as for a name that nobody knows; none of the system's numbers
            reason = "it is no address, and no host is called so"
    raise UsageError(f"cannot listen on {host}:{port}: {reason}")


def url_of(host: str, listener: socket.socket) -> str:
    """Say at which URL a socket is reached that listens on a host."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
