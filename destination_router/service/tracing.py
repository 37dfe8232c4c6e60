"""What workers do, told to whoever looks at the console: traces of messages, roll-ups, states.

Workers are not held up. Of each connection so many messages a second are traced, and after a quiet
while so many at once; what is beyond that is counted as untraced. Every few seconds all of it goes
to the store, in a thread; every second while somebody looks. What cannot be kept is dropped, and
nothing else happens.

Nearly no trace is ever looked at. So what is at hand is kept as it is, and what a connection made
of the message on the way is found out when somebody opens it. In HIPAA mode the message is masked
before it is written; where no values may be kept, the steps are worked out, too. That takes about
as long as the message itself did, so that fewer are traced.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from destination_router.contract.records import HttpRequest, Json, Note, Outcome
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
    event_name,
)
from destination_router.faults import PASSED_ON, UNDECODABLE, whereabouts
from destination_router.pipeline.connection import Connection, Decision, StepTaken
from destination_router.pipeline.privacy.sealing import is_marked
from destination_router.service.metrics import Intake
from destination_router.threads import OneThread

PERIOD = 1.0
"""How often traces go to the store while somebody looks, in seconds."""

UNWATCHED_PERIOD = 5.0
"""How often it does while nobody looks, and how often counts do."""

LARGEST_BODY = 64 * 1024
"""A message with more bytes is traced without what is in it."""

_A_SECOND = 25
_A_SECOND_WATCHED = 200


class _Share(msgspec.Struct, frozen=True):
    """How many messages may be traced for what a connection has to do anyway.

    Attributes:
        second: for each second.
        request: for each request to the vendor, which costs most of what the router does.
        message: for each message: one of many in a request costs a tenth of one by itself.
    """

    second: float
    request: float
    message: float


_SHARES = {  # by whether somebody looks, and whether messages are masked first: docs/performance.md
    (False, False): _Share(0.5, 0.9, 0.05),
    (True, False): _Share(1.0, 1.5, 0.05),
    (False, True): _Share(0.1, 0.15, 0.02),
    (True, True): _Share(0.5, 0.5, 0.05),
}

_MOST_EXCHANGES = 20
_MOST_FIELDS = 500
_STATE_SECONDS = 15.0
_AT_ONCE = 20
_BETWEEN_LINES = 60.0

_log = logging.getLogger(__name__)


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


class _Told(msgspec.Struct, frozen=True):
    """What came of a request for one of its messages.

    Attributes:
        at: when, Unix time in seconds.
        request: what it carried of the message.
        messages: how many it carried.
        seconds: how long its answer took.
        status: the vendor's; None where no answer came.
        failure: where no answer came, what went wrong.
        words: the beginning of the vendor's answer, as it may be kept; all of it may be a megabyte.
        outcome: what that means for the message.
    """

    at: float
    request: HttpRequest
    messages: int
    seconds: float
    status: int | None
    failure: str
    words: str
    outcome: Outcome


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
        self._is_masked = not content or connection.treatment.privacy is not None
        self._clock = clock
        self._open: dict[int, _Open] = {}
        self._changed: dict[int, None] = {}
        self._room: float = keep
        self._requests = 0
        self._messages = 0

    def decided(self, event: Event, decision: Decision) -> None:
        """A message was read and decided."""
        self._messages += 1
        if self._room < 1:
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
        self._requests += 1
        if not self._open:
            return
        mine = [each for each in carries if each[0].offset in self._open]
        if not mine:
            return
        response = answer.response
        words = "" if response is None else answer_words(self.connection, response)
        now = self._clock()
        for item, index in mine:
            traced = self._open[item.offset]
            traced.told.append(
                _Told(
                    now,
                    _share(request, len(carries), traced, index),
                    len(carries),
                    answer.seconds,
                    None if response is None else response.status,
                    answer.failure,
                    words,
                    outcome_of(item, answer),
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
        share = _SHARES[watched, self._is_masked]
        more = share.second + share.request * self._requests + share.message * self._messages
        self._requests = self._messages = 0
        more = min(more, _A_SECOND_WATCHED if watched else _A_SECOND)
        self._room = min(self._keep, self._room + more)

    def drain(self) -> Iterator[Trace]:
        """Give the traces of what has changed since the last time."""
        changed, self._changed = self._changed, {}
        for offset in changed:
            traced = self._open.get(offset)
            if traced is None:
                continue
            if traced.delivery is not None:
                del self._open[offset]
            try:
                trace = self._trace(traced)
            except PASSED_ON:
                raise
            except BaseException as error:  # noqa: BLE001 -- no message may hide its neighbours
                self.untraced += 1
                _log.error("traces_failed", extra={"detail": whereabouts(error)})
            else:
                yield trace

    def _trace(self, traced: _Open) -> Trace:
        event, decision = traced.event, traced.decision
        kept = self.connection.kept(event.body) if self._is_masked and event.body else event.body
        # What was sealed can be taken through the rest of its steps again, as a replay is.
        is_whole = self._is_masked and not (self._content and is_marked(kept))
        result, code, detail = _result(traced)
        told = traced.told
        last = traced.ended_at or (told[-1].at if told else traced.decided_at)
        says_vendor = bool(told) and told[-1].status is not None
        return Trace(
            connection=self.connection.name,
            offset=event.offset,
            message_id=decision.message_id,
            type=decision.type,
            event=event_name(kept) if is_whole and self._content else "",
            source=event.source or "",
            received_at=event.received_at,
            at=last,
            result=result,
            code=code,
            detail=detail if self._content or not says_vendor else "",
            content=self._content_of(traced, kept, is_whole=is_whole),
            fingerprint="" if is_whole else self.connection.fingerprint,
        )

    def _content_of(self, traced: _Open, kept: bytes, *, is_whole: bool) -> TraceContent:
        content = TraceContent(
            body=kept.decode("utf-8", "replace") if self._content and kept else None,
            body_bytes=traced.body_bytes,
            fields=() if self._content else field_paths(kept),
            exchanges=tuple([self._exchange(told) for told in traced.told]),
            left_out=traced.left_out,
            notes=plain_notes(traced.decision.notes),
            replay=traced.event.replay or "",
            decided_at=traced.decided_at,
            ended_at=traced.ended_at,
        )
        if is_whole:
            content = msgspec.structs.replace(
                content,
                steps=tuple(self._steps(traced)),
                requests=tuple(self._shown(request) for request in traced.decision.requests),
            )
        return content

    def _steps(self, traced: _Open) -> Iterator[dict[str, Any]]:
        if not traced.event.body:
            return
        for step in plain_steps(self.connection.explained(traced.event.body)):
            yield step if self._content else {**step, "before": None, "after": None}

    def _shown(self, request: HttpRequest) -> dict[str, Any]:
        return self.connection.shown(request) if self._content else _shape_of(request)

    def _exchange(self, told: _Told) -> Exchange:
        outcome = told.outcome
        return Exchange(
            at=told.at,
            seconds=told.seconds,
            request=self._shown(told.request),
            messages=told.messages,
            status=told.status,
            answer=told.words if self._content else "",
            failure=told.failure,
            outcome=outcome.result,
            code=outcome.code,
            detail=outcome.detail if self._content or told.status is None else "",
        )


def _share(request: HttpRequest, messages: int, traced: _Open, index: int | None) -> HttpRequest:
    """Give of a request what is one message's: what else it carries, other people did."""
    if traced.body_bytes <= LARGEST_BODY:
        if messages == 1:
            return request
        own = traced.decision.requests
        if index is None and len(own) == 1:
            index = 0
        if index is not None and index < len(own):
            return own[index]
    return msgspec.structs.replace(request, json=None, form=None, content=None)


