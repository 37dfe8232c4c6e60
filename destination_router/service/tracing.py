"""What workers do, told to whoever looks at the console: traces of messages, roll-ups, states.

Workers are not held up. Of each connection so many messages a second are traced, and after a quiet
while so many at once; what is beyond that is counted as untraced. Once a second all of it goes to
the store, in a thread. What cannot be kept is dropped, and nothing else happens.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from destination_router.contract.records import HttpRequest, Json
from destination_router.delivery.answer_words import answer_words
from destination_router.delivery.item import Answer, Item
from destination_router.delivery.ledger import Delivery
from destination_router.delivery.outcomes import outcome_of
from destination_router.delivery.stats import DeliveryStats
from destination_router.eventlog.interface import Event, LogUnavailableError
from destination_router.eventlog.trace import (
    ConnectionState,
    Exchange,
    Result,
    Rollup,
    Trace,
    TraceContent,
    TraceSink,
)
from destination_router.faults import PASSED_ON, UNDECODABLE, whereabouts
from destination_router.pipeline.connection import Connection, Decision
from destination_router.service.metrics import Intake
from destination_router.threads import in_thread

PERIOD = 1.0
"""How often what was told goes to the store, in seconds."""

LARGEST_BODY = 64 * 1024
"""A message with more bytes is traced without what is in it."""

_LARGEST_CONTENT = 256 * 1024
_A_SECOND = 25
_A_SECOND_WATCHED = 200
_WHOLE_REQUEST = 10
"""A request that carries more messages is kept without its body: it would hold other people's."""

_MOST_EXCHANGES = 20
_MOST_FIELDS = 500
_STATE_SECONDS = 15.0
_AT_ONCE = 20
_BETWEEN_LINES = 60.0

_log = logging.getLogger(__name__)


class _Told(msgspec.Struct, frozen=True):
    """What came of a request for one of its messages."""

    at: float
    request: HttpRequest
    messages: int
    seconds: float
    status: int | None
    words: str
    failure: str
    result: str
    code: str
    detail: str


class _Open:
    """A message that is traced, until it has ended and is kept."""

    __slots__ = (
        "body_bytes",
        "decided_at",
        "decision",
        "delivery",
        "ended_at",
        "event",
        "left_out",
        "told",
    )

    def __init__(self, event: Event, decision: Decision, now: float) -> None:
        self.body_bytes = len(event.body)
        self.event = event
        self.decision = decision
        self.decided_at = now
        self.ended_at: float | None = None
        self.delivery: Delivery | None = None
        self.told: deque[_Told] = deque()
        self.left_out = 0


