"""Streams rows to everybody who watches Live: traces are read once and drawn once for each filter.

A stream that is slower than the messages says how many it left out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from destination_router.console.desk import Desk
from destination_router.console.live_row import missed_row
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import Trace, TraceFilter

ROWS_AT_ONCE = 400
"""How many rows a page gets at once: nobody reads more."""

PERIOD = 0.7
"""The seconds between looks for new traces."""

_LOOKS_BETWEEN = 6
"""How often of these it is said that somebody looks, and the file is read though nothing shows that
it has changed: every four seconds."""

_BEAT_SECONDS = 14.0
"""How often each stream is told that it lasts: whatever a look waits for, such as a locked file."""

_READ_AT_ONCE = 5000
_MOST_WAITING = 20


class Frame(msgspec.Struct, frozen=True):
    """Rows on their way to a stream.

    Attributes:
        number: the number of the newest message among them.
        count: how many rows there are.
        rows: the rows as HTML without line ends, the newest first.
    """

    number: int
    count: int
    rows: str

    def event(self, missed: int = 0) -> str:
        """Write it as an event of a stream, with the number of messages that it leaves out."""
        above = missed_row(missed) if missed else ""
        return f"id: {self.number}\ndata: {above}{self.rows}\n\n"


BEAT = Frame(0, 0, "")
"""Nothing new: it keeps a quiet stream open, and lets it end if its reader has signed out."""


class News:
    """Traces from one read, each drawn once and joined once for each filter.

    Args:
        traces: at least one; the last one changed last.
        left: how many more there were.
        draw: writes the row of a trace.
    """

    def __init__(self, traces: Sequence[Trace], left: int, draw: Callable[[Trace], str]) -> None:
        self._traces = traces
        self._left = left
        self._draw = draw
        self._drawn: dict[int, str] = {}
        self._frames: dict[TraceFilter, tuple[Frame | None, int]] = {}

    def of(self, wanted: TraceFilter) -> tuple[Frame | None, int]:
        """Return the rows for a filter, if any, and how many messages they leave out."""
        if self._traces[-1].number <= wanted.after:
            return None, 0
        # Nearly all streams have seen none of it, so `after` makes no difference among them.
        after = wanted.after if self._traces[0].number <= wanted.after else 0
        key = replace(wanted, after=after)
        if key not in self._frames:
            self._frames[key] = self._put_together(key)
        return self._frames[key]

    def _put_together(self, wanted: TraceFilter) -> tuple[Frame | None, int]:
        after = wanted.after
        mine = [each for each in self._traces if each.number > after and wanted.takes(each)]
        if not mine:
            return None, self._left
        shown = mine[: -ROWS_AT_ONCE - 1 : -1]
        rows = "".join([self._row(trace) for trace in shown])
        return Frame(mine[-1].number, len(shown), rows), self._left + len(mine) - len(shown)

    def _row(self, trace: Trace) -> str:
        drawn = self._drawn.get(trace.number)
        if drawn is None:
            drawn = self._drawn[trace.number] = self._draw(trace)
        return drawn


class Stream:
    """The rows that wait to be sent to one viewer.

    Args:
        wanted: the viewer's filter, and the number up to which they have seen all.
    """

    def __init__(self, wanted: TraceFilter) -> None:
        self.wanted = wanted
        self.waiting: asyncio.Queue[Frame | None] = asyncio.Queue(_MOST_WAITING)
        """The frames to send; None: there are no more."""
        self.missed = 0
        self._early: list[News] | None = []

    def begin(self, after: int) -> None:
        """Set the number up to which it has seen all; what came since is offered."""
        self.wanted = replace(self.wanted, after=after)
        early, self._early = self._early or (), None
        for news in early:
            self.offer(news)

    def offer(self, news: News) -> None:
        """Take in the rows for its filter. If there is no room, the oldest waiting rows go."""
        if self._early is not None:
            self._early.append(news)
            return
        frame, left_out = news.of(self.wanted)
        self.missed += left_out
        if frame is None:
            return
        self._put(frame)

    def beat(self) -> None:
        """Say that it lasts, unless it is told more anyway."""
        if self.waiting.empty():
            self._put(BEAT)

    def end(self) -> None:
        """End the stream."""
        self._put(None)

    def _put(self, frame: Frame | None) -> None:
        if self.waiting.full() and (oldest := self.waiting.get_nowait()) is not None:
            self.missed += oldest.count
        self.waiting.put_nowait(frame)

    def next_event(self, frame: Frame) -> str:
        """Write the next event, and reset the count of messages left out that it reports."""
        missed, self.missed = self.missed, 0
        return frame.event(missed)


class Feed:
    """Reads new traces for all streams while there are any.

    Args:
        desk: reads the traces.
        draw: writes the row of a trace.
        over: set when it has to end.
    """

    def __init__(self, desk: Desk, draw: Callable[[Trace], str], over: asyncio.Event) -> None:
        self._desk = desk
        self._draw = draw
        self._over = over
        self._streams: set[Stream] = set()
        self._running: asyncio.Task[None] | None = None
        self._last = 0
        self._looks = 0
        self._seen: object = None

    def __len__(self) -> int:
        """Return the number of streams."""
        return len(self._streams)

    def join(self, stream: Stream) -> None:
        """Begin to offer new traces to a stream."""
        self._streams.add(stream)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    def leave(self, stream: Stream) -> None:
        """Stop offering new traces to a stream."""
        self._streams.discard(stream)

    async def look(self) -> None:
        """Read what is new since the last time, if the file has changed, and offer it to all."""
        say = self._looks % _LOOKS_BETWEEN == 0
        self._looks += 1
        written = self._desk.last_write_of_traces()
        if written == self._seen and not say:  # it is sometimes read anyway: dates are coarse
            return
        if not say and (fresh := self._desk.fresh_traces(self._last, written)) is not None:
            self._seen = written
            self._hand_out(fresh, 0)
            return
        with contextlib.suppress(LogUnavailableError):
            found, left = await self._desk.ask_traces(lambda traces: self._news(traces, say=say))
            self._seen = written
            self._hand_out(found, left)

    def _hand_out(self, found: Sequence[Trace], left: int) -> None:
        if not found:
            return
        self._last = found[-1].number
        news = News(found, left, self._draw)
        for stream in list(self._streams):
            stream.offer(news)

    async def _run(self) -> None:
        if not self._streams:
            return
        # Each stream begins with what it has not seen. What comes meanwhile is read here.
        self._last = min(stream.wanted.after for stream in self._streams)
        self._looks, self._seen = 0, None
        self._desk.watch_traces(watched=True)
        beating = asyncio.create_task(self._beat())
        try:
            while self._streams and not self._over.is_set():
                await self.look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PERIOD):
                        await self._over.wait()
        finally:
            beating.cancel()
            self._desk.watch_traces(watched=False)
            for stream in self._streams:
                stream.end()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            for stream in self._streams:
                stream.beat()

    def _news(self, traces: TraceFile, *, say: bool) -> tuple[list[Trace], int]:
        if say:
            traces.watch(self._desk.clock())
        found, left = traces.news(TraceFilter(after=self._last, limit=_READ_AT_ONCE))
        return found[::-1], left
