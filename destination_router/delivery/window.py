"""One window on its way: its steps are sent in order, and each message's fate goes to the schedule.

A step waits for earlier ones that carry messages of its users; steps of different users go side by
side. It is sent only if all its messages are still on their way: when one was refused or has to be
sent again, the others return to the schedule at once, to be packed without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.item import Answer, Item
from destination_router.delivery.plan import Plan, Step


class Tower(Protocol):
    """Who sends a flight off, and is told how its messages fare."""

    def may_send(self) -> bool:
        """Whether another request may go out now."""

    async def send(self, step: Step) -> Answer:
        """Send one step's request."""

    def has(self, item: Item, index: int | None) -> None:
        """The vendor has one of a message's requests, or all that were left (None)."""

    def delivered(self, item: Item) -> None:
        """The vendor has all of a message."""

    def again(self, items: Sequence[Item]) -> None:
        """Messages that were not at fault go out again at once."""

    def retry(self, items: Sequence[Item], outcomes: Sequence[Outcome], answer: Answer) -> None:
        """The vendor could not take messages now."""

    def apart(self, items: Sequence[Item]) -> None:
        """One of several messages is at fault."""

    def bury(
        self, item: Item, request: HttpRequest | None, outcome: Outcome, answer: Answer
    ) -> None:
        """The vendor will never take a message; `request` is its own one that was refused."""


class Flight:
    """Sends a plan's steps.

    Args:
        plan: what to send.
        tower: sends, and is told.
    """

    def __init__(self, plan: Plan, tower: Tower) -> None:
        self._steps = plan.steps
        self._tower = tower
        self._sent: set[Step] = set()
        self._grounded: set[Item] = set()
        self._blocked_users: set[str] = set()
        self._steps_left: dict[Item, int] = {}
        for step in plan.steps:
            for item, _ in step.carries:
                self._steps_left[item] = self._steps_left.get(item, 0) + 1

    async def run(self) -> None:
        """Send everything that can be sent; returns when each message's fate is told."""
        last_of_user: dict[str, int] = {}
        sent: list[asyncio.Task[None]] = []
        try:
            for index, step in enumerate(self._steps):
                users = {key for item, _ in step.carries for key in item.keys}
                before = {last_of_user[key] for key in users if key in last_of_user}
                sent.append(asyncio.create_task(self._after([sent[i] for i in before], step)))
                last_of_user.update(dict.fromkeys(users, index))
            await asyncio.gather(*sent)
        finally:
            for task in sent:
                task.cancel()

    def unsent(self) -> list[Step]:
        """List the steps that were not sent."""
        return [step for step in self._steps if step not in self._sent]

    def untold(self) -> list[Item]:
        """List the messages whose fate was not told."""
        return [i for i, left in self._steps_left.items() if left and i not in self._grounded]

    async def _after(self, before: Iterable[asyncio.Task[None]], step: Step) -> None:
        for earlier in before:
            await earlier
        if self._broken(step) or not self._tower.may_send():
            self._return([item for item, _ in step.carries if item not in self._grounded])
            return
        self._sent.add(step)
        answer = await self._tower.send(step)
        self._tell(step, answer)

    def _broken(self, step: Step) -> bool:
        return any(
            item in self._grounded or not self._blocked_users.isdisjoint(item.keys)
            for item, _ in step.carries
        )

    def _tell(self, step: Step, answer: Answer) -> None:
        fates: dict[str, list[tuple[Item, int | None]]] = {}
        for item, index in step.carries:
            fates.setdefault(_outcome(item, answer).result, []).append((item, index))
        for item, index in fates.get("delivered", ()):
            self._advance(item, index)
        suspects = fates.get("suspect", [])
        guilty = fates.get("rejected", [])
        if len(suspects) == 1:
            guilty, suspects = guilty + suspects, []
        for item, index in guilty:
            self._grounded.add(item)
            self._tower.bury(item, _own(item, index), _outcome(item, answer), answer)
        if suspects:
            self._ground([item for item, _ in suspects])
            self._tower.apart([item for item, _ in suspects])
        retried = [item for item, _ in fates.get("retry", ())]
        self._tell_retries(retried, answer, blamed=bool(guilty or suspects))

    def _tell_retries(self, items: Sequence[Item], answer: Answer, *, blamed: bool) -> None:
        """Send again what failed; at once, if it only failed along with others that are named."""
        named = blamed or any(_outcome(item, answer).after for item in items)
        innocent = [item for item in items if named and _outcome(item, answer).after == 0]
        self._return(innocent)
        failed = [item for item in items if item not in self._grounded]
        if failed:
            self._ground(failed)
            outcomes = [_outcome(item, answer) for item in failed]
            self._tower.retry(failed, outcomes, answer)

    def _advance(self, item: Item, index: int | None) -> None:
        self._steps_left[item] -= 1
        if index is not None:
            self._tower.has(item, index)
        if self._steps_left[item] == 0:
            self._tower.has(item, None)
            self._tower.delivered(item)

    def _return(self, items: Sequence[Item]) -> None:
        if items:
            self._ground(items)
            self._tower.again(items)

    def _ground(self, items: Iterable[Item]) -> None:
        for item in items:
            self._grounded.add(item)
            self._blocked_users.update(item.keys)


def _outcome(item: Item, answer: Answer) -> Outcome:
    """Find the worst of what happened to the ids under which a message is in a request."""
    found = answer.outcomes.get(item.message_id)
    if found is not None:
        return found
    ids = [i for _, request in item.left() for i in request.message_ids if i in answer.outcomes]
    outcomes = [answer.outcomes[i] for i in ids] or list(answer.outcomes.values())
    return next((o for o in outcomes if o.result != "delivered"), outcomes[0])


def _own(item: Item, index: int | None) -> HttpRequest | None:
    """Find a message's own request: the one that was refused, else the first that is left."""
    left = item.left()
    return next((r for i, r in left if index is None or i == index), left[0][1] if left else None)
