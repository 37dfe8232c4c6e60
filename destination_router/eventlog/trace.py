"""What workers tell of their work for people to look at, and where it is kept.

A trace is one message on its way through one connection: what came in, each step, each request,
each answer. A roll-up is what a connection or a source counted in one minute. Both are bounded, and
may be lost: nothing that is delivered depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import add, sub
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from destination_router.faults import UNDECODABLE

Result = Literal["waiting", "delivered", "filtered", "rejected"]

C = TypeVar("C")

_LATENCY_BUCKETS = 13
_LONGEST_NAME = 200


class Exchange(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One request that carried a message, and what came of it.

    Attributes:
        at: when the answer was in, Unix time in seconds.
        seconds: how long that took.
        request: as it may be shown; of one that carried several messages, this one's part.
        messages: how many it carried.
        status: the vendor's; None where no answer came.
        answer: the beginning of the vendor's answer, as it may be kept.
        failure: where no answer came, what went wrong.
        outcome: what it meant for this message: `delivered`, `retry`, ...
        code: of the outcome.
        detail: of the outcome.
    """

    at: float
    seconds: float
    request: dict[str, Any]
    messages: int = 1
    status: int | None = None
    answer: str = ""
    failure: str = ""
    outcome: str = ""
    code: str = ""
    detail: str = ""


