"""Records messages that ended: first the dead letters, then the report, then the commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from operator import attrgetter
from typing import Protocol, TypeVar

import msgspec

from destination_router.contract.records import Outcome
from destination_router.eventlog.dead_letter import DeadLetter, DeadLetterSink
from destination_router.eventlog.interface import Event, LogUnavailableError
from destination_router.pipeline.connection import Decision

_offset = attrgetter("offset")

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 10.0

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """The result of one message: the decision, and the vendor's outcome.

    Attributes:
        decision: what the connection made of the message.
        outcome: `delivered` if every request was; else that of the first request that was not.
            None where there was nothing to send.
        offset: the message's place in the log.
    """

    decision: Decision
    outcome: Outcome | None = None
    offset: int = -1

    @property
    def rejected(self) -> bool:
        """Whether the message was refused, by the destination or by the vendor, or given up."""
        if self.outcome is not None:
            return self.outcome.result != "delivered"
        return self.decision.result == "rejected"


Report = Callable[[Sequence[Delivery]], None]
"""Gets the results of messages when they end, before they are committed."""


class EventSource(Protocol):
    """The part of an event log that a worker needs. A file of messages can be one, too."""

    async def read(self, connection: str, after: int, limit: int) -> list[Event]:
        """Wait for events after an offset; see `EventLog.read`."""

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        """Mark events as done, in any order; see `EventLog.commit`."""


class Ledger:
    """Commits messages that ended, in batches.

    Args:
        connection: whose messages they are.
        log: where they are committed.
        dead_letters: where those that were given up are kept before that.
        report: is told about each; None: nobody is.
    """

    def __init__(
        self, connection: str, log: EventSource, dead_letters: DeadLetterSink, report: Report | None
    ) -> None:
        self._connection = connection
        self._log = log
        self._dead_letters = dead_letters
        self._report = report
        self._ended: list[Delivery] = []
        self._offsets: list[int] = []
        self._letters: list[DeadLetter] = []
        self._changed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def end(self, delivery: Delivery, letter: DeadLetter | None = None) -> None:
        """Note that a message ended. `letter` is its dead letter, if it was given up."""
        self._offsets.append(delivery.offset)
        if self._report is not None:
            self._ended.append(delivery)
        if letter is not None:
            self._letters.append(letter)
        self._changed.set()

    def end_all(self, offsets: Sequence[int], deliveries: Callable[[], Iterable[Delivery]]) -> None:
        """Note that messages ended of which none was given up.

        Args:
            offsets: where they are.
            deliveries: makes what became of each, for those who are told.
        """
        self._offsets += offsets
        if self._report is not None:
            self._ended += deliveries()
        self._changed.set()

    async def run(self) -> None:
        """Commit messages that end, for ever."""
        while True:
            await self._changed.wait()
            await self.flush()

    async def flush(self) -> None:
        """Commit everything that has ended so far."""
        async with self._one_at_a_time:
            self._changed.clear()
            ended, self._ended = self._ended, []
            offsets, self._offsets = self._offsets, []
            letters, self._letters = self._letters, []
            if not offsets:
                return
            ordered = sorted(offsets)
            if letters:
                letters.sort(key=_offset)
                await patiently(lambda: self._dead_letters.put(letters))
            if self._report is not None:
                # Mostly they end in order: to see that costs less than to sort them again.
                is_in_order = ordered == offsets
                self._report(ended if is_in_order else sorted(ended, key=_offset))
            await patiently(lambda: self._log.commit(self._connection, ordered))


async def patiently(action: Callable[[], Awaitable[T]]) -> T:
    """Use the log. While it is unavailable (for example, a full disk), wait and try again."""
    wait = _FIRST_WAIT
    while True:
        try:
            return await action()
        except LogUnavailableError as error:
            _log.warning("the event log is unavailable (%s); trying again", error)
            await asyncio.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 2)
