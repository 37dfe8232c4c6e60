"""Packs a window of messages into requests, and reserves their quotas. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter

import msgspec

from destination_router.contract.records import HttpRequest
from destination_router.delivery.item import Item
from destination_router.delivery.quotas import Costs, Quotas, QuotaWait
from destination_router.delivery.replays import replayed
from destination_router.delivery.states import States
from destination_router.pipeline.connection import Connection, Decision
from destination_router.pipeline.packing import packed

_offset = attrgetter("offset")


class PlannedRequest(msgspec.Struct, frozen=True, eq=False):
    """A request of a window, with its costs and messages.

    Attributes:
        request: single or bulk.
        costs: what is reserved for it.
        items: the messages in it, by offset.
        indexes: for each, which of its requests this one stands for; None where that cannot be
            told: then it has them when all steps are done. Instead of a list, None where each has
            but one request, and so is in no other of the window.
    """

    request: HttpRequest
    costs: Costs
    items: Sequence[Item]
    indexes: Sequence[int | None] | None = None

    @property
    def is_all(self) -> bool:
        """Whether none of its messages is in another request of the window."""
        return self.indexes is None

    @property
    def carries(self) -> list[tuple[Item, int | None]]:
        """Its messages, each with the index of its request that this one stands for."""
        if self.indexes is None:
            return [(item, 0) for item in self.items]
        return [*zip(self.items, self.indexes, strict=True)]


class Plan(msgspec.Struct, frozen=True):
    """The plan of a window.

    Attributes:
        steps: the requests, in order.
        kept_back: the messages that a quota keeps back after all, and why.
        skipped: how many requests were left out because the vendor has exactly that already.
        finished: messages of which nothing is left to send.
    """

    steps: list[PlannedRequest]
    kept_back: list[tuple[Item, QuotaWait]]
    skipped: int
    finished: list[Item]


class UndecidedError(Exception):
    """A message that was to be sent cannot be decided again."""


class Planner:
    """Admits messages to a window and turns the window into steps.

    Args:
        connection: whose messages they are; its plugin packs.
        quotas: what its vendor allows.
        states: what its vendor has already.
    """

    def __init__(self, connection: Connection, quotas: Quotas, states: States) -> None:
        self._connection = connection
        self._packs = "pack" in connection.plugin.capabilities
        self._quotas = quotas
        self._states = states
        self._windows = 0
        self._updating: set[Item] = set()
        """Messages under way of which a request counts in `states`: nearly always few."""

    def admit(self, item: Item, now: float) -> QuotaWait | None:
        """Reserve the least that a message takes, or return what stands in its way."""
        self._decide(item)
        if self._quotas.are_none:
            return None
        price = self._quotas.bulk_costs if self._packs else self._quotas.costs
        costs = [
            cost
            for _, request in item.left()
            if not self._states.repeats(request)
            for cost in price(request)
        ]
        wait = self._quotas.reserve(costs, now)
        if wait is None:
            item.reserved = costs
        return wait

    def plan(self, items: Sequence[Item], now: float) -> Plan:
        """Pack the admitted messages, and reserve the quotas of the result.

        A few requests may cost something else than expected (for example, a single one and not a
        bulk), and not fit. Then their messages are kept back, and the rest is packed without them.
        """
        item: Item
        for item in items:
            if item.decision is None:
                self._decide(item)
        if not self._quotas.are_none:
            for item in items:
                self._quotas.release(item.reserved)
                item.reserved = ()
        finished, sent, singles, skipped = self._parted(items)
        kept_back: list[tuple[Item, QuotaWait]] = []
        while True:
            steps = self._steps(sent, singles)
            unpaid = self._pay(steps, now)
            if unpaid is None:
                return Plan(steps, kept_back, skipped, finished)
            step, wait = unpaid
            gone = _with_later_ones({*step.items}, sent)
            kept_back += [(item, wait) for item in gone]
            self.forget(gone)
            sent = [item for item in sent if item not in gone]
            singles = plain_singles(sent)

    def send_again(self, decision: Decision) -> None:
        """Let a replay send its updates, although the vendor may have them already."""
        for request in decision.requests:
            self._states.forget(request)

    def forget(self, items: Iterable[Item]) -> None:
        """Note that the remaining requests of messages failed this time."""
        for item in self._no_longer_updating(items):
            for _, request in item.left():
                self._states.end(request, delivered=False)

    def delivered(self, item: Item, index: int) -> None:
        """Note that the vendor has one of a message's requests."""
        for position, request in item.left():
            if position == index:
                self._states.end(request, delivered=True)
                item.delivered |= 1 << position

    def all_delivered(self, items: Iterable[Item]) -> None:
        """Note that the vendor has all that was left of messages."""
        for item in self._no_longer_updating(items):
            for _, request in item.left():
                self._states.end(request, delivered=True)

    def _no_longer_updating(self, items: Iterable[Item]) -> list[Item]:
        """Find the messages of which a request counts in `states`, in order. It is to be ended."""
        if not self._updating:
            return []
        found = [item for item in items if item in self._updating]
        self._updating.difference_update(found)
        return found

    def _decide(self, item: Item) -> None:
        """Decide about a parked message again. It was one to send."""
        if item.decision is not None:
            return
        decision = replayed(self._connection.decide(item.body), item.replay)
        if decision.result != "requests":  # else it would count as delivered
            raise UndecidedError
        item.decision = decision

    def _parted(
        self, items: Sequence[Item]
    ) -> tuple[list[Item], list[Item], list[HttpRequest] | None, int]:
        """Leave out updates that the vendor has, and part what is sent from what is finished.

        All in one look at each message: a window fits into no processor's cache.

        Returns:
            The messages with nothing left to send; the others; `plain_singles` of the others; and
            how many requests were left out.
        """
        self._windows += 1
        finished: list[Item] = []
        sent: list[Item] = []
        singles: list[HttpRequest] = []
        skipped = 0
        is_plain = True
        item: Item
        decision: Decision | None
        first: HttpRequest
        for item in items:
            decision = item.decision
            requests = () if decision is None else decision.requests
            if len(requests) == 1:
                (first,) = requests
                if first.state_key is not None:
                    skipped += self._leave_out_repeats(item, requests)
                if not item.delivered:  # as nearly all
                    sent.append(item)
                    singles.append(first)
                    continue
            else:
                skipped += self._leave_out_repeats(item, requests)
            if item.left():
                sent.append(item)
                is_plain = False
            else:
                finished.append(item)
        return finished, sent, singles if is_plain else None, skipped

    def _leave_out_repeats(self, item: Item, requests: Sequence[HttpRequest]) -> int:
        """Take what repeats what the vendor has for delivered. Return how many requests do."""
        skipped = 0
        for position, request in enumerate(requests):
            if request.state_key is None or item.delivered >> position & 1:
                continue
            if self._states.repeats(request):
                item.delivered |= 1 << position
                skipped += 1
            else:
                self._states.begin(request, self._windows)
                self._updating.add(item)
        return skipped

    def _pay(
        self, steps: Sequence[PlannedRequest], now: float
    ) -> tuple[PlannedRequest, QuotaWait] | None:
        for position, step in enumerate(steps):
            wait = self._quotas.reserve(step.costs, now)
            if wait is not None:
                for paid in steps[:position]:
                    self._quotas.release(paid.costs)
                return step, wait
        return None

    def _steps(
        self, items: Sequence[Item], plain: list[HttpRequest] | None
    ) -> list[PlannedRequest]:
        singles = [r for item in items for _, r in item.left()] if plain is None else plain
        # A single request is packed already.
        requests = packed(self._connection, singles) if len(singles) > 1 else singles
        carried = None if plain is None else plain_carriers(items, plain, requests)
        if carried is None:
            return self._steps_of_any(items, requests)
        return [
            PlannedRequest(request, self._costs(request), own)
            for request, own in zip(requests, carried, strict=True)
        ]

    def _costs(self, request: HttpRequest) -> Costs:
        return () if self._quotas.are_none else self._quotas.costs(request)

    def _steps_of_any(
        self, items: Sequence[Item], requests: Sequence[HttpRequest]
    ) -> list[PlannedRequest]:
        left = {item: item.left() for item in items}
        carried = carriers(left, requests)
        total = Counter(chain.from_iterable(carried))
        seen: dict[Item, int] = {}
        steps = []
        for request, its_items in zip(requests, carried, strict=True):
            indexes: list[int | None] = []
            for item in its_items:
                own, count = left[item], total[item]
                if len(own) != count:
                    indexes.append(None)
                elif count == 1:
                    indexes.append(own[0][0])
                else:
                    at = seen.get(item, 0)
                    indexes.append(own[at][0])
                    seen[item] = at + 1
            steps.append(PlannedRequest(request, self._costs(request), its_items, indexes))
        return steps


