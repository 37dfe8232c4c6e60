"""Shows messages as they come in, with their fate, as a table and a stream of its rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from destination_router.console.desk import Desk
from destination_router.console.live_row import row, rows
from destination_router.console.live_streams import BEAT, Feed, Frame, Stream
from destination_router.console.page import Page
from destination_router.console.rendering import Rendering
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import Rollup, Trace, TraceFilter

SHOWN = 500

MOST_STREAMS = 100
"""How many may be open at once: people have a few tabs each."""

_FILTERS = ("connection", "source", "type", "event", "result")
_RESULTS = ("waiting", "delivered", "filtered", "rejected")
_TYPES = ("identify", "track", "page", "screen", "group", "alias")


class _Events(StreamingResponse):
    """A stream of events that says when it is over, even if nobody has read any of it."""

    def __init__(self, events: AsyncIterator[str], ended: Callable[[], None]) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


class Live:
    """The page, and its stream.

    Args:
        desk: reads the traces.
        rendering: draws the page.
        over: set when streams have to end.
    """

    def __init__(self, desk: Desk, rendering: Rendering, over: asyncio.Event) -> None:
        self._desk = desk
        self._rendering = rendering
        self._over = over
        self.feed = Feed(desk, self._row, over)

    def pages(self) -> Iterator[Page]:
        """List its paths."""
        yield Page("/live", self._show)
        yield Page("/live/stream", self._stream)

    async def _show(self, request: Request) -> Response:
        wanted = _wanted(request)
        now = self._desk.clock()

        def read(traces: TraceFile) -> tuple[list[Trace], dict[str, dict[int, Rollup]]]:
            return traces.find(wanted), traces.rollups("connection", now - 300, 10)

        traces, rollups = await self._desk.ask_traces(read)
        recent = Rollup()
        for name, spans in rollups.items():
            if wanted.connection in ("", name):
                for counted in spans.values():
                    recent.add(counted)
        configured = self._desk.configured
        after = max((trace.number for trace in traces), default=0)
        query = {name: getattr(wanted, name) for name in _FILTERS if getattr(wanted, name)}
        return self._rendering.page(
            request,
            "live.html",
            rows=rows(map(self._desk.shown, traces)),
            wanted=wanted,
            query={**query, "after": after},
            recent=recent,
            connections=[each.name for each in configured.connections],
            sources=[each.name for each in configured.config.all_sources],
            types=_TYPES,
            results=_RESULTS,
            content=self._desk.content,
        )

    async def _stream(self, request: Request) -> Response:
        if len(self.feed) >= MOST_STREAMS:
            raise HTTPException(
                503,
                f"{MOST_STREAMS} people look already.",
                headers={"retry-after": "30", "connection": "close"},
            )
        stream = Stream(_wanted(request))
        self.feed.join(stream)  # before any await, so that it counts from now on
        return _Events(
            self._events(stream, request.state.is_signed_in), partial(self.feed.leave, stream)
        )

    async def _events(self, stream: Stream, is_signed_in: Callable[[], bool]) -> AsyncIterator[str]:
        try:
            has_seen_some = stream.wanted.after > 0
            missed, left = await self._desk.ask_traces(lambda traces: traces.news(stream.wanted))
            # Before anything is sent, because a slow reader can delay a send for ever.
            stream.begin(missed[0].number if missed else stream.wanted.after)
            yield ": here\n\n"
            if missed:
                text = "".join(map(self._row, missed))
                frame = Frame(missed[0].number, len(missed), text)
                yield frame.event(left if has_seen_some else 0)
            while not self._over.is_set() and is_signed_in():
                next_frame = await stream.waiting.get()
                if next_frame is None:
                    return
                yield ": beat\n\n" if next_frame is BEAT else stream.next_event(next_frame)
        except LogUnavailableError:
            return  # the browser asks again

    def _row(self, trace: Trace) -> str:
        return row(self._desk.shown(trace), fresh=True)


def _wanted(request: Request) -> TraceFilter:
    asked: dict[str, Any] = {
        name: request.query_params.get(name, "").strip()[:200] for name in _FILTERS
    }
    seen = request.headers.get("last-event-id") or request.query_params.get("after", "")
    after = int(seen) if seen.isdecimal() and len(seen) < 19 else 0  # noqa: PLR2004 -- SQLite's
    return TraceFilter(**asked, after=after, limit=SHOWN)
