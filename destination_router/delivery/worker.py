"""Event log → pipeline → schedule → sender → commit, for one connection.

Messages of one user take effect in their order. Different users may overtake each other.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import groupby

from destination_router.delivery.asking import Asking
from destination_router.delivery.attempts import POISONED, TRIES, Attempts
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.dispatch import Dispatch
from destination_router.delivery.ledger import Delivery, EventSource, Ledger, Report
from destination_router.delivery.observer import Observer
from destination_router.delivery.pairings import Pairings
from destination_router.delivery.permission import Permission
from destination_router.delivery.quarantine import Watch
from destination_router.delivery.replays import replayed
from destination_router.delivery.sender import Sender
from destination_router.delivery.stats import DeliveryStats
from destination_router.eventlog.dead_letter import (
    DeadLetter,
    DeadLetterSink,
    DroppedDeadLetters,
    expired_letter,
    tell_expired,
)
from destination_router.eventlog.interface import AttemptBook, Event, PairingBook, StandingBook
from destination_router.eventlog.memory import MemoryPairings
from destination_router.faults import PASSED_ON, whereabouts
from destination_router.garbage import Sweep
from destination_router.pipeline.connection import Connection, Decision, Refusal
from destination_router.pipeline.packing import packed

__all__ = ["Delivery", "EventSource", "Report", "Worker", "work"]

_DECIDED_AT_ONCE = 100
_SHARE_FOR_COMMITS = 0.2
_SHORTEST_LOOK, _LONGEST_LOOK = 1.0, 60.0
"""The seconds between two looks for messages that are too old: a look asks each that waits."""

_SENT = {"requests"}
_NEW = {None}  # of events that are no replays


class Worker:
    """Delivers one connection's messages: in order, packed, and within quotas.

    A message is committed when the vendor has every request that it caused, when it is not for
    this destination, or when it is kept as a dead letter. All waiting goes by the running event
    loop's clock. Make it where the event loop runs.

    Args:
        connection: whose work it is.
        log: read and committed under the connection's name.
        sender: the connection's; the caller closes it.
        settings: how patiently, how many at once, and so on.
        pairings: where the ties are kept that the vendor limits; None: in memory.
        standing: where it is kept how the connection stands with its vendor, and what a person
            says of it; None: nowhere.
        quarantine: holds back identities that too many carry; None: none.
        attempts: where it is kept what is at hand, in case the process dies; None: nowhere.
        may_send: says whether this process may deliver now: another one may have taken over; None:
            it always may.
        max_age: the age in seconds at which a message that waits here becomes a dead letter, too;
            None: never.
        dead_letters: keeps what can never be delivered.
        report: is told about every message when it ends, in batches.
        observer: looks on; None: nobody does.
        wall_clock: Unix time in seconds, for dead letters.
        chance: from 0 to 1, evenly; spreads retries that would happen at once.
    """

    def __init__(  # noqa: PLR0913 -- each is a part, by keyword
        self,
        connection: Connection,
        log: EventSource,
        sender: Sender,
        *,
        dead_letters: DeadLetterSink,
        settings: DeliverySettings | None = None,
        pairings: PairingBook | None = None,
        standing: StandingBook | None = None,
        quarantine: Watch | None = None,
        attempts: AttemptBook | None = None,
        may_send: Callable[[], bool] | None = None,
        max_age: float | None = None,
        report: Report | None = None,
        observer: Observer | None = None,
        wall_clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._connection = connection
        self._observer = observer
        self._log = log
        self._quarantine = quarantine or Watch(connection.name)
        self._wall_clock = wall_clock
        self._max_age = max_age
        self._attempts = Attempts(connection.name, attempts)
        self._stats = DeliveryStats()
        self._ledger = Ledger(connection.name, log, dead_letters, report)
        self._is_owner = may_send or _always
        settings = settings or DeliverySettings()
        self._clock = asyncio.get_running_loop().time
        self._permission = Permission(connection.name, settings, standing, self._clock, wall_clock)
        self._asking = sender.asking = Asking(connection, settings, wall_clock)
        self._dispatch = Dispatch(
            connection,
            asking=self._asking,
            sender=sender,
            ledger=self._ledger,
            pairings=Pairings(connection.plugin.name, pairings or MemoryPairings(), wall_clock),
            permission=self._permission,
            settings=settings,
            stats=self._stats,
            attempts=self._attempts,
            is_owner=self._is_owner,
            ages=max_age is not None,
            wall_clock=wall_clock,
            chance=chance,
            observer=observer,
        )
        self._permission.heard = self._dispatch.changed.set
        self._room = asyncio.Event()
        self._sweep = Sweep()
        self._coming: dict[int, Event] = {}  # about which a plugin elsewhere is asked, or will be
        self._read_at = 0.0
        self._stop_by: float | None = None
        self._ended = asyncio.Event()

    @property
    def stats(self) -> DeliveryStats:
        """Its counts and current state, as one updated record."""
        self._dispatch.update_stats()
        return self._stats

    def seconds_for(self, share: float) -> float:
        """Estimate the least time that quotas need for a share of what was sent so far."""
        return self._dispatch.seconds_for(share)

    def quota_use(self) -> dict[str, tuple[int, int]]:
        """Return the used and total amount of each quota of the connection."""
        return self._dispatch.quota_use()

    async def run(self) -> None:
        """Work until `stop` is called; returns when everything under way has ended.

        Raises:
            Exception: whatever the log raises beyond `LogUnavailableError`, which is waited out.
        """
        reading = asyncio.create_task(self._read())
        committing = asyncio.create_task(self._ledger.run())
        standing = asyncio.create_task(self._permission.run())
        expiring = asyncio.create_task(self._expire())
        tasks = (reading, committing, standing, expiring)
        for task in tasks:
            task.add_done_callback(lambda _: self._dispatch.changed.set())
        try:
            while self._stop_by is None:
                for task in tasks:
                    if task.done():
                        task.result()
                self._dispatch.changed.clear()
                while self._dispatch.launch():
                    pass
                self._room.set()
                await self._until_something_changes()
            reading.cancel()
            expiring.cancel()
            await self._dispatch.finish(self._stop_by)
            await self._ledger.flush()
            await self._permission.keep()
        finally:
            for task in tasks:
                task.cancel()
            await self._dispatch.finish(0.0)
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._asking.close()
            self._ended.set()

    async def stop(self, grace: float) -> None:
        """Take no new messages, and let requests under way end within `grace` seconds.

        What has not ended by then stays uncommitted and is delivered after the next start.
        Returns when `run` has.
        """
        self._stop_by = self._clock() + grace * (1 - _SHARE_FOR_COMMITS)
        self._dispatch.changed.set()
        await self._ended.wait()

    async def _until_something_changes(self) -> None:
        try:
            async with asyncio.timeout_at(self._dispatch.wake_at()):
                await self._dispatch.changed.wait()
        except TimeoutError:
            pass

    async def _read(self) -> None:
        after = -1
        await self._attempts.open()
        await self._quarantine.open()
        await self._permission.open()
        while True:
            while not (room := self._dispatch.room):
                self._room.clear()
                await self._room.wait()
            events = await self._log.read(self._connection.name, after, room)
            after = events[-1].offset
            if self._asking.is_needed:
                self._read_at = self._wall_clock()
                self._coming = {event.offset: event for event in events}
            self._sweep.saw(sum([len(event.body) for event in events]))
            while events:
                # Those that are decided go at once, and with them what was decoded of them.
                some, events = events[:_DECIDED_AT_ONCE], events[_DECIDED_AT_ONCE:]
                self._dispatch.expect_more(are_at_hand=bool(events))
                await self._take_in_next(some)
                await asyncio.sleep(0)
            await self._quarantine.keep(self._wall_clock())
            self._dispatch.changed.set()

    async def _expire(self) -> None:
        """Give up what grows too old while it waits here, for ever.

        The log does so with what it has not handed out.
        """
        if (max_age := self._max_age) is None:
            await asyncio.get_running_loop().create_future()
            return
        while True:
            await asyncio.sleep(min(_LONGEST_LOOK, max(_SHORTEST_LOOK, max_age / 10)))
            self._expire_coming(max_age)
            self._dispatch.expire(max_age)

    def _expire_coming(self, max_age: float) -> None:
        """Give up what grows too old before a plugin in another process answers for it."""
        if not self._coming or not self._is_owner():
            return
        now, connection = self._wall_clock(), self._connection
        old = [
            event
            for event in self._coming.values()
            if (self._read_at if event.received_at is None else event.received_at) <= now - max_age
        ]
        for event in old:
            del self._coming[event.offset]
            body = connection.kept(event.body)
            self._give_up(expired_letter(connection.name, event.offset, body, now))
        self._stats.received += len(old)
        if old:
            tell_expired(connection.name, [event.offset for event in old])

    async def _take_in_next(self, events: Sequence[Event]) -> None:
        """Take in messages, after a plugin in another process has answered for all of them."""
        if not self._asking.is_needed:
            self._take_in_some(events)
            return
        events = [event for event in events if event.offset in self._coming]
        with self._attempts.at_hand([event.offset for event in events]):
            questions = self._asking.noted(
                [partial(self._connection.decide, e.body, source=e.source) for e in events]
            )
        await self._asking.answer(questions)
        # What has grown too old meanwhile has ended.
        if left := [event for event in events if self._coming.pop(event.offset, None)]:
            self._take_in_some(left)
        self._asking.used(questions)

    def _take_in_some(self, events: Sequence[Event]) -> None:
        """Take in messages. Those at which a process died go alone."""
        if not self._attempts.suspects:
            self._take_in_together(events)
            return
        for tries, run in groupby(events, key=lambda event: self._attempts.tries(event.offset)):
            if tries == 0:
                self._take_in_together(list(run))
                continue
            for event in run:
                if tries >= TRIES:
                    self._poisoned(event, f"the process ended while it was decided, {tries} times")
                    continue
                with self._attempts.at_hand([event.offset]):
                    self._take_in([event], [None], alone=True)

    def _take_in_together(self, events: Sequence[Event]) -> None:
        with self._attempts.at_hand([event.offset for event in events]):
            self._take_in(events, self._together(events))

    def _take_in(
        self, events: Sequence[Event], made: Sequence[Decision | None], *, alone: bool = False
    ) -> None:
        """Decide about messages, and pass them on.

        Args:
            events: the messages.
            made: for each, what the connection has decided already, if it has.
            alone: it is one, and is packed, too, while it is at hand.
        """
        self._stats.received += len(events)
        judged = self._judged_together(events, made)
        if judged is not None and not alone and {made.result for made in judged} == _SENT:
            self._note(events, judged)
            self._dispatch.add(events, judged)
            return
        decided = map(self._decided, events, made) if judged is None else judged
        taken: list[Event] = []
        to_send: list[Decision] = []
        for event, decision in zip(events, decided, strict=True):
            if isinstance(decision, str):
                self._poisoned(event, decision)
                continue
            self._note([event], [decision])
            if alone:
                packed(self._connection, list(decision.requests))
            match decision.result:
                case "requests":
                    taken.append(event)
                    to_send.append(decision)
                case "filtered":
                    self._stats.filtered += 1
                    self._ledger.end(Delivery(decision, None, event.offset))
                case "rejected":
                    self._reject(event, decision)
        if to_send:
            self._dispatch.add(taken, to_send)

    def _note(self, events: Sequence[Event], decisions: Sequence[Decision]) -> None:
        """Count what decisions note, and tell the observer of them."""
        if self._observer is not None:
            for event, decision in zip(events, decisions, strict=True):
                self._observer.decided(event, decision)
        self._stats.notes.update([note.code for made in decisions for note in made.notes])

    def _judged_together(
        self, events: Sequence[Event], made: Sequence[Decision | None]
    ) -> Sequence[Decision] | None:
        """Let the quarantine judge messages together. None: each has to be decided by itself."""
        decisions = [decision for decision in made if decision is not None]
        if len(decisions) != len(made) or {event.replay for event in events} != _NEW:
            return None
        now = self._wall_clock()
        times = [now if (at := event.received_at) is None else at for event in events]
        try:
            return self._quarantine.judged_all(decisions, times)
        except PASSED_ON:
            raise
        except BaseException:  # noqa: BLE001 -- no message may stop its neighbours
            return None

    def _together(self, events: Sequence[Event]) -> Sequence[Decision | None]:
        """Decide about messages together. If that fails, return None for each to decide alone."""
        bodies, sources = [event.body for event in events], [event.source for event in events]
        try:
            roots = None if events[0].root is None else [event.root for event in events]
            return self._connection.decide_all(bodies, sources, roots)
        except PASSED_ON:
            raise
        except BaseException:  # noqa: BLE001 -- no message may stop its neighbours
            return [None] * len(events)

    def _decided(self, event: Event, made: Decision | None) -> Decision | str:
        """Decide about a message, or reject it after the third failure."""
        place = ""
        for _ in range(TRIES):
            try:
                decision = made or self._connection.decide(event.body, source=event.source)
                again = event.replay is not None
                if again:
                    decision = replayed(decision, event.replay)
                if decision.result != "requests" or not self._quarantine.is_on:
                    return decision
                known = event.received_at
                received_at = self._wall_clock() if known is None else known
                return self._quarantine.judged(decision, received_at, again=again)
            except PASSED_ON:
                raise
            except BaseException as error:  # noqa: BLE001 -- no message may stop its neighbours
                place = whereabouts(error)
        return place

    def _reject(self, event: Event, decision: Decision) -> None:
        code, detail = "rejected", ""
        if decision.reject is not None:
            code, detail = decision.reject.code, decision.reject.detail
        letter = DeadLetter(
            connection=self._connection.name,
            message_id=decision.message_id,
            offset=event.offset,
            body=self._connection.kept(event.body),
            code=code,
            detail=detail,
            at=self._wall_clock(),
        )
        self._stats.rejected[code] += 1
        self._ledger.end(Delivery(decision, None, event.offset), letter)

    def _poisoned(self, event: Event, place: str) -> None:
        """Give up a message without another attempt."""
        letter = DeadLetter(
            connection=self._connection.name,
            message_id="",
            offset=event.offset,
            body=self._connection.kept_unread(event.body),
            code=POISONED,
            detail=place,
            at=self._wall_clock(),
        )
        self._give_up(letter)

    def _give_up(self, letter: DeadLetter) -> None:
        """End a message that was not decided about."""
        self._stats.rejected[letter.code] += 1
        reject = Refusal(letter.code, letter.detail)
        decision = Decision(message_id=letter.message_id, result="rejected", reject=reject)
        self._ledger.end(Delivery(decision, None, letter.offset), letter)


async def work(connection: Connection, log: EventSource, sender: Sender, report: Report) -> None:
    """Deliver what comes into a log until cancelled, and report it in the log's order.

    For a demo: dead letters are only reported, and the log's offsets run from 0 without a gap.
    """
    ended: list[tuple[int, Delivery]] = []
    reported = 0

    def report_in_order(deliveries: Sequence[Delivery]) -> None:
        nonlocal reported
        for delivery in deliveries:
            heappush(ended, (delivery.offset, delivery))
        ready = []
        while ended and ended[0][0] == reported:
            ready.append(heappop(ended)[1])
            reported += 1
        if ready:
            report(ready)

    dead_letters = DroppedDeadLetters()
    worker = Worker(connection, log, sender, dead_letters=dead_letters, report=report_in_order)
    await worker.run()


def _always() -> bool:
    return True
