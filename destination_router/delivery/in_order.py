"""A handful of messages → the vendor, one request at a time, with no log behind them.

For callers that hold their messages themselves; `worker` is what keeps, packs and commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from destination_router.delivery.ledger import Delivery
from destination_router.delivery.sender import Sender
from destination_router.model import HttpRequest, Outcome
from destination_router.pipeline.connection import Decision


async def deliver_in_order(decisions: Sequence[Decision], sender: Sender) -> list[Delivery]:
    """Send what was decided, each user's in order, and different users side by side.

    A message that carries two ids of a user waits for what either sent before.
    """
    last_of_user: dict[str, asyncio.Task[Delivery]] = {}
    tasks = []
    for decision in decisions:
        before = [last_of_user[key] for key in decision.user_keys if key in last_of_user]
        task = asyncio.create_task(_deliver_after(before, decision, sender))
        last_of_user.update(dict.fromkeys(decision.user_keys, task))
        tasks.append(task)
    return list(await asyncio.gather(*tasks))


async def _deliver_after(
    before: Sequence[asyncio.Task[Delivery]], decision: Decision, sender: Sender
) -> Delivery:
    await asyncio.gather(*before)
    if not decision.requests:
        return Delivery(decision)
    return Delivery(decision, await _deliver_all(decision.requests, sender))


async def _deliver_all(requests: Sequence[HttpRequest], sender: Sender) -> Outcome:
    """Send a message's requests in order; what follows a failure is not sent."""
    for request in requests:
        outcomes = await sender.deliver(request)
        for outcome in outcomes.values():
            if outcome.result != "delivered":
                return outcome
    return Outcome.delivered()