class Tracer:
    """One connection's observer.

    Args:
        connection: whose messages it is told of.
        keep: how many messages it may have in hand.
        content: whether values are kept.
        clock: Unix time, in seconds.
    """

    def __init__(
        self, connection: Connection, keep: int, *, content: bool, clock: Callable[[], float]
    ) -> None:
        self.connection = connection
        self.untraced = 0
        self._keep = keep
        self._content = content
        self._clock = clock
        self._open: dict[int, _Open] = {}
        self._changed: dict[int, None] = {}
        self._room = keep

    def decided(self, event: Event, decision: Decision) -> None:
        """A message was read and decided."""
        if self._room <= 0:
            self.untraced += 1
            return
        self._room -= 1
        if len(self._open) >= self._keep:
            oldest = next(iter(self._open))
            del self._open[oldest]
            self._changed.pop(oldest, None)
        self._open[event.offset] = traced = _Open(event, decision, self._clock())
        if traced.body_bytes > LARGEST_BODY:  # it may be megabytes, and so may what it became
            traced.event = msgspec.structs.replace(event, body=b"")
            traced.decision = msgspec.structs.replace(decision, requests=())
        self._changed[event.offset] = None

    def answered(
        self, request: HttpRequest, carries: Sequence[tuple[Item, int | None]], answer: Answer
    ) -> None:
        """A request went out, and this came of it."""
        mine = [item for item, _ in carries if item.offset in self._open] if self._open else ()
        if not mine:
            return
        response = answer.response
        words = "" if response is None else answer_words(self.connection, response)
        is_large = any(self._open[item.offset].body_bytes > LARGEST_BODY for item in mine)
        if len(carries) > _WHOLE_REQUEST or is_large:
            request = msgspec.structs.replace(request, json=None, form=None, content=None)
        now = self._clock()
        for item in mine:
            outcome = outcome_of(item, answer)
            traced = self._open[item.offset]
            traced.told.append(
                _Told(
                    now,
                    request,
                    len(carries),
                    answer.seconds,
                    None if response is None else response.status,
                    words,
                    answer.failure,
                    outcome.result,
                    outcome.code,
                    outcome.detail,
                )
            )
            if len(traced.told) > _MOST_EXCHANGES:
                traced.told.popleft()
                traced.left_out += 1
            self._changed[item.offset] = None

    def ended(self, deliveries: Sequence[Delivery]) -> None:
        """Messages ended."""
        if not self._open:
            return
        now = self._clock()
        for delivery in deliveries:
            traced = self._open.get(delivery.offset)
            if traced is not None:
                traced.delivery = delivery
                traced.ended_at = now
                self._changed[delivery.offset] = None

    def refill(self, *, watched: bool) -> None:
        """Let more messages be traced: a second has passed."""
        self._room = min(self._keep, self._room + (_A_SECOND_WATCHED if watched else _A_SECOND))

    def drain(self) -> Iterator[Trace]:
        """Give the traces of what has changed since the last time."""
        changed, self._changed = self._changed, {}
        for offset in changed:
            traced = self._open.get(offset)
            if traced is None:
                continue
            if traced.delivery is not None:
                del self._open[offset]
            yield self._trace(traced)

    def _trace(self, traced: _Open) -> Trace:
        event, decision = traced.event, traced.decision
        kept = self.connection.kept(event.body) if event.body else b""
        result, code, detail = _result(traced)
        last = traced.ended_at or (traced.told[-1].at if traced.told else traced.decided_at)
        says_vendor = bool(traced.told) and traced.told[-1].status is not None
        return Trace(
            connection=self.connection.name,
            offset=event.offset,
            message_id=decision.message_id,
            type=decision.type,
            event=_event_name(kept) if self._content else "",
            source=event.source or "",
            received_at=event.received_at,
            at=last,
            result=result,
            code=code,
            detail=detail if self._content or not says_vendor else "",
            content=self._content_of(traced, kept),
        )

    def _content_of(self, traced: _Open, kept: bytes) -> TraceContent:
        shown = self.connection.shown if self._content else _shape_of
        content = TraceContent(
            body=kept.decode("utf-8", "replace") if self._content and kept else None,
            body_bytes=traced.body_bytes,
            fields=() if self._content else field_paths(kept),
            steps=tuple(self._steps(traced)),
            requests=tuple(shown(request) for request in traced.decision.requests),
            exchanges=tuple(self._exchange(told, shown) for told in traced.told),
            left_out=traced.left_out,
            notes=tuple(
                {"code": note.code, "path": note.path, "detail": note.detail}
                for note in traced.decision.notes
            ),
            decided_at=traced.decided_at,
            ended_at=traced.ended_at,
        )
        # A plugin may make megabytes of a small message.
        if len(msgspec.json.encode(content)) < _LARGEST_CONTENT:
            return content
        return msgspec.structs.replace(content, body=None, steps=(), requests=(), exchanges=())

    def _steps(self, traced: _Open) -> Iterator[dict[str, Any]]:
        if not traced.event.body:
            return
        for step in self.connection.explained(traced.event.body):
            yield {
                "step": step.step,
                "before": step.before if self._content else None,
                "after": step.after if self._content else None,
                "notes": [
                    {"code": note.code, "path": note.path, "detail": note.detail}
                    for note in step.notes
                ],
                "end": step.end,
            }

    def _exchange(self, told: _Told, shown: Callable[[HttpRequest], dict[str, Any]]) -> Exchange:
        return Exchange(
            at=told.at,
            seconds=told.seconds,
            request=shown(told.request),
            messages=told.messages,
            status=told.status,
            answer=told.words if self._content else "",
            failure=told.failure,
            outcome=told.result,
            code=told.code,
            detail=told.detail if self._content or told.status is None else "",
        )


