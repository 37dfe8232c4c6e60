"""How commands read and change a log on Kafka."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal

from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.interface import Lag, LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import Address
from destination_router.eventlog.kafka.alone import alone
from destination_router.eventlog.kafka.books import BookView
from destination_router.eventlog.kafka.groups import Groups
from destination_router.eventlog.kafka.log import lag_of, places_of, put_places
from destination_router.eventlog.kafka.marks import Mark
from destination_router.eventlog.kafka.offsets import by_partition, place_of
from destination_router.eventlog.kafka.producing import Headers, Producing, Record
from destination_router.eventlog.kafka.reading import Stretch, readable
from destination_router.eventlog.log_admin import Kept
from destination_router.eventlog.partition import partition_key
from destination_router.eventlog.sqlite.dead_letter_store import mark_replayed
from destination_router.eventlog.sqlite.queries import forget


@contextlib.contextmanager
def opened_admin(address: Address) -> Iterator[KafkaAdmin]:
    """Open a log for commands.

    Raises:
        LogFileError: it cannot be used, it is not there, or brokers do not answer.
    """
    with contextlib.closing(Followed(address)) as followed, followed.opened() as log:
        yield log


class Followed:
    """A log that stays open for repeated reads. Dead letters and the like are read only once.

    Args:
        address: where it is.

    Raises:
        LogFileError: it cannot be used, it is not there, or brokers do not answer.
    """

    def __init__(self, address: Address) -> None:
        self._lock = threading.Lock()
        with _refusals_told(), contextlib.ExitStack() as opened:
            groups = opened.enter_context(contextlib.closing(Groups(address)))
            partitions = groups.partitions()
            if not partitions:
                raise LogFileError(
                    f"there is no topic {address.events}: `destination-router eventlog create` "
                    "makes it"
                )
            producing = opened.enter_context(contextlib.closing(Producing(address)))
            self._view = opened.enter_context(contextlib.closing(BookView(address, producing)))
            stretch = opened.enter_context(contextlib.closing(Stretch(address)))
            self._log = KafkaAdmin(address, groups, partitions, producing, self._view, stretch)
            self._opened = opened.pop_all()

    @contextlib.contextmanager
    def opened(self) -> Iterator[KafkaAdmin]:
        """Bring it up to date and use it. Others wait meanwhile."""
        with self._lock, _refusals_told():
            self._view.catch_up()
            yield self._log

    def close(self) -> None:
        """Close it, after the current use."""
        with self._lock:
            self._opened.close()


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    try:
        yield
    except LogUnavailableError as error:
        raise LogFileError(str(error)) from error


class KafkaAdmin:
    """A log on Kafka, as commands use it.

    Args:
        address: where it is.
        groups: its groups.
        partitions: of its topic of events.
        producing: takes records.
        view: the tables, up to date.
        stretch: reads events.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- each is a part
        self,
        address: Address,
        groups: Groups,
        partitions: Sequence[int],
        producing: Producing,
        view: BookView,
        stretch: Stretch,
    ) -> None:
        self._address = address
        self._groups = groups
        self._partitions = partitions
        self._producing = producing
        self._view = view
        self._stretch = stretch
        self.books = view.database
        self._appended: list[Record] = []
        self._forgotten: list[str] = []

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read consistently during a block."""
        self.books.execute("BEGIN")
        try:
            yield
        finally:
            self.books.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Make changes: events are appended first, then the rest. Brokers have it all at the end.

        A change that fails in between may be done in part. You can safely make it again: an event
        that comes twice has its key. No other command changes anything meanwhile.
        """
        self._appended, self._forgotten = [], []
        with alone(self._address) as is_alone:
            self._view.catch_up()  # another command may have changed what is to be changed
            self._view.show_hidden()
            self.books.execute("BEGIN")
            try:
                yield
                is_deleted = self._deletes_letters()
                self._change(is_alone)
                self.books.execute("COMMIT")
            except BaseException:
                self.books.execute("ROLLBACK")
                raise
            if self._appended or is_deleted:
                with contextlib.suppress(LogUnavailableError):  # else the next command does it
                    self._view.catch_up()
                    self._view.show_hidden()

    def _deletes_letters(self) -> bool:
        query = "SELECT 1 FROM changed WHERE deleted IS NOT NULL LIMIT 1"
        return self.books.execute(query).fetchone() is not None

    def _change(self, is_alone: Callable[[], bool]) -> None:
        if not is_alone():
            raise LogFileError(
                "this process stood still, and another command may have changed something: nothing "
                "was changed; run it again"
            )
        for name in self._forgotten:
            if not self._groups.forget(name):
                raise LogFileError(f"{name!r} is being delivered: end the processes that have it")
        if self._appended:
            self._producing.send_and_wait(self._appended)
        self._view.publish()

    def lags(self, now: float) -> dict[str, Lag]:
        """Return each connection's lag, by name."""
        ends = self._groups.ends(self._partitions)
        return {
            name: Lag(messages, self._age(marks, ends, now) if messages else 0.0)
            for name, marks in self._marks().items()
            for messages in [lag_of(marks, ends)]
        }

    def forget(self, name: str) -> None:
        """Drop a connection's claim to undelivered events."""
        forget(self.books, name)
        for table in ("places", "owners", "at_hand"):
            self.books.execute(f"DELETE FROM {table} WHERE connection = ?", (name,))  # noqa: S608
        self._forgotten.append(name)

    def replay_letters(self, letters: Sequence[DeadLetter], now: float) -> None:
        """Append letters to the log again, each for its own connection, and mark them."""
        self._appended += [
            self._record(letter.body, letter.source, letter.connection, letter.replay, now)
            for letter in letters
        ]
        mark_replayed(self.books, letters, now)

    def delivered(self, name: str, since: float, until: float) -> Iterator[Kept]:
        """Read the events of a period (two Unix times) that a connection delivered, in order."""
        marks = self._marks().get(name, {})
        query = "SELECT offset FROM dead_letters WHERE connection = ?"
        dead = {place for (place,) in self.books.execute(query, (name,))}
        ends = {
            number: (mark.done[-1] + 1 if mark.done else mark.next)
            for number, mark in marks.items()
        }
        firsts = self._groups.since(ends, since)
        done = {number: frozenset(mark.done) for number, mark in marks.items()}
        for each in readable(self._stretch.messages(firsts, ends)):
            number, offset = each.partition, each.offset
            is_done = offset < marks[number].next or offset in done[number]
            place = place_of(number, offset)
            is_its_own = each.replay is None and (not each.targets or name in each.targets)
            if not is_done or not is_its_own or place in dead:
                continue
            if each.at is not None and since <= each.at < until:
                yield Kept(place, each.at, each.source, each.body)

    def kept_since(self) -> float | None:
        """Return the time from which on the log is complete."""
        starts = self._groups.starts(self._partitions)
        ends = self._groups.ends(self._partitions)
        if all(starts[each] == ends[each] for each in self._partitions):
            return float("inf")
        if not any(starts.values()):
            return None
        moments = []
        for number, first in starts.items():
            message = self._stretch.first(number, first) if first else None
            if message is not None:
                moments.append(message.timestamp()[1] / 1000)
        return max(moments, default=float("inf"))

    def send_again(self, name: str, events: Sequence[Kept], replay: str, now: float) -> None:
        """Append events for one connection after those that wait."""
        self._appended += [
            self._record(event.body, event.source, name, replay, now) for event in events
        ]

    def bodies(self) -> Iterator[bytes]:
        """Read every event in the log, without replays."""
        starts = self._groups.starts(self._partitions)
        ends = self._groups.ends(self._partitions)
        for each in readable(self._stretch.messages(starts, ends)):
            if not each.targets and each.replay is None:
                yield each.body

    def register(self, name: str, start: Literal["end", "start"]) -> None:
        """Register a new connection."""
        known = self._marks().get(name, {})
        begin = self._groups.starts if start == "start" else self._groups.ends
        marks = {number: Mark(first) for number, first in begin(self._partitions).items()}
        if new := {number: mark for number, mark in marks.items() if number not in known}:
            with self.writing():
                put_places(self.books, {name: new})
            self._groups.set_marks(name, new)

    def waiting(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Read a connection's undelivered events: offsets and bodies."""
        marks = self._marks().get(name, {})
        firsts = {number: mark.next for number, mark in marks.items()}
        done = {number: frozenset(mark.done) for number, mark in marks.items()}
        for each in readable(self._stretch.messages(firsts, self._groups.ends(firsts))):
            is_its_own = not each.targets or name in each.targets
            if each.offset not in done[each.partition] and is_its_own:
                yield place_of(each.partition, each.offset), each.body

    def drop_waiting(self, name: str, offsets: Collection[int]) -> None:
        """Mark messages as done, undelivered.

        Raises:
            LogFileError: some cannot be (the text says how many), or a process delivers meanwhile.
        """
        marks = self._marks().get(name, {})
        dropped = {}
        for number, places in by_partition(offsets).items():
            mark = marks[number]
            done = tuple(sorted({*mark.done, *places}))
            dropped[number] = Mark(mark.next, done)
        if not self._groups.set_marks(name, dropped):
            raise LogFileError(f"{name!r} is being delivered by now: try again")

    def _marks(self) -> dict[str, dict[int, Mark]]:
        places = places_of(self.books)
        return {name: {**known, **self._groups.marks(name)} for name, known in places.items()}

    def _age(self, marks: Mapping[int, Mark], ends: Mapping[int, int], now: float) -> float:
        oldest = now
        for number, mark in marks.items():
            if mark.next < ends.get(number, 0):
                message = self._stretch.first(number, mark.next)
                if message is not None:
                    oldest = min(oldest, message.timestamp()[1] / 1000)
        return max(0.0, now - oldest)

    def _record(
        self, body: bytes, source: str | None, target: str, replay: str | None, now: float
    ) -> Record:
        headers: Headers = [("target", target.encode())]
        if source is not None:
            headers.append(("source", source.encode()))
        if replay is not None:
            headers.append(("replay", replay.encode()))
        key = partition_key(body).encode() or None
        return Record(self._address.events, key, body, headers, round(now * 1000))
