"""Sends the requests of one window in order, and reports each message's result to its owner.

A request waits for earlier ones with messages of the same users. Requests of different users go in
parallel. A request is sent only if all its messages are still to be sent: if one was refused or has
to be retried, the others return to the schedule at once and are packed without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Protocol, assert_never, get_args

from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.item import Answer, Item
from destination_router.delivery.outcomes import Next, outcome_of, own_request, what_now
from destination_router.delivery.plan import Plan, PlannedRequest

_Told = tuple[Item, int | None, Outcome]
"""A message, the index of its request, and its outcome."""

_keys = attrgetter("keys")

_ORDER: tuple[Next, ...] = get_args(Next)
"""All next steps of a message. One that is missing here would be forgotten."""


class WindowOwner(Protocol):
    """Sends the requests of a window, and gets the results of its messages."""

    def may_send(self) -> bool:
        """Whether another request may go out now."""

    async def send(self, planned: PlannedRequest) -> Answer:
        """Send a planned request."""

    def took(self, item: Item, index: int) -> None:
        """The vendor took one of a message's requests, and others are still to come."""

    def delivered(self, items: Sequence[Item]) -> None:
        """The vendor has all of these messages."""

    def again(self, items: Sequence[Item]) -> None:
        """Messages that were not at fault go out again at once."""

    def retry(self, items: Sequence[Item], outcomes: Sequence[Outcome], answer: Answer) -> None:
        """The vendor could not take messages now."""

    def apart(self, items: Sequence[Item]) -> None:
        """One of several messages is at fault."""

    def held(self, items: Sequence[Item], outcomes: Sequence[Outcome], answer: Answer) -> None:
        """The vendor takes nothing of this connection now, or not these messages."""

    def dead_letter(
        self, item: Item, request: HttpRequest | None, outcome: Outcome, answer: Answer
    ) -> None:
        """The vendor will never take a message; `request` is its own one that was refused."""


class Window:
    """Sends a plan's requests.

    Args:
        plan: what to send.
        owner: sends, and is told.
    """

    def __init__(self, plan: Plan, owner: WindowOwner) -> None:
        self._requests = plan.steps
        self._owner = owner
        self._sent: set[PlannedRequest] = set()
        self._withdrawn: set[Item] = set()
        self._blocked_users: set[str] = set()
        self._left: dict[Item, int] = {}
        # A message that is in one request alone gets its entry only where that fares otherwise
        # than all of it delivered.
        self._unopened: dict[PlannedRequest, None] = {}
        left = self._left
        for planned in plan.steps:
            if planned.is_all:
                self._unopened[planned] = None
                continue
            for item in planned.items:
                left[item] = left.get(item, 0) + 1

    async def run(self) -> None:
        """Send everything that can be sent. Returns when the owner has all results."""
        if len(self._requests) == 1:
            await self._after((), self._requests[0])
            return
        last_of_user: dict[str, asyncio.Task[None]] = {}
        sent: list[asyncio.Task[None]] = []
        try:
            for planned in self._requests:
                before: set[asyncio.Task[None]] = set()
                if last_of_user:
                    users = chain.from_iterable(map(_keys, planned.items))
                    before = {last_of_user[key] for key in last_of_user.keys() & users}
                task = asyncio.create_task(self._after(before, planned))
                sent.append(task)
                if len(sent) < len(self._requests):  # nothing comes after the last one
                    users = chain.from_iterable(map(_keys, planned.items))
                    last_of_user.update(dict.fromkeys(users, task))
            await asyncio.gather(*sent)
        finally:
            for task in sent:
                task.cancel()

    def unsent(self) -> list[PlannedRequest]:
        """List the requests that were not sent."""
        return [planned for planned in self._requests if planned not in self._sent]

    def untold(self) -> list[Item]:
        """List the messages without a result."""
        unopened = chain.from_iterable(planned.items for planned in self._unopened)
        left = (item for item, left in self._left.items() if left)
        return [item for item in chain(unopened, left) if item not in self._withdrawn]

    async def _after(self, before: Iterable[asyncio.Task[None]], planned: PlannedRequest) -> None:
        for earlier in before:
            await earlier
        if self._broken(planned) or not self._owner.may_send():
            self._return([item for item in planned.items if item not in self._withdrawn])
            return
        self._sent.add(planned)
        answer = await self._owner.send(planned)
        self._tell(planned, answer)

    def _broken(self, planned: PlannedRequest) -> bool:
        return bool(self._withdrawn) and any(
            item in self._withdrawn or not self._blocked_users.isdisjoint(item.keys)
            for item in planned.items
        )

    def _tell(self, planned: PlannedRequest, answer: Answer) -> None:
        """Report each message of a request to the owner by its outcome."""
        if answer.is_all_delivered:
            if planned.is_all:
                self._unopened.pop(planned)
                self._owner.delivered(planned.items)
            else:
                self._advance(planned.carries)
            return
        if planned.is_all:
            self._unopened.pop(planned)
            self._left.update(dict.fromkeys(planned.items, 1))
        outcomes = [outcome_of(item, answer) for item in planned.items]
        todo: dict[Next, list[_Told]] = {}
        for (item, index), outcome, now in zip(
            planned.carries, outcomes, what_now(outcomes), strict=True
        ):
            todo.setdefault(now, []).append((item, index, outcome))
        for now in _ORDER:
            if told := todo.pop(now, None):
                self._do(now, told, answer)

    def _do(self, now: Next, told: Sequence[_Told], answer: Answer) -> None:
        match now:
            case "delivered":
                self._advance([(item, index) for item, index, _ in told])
            case "dead_letter":
                for item, index, outcome in told:
                    self._withdrawn.add(item)
                    self._owner.dead_letter(item, own_request(item, index), outcome, answer)
            case "apart":
                items = [item for item, _, _ in told]
                self._withdraw(items)
                self._owner.apart(items)
            case "at_once":
                self._return([item for item, _, _ in told])
            case "later" | "held":
                told = [each for each in told if each[0] not in self._withdrawn]
                items = [item for item, _, _ in told]
                outcomes = [outcome for _, _, outcome in told]
                self._withdraw(items)
                if items and now == "later":
                    self._owner.retry(items, outcomes, answer)
                elif items:
                    self._owner.held(items, outcomes, answer)
            case _:
                assert_never(now)

    def _advance(self, taken: Sequence[tuple[Item, int | None]]) -> None:
        """Note that the vendor took a request of messages, and find those that are complete."""
        left, ended = self._left, []
        for item, index in taken:
            left[item] = more = left[item] - 1
            if not more:
                ended.append(item)
            elif index is not None:
                self._owner.took(item, index)
        if ended:
            self._owner.delivered(ended)

    def _return(self, items: Sequence[Item]) -> None:
        if items:
            self._withdraw(items)
            self._owner.again(items)

    def _withdraw(self, items: Iterable[Item]) -> None:
        for item in items:
            self._withdrawn.add(item)
            self._blocked_users.update(item.keys)
