"""One connection's consumer: what it reads, its progress, and whether it may still deliver.

A thread reads ahead a little, commits, and learns of partitions that come and go. Requests go out
only during a lease, which each accepted commit renews. So a process that stood still does not send
what another one delivers by now.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from destination_router.eventlog.interface import Event, LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import Address
from destination_router.eventlog.kafka.failures import LOST, RAISED, WHATEVER, error_of, told
from destination_router.eventlog.kafka.groups import TIMEOUT, commit_of, mark_of
from destination_router.eventlog.kafka.marks import CROWDED_CHARACTERS, Mark
from destination_router.eventlog.kafka.offsets import (
    by_partition,
    offset_of,
    partition_of,
    place_of,
)
from destination_router.eventlog.kafka.reading import UnreadableError, found
from destination_router.eventlog.progress import Progress
from destination_router.faults import whereabouts

_AT_ONCE = 1000
_AHEAD = 2000
"""How many events are read ahead, so that a worker rarely waits for a broker."""

_AHEAD_BYTES = 32 * 2**20
_POLL_SECONDS = 0.02
_RENEWAL_SECONDS = 0.5
_BETWEEN_COMMITS = 0.05
_GRACE_SECONDS = 5.0
"""How long requests under way may take when another process takes over."""

_FULL_SECONDS = 1.0
"""After so many seconds the partitions of a worker that takes nothing are paused, and what was
fetched is dropped."""

_RETRY_SECONDS = 2.0
_END = KafkaError._PARTITION_EOF  # noqa: SLF001 -- public, for all its name

_log = logging.getLogger(__name__)


class Leaving(Protocol):
    """A callback that is told that partitions go."""

    def __call__(self, *, is_over: bool) -> None:
        """Note it; `is_over`: everything in hand ended before."""


class _Read(msgspec.Struct, frozen=True):
    """A record that was read ahead; `event` is None if it is not for the connection."""

    partition: int
    offset: int
    event: Event | None
    bytes: int


class _Partition:
    """One partition that this process delivers."""

    def __init__(self, mark: Mark) -> None:
        self.progress = Progress(mark.next - 1, mark.done)
        self.expected = mark.next
        self.done_through = mark.done[-1] if mark.done else mark.next - 1
        """The last offset done when reading began. Up to it, reading adds nothing to a mark."""
        self.sought: tuple[int, int] | None = None
        self.origins: dict[int, Event] = {}

    def mark(self) -> Mark:
        """Its progress: the number and the holes at one moment."""
        progress = self.progress
        return Mark(progress.low + 1, tuple(progress.done_offsets()))


class Reader:
    """Reads the topic of events for one connection.

    Args:
        address: where the topic is.
        connection: the connection's name.
        lease_seconds: how long after an accepted commit requests may begin.
        first_mark: returns where to begin in a partition in which the group has no commit.
    """

    def __init__(
        self,
        address: Address,
        connection: str,
        lease_seconds: float,
        first_mark: Callable[[int], Mark],
    ) -> None:
        self._address = address
        self._name = connection
        self.lease_seconds = lease_seconds
        """How long after an accepted commit requests may begin."""
        self._first_mark = first_mark
        self._loop = asyncio.get_running_loop()
        self._lock = threading.RLock()
        self._partitions: dict[int, _Partition] = {}
        self._ahead: deque[_Read] = deque()
        self._ahead_bytes = 0
        self._changed = asyncio.Event()
        self._lost: asyncio.Future[float] = self._loop.create_future()
        self._let_go = threading.Event()
        self._has_worker = False
        self._leaving = False
        self._broken = False
        self.on_leaving: Leaving = _tell_nobody
        """Is called when partitions go."""
        self.has_left = False
        self.is_paused = False
        self._rewinds_wanted = 0
        self._rewinds_done = 0
        self._is_behind = False
        self._full_since: float | None = None
        self._crowded: frozenset[int] = frozenset()
        self._error: Exception | None = None
        self._accepted_at = float("-inf")
        self._over = threading.Event()
        self._consumer = self._new_consumer()
        self._waiters: list[asyncio.Future[None]] = []
        self._tried_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name=f"kafka-{connection}", daemon=True)
        self._thread.start()

    # -- for the worker, on its event loop -------------------------------------------------------

    async def read(self, after: int, limit: int) -> list[Event]:
        """Wait for events that are neither done nor read yet; after -1, from the start again."""
        if after < 0 and self._has_worker:
            self._rewind()
        self._has_worker = True
        while True:
            if self._error is not None:
                raise self._error
            self._changed.clear()
            if found := self._take(limit):
                return found
            await self._changed.wait()

    async def commit(self, places: Collection[int]) -> None:
        """Note what is done, and commit it to the group, later if it cannot be done now."""
        with self._lock:
            for partition, offsets in by_partition(places).items():
                owned = self._partitions.get(partition)
                if owned is not None:
                    owned.progress.commit(offsets)
                    for offset in offsets:
                        owned.origins.pop(offset, None)
            if not self._partitions or self._leaving:
                return  # whatever gives partitions up commits what is done
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(waiter)
        await waiter

    async def until_assigned(self) -> list[int]:
        """Wait until this process delivers some partitions; return which."""
        while True:
            self._changed.clear()
            with self._lock:
                if self._partitions and not self._leaving:
                    return sorted(self._partitions)
            await self._changed.wait()

    def may_send(self) -> bool:
        """Say whether a request that begins now ends before another process may deliver."""
        with self._lock:
            owns = bool(self._partitions)
        return owns and time.monotonic() - self._accepted_at < self.lease_seconds

    async def until_lost(self) -> float:
        """Wait until another process takes over; return how long requests under way may take."""
        return await asyncio.shield(self._lost)

    def let_go(self) -> None:
        """Say that nothing is in hand any more."""
        self._has_worker = False
        if self._lost.done():
            self._lost = self._loop.create_future()
        self._rewind()
        self._let_go.set()

    def leave(self) -> None:
        """Leave the group for good. Another process that knows the connection delivers."""
        self.has_left = True
        self._over.set()
        self._let_go.set()

    def origin(self, place: int) -> Event | None:
        """Return the event at a place, if it is out with the worker."""
        ((partition, (offset,)),) = by_partition([place]).items()
        owned = self._partitions.get(partition)
        return None if owned is None else owned.origins.get(offset)

    def marks(self) -> dict[int, Mark]:
        """Return the progress of each partition that this process delivers."""
        with self._lock:
            return {number: owned.mark() for number, owned in self._partitions.items()}

    def oldest(self) -> Event | None:
        """Return the oldest event that is out with the worker."""
        with self._lock:
            out = [next(iter(each.origins.values()), None) for each in self._partitions.values()]
        found = [each for each in out if each is not None]
        return min(found, key=lambda each: each.received_at or 0.0, default=None)

    def put_back(self, events: Sequence[Event]) -> None:
        """Put back events that were taken. Those from before a rewind are read again anyway."""
        with self._lock:
            for event in reversed(events):
                if self.origin(event.offset) is not event:
                    continue
                place = event.offset
                each = _Read(partition_of(place), offset_of(place), event, len(event.body))
                self._ahead.appendleft(each)
                self._ahead_bytes += each.bytes

    def take_old(self, before: float) -> list[Event]:
        """Take the events read ahead that came in before a Unix time, to give them up."""
        found: list[Event] = []
        with self._lock:
            while self._ahead and len(found) < _AT_ONCE and not self._leaving:
                event = self._ahead[0].event
                if event is not None and (event.received_at is None or event.received_at >= before):
                    break
                found += self._take_first()
        return found

    def close(self) -> None:
        """Leave the group."""
        self._over.set()
        self._let_go.set()
        self._thread.join()

    # -- what is in hand -------------------------------------------------------------------------

    def _take(self, limit: int) -> list[Event]:
        found: list[Event] = []
        with self._lock:
            while self._ahead and len(found) < limit and not self._leaving:
                found += self._take_first()
        return found

    def _take_first(self) -> list[Event]:
        """Take only the record that was read first; empty if there is nothing to do with it."""
        each = self._ahead.popleft()
        self._ahead_bytes -= each.bytes
        owned = self._partitions[each.partition]
        event = None if owned.progress.is_done(each.offset) else each.event
        owned.progress.hand_out([] if event is None else [each.offset], each.offset)
        if event is None:
            return []
        owned.origins[each.offset] = event
        return [event]

    def _rewind(self) -> None:
        """Read everything again that is not done."""
        with self._lock:
            self._rewinds_wanted += 1
            self._ahead.clear()
            self._ahead_bytes = 0

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._changed.set)

    # -- committing ------------------------------------------------------------------------------

    def _commit_in_turn(self) -> None:
        """Commit what a caller waits for, and from time to time without one."""
        since = time.monotonic() - self._tried_at
        with self._lock:
            is_due = since >= _RENEWAL_SECONDS and bool(self._partitions)
            if not is_due and (since < _BETWEEN_COMMITS or not self._waiters):
                return
            waiters, self._waiters = self._waiters, []
        self._commit(self.marks())
        self._answer(waiters)

    def _commit(self, marks: Mapping[int, Mark]) -> None:
        """Commit progress to the group.

        Call it only in the reading thread. In any other, a commit during a rebalance never ends.
        """
        begun = self._tried_at = time.monotonic()
        if not marks:
            return
        places = [commit_of(self._address, number, mark) for number, mark in marks.items()]
        try:
            answers = self._consumer.commit(offsets=places, asynchronous=False)
            failed = [each.error for each in answers or [] if each.error is not None]
            error = failed[0] if failed else None
        except RAISED as raised:
            error = error_of(raised)
        if error is None:
            self._accepted_at = begun
            self._crowded = frozenset(
                place.partition
                for place in places
                if len(place.metadata or "") >= CROWDED_CHARACTERS
            )
            return
        if error.code() in LOST:
            self._lose(0.0)
        about = {"connection": self._name, "detail": told(error)}
        _log.warning("commit_postponed", extra=about)

    def _answer(self, waiters: Sequence[asyncio.Future[None]]) -> None:
        def tell() -> None:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(tell)

    def _lose(self, grace: float) -> None:
        """Announce that another process delivers, or will, from any thread."""
        if grace == 0.0:
            self._accepted_at = float("-inf")

        def tell() -> None:
            if not self._lost.done():
                self._lost.set_result(grace)

        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell)

    # -- the thread that reads -------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                if self._broken:
                    self._renew_consumer()
                self._read_ahead(self._consumer)
            except LogFileError as error:
                self._error = error
                self._wake()
                self._over.wait(_RETRY_SECONDS)
            except RAISED as error:
                self._postponed(told(error_of(error)))
            except LogUnavailableError as error:
                self._postponed(str(error))
            except Exception as error:  # noqa: BLE001 -- the thread goes on, with a new consumer
                self._broken = True
                self._postponed(whereabouts(error))
        with contextlib.suppress(*WHATEVER):
            self._consumer.close()

    def _read_ahead(self, consumer: Consumer) -> None:
        """Read some records, or only poll for events of the client."""
        if self._rewinds_done != self._rewinds_wanted:
            self._seek(consumer)
        if self._is_behind:
            self._go_back(consumer)
        self._commit_in_turn()
        now = time.monotonic()
        if not self._is_full():
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        if self._full_since is None and self.is_paused:
            consumer.resume(consumer.assignment())
            self.is_paused = False
        elif self._full_since is not None and not self.is_paused:
            if now - self._full_since < _FULL_SECONDS:
                self._over.wait(_POLL_SECONDS / 4)
                return
            # A process that is silent for long loses its partitions: go on, without events.
            consumer.pause(consumer.assignment())
            self.is_paused = True
        messages = consumer.consume(_AT_ONCE, _POLL_SECONDS)
        if messages:
            self._keep(messages)

    def _is_full(self) -> bool:
        with self._lock:
            if len(self._ahead) >= _AHEAD or self._ahead_bytes >= _AHEAD_BYTES:
                return True
            # Metadata that another process left crowded clears once its undone events are read.
            owned = [self._partitions[each] for each in self._crowded & self._partitions.keys()]
        return any(each.expected > each.done_through for each in owned)

    def _keep(self, messages: Sequence[Message]) -> None:
        """Keep consumed records until the worker takes them.

        Nothing here waits for brokers while it holds the lock, because the event loop takes that
        lock for each request. Places and partitions change only in this thread.
        """
        if self._rewinds_done != self._rewinds_wanted:  # these are from before
            return
        kept: list[_Read] = []
        try:
            for message in messages:
                if (error := message.error()) is not None and error.code() != _END:
                    self._trouble(error)
                elif not self._keep_one(message, kept):
                    break
        except RAISED:
            self._is_behind = True
            raise
        finally:
            with self._lock:
                if self._rewinds_done == self._rewinds_wanted:
                    self._ahead += kept
                    self._ahead_bytes += sum(each.bytes for each in kept)
            self._wake()

    def _keep_one(self, message: Message, kept: list[_Read]) -> bool:
        """Keep one message, or the end of a partition; False if it must be read again."""
        partition, offset = message.partition() or 0, message.offset() or 0
        owned = self._partitions.get(partition)
        if owned is None or offset < owned.expected:  # the partition is gone
            return True
        if offset > owned.expected and not self._is_gap(owned, partition, offset):
            return False
        if message.error() is None:
            each = _Read(partition, offset, self._event(message), len(message.value() or b""))
        elif offset == owned.expected:
            return True
        else:  # what was skipped before the end is not for the connection
            each = _Read(partition, offset - 1, None, 0)
        owned.expected = each.offset + 1
        kept.append(each)
        return True

    def _event(self, message: Message) -> Event | None:
        """Read a record; None if it is for others or is no event."""
        try:
            record = found(message)
        except UnreadableError as error:
            about = {"topic": message.topic(), "partition": message.partition() or 0}
            about |= {"offset": message.offset() or 0, "connection": self._name}
            _log.warning("record_skipped", extra={**about, "detail": str(error)})
            return None
        if record.targets and self._name not in record.targets:
            return None
        place = place_of(record.partition, record.offset)
        return Event(place, record.body, record.at, record.source, record.replay)

    def _is_gap(self, owned: _Partition, partition: int, found: int) -> bool:
        """Say whether the offsets between two records hold no event. If not, they are read again.

        Records may have been fetched before a rewind, or be gone. Or the offset holds the end of a
        transaction, which another program wrote.
        """
        expected = owned.expected
        place = TopicPartition(self._address.events, partition)
        first, _ = self._consumer.get_watermark_offsets(place, TIMEOUT)
        if first > expected:
            raise _gone(self._address, self._name, expected)
        if owned.sought == (expected, found):
            about = {"topic": self._address.events, "partition": partition, "offset": expected}
            detail = f"no event is there, and none up to {found}"
            _log.warning(
                "record_skipped", extra={**about, "connection": self._name, "detail": detail}
            )
            return True
        place = TopicPartition(self._address.events, partition, expected)
        self._consumer.seek(place)
        owned.sought = (expected, found)
        return False

    def _seek(self, consumer: Consumer) -> None:
        with self._lock:
            wanted = self._rewinds_wanted
            self._ahead.clear()
            self._ahead_bytes = 0
            places = []
            for number, owned in self._partitions.items():
                mark = owned.mark()
                self._partitions[number] = _Partition(mark)
                places.append(TopicPartition(self._address.events, number, mark.next))
        for place in places:
            consumer.seek(place)
        with self._lock:
            self._rewinds_done = wanted

    def _go_back(self, consumer: Consumer) -> None:
        """Read again what was consumed and not kept: else it would wait for the next event."""
        with contextlib.suppress(*RAISED):  # then the next time
            for number, owned in self._partitions.items():
                consumer.seek(TopicPartition(self._address.events, number, owned.expected))
            self._is_behind = False

    def _trouble(self, error: KafkaError) -> None:
        code = error.code()
        if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):  # noqa: SLF001
            with self._lock:
                at = min((each.expected for each in self._partitions.values()), default=0)
            raise _gone(self._address, self._name, at)
        self._broken = self._broken or error.fatal()
        if code != KafkaError._MAX_POLL_EXCEEDED:  # noqa: SLF001 -- partitions go, and come again
            self._postponed(told(error))

    def _postponed(self, detail: str) -> None:
        _log.warning("read_postponed", extra={"connection": self._name, "detail": detail})
        self._over.wait(_RETRY_SECONDS if self._broken else _POLL_SECONDS)

    def _new_consumer(self) -> Consumer:
        consumer = Consumer(
            {
                **self._address.client,
                "group.id": self._address.group(self._name),
                "group.protocol": "consumer",
                "auto.offset.reset": "error",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "max.poll.interval.ms": 300_000,
                "fetch.message.max.bytes": 4 * 2**20,
                "queued.max.messages.kbytes": 16 * 1024,
                "fetch.wait.max.ms": 100,
                "enable.partition.eof": True,
            }
        )
        consumer.subscribe(
            [self._address.events],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._gave_up,
        )
        return consumer

    def _renew_consumer(self) -> None:
        self._lose(0.0)
        self.on_leaving(is_over=False)
        with contextlib.suppress(*WHATEVER):
            self._consumer.close()
        with self._lock:
            self._partitions.clear()
            self._ahead.clear()
            self._ahead_bytes = 0
            self._broken = False
        self.is_paused = False
        self._consumer = self._new_consumer()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not partitions:
            return
        self._broken = True  # without an assignment, nothing would ever come
        begun: list[TopicPartition] = []
        marks: dict[int, Mark] = {}
        for place in consumer.committed(partitions, TIMEOUT):
            is_known = place.offset >= 0
            mark = mark_of(self._name, place) if is_known else self._first_mark(place.partition)
            marks[place.partition] = mark
            begun.append(TopicPartition(place.topic, place.partition, mark.next))
        with self._lock:
            self._accepted_at = float("-inf")
            self._leaving = False
            self._partitions |= {number: _Partition(mark) for number, mark in marks.items()}
        consumer.incremental_assign(begun)
        # The client remembers that a partition was paused when it went, and would never fetch it.
        # The others are paused again if there is no room.
        consumer.resume(consumer.assignment())
        self.is_paused = False
        self._broken = False
        numbers = [place.partition for place in begun]
        about = {"connection": self._name, "partitions": numbers}
        _log.info("partitions_assigned", extra=about)
        self._wake()
        self._tried_at = float("-inf")

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Give partitions up: what is under way ends first, and is committed."""
        with self._lock:
            self._leaving = True
            waits = self._has_worker and not self._over.is_set()
            if waits:
                self._let_go.clear()
            waiters, self._waiters = self._waiters, []
        self._answer(waiters)
        if waits:
            self._lose(_GRACE_SECONDS)
            self._let_go.wait(3 * _GRACE_SECONDS)
        self._commit(self.marks())
        if self.has_left or not self._over.is_set():
            self.on_leaving(is_over=True)
        self._give_up(consumer, partitions)

    def _gave_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Note that another process delivers already."""
        self._lose(0.0)
        self.on_leaving(is_over=False)
        self._give_up(consumer, partitions)

    def _give_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._lock:
            for place in partitions:
                self._partitions.pop(place.partition, None)
            self._leaving = False
            self._rewind()
            waiters, self._waiters = self._waiters, []
        self._answer(waiters)
        consumer.incremental_unassign(partitions)
        numbers = [place.partition for place in partitions]
        about = {"connection": self._name, "partitions": numbers}
        _log.info("partitions_revoked", extra=about)


def _tell_nobody(*, is_over: bool) -> None:
    del is_over


def _gone(address: Address, connection: str, offset: int) -> LogFileError:
    return LogFileError(
        f"{address.events}: event {offset} is gone, which {connection!r} has not delivered. "
        "Nothing but the router may delete events: see that the topic's retention.ms and "
        f"retention.bytes are -1. `destination-router eventlog forget {connection}` lets it begin "
        "anew"
    )
