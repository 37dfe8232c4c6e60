"""What comes in, as it comes in, with what becomes of it: a table, and a stream of its rows.

However many people look, the traces are read once; each gets what it asked for. Who is slower than
what comes in is told how much it did not see.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from destination_router.console.desk import Desk
from destination_router.console.page import Page
from destination_router.console.rendering import Rendering
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import Rollup, Trace, TraceFilter

SHOWN = 500
ROWS_AT_ONCE = 400
"""How many rows a page is given at once: nobody reads more."""

MOST_STREAMS = 100
"""How many may be open at once: people have a few tabs each."""

_PERIOD = 0.7
_SAY_EVERY = 4.0
_BEAT = 15.0
_READ_AT_ONCE = 5000
_MOST_WAITING = 20
_FILTERS = ("connection", "source", "type", "event", "result")
_RESULTS = ("waiting", "delivered", "filtered", "rejected")
_TYPES = ("identify", "track", "page", "screen", "group", "alias")


class _Stream:
    """Somebody who looks: batches of rows that wait to be sent."""

    def __init__(self, wanted: TraceFilter) -> None:
        self.wanted = wanted
        self.waiting: asyncio.Queue[tuple[int, list[str]]] = asyncio.Queue(_MOST_WAITING)
        self.missed = 0
        self._early: list[tuple[Sequence[Trace], int]] | None = []

    def begin(self, after: int, row: Callable[[Trace], str]) -> None:
        """Say up to where it has seen all; what came since is offered."""
        self.wanted = msgspec.structs.replace(self.wanted, after=after)
        early, self._early = self._early or (), None
        for traces, left in early:
            self.offer(traces, row, left)

    def offer(self, traces: Sequence[Trace], row: Callable[[Trace], str], left: int = 0) -> None:
        """Take in what it asked for; without room, the oldest that waits goes.

        Args:
            traces: what has changed, the last last.
            row: draws one.
            left: how many there were beside these.
        """
        if self._early is not None:
            self._early.append((traces, left))
            return
        after = self.wanted.after
        if traces and traces[-1].number <= after:
            return
        mine = [each for each in traces if each.number > after and self.wanted.takes(each)]
        self.missed += left + max(0, len(mine) - ROWS_AT_ONCE)
        rows = [(trace.number, row(trace)) for trace in mine[-ROWS_AT_ONCE:]]
        if not rows:
            return
        if self.waiting.full():
            _, dropped = self.waiting.get_nowait()
            self.missed += len(dropped)
        self.waiting.put_nowait((rows[-1][0], [text for _, text in rows]))


class _Events(StreamingResponse):
    """An answer of events that tells when it is over, even if nobody has read any of it."""

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
        desk: where traces are read.
        rendering: draws.
        over: set when streams shall end.
    """

    def __init__(self, desk: Desk, rendering: Rendering, over: asyncio.Event) -> None:
        self._desk = desk
        self._rendering = rendering
        self._over = over
        self._streams: set[_Stream] = set()
        self._feeding: asyncio.Task[None] | None = None

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
            traces=list(map(self._desk.shown, traces)),
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
        if len(self._streams) >= MOST_STREAMS:
            raise HTTPException(
                503,
                f"{MOST_STREAMS} people look already.",
                headers={"retry-after": "30", "connection": "close"},
            )
        stream = _Stream(_wanted(request))
        self._streams.add(stream)  # before anything is awaited: it counts from now on
        if self._feeding is None or self._feeding.done():
            self._feeding = asyncio.create_task(self._feed())
        return _Events(
            self._events(stream, request.state.is_signed_in),
            partial(self._streams.discard, stream),
        )

    async def _events(
        self, stream: _Stream, is_signed_in: Callable[[], bool]
    ) -> AsyncIterator[str]:
        ending = asyncio.create_task(self._over.wait())
        getting: asyncio.Task[tuple[int, list[str]]] | None = None
        try:
            has_seen_some = stream.wanted.after > 0
            missed, left = await self._desk.ask_traces(lambda traces: traces.news(stream.wanted))
            # Before anything is sent: that may take as long as who reads likes.
            stream.begin(missed[0].number if missed else stream.wanted.after, self._row)
            yield ": here\n\n"
            if missed:
                rows = [self._row(trace) for trace in reversed(missed)]
                if left and has_seen_some:
                    rows.append(self._rendering.part("missed.html", count=left))
                yield _event(missed[0].number, rows)
            while not self._over.is_set() and is_signed_in():
                getting = getting or asyncio.create_task(stream.waiting.get())
                await asyncio.wait(
                    {getting, ending}, timeout=_BEAT, return_when=asyncio.FIRST_COMPLETED
                )
                if not getting.done():
                    yield ": beat\n\n"
                    continue
                number, rows = getting.result()
                getting = None
                if stream.missed:
                    rows.append(self._rendering.part("missed.html", count=stream.missed))
                    stream.missed = 0
                yield _event(number, rows)
        except LogUnavailableError:
            return  # whoever looks asks again
        finally:
            ending.cancel()
            if getting is not None:
                getting.cancel()

    async def _feed(self) -> None:
        """Read what is new once for all, as long as somebody looks."""
        if not self._streams:
            return
        # Each stream begins with what it has not seen; what comes meanwhile is read here.
        last = min(stream.wanted.after for stream in self._streams)
        said = float("-inf")
        clock = asyncio.get_running_loop().time
        while self._streams and not self._over.is_set():
            if say := clock() - said >= _SAY_EVERY:
                said = clock()
            with contextlib.suppress(LogUnavailableError):
                ask = partial(self._news, last=last, say=say)
                found, left, last = await self._desk.ask_traces(ask)
                if found:
                    self._hand_out(found, left)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD):
                    await self._over.wait()

    def _news(self, traces: TraceFile, last: int, *, say: bool) -> tuple[list[Trace], int, int]:
        if say:
            traces.watch(self._desk.clock())
        found, left = traces.news(TraceFilter(after=last, limit=_READ_AT_ONCE))
        return found[::-1], left, found[0].number if found else last

    def _hand_out(self, found: Sequence[Trace], left: int) -> None:
        drawn: dict[int, str] = {}

        def row(trace: Trace) -> str:
            if trace.number not in drawn:
                drawn[trace.number] = self._row(trace)
            return drawn[trace.number]

        for stream in list(self._streams):
            stream.offer(found, row, left)

    def _row(self, trace: Trace) -> str:
        return self._rendering.part("row.html", trace=self._desk.shown(trace), fresh=True)


def _wanted(request: Request) -> TraceFilter:
    asked: dict[str, Any] = {
        name: request.query_params.get(name, "").strip()[:200] for name in _FILTERS
    }
    seen = request.headers.get("last-event-id") or request.query_params.get("after", "")
    after = int(seen) if seen.isdecimal() and len(seen) < 19 else 0  # noqa: PLR2004 -- SQLite's
    return TraceFilter(**asked, after=after, limit=SHOWN)


def _event(number: int, rows: Sequence[str]) -> str:
    """Write an event of a stream: the newest row first, as the table has them."""
    text = "".join(reversed(rows)).replace("\r", " ")
    lines = "\n".join(f"data: {line}" for line in text.split("\n"))
    return f"id: {number}\n{lines}\n\n"