class Tracing:
    """All that a process tells the console.

    Args:
        sink: where it goes.
        keep: how many messages of each connection are kept.
        content: whether values of messages are.
        clock: Unix time, in seconds.
    """

    def __init__(
        self,
        sink: TraceSink,
        *,
        keep: int = 500,
        content: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sink = sink
        self._keep = keep
        self._content = content
        self._clock = clock
        self._tracers: dict[str, Tracer] = {}
        self._replaced: list[Tracer] = []
        self._stats: dict[str, tuple[DeliveryStats, DeliveryStats]] = {}
        self._sources: Counter[str] = Counter()
        self._states: dict[str, ConnectionState] = {}
        self._told_at = float("-inf")

    def tracer(self, connection: Connection) -> Tracer:
        """Begin to trace what a connection's worker does."""
        tracer = Tracer(connection, self._keep, content=self._content, clock=self._clock)
        if (before := self._tracers.get(connection.name)) is not None:
            self._replaced.append(before)  # how its last messages ended is not told yet
        self._tracers[connection.name] = tracer
        return tracer

    async def run(
        self,
        stats: Callable[[], Mapping[str, DeliveryStats]],
        quotas: Callable[[], Mapping[str, dict[str, tuple[int, int]]]],
        intake: Intake | None,
    ) -> None:
        """Tell the store once a second, until cancelled; then once more.

        Args:
            stats: of each connection's worker.
            quotas: of each connection, how much of its quotas is used.
            intake: of the gateway, if this process has one.
        """
        try:
            while True:
                await asyncio.sleep(PERIOD)
                await self._tell_anyway(stats, quotas, intake)
        finally:
            await self._tell_anyway(stats, quotas, intake)

    async def _tell_anyway(
        self,
        stats: Callable[[], Mapping[str, DeliveryStats]],
        quotas: Callable[[], Mapping[str, dict[str, tuple[int, int]]]],
        intake: Intake | None,
    ) -> None:
        """Tell the store; what cannot be told of one second does not silence the next one."""
        try:
            await self.tell(stats(), quotas(), intake)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever it is, it is only looked at
            _log.error("traces_failed", extra={"detail": whereabouts(error)})

    async def tell(
        self,
        stats: Mapping[str, DeliveryStats],
        quotas: Mapping[str, dict[str, tuple[int, int]]],
        intake: Intake | None,
    ) -> None:
        """Tell the store what has happened since the last time."""
        now = self._clock()
        traces: list[Trace] = []
        replaced, self._replaced = self._replaced, []
        for tracer in [*replaced, *self._tracers.values()]:
            for trace in tracer.drain():
                traces.append(trace)
                if len(traces) % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        rollups = self._rollups(stats, intake)
        states = self._changed_states(stats, quotas, now)
        try:
            watched = await in_thread(
                partial(self._put, traces, rollups, states, now), "console-traces"
            )
        except LogUnavailableError as error:
            watched = False
            if now - self._told_at >= _BETWEEN_LINES:
                self._told_at = now
                _log.warning("traces_unavailable", extra={"detail": str(error)})
        for tracer in self._tracers.values():
            tracer.refill(watched=watched)

    def _put(
        self,
        traces: Sequence[Trace],
        rollups: Mapping[tuple[str, str], Rollup],
        states: Mapping[str, ConnectionState],
        now: float,
    ) -> bool:
        if traces or rollups or states:
            self._sink.put(traces, rollups, states, now)
        return self._sink.watched(now)

    def _rollups(
        self, stats: Mapping[str, DeliveryStats], intake: Intake | None
    ) -> dict[tuple[str, str], Rollup]:
        found: dict[tuple[str, str], Rollup] = {}
        for name, now in stats.items():
            known = self._stats.get(name)
            # A worker that was started again counts from the beginning.
            before = known[1] if known is not None and known[0] is now else DeliveryStats()
            counted = _difference(before, now)
            if (tracer := self._tracers.get(name)) is not None:
                counted.untraced, tracer.untraced = tracer.untraced, 0
            if not counted.is_empty:
                found["connection", name] = counted
                self._stats[name] = (now, _copied(now))
        if intake is not None:
            for source, count in intake.received.items():
                if more := count - self._sources[source]:
                    found["source", source] = Rollup(received=more)
                    self._sources[source] = count
        return found

    def _changed_states(
        self,
        stats: Mapping[str, DeliveryStats],
        quotas: Mapping[str, dict[str, tuple[int, int]]],
        now: float,
    ) -> dict[str, ConnectionState]:
        changed = {}
        for name, each in stats.items():
            state = ConnectionState(
                at=now,
                in_flight=each.in_flight,
                waiting=each.waiting,
                parked=each.parked,
                circuit=each.circuit,
                paused=each.paused,
                holds=tuple(sorted(code for code, lasts in each.holds.items() if lasts)),
                held_since=each.held_since,
                held_detail=each.held_detail if self._content else "",
                last_failure=each.last_failure,
                quotas=quotas.get(name, {}),
            )
            known = self._states.get(name)
            if (
                known is None
                or now - known.at >= _STATE_SECONDS
                or msgspec.structs.replace(known, at=now) != state
            ):
                changed[name] = self._states[name] = state
        return changed


def field_paths(body: bytes) -> tuple[str, ...]:
    """List the paths of a message's fields, without their values."""
    try:
        decoded = msgspec.json.decode(body)
    except UNDECODABLE:
        return ()
    found: dict[str, None] = {}
    waiting: list[tuple[str, Json]] = [("", decoded)]
    while waiting and len(found) < _MOST_FIELDS:
        prefix, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [(f"{prefix}.{key}" if prefix else key, item) for key, item in value.items()]
        elif prefix:
            found[prefix] = None
    return tuple(sorted(found))


class _Named(msgspec.Struct):
    event: Any = None
    name: Any = None


def _event_name(kept: bytes) -> str:
    try:
        named = msgspec.json.decode(kept, type=_Named)
    except UNDECODABLE:
        return ""
    name = named.event if named.event is not None else named.name
    return name[:200] if isinstance(name, str) else ""


def _result(traced: _Open) -> tuple[Result, str, str]:
    decision, delivery = traced.decision, traced.delivery
    if delivery is not None and (outcome := delivery.outcome) is not None:
        if outcome.result == "delivered":
            return "delivered", "", ""
        return "rejected", outcome.code or outcome.result, outcome.detail
    if delivery is not None and delivery.decision.reject is not None:
        return "rejected", delivery.decision.reject.code, delivery.decision.reject.detail
    if decision.result == "filtered":
        return "filtered", "", decision.reason or ""
    if decision.reject is not None:
        return "rejected", decision.reject.code, decision.reject.detail
    if traced.told:
        last = traced.told[-1]
        return "waiting", last.code or last.result, last.detail
    return "waiting", "", ""


def _shape_of(request: HttpRequest) -> dict[str, Any]:
    """Say whom a request goes to: a path may name a person."""
    parts = urlsplit(request.url)
    return {"method": request.method, "url": f"{parts.scheme}://{parts.netloc}"}


def _difference(before: DeliveryStats, now: DeliveryStats) -> Rollup:
    codes = now.rejected - before.rejected
    return Rollup(
        received=now.received - before.received,
        delivered=now.delivered - before.delivered,
        filtered=now.filtered - before.filtered,
        rejected=codes.total(),
        retried=now.retried - before.retried,
        quota_waits=now.quota_waits.total() - before.quota_waits.total(),
        codes=dict(codes),
        latency=[a - b for a, b in zip(now.latency.counts, before.latency.counts, strict=True)],
    )


def _copied(stats: DeliveryStats) -> DeliveryStats:
    return DeliveryStats(
        received=stats.received,
        delivered=stats.delivered,
        filtered=stats.filtered,
        rejected=stats.rejected.copy(),
        retried=stats.retried,
        quota_waits=stats.quota_waits.copy(),
        latency=msgspec.structs.replace(stats.latency, counts=list(stats.latency.counts)),
    )
