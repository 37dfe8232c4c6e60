"""Connects to vendors through plain asyncio, for httpx's transports.

httpcore's own connections go through anyio, which looks up the event loop's library, opens a cancel
scope and waits for a turn at each read and write. That takes a fifth of a request with its answer.
httpcore also writes a request's head and body one after the other. Here, a vendor gets both at
once. anyio's locks let the event loop turn around three times for each request, even where nobody
else holds them. asyncio's do not.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Iterable, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias, cast

import httpcore
import httpx

_HELD_BYTES = 64 * 1024
"""Bytes that are written before a read wait for more, up to this many."""

_MOST_UNREAD = 256 * 1024
"""The most bytes taken from a socket before they are read."""

_NEXT_ADDRESS = 0.25
"""The seconds after which a host's next address is tried beside the first (RFC 8305)."""

_KNOWN_LOOP: type = asyncio.BaseEventLoop

_Address: TypeAlias = tuple[int, int, int, str, Any]
"""An address as `socket.getaddrinfo` returns it."""


class PlainTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over asyncio's connections, with httpx's arguments.

    It speaks only HTTP/1.1: a short write waits for a read, and HTTP/2 reads all the time.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # httpx has no argument for either.
        self._pool._network_backend = PlainNetwork()  # noqa: SLF001
        if type(self._pool) is httpcore.AsyncConnectionPool:  # a proxy's is left as it is
            self._pool.__class__ = _Pool


class _Pool(httpcore.AsyncConnectionPool):
    """httpcore's connections without anyio's locks and scopes: all is in one event loop here."""

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        """Make a connection, which is opened by its first request."""
        return _Connection(
            origin=origin,
            ssl_context=self._ssl_context,
            keepalive_expiry=self._keepalive_expiry,
            retries=self._retries,
            local_address=self._local_address,
            uds=self._uds,
            network_backend=self._network_backend,
            socket_options=self._socket_options,
        )

    async def _close_connections(self, closing: list[httpcore.AsyncConnectionInterface]) -> None:
        if closing:  # hardly ever, and it is shielded from cancellation even so
            await super()._close_connections(closing)


class _Connection(httpcore.AsyncHTTPConnection):
    """One connection. Its pool gives it no second request while the first one connects."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request, and read the head of its answer."""
        if self._connection is None:
            try:
                stream = await self._connect(request)
            except BaseException:
                self._connect_failed = True
                raise
            self._connection = _Http11(self._origin, stream, self._keepalive_expiry)
        return await self._connection.handle_async_request(request)


class _Http11(httpcore.AsyncHTTP11Connection):
    """HTTP/1.1 over a connection, with asyncio's lock."""

    def __init__(
        self,
        origin: httpcore.Origin,
        stream: httpcore.AsyncNetworkStream,
        keepalive_expiry: float | None,
    ) -> None:
        super().__init__(origin, stream, keepalive_expiry)
        self._state_lock = asyncio.Lock()  # type: ignore[assignment]


class PlainNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's interface, as all below
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: there is no connection.
        """
        loop = asyncio.get_running_loop()
        if not isinstance(loop, _KNOWN_LOOP):
            # A program that hosts a router may run uvloop, which tries a host's addresses in turn.
            return await httpcore.AnyIOBackend().connect_tcp(
                host, port, timeout, local_address, socket_options
            )
        try:
            async with asyncio.timeout(timeout):
                connected = await _connected(host, port, local_address)
                _, wire = await loop.create_connection(_Wire, sock=connected)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except (OSError, ExceptionGroup) as error:
            raise httpcore.ConnectError from error
        for option in socket_options or ():
            wire.transport.get_extra_info("socket").setsockopt(*option)
        return _Stream(wire)

    async def sleep(self, seconds: float) -> None:
        """Wait before the next attempt to connect."""
        await asyncio.sleep(seconds)


async def _within(seconds: float | None, wait: Awaitable[None], error: type[Exception]) -> None:
    """Wait for a number of seconds at most.

    Raises:
        Exception: `error`, when they are over.
    """
    try:
        async with asyncio.timeout(seconds):
            await wait
    except TimeoutError as over:
        raise error from over


async def _connected(host: str, port: int, local: str | None) -> socket.socket:
    """Connect to the first address of a host that answers.

    asyncio can do so (`happy_eyeballs_delay`), but keeps a socket open that has just connected when
    it is cancelled.

    Raises:
        OSError, ExceptionGroup: the name is unknown, or none of its addresses answers.
    """
    addresses = _families_in_turn(await _looked_up(host, port))
    if not addresses:
        raise OSError("the name has no address")
    failures: list[Exception] = []
    connected = await _first(addresses, local, failures)
    if connected is not None:
        return connected
    try:
        raise failures[0] if len(failures) == 1 else ExceptionGroup("", failures)
    finally:
        failures.clear()  # else it holds this frame, and the frame holds it


async def _first(
    addresses: Sequence[_Address], local: str | None, failures: list[Exception]
) -> socket.socket | None:
    """Connect to the first address that answers. If none does, `failures` says why."""
    left = deque(addresses)
    trying: set[asyncio.Task[socket.socket]] = set()
    try:
        while left or trying:
            if left:
                trying.add(asyncio.create_task(_tried(left.popleft(), local)))
            done, _ = await asyncio.wait(
                trying,
                timeout=_NEXT_ADDRESS if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                trying.discard(attempt)
                if attempt.exception() is None:
                    return attempt.result()
                failures.append(cast("Exception", attempt.exception()))
    finally:
        for attempt in trying:
            attempt.cancel()
            attempt.add_done_callback(_closed)
    return None


async def _looked_up(host: str, port: int) -> Sequence[_Address]:
    """Find a host's addresses. One that is written out needs no thread."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _families_in_turn(addresses: Sequence[_Address]) -> Sequence[_Address]:
    """Order addresses so that the next one is of another family, as long as there are others."""
    families: dict[int, list[_Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [each for turn in zip_longest(*families.values()) for each in turn if each is not None]


async def _tried(address: _Address, local: str | None) -> socket.socket:
    family, kind, protocol, _, place = address
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)  # noqa: FBT003 -- socket's interface
        if local is not None:
            made.bind((local, 0))
        await asyncio.get_running_loop().sock_connect(made, place)
    except BaseException:
        made.close()
        raise
    return made


def _closed(attempt: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that nobody waits for."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _failed(kind: type[Exception], cause: BaseException | None) -> Exception:
    """Make an httpcore exception. Its pool drops an exception's cause, but keeps its context."""
    failure = kind()
    failure.__context__ = cause
    return failure


class _Wire(asyncio.Protocol):
    """asyncio's side of a connection: the bytes that are not read yet, and whether it is over."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.unread: deque[bytes] = deque()
        self.unread_bytes = 0
        self.is_over = False
        self.error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._is_full = False
        self._room: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.unread.append(data)
        self.unread_bytes += len(data)
        if self.unread_bytes > _MOST_UNREAD:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.is_over = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True
        self.error = exc
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def take(self, most: int) -> bytes:
        """Take some of the unread bytes."""
        data = self.unread.popleft()
        if len(data) > most:
            self.unread.appendleft(data[most:])
            data = data[:most]
        if self.unread_bytes > _MOST_UNREAD >= self.unread_bytes - len(data):
            self.transport.resume_reading()
        self.unread_bytes -= len(data)
        return data

    async def arrival(self) -> None:
        """Wait until bytes have come or the connection is over."""
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    async def room(self) -> None:
        """Wait until the written bytes are on their way."""
        while self._is_full and not self.is_over:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class _Stream(httpcore.AsyncNetworkStream):
    """httpcore's side of a connection: it writes a request, then reads the answer.

    Args:
        wire: the connection.
    """

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._held = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Read the next bytes; none at the end.

        Raises:
            httpcore.ReadError, httpcore.ReadTimeout: nothing can be read, or nothing came in time.
        """
        wire = self._wire
        self._flush()
        if not wire.unread and not wire.is_over:
            if timeout is None:  # the caller has a deadline for the whole answer
                await wire.arrival()
            else:
                await _within(timeout, wire.arrival(), httpcore.ReadTimeout)
        if wire.unread:
            return wire.take(max_bytes)
        if wire.error is not None:
            raise _failed(httpcore.ReadError, wire.error)
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write. A short write waits until something is read.

        Raises:
            httpcore.WriteError, httpcore.WriteTimeout: the connection is over or takes no more.
        """
        wire = self._wire
        if wire.is_over:
            raise _failed(httpcore.WriteError, wire.error)
        self._held = self._held + buffer if self._held else buffer
        if len(self._held) <= _HELD_BYTES:
            return
        self._flush()
        await _within(timeout, wire.room(), httpcore.WriteTimeout)

    async def aclose(self) -> None:
        """End the connection at once: nobody needs the bytes that are still to be written."""
        self._wire.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Speak TLS from here on.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: it is impossible.
        """
        wire = self._wire
        if wire.unread or wire.is_over:  # a proxy's, which would pass for the vendor's own
            wire.transport.abort()
            raise _failed(httpcore.ConnectError, wire.error or OSError(errno.EPROTO, "too early"))
        self._flush()
        try:
            async with asyncio.timeout(timeout):
                transport = await asyncio.get_running_loop().start_tls(
                    wire.transport, wire, ssl_context, server_hostname=server_hostname
                )
        except BaseException as error:
            wire.transport.abort()
            if isinstance(error, TimeoutError):
                raise httpcore.ConnectTimeout from error
            if isinstance(error, OSError):  # as `ssl.SSLError` is
                raise httpcore.ConnectError from error
            raise
        if transport is None:  # it was closed meanwhile
            raise _failed(httpcore.ConnectError, wire.error)
        wire.transport = transport
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks about the connection."""
        wire = self._wire
        if info == "is_readable":  # when no answer is awaited: it is of no more use
            return wire.is_over or bool(wire.unread)
        return wire.transport.get_extra_info(info) if info == "ssl_object" else None

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._wire.transport.write(held)
