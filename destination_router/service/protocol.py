"""Bounds what one client connection may take of this process before an app sees the request.

uvicorn reads HTTP with httptools. That bounds neither the bytes of a request's head, nor the time
that a request takes to arrive, nor the time that an answer waits to be fetched. This module bounds
each. So memory and descriptors stay bounded whoever connects, even with no proxy in front.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from destination_router.service.joined_writes import JoinedWrites
from destination_router.service.read_buffer import ReadBuffer

BEGUN = "destination_router.begun"
"""The key in a request's scope for the time of its first byte, by the event loop's clock."""

_HEAD_SECONDS = 10.0
"""How long the head of a request may take to arrive: it is a few hundred bytes."""

_MOST_PIPELINED = 16
"""How many requests may wait behind the one that is being answered. No SDK pipelines requests."""


_LINGERING_SECONDS = 2.0
"""How long a refused client may go on sending. The bytes are discarded."""


_LAST_SECONDS = 1.0
"""How long the rest of a half-sent request may take to arrive when the server has to end."""


class HttpBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a client's connection.

    Attributes:
        header_bytes: how many bytes a request may have beside its body.
        arrival: how long a request may take to arrive, in seconds. Its head may take at most 10.
        fetching: how long a client may leave its answer unread, in seconds.
        connections: how many may be open at once; fewer if the process may open fewer files.
        read_bytes: how much is read from a connection at once when all are open. Each may hold
            that much.
        most_read_bytes: the same while few are open.
    """

    header_bytes: int = 64 * 1024
    arrival: float = 60.0
    fetching: float = 60.0
    connections: int = 1000
    read_bytes: int = 64 * 1024
    most_read_bytes: int = 256 * 1024


class _RefusedError(Exception):
    """Ends the parsing of a client's data."""


