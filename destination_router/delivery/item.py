"""One message between the event log and the vendor, with everything that delivery knows of it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from functools import cached_property
from math import inf

import msgspec

from destination_router.contract.records import Cost, HttpRequest, HttpResponse, Outcome
from destination_router.eventlog.interface import Event
from destination_router.pipeline.connection import Decision


class Answer(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The result of one request.

    Attributes:
        outcomes: for each of its message ids.
        response: the vendor's answer; None where there was none.
        seconds: how long it took.
        is_cut: whether the answer was too long, or too slow to come to its end.
        failure: where there was no answer, what went wrong; no secrets, nothing of a message.
    """

    outcomes: dict[str, Outcome]
    response: HttpResponse | None
    seconds: float = 0.0
    is_cut: bool = False
    failure: str = ""

    def each(self) -> Sequence[Outcome]:
        """Return the outcomes; only one if all are the same, as nearly always."""
        return self._each

    @cached_property
    def _each(self) -> Sequence[Outcome]:
        outcomes = [*self.outcomes.values()]
        if outcomes and outcomes.count(outcomes[0]) == len(outcomes):
            return outcomes[:1]
        return outcomes

    @property
    def is_all_delivered(self) -> bool:
        """Whether the vendor took every message of the request."""
        outcomes = self.each()
        return len(outcomes) == 1 and outcomes[0].result == "delivered"


class Item(msgspec.Struct, eq=False):
    """A message on its way.

    Attributes:
        offset: its place in the log.
        body: its wire JSON.
        decision: what the connection makes of it; None while it is parked: it is made again.
        replay: as `Event.replay`.
        message_id: its id.
        keys: whose order it belongs to.
        delivered: bit `i` is set when the vendor has `decision.requests[i]`.
        attempts: requests that carried it and failed.
        tried_since: when it first failed.
        held: how often it was held while the connection was sending.
        held_at: when that was last.
        reserved: what is set aside for it in the quotas.
        blockers: how many earlier messages of its users have not ended.
        followers: the next messages of its users.
        not_before: when it may go out again.
        under_way: whether it is in a window that is being sent.
        unplanned: how often a window of it alone could not be planned.
        ended: whether it is delivered or a dead letter.
        group: the messages that it was refused with, or failed with, the last time.
        received_at: when the log got it, Unix time in seconds; infinite where nobody asks.
    """

    offset: int
    body: bytes
    decision: Decision | None
    replay: str | None = None
    message_id: str = ""
    keys: tuple[str, ...] = ()
    delivered: int = 0
    attempts: int = 0
    tried_since: float | None = None
    held: int = 0
    held_at: float | None = None
    reserved: Sequence[Cost] = ()
    blockers: int = 0
    followers: Sequence[Item] = ()
    not_before: float = 0.0
    under_way: bool = False
    unplanned: int = 0
    ended: bool = False
    group: FailedTogether | None = None
    received_at: float = inf

    @classmethod
    def of(cls, offset: int, body: bytes, decision: Decision, replay: str | None = None) -> Item:
        """Make the item of a message that comes in."""
        (item,) = items_of([Event(offset, body, replay=replay)], [decision])
        return item

    def __repr__(self) -> str:
        return f"Item({self.offset}, {self.message_id!r})"

    def left(self) -> list[tuple[int, HttpRequest]]:
        """List the requests that the vendor does not have yet, with their indexes."""
        requests = () if self.decision is None else self.decision.requests
        delivered = self.delivered
        if not delivered:
            return [*enumerate(requests)]
        return [(i, r) for i, r in enumerate(requests) if not delivered >> i & 1]


def items_of(events: Iterable[Event], decisions: Iterable[Decision]) -> list[Item]:
    """Make the items of messages that come in, with what the connection makes of each."""
    items = []
    event: Event  # of a comprehension, Cython would not know the type
    for event, decision in zip(events, decisions, strict=True):
        keys = decision.user_keys
        if len(keys) > 1 and (len(keys) > 2 or keys[0] == keys[1]):  # noqa: PLR2004 -- two mostly
            keys = tuple(dict.fromkeys(keys))
        replay, message_id = event.replay, decision.message_id
        items.append(Item(event.offset, event.body, decision, replay, message_id, keys))
    return items


class FailedTogether:
    """Messages that were refused or failed together. They go out again without others.

    Attributes:
        at: when they may go out.
        items: those that are not under way, by offset.
    """

    __slots__ = ("at", "items")

    def __init__(self, at: float) -> None:
        self.at = at
        self.items: list[Item] = []

    def add(self, item: Item) -> None:
        """Take a message (back) in."""
        insort(self.items, item, key=lambda item: item.offset)

    def next_at(self) -> float | None:
        """When one of them may go out; None where all wait for earlier messages."""
        times = [item.not_before for item in self.items if not item.blockers]
        return max(self.at, min(times)) if times else None