class TraceContent(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is in a message and became of it, as it may be kept.

    Attributes:
        body: the message as wire JSON; None where it may not be kept, or is too large.
        body_bytes: how long it was.
        fields: the paths of its fields, where its values are not kept.
        steps: before and after each step: `{"step", "before", "after", "notes", "end"}`.
        requests: those that it became, as they may be shown.
        exchanges: each time that one of them went out; of very many, the last.
        left_out: how many earlier exchanges are not among them.
        notes: what was changed or left out: `{"code", "path", "detail"}`.
        replay: as `Event.replay`; empty for a message that nobody sent again.
        decided_at: when it was read and decided, Unix time in seconds.
        ended_at: when it ended; None: it has not.
    """

    body: str | None = None
    body_bytes: int = 0
    fields: tuple[str, ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    requests: tuple[dict[str, Any], ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    left_out: int = 0
    notes: tuple[dict[str, str], ...] = ()
    replay: str = ""
    decided_at: float = 0.0
    ended_at: float | None = None


class TraceWith(msgspec.Struct, Generic[C], frozen=True, kw_only=True, array_like=True):
    """One message on its way through one connection, with as much of its content as is read.

    Attributes:
        connection: whose.
        offset: the message's place in the log.
        message_id: its id, as it may be kept.
        type: which call it is.
        event: its event's or page's name, as it may be kept.
        source: who sent it; empty where nobody knows.
        received_at: when it came in, Unix time in seconds; None where nobody knows.
        at: when something last happened to it.
        result: what became of it.
        code: why it was rejected, or waits.
        detail: the same in words; why it was filtered.
        content: what is in it.
        fingerprint: of the connection that can tell its name, its steps and its requests, which
            are left out here; empty: nothing is left out.
        number: rises with each change; 0 before it is kept.
    """

    connection: str
    offset: int
    message_id: str
    type: str
    event: str
    source: str
    received_at: float | None
    at: float
    result: Result
    code: str = ""
    detail: str = ""
    content: C
    fingerprint: str = ""
    number: int = 0


class Trace(TraceWith[TraceContent], frozen=True, kw_only=True, array_like=True):
    """One message on its way through one connection; the attributes are those of `TraceWith`."""

    content: TraceContent = TraceContent()


class Rollup(msgspec.Struct, kw_only=True):
    """What a connection, or a source, counted in a while.

    Attributes:
        received: messages that came in.
        delivered: messages that the vendor has.
        filtered: messages that were not for the connection.
        rejected: messages that became dead letters.
        retried: messages that were to be sent again, each time.
        quota_waits: how often a quota kept messages back.
        untraced: messages of which no trace is kept, for there were too many at once.
        codes: those of the rejected messages, with how many.
        latency: requests by how long they took, as `Latency.counts` of delivery's stats.
    """

    received: int = 0
    delivered: int = 0
    filtered: int = 0
    rejected: int = 0
    retried: int = 0
    quota_waits: int = 0
    untraced: int = 0
    codes: dict[str, int] = {}
    latency: list[int] = msgspec.field(default_factory=lambda: [0] * _LATENCY_BUCKETS)

    def add(self, other: Rollup) -> None:
        """Count another one in."""
        self.received += other.received
        self.delivered += other.delivered
        self.filtered += other.filtered
        self.rejected += other.rejected
        self.retried += other.retried
        self.quota_waits += other.quota_waits
        self.untraced += other.untraced
        if other.codes:
            codes = dict(self.codes)
            for code, count in other.codes.items():
                codes[code] = codes.get(code, 0) + count
            self.codes = codes
        self.latency = [*map(add, self.latency, other.latency)]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return self == Rollup()

    def since(self, before: Rollup) -> Rollup:
        """Return what was counted since an earlier moment of the same counts."""
        earlier = before.codes
        return Rollup(
            received=self.received - before.received,
            delivered=self.delivered - before.delivered,
            filtered=self.filtered - before.filtered,
            rejected=self.rejected - before.rejected,
            retried=self.retried - before.retried,
            quota_waits=self.quota_waits - before.quota_waits,
            untraced=self.untraced - before.untraced,
            codes={
                code: count - earlier.get(code, 0)
                for code, count in self.codes.items()
                if count != earlier.get(code, 0)
            },
            latency=[*map(sub, self.latency, before.latency)],
        )


class ConnectionState(msgspec.Struct, frozen=True, kw_only=True):
    """How a connection stands now, as its worker says.

    Attributes:
        at: when it said so, Unix time in seconds.
        in_flight: requests under way.
        waiting: messages in memory.
        parked: of these, messages that wait for a time.
        circuit: `closed`, `open` or `half_open`.
        paused: whether a person has said that nothing shall be sent.
        holds: the codes of what holds it, or some of its messages.
        held_since: since when, Unix time in seconds; None: nothing does.
        held_detail: the vendor's words about it, as they may be kept.
        last_failure: what went wrong the last time that no answer came.
        quotas: of each quota of the whole connection, how much is used and how much there is.
    """

    at: float
    in_flight: int = 0
    waiting: int = 0
    parked: int = 0
    circuit: str = "closed"
    paused: bool = False
    holds: tuple[str, ...] = ()
    held_since: float | None = None
    held_detail: str = ""
    last_failure: str = ""
    quotas: dict[str, tuple[int, int]] = {}


_CIRCUITS = ("closed", "half_open", "open")


def joined(states: Sequence[ConnectionState]) -> ConnectionState:
    """Say how a connection stands that several workers tell of, each for its share.

    Args:
        states: at least one; the newest first.
    """
    newest, *others = states
    if not others:
        return newest
    since = [state.held_since for state in states if state.held_since is not None]
    quotas: dict[str, tuple[int, int]] = {}
    for state in states:
        for name, (used, limit) in state.quotas.items():
            before = quotas.get(name, (0, 0))
            quotas[name] = (before[0] + used, max(before[1], limit))
    return ConnectionState(
        at=newest.at,
        in_flight=sum(state.in_flight for state in states),
        waiting=sum(state.waiting for state in states),
        parked=sum(state.parked for state in states),
        circuit=max((state.circuit for state in states), key=_CIRCUITS.index),
        paused=newest.paused,
        holds=tuple(sorted({code for state in states for code in state.holds})),
        held_since=min(since, default=None),
        held_detail=next((state.held_detail for state in states if state.held_detail), ""),
        last_failure=next((state.last_failure for state in states if state.last_failure), ""),
        quotas=quotas,
    )


class _Named(msgspec.Struct):
    event: Any = None
    name: Any = None


def event_name(body: bytes | str) -> str:
    """Read the name of an event or a page out of wire JSON; empty where there is none."""
    try:
        named = msgspec.json.decode(body, type=_Named)
    except UNDECODABLE:
        return ""
    name = named.event if named.event is not None else named.name
    return name[:_LONGEST_NAME] if isinstance(name, str) else ""


class Action(msgspec.Struct, frozen=True):
    """What somebody did in the console.

    Attributes:
        at: when, Unix time in seconds.
        who: their role and what they call themselves.
        what: `replay`, `pause`, ...
        subject: to what: a connection, a code.
        count: to how many.
    """

    at: float
    who: str
    what: str
    subject: str
    count: int


class TraceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces are meant; what is empty does not matter.

    Attributes:
        connection: by connection.
        source: by who sent them.
        type: by call.
        event: by the name of the event.
        result: by what became of them.
        message_id: by message.
        after: those that changed after this number.
        limit: the newest so many.
    """

    connection: str = ""
    source: str = ""
    type: str = ""
    event: str = ""
    result: str = ""
    message_id: str = ""
    after: int = 0
    limit: int = 500

    def takes(self, trace: Trace) -> bool:
        """Whether a trace is meant; its number aside."""
        return (
            self.connection in {"", trace.connection}
            and self.source in {"", trace.source}
            and self.type in {"", trace.type}
            and self.event in {"", trace.event}
            and self.result in {"", trace.result}
            and self.message_id in {"", trace.message_id}
        )


class TraceSink(Protocol):
    """Where workers and gateways put what they tell. It blocks: call it in a thread."""

    def put(
        self,
        traces: Sequence[Trace],
        rollups: Mapping[tuple[str, str], Rollup],
        states: Mapping[str, ConnectionState],
        now: float,
    ) -> None:
        """Keep traces and count roll-ups into their minute.

        Args:
            traces: each stands for all that was kept of its message before.
            rollups: by kind (`connection`, `source`) and name: what was counted since the last.
            states: how connections stand, by name.
            now: Unix time, in seconds.

        Raises:
            LogUnavailableError: nothing was kept.
        """

    def watched(self, now: float) -> bool:
        """Whether somebody looks at what comes in.

        Raises:
            LogUnavailableError: it cannot be told now.
        """