def plain_notes(notes: Sequence[Note]) -> tuple[dict[str, str], ...]:
    """Write notes as `TraceContent.notes` has them."""
    return tuple([{"code": note.code, "path": note.path, "detail": note.detail} for note in notes])


def plain_steps(steps: Iterable[StepTaken]) -> Iterator[dict[str, Any]]:
    """Write steps as `TraceContent.steps` has them."""
    for step in steps:
        yield {
            "step": step.step,
            "before": step.before,
            "after": step.after,
            "notes": list(plain_notes(step.notes)),
            "end": step.end,
        }


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
        self._writing = OneThread("console-traces")
        self._keep = keep
        self._content = content
        self._clock = clock
        self._tracers: dict[str, Tracer] = {}
        self._replaced: list[Tracer] = []
        self._counted: dict[str, tuple[DeliveryStats, Rollup]] = {}
        """Of each worker, what it had counted when that was last told."""
        self._last_counts: dict[str, Rollup] = {}
        self._sources: Counter[str] = Counter()
        self._states: dict[str, ConnectionState] = {}
        self._told_at = float("-inf")
        self._seconds = UNWATCHED_PERIOD  # the first time at once: a page that is open waits for it

    def tracer(self, connection: Connection) -> Tracer:
        """Begin to trace what a connection's worker does."""
        tracer = Tracer(connection, self._keep, content=self._content, clock=self._clock)
        self._replace(connection.name)
        self._tracers[connection.name] = tracer
        return tracer

    def left(self, name: str, stats: DeliveryStats) -> None:
        """Take in what a connection's worker counted last: it works no more."""
        if (counted := self._news_of(name, stats)) is not None:
            self._last_counts.setdefault(name, Rollup()).add(counted)
        self._replace(name)

    def _replace(self, name: str) -> None:
        if (before := self._tracers.pop(name, None)) is not None:
            self._replaced.append(before)  # how its last messages ended is not told yet

    async def run(
        self,
        stats: Callable[[], Mapping[str, DeliveryStats]],
        quotas: Callable[[], Mapping[str, dict[str, tuple[int, int]]]],
        intake: Intake | None,
    ) -> None:
        """Tell the store every few seconds, until cancelled; then once more.

        Args:
            stats: of each connection's worker.
            quotas: of each connection, how much of its quotas is used.
            intake: of the gateway, if this process has one.
        """
        try:
            while True:
                await asyncio.sleep(PERIOD)
                await self.tick(stats, quotas, intake)
        finally:
            await self._tell_anyway(stats, quotas, intake)

    async def tick(
        self,
        stats: Callable[[], Mapping[str, DeliveryStats]],
        quotas: Callable[[], Mapping[str, dict[str, tuple[int, int]]]],
        intake: Intake | None,
    ) -> None:
        """Do what is due once a second; as `run`."""
        self._seconds += PERIOD
        watched = self._sink.watched(self._clock())
        if self._seconds >= UNWATCHED_PERIOD:
            self._seconds = 0.0
            await self._tell_anyway(stats, quotas, intake)
        elif watched:
            await self._tell_anyway(stats, quotas, intake, only_traces=True)
        for tracer in self._tracers.values():
            tracer.refill(watched=watched)

    async def _tell_anyway(
        self,
        stats: Callable[[], Mapping[str, DeliveryStats]],
        quotas: Callable[[], Mapping[str, dict[str, tuple[int, int]]]],
        intake: Intake | None,
        *,
        only_traces: bool = False,
    ) -> None:
        """Tell the store; what cannot be told of one second does not silence the next one."""
        try:
            if only_traces:
                await self._tell(self._clock(), {}, {})
            else:
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
        rollups = self._rollups(stats, intake)
        await self._tell(now, rollups, self._changed_states(stats, quotas, now))

    async def _tell(
        self,
        now: float,
        rollups: Mapping[tuple[str, str], Rollup],
        states: Mapping[str, ConnectionState],
    ) -> None:
        traces: list[Trace] = []
        replaced, self._replaced = self._replaced, []
        for tracer in [*replaced, *self._tracers.values()]:
            for trace in tracer.drain():
                traces.append(trace)
                if len(traces) % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        if not (traces or rollups or states):
            return
        try:
            await self._writing.run(partial(self._sink.put, traces, rollups, states, now))
        except LogUnavailableError as error:
            if now - self._told_at >= _BETWEEN_LINES:
                self._told_at = now
                _log.warning("traces_unavailable", extra={"detail": str(error)})

    def _rollups(
        self, stats: Mapping[str, DeliveryStats], intake: Intake | None
    ) -> dict[tuple[str, str], Rollup]:
        for known in (self._counted, self._states):
            for gone in known.keys() - stats.keys():
                del known[gone]
        last, self._last_counts = self._last_counts, {}
        found = {("connection", name): counted for name, counted in last.items()}
        for name, now in stats.items():
            if (counted := self._news_of(name, now)) is not None:
                if (earlier := found.get(("connection", name))) is not None:
                    counted.add(earlier)
                found["connection", name] = counted
        if intake is not None:
            for source, count in intake.received.items():
                if more := count - self._sources[source]:
                    found["source", source] = Rollup(received=more)
                    self._sources[source] = count
        return found

    def _news_of(self, name: str, stats: DeliveryStats) -> Rollup | None:
        """Return what a worker has counted since this was last asked; None: nothing."""
        counted = _totals(stats)
        tracer = self._tracers.get(name)
        untraced = 0 if tracer is None else tracer.untraced
        known = self._counted.get(name)
        # A worker that was started again counts from the beginning.
        before = known[1] if known is not None and known[0] is stats else _NOTHING
        if counted == before and not untraced:
            return None
        self._counted[name] = (stats, counted)
        news = counted.since(before)
        if tracer is not None:
            news.untraced, tracer.untraced = untraced, 0
        return news

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
        last = traced.told[-1].outcome
        return "waiting", last.code or last.result, last.detail
    return "waiting", "", ""


def _shape_of(request: HttpRequest) -> dict[str, Any]:
    """Say whom a request goes to: a path may name a person."""
    parts = urlsplit(request.url)
    return {"method": request.method, "url": f"{parts.scheme}://{parts.netloc}"}


def _totals(stats: DeliveryStats) -> Rollup:
    """Copy all that a worker has counted, as far as it is told."""
    return Rollup(
        received=stats.received,
        delivered=stats.delivered,
        filtered=stats.filtered,
        rejected=stats.rejected.total(),
        retried=stats.retried,
        quota_waits=stats.quota_waits.total(),
        codes=dict(stats.rejected),
        latency=[*stats.latency.counts],
    )


_NOTHING = Rollup()
