"""The event log on Kafka, where an accepted event is on as many brokers as the topic requires.

Any number of processes append. One process at a time delivers a connection's events of a
partition, and another takes over within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeVar

import msgspec

from destination_router.eventlog.dead_letter import (
    EXPIRED,
    DeadLetter,
    expired_letter,
    tell_expired,
)
from destination_router.eventlog.interface import Event, Lag, LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import Address
from destination_router.eventlog.kafka.alone import alone
from destination_router.eventlog.kafka.books import KafkaBooks
from destination_router.eventlog.kafka.groups import Groups
from destination_router.eventlog.kafka.hands import KafkaAttempts
from destination_router.eventlog.kafka.marks import Mark, read, written
from destination_router.eventlog.kafka.producing import Headers, Producing, Record
from destination_router.eventlog.kafka.reader import Reader
from destination_router.eventlog.kafka.reading import Stretch
from destination_router.eventlog.kafka.room import Room
from destination_router.eventlog.kafka.topics import look, session_seconds, wanted_topics
from destination_router.eventlog.partition import partition_key
from destination_router.eventlog.router_log import KeptAttempts, Kind, Ownership
from destination_router.eventlog.sqlite.dead_letter_store import (
    count_letters,
    delete_letters_before,
    put_letters,
)
from destination_router.eventlog.sqlite.letter_losses import LetterLosses
from destination_router.eventlog.sqlite.letter_room import letter_bytes, make_room
from destination_router.eventlog.sqlite.retention import Retention

T = TypeVar("T")

_LEAST_LEASE = 2.0
_MARGIN = 0.5
_CLEANING_SECONDS = 5.0
_PLACES_SECONDS = 30.0
_LOST_AT_ONCE = 1000
_ALONE_SECONDS = 10.0
"""How long cleaning waits for a command to end. The end of this process may wait as long."""

_log = logging.getLogger(__name__)


class KafkaEventLog:
    """An event log on Kafka.

    Args:
        address: where it is.
        connections: the names of the connections that read, here or in another process.
        delivers: whether this process delivers.
        partitions: how many partitions the topic of events must have.
        replication: how many brokers must hold each topic.
        request_seconds: how long a request to a vendor may take at most.
        start: where a connection that is new to the log begins.
        retention: what is deleted, and when new events are refused.
        kept: for connections that may not keep a whole event in a dead letter, what they keep.
        clock: Unix time, in seconds.

    Raises:
        LogFileError: a topic is missing or wrong, or requests may outlast a session.
        LogUnavailableError: brokers do not answer.
    """

    def __init__(  # noqa: PLR0913 -- each is a setting, by keyword
        self,
        address: Address,
        connections: Iterable[str],
        *,
        delivers: bool = True,
        partitions: int = 1,
        replication: int = 3,
        request_seconds: float = 30.0,
        start: Literal["end", "start"] = "end",
        retention: Retention | None = None,
        kept: Mapping[str, Callable[[bytes], bytes]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._address = address
        self._start: Literal["end", "start"] = start
        self._retention = retention or Retention()
        self._kept = dict(kept or {})
        self._clock = clock
        self._losses = LetterLosses(clock)
        self._expired: Counter[str] = Counter()
        self._groups = Groups(address)
        _see_topics(self._groups, address, partitions, replication)
        self._partitions = range(partitions)
        self._delivers = delivers
        self._lease = 0.0
        if delivers:
            self._lease = _lease(session_seconds(self._groups), request_seconds)
        self._readers: dict[str, Reader] = {}
        self._names = tuple(connections)
        self._expired.update(dict.fromkeys(self._names, 0))
        self._known_lags: dict[str, Lag] = {}
        self._cleaned_at = self._placed_at = float("-inf")
        with contextlib.ExitStack() as opened:
            opened.enter_context(contextlib.closing(self._groups))
            self._producing = opened.enter_context(contextlib.closing(Producing(address)))
            self._stretch = opened.enter_context(contextlib.closing(Stretch(address)))
            self._room = Room(self._groups, self._stretch, self._partitions, self._retention)
            self._books: KafkaBooks | None = None
            if delivers:
                self._books = opened.enter_context(
                    contextlib.closing(KafkaBooks(address, self._producing))
                )
            self._register(self._names)
            opened.pop_all()

    async def admit(
        self,
        connections: Iterable[str],
        *,
        start: Literal["end", "start"],
        kept: Mapping[str, Callable[[bytes], bytes]],
        request_seconds: float | None = None,
    ) -> None:
        """Let more connections read than when the log was opened.

        If requests may take longer from now on, all leases become shorter, those of open readers
        included.
        """
        names = tuple(connections)
        if request_seconds is not None:
            await self._renew_lease(request_seconds)
        self._start = start
        await asyncio.to_thread(self._register, names)
        self._names = tuple(dict.fromkeys([*self._names, *names]))
        self._kept.update(kept)
        self._expired.update(dict.fromkeys(names, 0))

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:
        """Accept events. Enough brokers have all of them when this returns.

        Raises:
            LogUnavailableError: they may or may not have been accepted.
        """
        if not bodies:
            return
        self._room.refuse_if_full()
        at = round(self._clock() * 1000)
        headers: Headers = [] if source is None else [("source", source.encode())]
        topic = self._address.events
        records = [
            Record(topic, partition_key(body).encode() or None, body, headers, at)
            for body in bodies
        ]
        await self._producing.send(records)
        self._room.note(bodies)

    async def read(self, connection: str, after: int, limit: int) -> list[Event]:
        """Wait for events that the connection has not committed, each user's oldest first.

        Raises:
            LogFileError: some that the connection has not delivered are gone.
        """
        return await self._reader(connection).read(after, limit)

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        """Mark events as done. What brokers do not take now goes with a later commit."""
        await self._reader(connection).commit(offsets)

    def ownership(self, connection: str) -> Ownership:
        """Say whether this process delivers a connection's events."""
        return self._reader(connection)

    def announce(self) -> None:
        """Do nothing: readers hear of new events from the brokers."""

    async def release(self, connections: Iterable[str]) -> None:
        """Do nothing: the owner of a connection's partitions reads for it."""

    async def note_attempts_left(self, connections: Iterable[str]) -> None:
        """Do nothing: there is one book for all processes."""

    def attempts(self, share: int | None = None) -> KeptAttempts:  # noqa: ARG002 -- one for all
        """Open the book of messages at hand when a process died."""
        return KafkaAttempts(self._kept_books(), self._reader, self._groups)

    async def transact(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Change something that is remembered. Brokers have it when this returns."""
        return await self._kept_books().transact(write)

    async def query(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Read something that is remembered."""
        return await self._kept_books().query(read)

    async def put(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters. Brokers have them when this returns."""
        known = [self._with_origin(letter) for letter in letters]
        budget = self._retention.letter_budget

        def write(database: sqlite3.Connection) -> Counter[Kind]:
            put_letters(database, known)
            return make_room(database, budget, _LOST_AT_ONCE)

        self._losses.note(await self.transact(write))
        self._expired.update(each.connection for each in letters if each.code == EXPIRED)

    async def clean(self) -> int:
        """Delete some delivered events, and expire those that are too old."""
        done = 0
        if self._retention.max_age is not None:
            for name, reader in tuple(self._readers.items()):
                done += await self._expire(name, reader, self._clock() - self._retention.max_age)
        now = time.monotonic()
        if now - self._cleaned_at < _CLEANING_SECONDS:
            return done
        self._cleaned_at = now
        self._losses.note(
            await self.transact(
                partial(make_room, budget=self._retention.letter_budget, most=_LOST_AT_ONCE)
            )
        )
        if (keep := self._retention.keep_dead_letters) is not None:
            before = self._clock() - keep
            if count := await self.transact(partial(delete_letters_before, moment=before)):
                _log.warning("dead_letters_deleted", extra={"count": count})
                done += count
        if self._kept_books().hides:
            await asyncio.to_thread(self._show_hidden)
        if now - self._placed_at >= _PLACES_SECONDS:
            self._placed_at = now
            await self._note_places()
        places = await self.query(places_of)
        return done + await asyncio.to_thread(self._delete_delivered, places)

    @property
    def max_age(self) -> float | None:
        """The age in seconds at which an undelivered event becomes a dead letter; None: never."""
        return self._retention.max_age

    @property
    def lost_letters(self) -> Mapping[Kind, int]:
        """How many dead letters were deleted for lack of room, by connection and code."""
        return self._losses.counts

    @property
    def expired_events(self) -> Mapping[str, int]:
        """How many events passed `max_age` and became dead letters, by connection."""
        return self._expired

    async def check(self) -> None:
        """Check that brokers take events.

        Raises:
            LogUnavailableError: they do not, or the log is full.
        """
        self._room.refuse_if_full()
        await asyncio.to_thread(self._groups.ends, self._partitions)

    async def lags(self) -> dict[str, Lag]:
        """Return each connection's lag, those of other processes included."""
        with contextlib.suppress(LogUnavailableError):  # then the last known lags count
            self._known_lags = await asyncio.to_thread(self._lags)
        return self._known_lags

    async def size(self) -> int:
        """Return the bytes of events: their number times the mean size of those seen here."""
        return await asyncio.to_thread(self._room.bytes_if_known)

    async def letters_size(self) -> int:
        """Return the bytes of dead letters; 0 in a process that does not deliver."""
        return 0 if self._books is None else await self.query(letter_bytes)

    async def dead_letters(self) -> dict[Kind, int]:
        """Count dead letters that are not replayed; none in a process that does not deliver."""
        return {} if self._books is None else await self.query(count_letters)

    def close(self) -> None:
        """Finish what was asked for, leave the groups, and close."""
        for reader in self._readers.values():
            reader.close()
        self._losses.tell()
        if self._books is not None:
            self._books.close()
        self._stretch.close()
        self._producing.close()
        self._groups.close()

    # -- connections -----------------------------------------------------------------------------

    async def _renew_lease(self, request_seconds: float) -> None:
        session = await asyncio.to_thread(session_seconds, self._groups)
        try:
            self._lease = _lease(session, request_seconds)
        except LogFileError as error:  # the earlier settings still hold
            raise LogUnavailableError(str(error)) from error
        for reader in self._readers.values():  # earlier requests may still be under way
            reader.lease_seconds = min(reader.lease_seconds, self._lease)

    def _reader(self, name: str) -> Reader:
        reader = self._readers.get(name)
        if reader is None or reader.has_left:
            if reader is not None:
                reader.close()
            mark = partial(self._first_mark, name)
            reader = self._readers[name] = Reader(self._address, name, self._lease, mark)
        return reader

    def _register(self, names: Sequence[str]) -> None:
        """Start connections whose groups have no commits."""
        try:
            for name in names:
                self._register_one(name)
        finally:
            if not self._delivers and self._books is not None:
                # A gateway needs the books only for this. To follow them would cost it CPU.
                self._books.close()
                self._books = None

    def _register_one(self, name: str) -> None:
        known = self._groups.marks(name)
        new = [each for each in self._partitions if each not in known]
        if new:
            marks = {each: self._first_mark(name, each) for each in new}
            # First the note by which every process that deletes events knows the connection.
            self._kept_books().transact_and_wait(partial(put_places, marks={name: marks}))
            # If a process delivers it already, that process has committed.
            self._groups.set_marks(name, marks)

    def _first_mark(self, name: str, number: int) -> Mark:
        """Return where a connection begins in a partition in which its group has no commit.

        Brokers forget a group that was off for a week. The books do not.
        """
        first = self._groups.starts([number])[number]
        places = self._kept_books().transact_and_wait(places_of)
        if (kept := places.get(name, {}).get(number)) is not None:
            return kept if kept.next >= first else Mark(first)
        return Mark(first if self._start == "start" else self._groups.ends([number])[number])

    async def _note_places(self) -> None:
        """Note connections' progress, which brokers forget for a group that is off."""
        marks = {name: found for name, each in self._readers.items() if (found := each.marks())}
        if marks:
            await self.transact(partial(put_places, marks=marks))

    def _kept_books(self) -> KafkaBooks:
        if self._books is None:
            self._books = KafkaBooks(self._address, self._producing)
        return self._books

    # -- letters ---------------------------------------------------------------------------------

    def _with_origin(self, letter: DeadLetter) -> DeadLetter:
        """Add the sender to a letter, as its event has it."""
        reader = self._readers.get(letter.connection)
        event = None if reader is None else reader.origin(letter.offset)
        if event is None:
            return letter
        return msgspec.structs.replace(
            letter, source=letter.source or event.source, replay=letter.replay or event.replay
        )

    async def _expire(self, name: str, reader: Reader, before: float) -> int:
        old = reader.take_old(before)
        if not old:
            return 0
        kept = self._kept.get(name, bytes)
        now = self._clock()
        try:
            await self.put(
                [expired_letter(name, event.offset, kept(event.body), now) for event in old]
            )
        except LogUnavailableError:
            reader.put_back(old)
            raise
        offsets = [event.offset for event in old]
        await reader.commit(offsets)
        tell_expired(name, offsets)
        return len(old)

    def _show_hidden(self) -> None:
        """Write letters again that would go with what was deleted; else the next cleaning does."""
        with (
            contextlib.suppress(LogFileError, LogUnavailableError),
            alone(self._address, _ALONE_SECONDS) as is_alone,
        ):
            self._kept_books().show_hidden(is_alone)

    # -- how much there is -----------------------------------------------------------------------

    def _marks(self, places: Mapping[str, Mapping[int, Mark]]) -> dict[str, dict[int, Mark]]:
        """Return the progress of each connection that the log knows."""
        names = dict.fromkeys([*places, *self._names])
        marks = {name: {**places.get(name, {}), **self._groups.marks(name)} for name in names}
        return {name: found for name, found in marks.items() if found}

    def _delete_delivered(self, places: Mapping[str, Mapping[int, Mark]]) -> int:
        """Delete events that every connection is done with; return how many."""
        marks = self._marks(places)
        if not marks:
            return 0
        starts = self._groups.starts(self._partitions)
        keep = self._retention.keep_delivered
        limits = None
        if keep and not self._room.is_crowded():
            limits = self._groups.since(self._partitions, self._clock() - keep)
        firsts: dict[int, int] = {}
        for number, first in starts.items():
            lowest = min(each[number].next if number in each else first for each in marks.values())
            last = lowest if limits is None else min(lowest, limits[number])
            if last > first:
                firsts[number] = last
        if firsts:
            self._groups.delete_before(firsts)
        return sum(last - starts[number] for number, last in firsts.items())

    def _lags(self) -> dict[str, Lag]:
        ends = self._groups.ends(self._partitions)
        places = {} if self._books is None else self._books.transact_and_wait(places_of)
        now = self._clock()
        found = {}
        for name, marks in self._marks(places).items():
            reader = self._readers.get(name)
            behind = marks if reader is None else {**marks, **reader.marks()}
            messages = lag_of(behind, ends)
            found[name] = Lag(messages, self._room.age(behind, ends, now) if messages else 0.0)
        return found


def lag_of(marks: Mapping[int, Mark], ends: Mapping[int, int]) -> int:
    """Count events that are not done. One that is for others counts until it is passed."""
    return sum(
        max(0, ends[number] - mark.next - len(mark.done))
        for number, mark in marks.items()
        if number in ends
    )


def places_of(database: sqlite3.Connection) -> dict[str, dict[int, Mark]]:
    """Read connections' progress as it was last noted."""
    found: dict[str, dict[int, Mark]] = {}
    for name, number, first, metadata in database.execute("SELECT * FROM places"):
        with contextlib.suppress(ValueError):
            found.setdefault(name, {})[number] = read(first, metadata)
    return found


def put_places(database: sqlite3.Connection, marks: Mapping[str, Mapping[int, Mark]]) -> None:
    """Note connections' progress."""
    for name, found in marks.items():
        for number, mark in found.items():
            row = (name, number, mark.next, written(mark))
            known = database.execute(
                "SELECT next, metadata FROM places WHERE connection = ? AND partition = ?", row[:2]
            ).fetchone()
            if known != row[2:]:
                database.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)", row)


def _see_topics(groups: Groups, address: Address, partitions: int, replication: int) -> None:
    """Check that the topics have the required settings.

    Raises:
        LogFileError: one is missing or wrong.
    """
    found = look(groups, wanted_topics(address, partitions, replication))
    if found.missing:
        names = ", ".join(topic.name for topic in found.missing)
        raise LogFileError(
            f"there is no topic {names}: `destination-router eventlog create` shows how it would "
            "be, and makes it"
        )
    if found.wrong:
        raise LogFileError("; ".join(found.wrong))
    for warning in found.warnings:
        _log.warning("topic_at_risk", extra={"detail": warning})


def _lease(session: float, request: float) -> float:
    """Return how long after an accepted commit requests may begin, in seconds.

    Raises:
        LogFileError: too short: a request may outlast the session in which it began.
    """
    lease = session - request - _MARGIN
    if lease < _LEAST_LEASE:
        raise LogFileError(
            f"[delivery] timeout is {request:g} s, and the brokers give a silent process up after "
            f"{session:g} s (group.consumer.session.timeout.ms): a request could reach the vendor "
            "when another process delivers already. Set timeout to at most "
            f"{max(0.0, session - _MARGIN - _LEAST_LEASE):g} s, or raise the brokers' setting"
        )
    return lease
