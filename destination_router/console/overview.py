"""The first page: what each connection took, passed, refused and delivered, and its state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from destination_router.console.desk import Desk
from destination_router.console.forms import read_form
from destination_router.console.page import Page, session_of
from destination_router.console.percentiles import percentile
from destination_router.console.rendering import Rendering
from destination_router.delivery.asking import UNAVAILABLE
from destination_router.eventlog.interface import (
    Held,
    Lag,
    LogFileError,
    LogUnavailableError,
    Order,
)
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.sqlite.dead_letter_store import count_letters
from destination_router.eventlog.sqlite.standing_book import all_held, all_orders, give_order
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import ConnectionState, Rollup
from destination_router.pipeline.connection import Connection

_STALE_SECONDS = 40.0
"""A worker notes its state at least every fifteen seconds."""


class Period(msgspec.Struct, frozen=True):
    """A span of time on the page: its number of columns, and the minutes of each."""

    name: str
    label: str
    columns: int
    width: int

    @property
    def seconds(self) -> int:
        """Its length in seconds."""
        return self.columns * self.width * 60


PERIODS = {
    period.name: period
    for period in (
        Period("hour", "Hour", 60, 1),
        Period("day", "Day", 96, 15),
        Period("week", "Week", 84, 120),
    )
}


class LogNumbers(msgspec.Struct, frozen=True):
    """The event log's numbers of connections, by name."""

    lags: Mapping[str, Lag] = {}
    letters: Mapping[tuple[str, str], int] = {}
    held: Mapping[str, Held] = {}
    orders: Mapping[str, Order] = {}


class Pill(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a connection on the page: a word, its colour, and a sentence."""

    word: str
    kind: str
    detail: str = ""


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """One connection, as the page shows it."""

    name: str
    plugin: str
    pill: Pill
    paused: bool
    held: Held | None
    lag: Lag | None
    letters: int
    state: ConnectionState | None
    total: Rollup
    p50: float | None
    p95: float | None
    starts: Sequence[int]
    columns: Sequence[Rollup]


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page shows."""

    numbers: LogNumbers
    rollups: Mapping[str, Mapping[int, Rollup]]
    sources: Mapping[str, Mapping[int, Rollup]]
    states: Mapping[str, ConnectionState]


class Overview:
    """The first page, with its actions: pause and resume."""

    def __init__(self, desk: Desk, rendering: Rendering) -> None:
        self._desk = desk
        self._rendering = rendering

    def pages(self) -> Iterator[Page]:
        """List its paths."""
        yield Page("/", self._show)
        yield Page("/pause", self._pause, acts=True)
        yield Page("/resume", self._resume, acts=True)

    async def _show(self, request: Request) -> Response:
        period = PERIODS.get(request.query_params.get("period", ""), PERIODS["hour"])
        trouble, numbers = "", LogNumbers()
        try:
            numbers = await self._desk.read_log(self._numbers)
        except (LogFileError, LogUnavailableError) as error:
            trouble = str(error)
        now = self._desk.clock()
        first = now - period.seconds + period.width * 60

        def read(traces: TraceFile) -> _Read:
            return _Read(
                numbers=numbers,
                rollups=traces.rollups("connection", first, period.width),
                sources=traces.rollups("source", first, period.width),
                states=traces.states(),
            )

        read_now = await self._desk.ask_traces(read)
        starts = _starts(now, period)
        views = [
            self._view(connection, read_now, starts)
            for connection in self._desk.configured.connections
        ]
        received = {
            name: [spans.get(start, Rollup()).received for start in starts]
            for name, spans in read_now.sources.items()
        }
        known = [source.name for source in self._desk.configured.config.all_sources]
        return self._rendering.page(
            request,
            "overview.html",
            period=period,
            periods=list(PERIODS.values()),
            trouble=trouble,
            connections=views,
            sources={name: [0] * len(starts) for name in known} | received,
            starts=starts,
        )

    def _numbers(self, log: LogAdmin) -> LogNumbers:
        return LogNumbers(
            log.lags(self._desk.clock()),
            count_letters(log.books),
            all_held(log.books),
            all_orders(log.books),
        )

    def _view(self, connection: Connection, read: _Read, starts: Sequence[int]) -> ConnectionView:
        name, numbers = connection.name, read.numbers
        spans = read.rollups.get(name, {})
        columns = [spans.get(start, Rollup()) for start in starts]
        total = Rollup()
        for column in columns:
            total.add(column)
        order, held, state = numbers.orders.get(name), numbers.held.get(name), read.states.get(name)
        paused = order is not None and order.paused
        return ConnectionView(
            name=name,
            plugin=connection.plugin.name,
            pill=pill_of(state, order, held, self._desk.clock()),
            paused=paused,
            held=held,
            lag=numbers.lags.get(name),
            letters=sum(n for (whose, _), n in numbers.letters.items() if whose == name),
            state=state,
            total=total,
            p50=percentile(total.latency, 0.5),
            p95=percentile(total.latency, 0.95),
            starts=starts,
            columns=columns,
        )

    async def _pause(self, request: Request) -> Response:
        return await self._order(request, paused=True)

    async def _resume(self, request: Request) -> Response:
        return await self._order(request, paused=False)

    async def _order(self, request: Request, *, paused: bool) -> Response:
        name = (await read_form(request)).get("connection")
        if self._desk.configured.connection(name) is None:
            raise HTTPException(404, "There is no such connection.")
        order = Order(paused, self._desk.clock())
        await self._desk.change_log(lambda log: give_order(log.books, name, order))
        await self._desk.note(session_of(request), "pause" if paused else "resume", name)
        return RedirectResponse("/", 303)


def pill_of(
    state: ConnectionState | None, order: Order | None, held: Held | None, now: float
) -> Pill:
    """Choose the pill of a connection."""
    if order is not None and order.paused:
        return Pill(word="paused", kind="warn", detail="by a person; what comes in waits")
    if held is not None:
        words = (state.held_detail if state is not None else "") or "the vendor takes nothing now"
        return Pill(word=f"held: {held.code}", kind="bad", detail=words)
    if state is None:
        return Pill(word="not seen yet", kind="idle", detail="No worker has reported it yet.")
    if now - state.at > _STALE_SECONDS:
        return Pill(word="no worker", kind="idle", detail="No worker has reported it for a while.")
    if state.circuit != "closed":
        return Pill(word="vendor down", kind="bad", detail=state.last_failure)
    if UNAVAILABLE in state.holds:
        words = "the program of the connection does not answer; everything waits"
        return Pill(word=f"held: {UNAVAILABLE}", kind="bad", detail=words)
    if state.holds:
        codes = ", ".join(state.holds)
        return Pill(word=f"holds some: {codes}", kind="warn", detail=state.held_detail)
    return Pill(word="sending", kind="good")


def _starts(now: float, period: Period) -> list[int]:
    span = period.width * 60
    last = int(now // span) * span
    return [last - span * back for back in range(period.columns - 1, -1, -1)]