def plain_singles(items: Sequence[Item]) -> list[HttpRequest] | None:
    """Get the requests of messages that have one undelivered request each; else None."""
    singles: list[HttpRequest] = []
    for item in items:
        requests = () if item.decision is None else item.decision.requests
        if item.delivered or len(requests) != 1:
            return None
        singles += requests
    return singles


def plain_carriers(
    items: Sequence[Item], singles: Sequence[HttpRequest], requests: Iterable[HttpRequest]
) -> list[list[Item]] | None:
    """As `carriers`, of messages with a request each, in which each is once; else None.

    Args:
        items: the messages.
        singles: the request of each.
        requests: the packed ones.
    """
    own = [single.message_ids for single in singles]
    by_id = dict(zip(chain.from_iterable(own), items, strict=False))
    if len(by_id) != len(items) or {1} != {*map(len, own)}:
        return None
    carried = [[by_id[message_id] for message_id in request.message_ids] for request in requests]
    if sum(map(len, carried)) != len(items):
        return None
    for group in carried:
        group.sort(key=_offset)
    return carried


def carriers(
    left: Mapping[Item, Sequence[tuple[int, HttpRequest]]], requests: Iterable[HttpRequest]
) -> list[list[Item]]:
    """Find the messages that each packed request carries, by offset.

    Args:
        left: the messages, with those of their requests that were packed.
        requests: the packed ones.
    """
    by_id: dict[str, list[Item]] = {}
    for item, own in left.items():
        for _, request in own:
            for message_id in request.message_ids:
                known = by_id.get(message_id)
                if known is None:
                    by_id[message_id] = [item]
                elif known[-1] is not item:
                    known.append(item)
    carried = []
    for request in requests:
        found = dict.fromkeys(
            chain.from_iterable(by_id.get(message_id, ()) for message_id in request.message_ids)
        )
        carried.append(sorted(found, key=_offset))
    return carried


def _with_later_ones(kept_back: set[Item], items: Sequence[Item]) -> dict[Item, None]:
    """Add messages that come after those that are kept back, because they may not overtake them."""
    users: set[str] = set()
    found: dict[Item, None] = {}
    for item in items:
        if item in kept_back or not users.isdisjoint(item.keys):
            users.update(item.keys)
            found[item] = None
    return found
