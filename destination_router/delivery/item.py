"""One message between the event log and the vendor, and all that delivery remembers of it."""

from __future__ import annotations

from bisect import insort

import msgspec

from destination_router.contract.records import Cost, HttpRequest, HttpResponse, Outcome
from destination_router.pipeline.connection import Decision


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one request.

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


class Item:
    """A message on its way.

    Attributes:
        offset: its place in the log.
        message_id: its id.
        keys: whose order it belongs to.
        body: its wire JSON.
        replay: as `Event.replay`.
        decision: what the connection makes of it; None while it is parked: it is made again.
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
    """

    __slots__ = (
        "attempts",
        "blockers",
        "body",
        "decision",
        "delivered",
        "ended",
        "followers",
        "group",
        "held",
        "held_at",
        "keys",
        "message_id",
        "not_before",
        "offset",
        "replay",
        "reserved",
        "tried_since",
        "under_way",
        "unplanned",
    )

    def __init__(
        self, offset: int, body: bytes, decision: Decision, replay: str | None = None
    ) -> None:
        self.offset = offset
        self.body = body
        self.replay = replay
        self.message_id = decision.message_id
        self.keys = tuple(dict.fromkeys(decision.user_keys))
        self.decision: Decision | None = decision
        self.delivered = 0
        self.attempts = 0
        self.tried_since: float | None = None
        self.held = 0
        self.held_at: float | None = None
        self.reserved: list[Cost] = []
        self.blockers = 0
        self.followers: list[Item] = []
        self.not_before = 0.0
        self.under_way = False
        self.unplanned = 0
        self.ended = False
        self.group: FailedTogether | None = None

    def __repr__(self) -> str:
        return f"Item({self.offset}, {self.message_id!r})"

    def left(self) -> list[tuple[int, HttpRequest]]:
        """List the requests that the vendor does not have yet, each with its index."""
        requests = () if self.decision is None else self.decision.requests
        return [(i, r) for i, r in enumerate(requests) if not self.delivered >> i & 1]


class FailedTogether:
    """Messages that were refused or failed together, and go out again without any others.

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