class BoundedProtocol(HttpToolsProtocol, asyncio.BufferedProtocol):
    """Uvicorn's protocol, within bounds.

    A request goes from its head to its body to its end. All bytes that are no part of a body are
    counted: lines of the head, trailers, names of chunks.

    Args:
        bounds: the bounds.
        buffer: the server's.
        config, state, app_state: uvicorn's.
    """

    def __init__(
        self,
        bounds: HttpBounds,
        buffer: ReadBuffer,
        config: Config,
        state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        super().__init__(config, state, app_state)
        self._bounds = bounds
        self._buffer = buffer
        self._begun = 0.0
        self._stage = "idle"
        self._timed_stage = ""
        self._arriving: asyncio.TimerHandle | None = None
        self._fetching: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._loose_bytes = 0
        self._refusal: HTTPStatus | None = None
        self._answering: RequestResponseCycle | None = None

    # -- asyncio calls these -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin. The first request has to come soon."""
        super().connection_made(transport)
        self.transport = JoinedWrites(transport, self.loop)  # type: ignore[assignment]
        self._begun = self.loop.time()
        self._wait_for("head")

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        for timer in (self._arriving, self._fetching):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 -- asyncio's
        """Give the memory for the next read."""
        return self._buffer.for_one_of(len(self.connections))

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.data_received(self._buffer.read(nbytes))

    def data_received(self, data: bytes | memoryview) -> None:
        """Parse the data, and check that it stays within bounds."""
        if self._refusal is not None or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._stage == "idle":
            self._begun = self.loop.time()
        self._loose_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # this server upgrades to nothing; it answers the request itself
        except httptools.HttpParserError:
            self._refuse(self._given_up_for() or HTTPStatus.BAD_REQUEST)
            return
        if self._loose_bytes > self._bounds.header_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._stage != self._timed_stage:
            self._wait_for(self._stage)

    def shutdown(self) -> None:
        """Answer what is there, and end. Half a request has a moment left to arrive."""
        super().shutdown()
        if self._stage != "idle":
            self.loop.call_later(_LAST_SECONDS, self._cut_off)

    def _cut_off(self) -> None:
        if self._stage == "idle" or self.transport.is_closing():  # it may be fetched still
            return
        half = self.cycle if self._stage == "body" else None
        if self._is_answering and self._answering is not half:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)  # once the whole ones before it are answered
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Begin to wait for the client to fetch an answer."""
        super().pause_writing()
        if self._fetching is None:
            self._fetching = self.loop.call_later(self._bounds.fetching, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client fetches it."""
        super().resume_writing()
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None

    # -- the parser calls these ----------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._stage = "head"
        self._head_bytes = 0
        if len(self.pipeline) >= _MOST_PIPELINED:
            self._give_up(HTTPStatus.TOO_MANY_REQUESTS)
        self.scope[BEGUN] = self._begun  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        """Count a piece of the URL."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header or a trailer."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Note the end of the head."""
        self._loose_bytes = 0
        super().on_headers_complete()  # a bad URL ends here: `cycle` is still the request before
        self._stage = "body"
        if not self.pipeline:
            self._answering = self.cycle

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._loose_bytes = 0
        cycle: Any = self.cycle  # its body may be bytes, too
        if cycle.response_complete:
            return
        # As uvicorn does, which copies each piece, and pauses after each of 64 KiB.
        if not cycle.body:
            cycle.body = body
        elif isinstance(cycle.body, bytearray):
            cycle.body += body
        else:
            cycle.body = bytearray(cycle.body + body)
        held = len(cycle.body)
        if held > self._bounds.read_bytes and held > self._buffer.size(len(self.connections)):
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._stage = "idle"
        self._loose_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Answer the next request; behind the last good one, the one that was refused."""
        if self.pipeline:
            self._answering = self.pipeline[-1][0]
        super().on_response_complete()
        if self._refusal is not None and not self._is_answering:
            self._end_refused(self._refusal)

    @property
    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    # -- bounds --------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._bounds.header_bytes:
            self._give_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _give_up(self, status: HTTPStatus) -> None:
        self._refusal = status
        raise _RefusedError

    def _given_up_for(self) -> HTTPStatus | None:
        return self._refusal

    def _wait_for(self, stage: str) -> None:
        """Start the deadline of a stage. A request that is complete has none."""
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None
        self._timed_stage = stage
        if stage != "idle":
            most = self._bounds.arrival
            seconds = min(_HEAD_SECONDS, most) if stage == "head" else most
            self._arriving = self.loop.call_at(self._begun + seconds, self._late)

    def _late(self) -> None:
        self._arriving = None
        if self.pipeline:  # the late bytes are unread, behind the request that is being answered
            self._begun = self.loop.time()
            self._wait_for(self._timed_stage)
        elif self._stage == "idle":
            self.transport.close()  # nothing ever came
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer for the app, unless the app has answered or begun to, and end the connection.

        Requests that came whole before the refused one get their own answers first.
        """
        self._refusal = status
        if self.transport.is_closing():
            return
        refused = self.cycle if self._stage == "body" else None
        self._stage = "idle"  # nothing more has to arrive
        self._wait_for(self._stage)
        self.pipeline = deque(each for each in self.pipeline if each[0] is not refused)
        if not self._is_answering or self._answering is refused:
            self._end_refused(status, refused)

    def _end_refused(
        self, status: HTTPStatus, under_way: RequestResponseCycle | None = None
    ) -> None:
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if under_way is None or not under_way.response_started:
            text = f"{status.phrase}\n".encode()
            head = (
                f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
                f"content-length: {len(text)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + text)
        if under_way is not None:
            under_way.waiting_for_100_continue = False  # nothing can be written any more
            under_way.disconnected = True
            under_way.message_event.set()
        self.pipeline.clear()
        # A close with unread bytes resets the connection, and the client never sees why.
        self.transport.write_eof()
        self.loop.call_later(_LINGERING_SECONDS, self.transport.abort)
