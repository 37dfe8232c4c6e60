"""Event log → pipeline → sender → commit, for one connection.

Messages of one user take effect in the order they came; different users overtake each other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from destination_router.delivery.sender import Sender
from destination_router.delivery.dead_letters import DeadLetterSink
from destination_router.delivery.settings import DeliverySettings
from destination_router.delivery.stats import DeliveryStats
from destination_router.eventlog.base import Event, EventLog
from destination_router.model import HttpRequest, Outcome
from destination_router.pipeline.connection import Connection, Decision

WINDOW = 1000
"""How many messages are read, sent and committed together."""

_CONCURRENT_REQUESTS = 16


class Delivery(msgspec.Struct, frozen=True):
    """What became of one message: what was decided, and how the vendor took it.

    Attributes:
        decision: what the connection made of the message.
        outcome: `delivered` if every request was; else that of the first request that was not.
            None where there was nothing to send.
    """

    decision: Decision
    outcome: Outcome | None = None

    @property
    def failed(self) -> bool:
        """Whether the message was rejected, by us or by the vendor, or could not be sent."""
        if self.outcome is not None:
            return self.outcome.result != "delivered"
        return self.decision.result == "rejected"


Report = Callable[[Sequence[Delivery]], None]
"""Is told what became of messages, as they end; called before they are committed."""


class Source(Protocol):
    """What a worker needs of an event log: `EventLog` is one; a file of messages can be one."""

    async def read(self, connection: str, after: int, limit: int) -> list[Event]:
        """Wait for events after an offset; see `EventLog.read`."""

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        """Mark events as done, in any order; see `EventLog.commit`."""


class Worker:
    """Delivers one connection's messages: in order, packed, within quotas, until all are done.

    A message is committed when the vendor has every request that it caused, when it is not for
    this destination, or when it is kept as a dead letter. All waiting goes by the running event
    loop's clock.

    Args:
        connection: whose work it is.
        log: read and committed under the connection's name.
        sender: the connection's; the caller closes it.
        settings: how patiently, how many at once, and so on.
        dead_letters: keeps what can never be delivered.
        report: is told about every message when it ends, in batches.
        wall_clock: Unix time in seconds, for dead letters.
    """

    stats: DeliveryStats

    def __init__(  # noqa: PLR0913 -- each is a part, by keyword
        self,
        connection: Connection,
        log: Source,
        sender: Sender,
        *,
        dead_letters: DeadLetterSink,
        settings: DeliverySettings | None = None,
        report: Report | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Work until `stop` is called; returns when everything under way has ended.

        Raises:
            Exception: whatever the log raises beyond `LogUnavailableError`, which is waited out.
        """

    async def stop(self, grace: float) -> None:
        """Take no new messages; let what is under way end, for at most `grace` seconds.

        What has not ended by then stays uncommitted and is delivered after the next start.
        Returns when `run` has.
        """


async def work(
    connection: Connection,
    log: EventLog,
    sender: Sender,
    report: Callable[[Sequence[Delivery]], None],
) -> None:
    """Deliver what comes into the log, for ever, window by window.

    Args:
        connection: whose work it is.
        log: read and committed under the connection's name.
        sender: the connection's.
        report: is told about each window before it is committed.
    """
    after = -1
    while True:
        events = await log.read(connection.name, after, WINDOW)
        after = events[-1].offset
        decisions = [connection.decide(event.body) for event in events]
        report(await deliver_in_order(decisions, sender))
        await log.commit(connection.name, [event.offset for event in events])


async def deliver_in_order(decisions: Sequence[Decision], sender: Sender) -> list[Delivery]:
    """Send what was decided, each user's in order, and different users side by side.

    A message that carries two ids of a user waits for what either sent before.
    """
    last_of_user: dict[str, asyncio.Task[Delivery]] = {}
    slots = asyncio.Semaphore(_CONCURRENT_REQUESTS)
    tasks = []
    for decision in decisions:
        before = [last_of_user[key] for key in decision.user_keys if key in last_of_user]
        task = asyncio.create_task(_deliver_after(before, decision, sender, slots))
        last_of_user.update(dict.fromkeys(decision.user_keys, task))
        tasks.append(task)
    return list(await asyncio.gather(*tasks))


async def _deliver_after(
    before: Sequence[asyncio.Task[Delivery]],
    decision: Decision,
    sender: Sender,
    slots: asyncio.Semaphore,
) -> Delivery:
    await asyncio.gather(*before)
    if not decision.requests:
        return Delivery(decision)
    async with slots:
        return Delivery(decision, await _deliver_all(decision.requests, sender))


async def _deliver_all(requests: Sequence[HttpRequest], sender: Sender) -> Outcome:
    """Send a message's requests in order; what follows a failure is not sent."""
    for request in requests:
        outcomes = await sender.deliver(request)
        for outcome in outcomes.values():
            if outcome.result != "delivered":
                return outcome
    return Outcome.delivered()
