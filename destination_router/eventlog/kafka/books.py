"""What a router remembers beside events on Kafka, as tables that follow compacted topics.

Each row is a record under the row's key. A deleted row is a record without a value. The tables are
those of a log's file, in a temporary database of this process, so code that is written for the file
works here too. A change is kept once brokers have its records.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import Address
from destination_router.eventlog.kafka.failures import WHATEVER, failures_told, told
from destination_router.eventlog.kafka.groups import client_for_reading, watermarks
from destination_router.eventlog.kafka.producing import Headers, Producing, Record
from destination_router.eventlog.sqlite.file import make_tables
from destination_router.faults import whereabouts

T = TypeVar("T")

_log = logging.getLogger(__name__)

_AT_ONCE = 1000
_PAUSE = 0.02
_RETRY_SECONDS = 1.0
_CATCH_UP_SECONDS = 600.0


class Table(msgspec.Struct, frozen=True):
    """A table whose rows are records.

    Attributes:
        name: the table's.
        key: the columns of the records' key.
        columns: those of their value.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...] = ()


LETTERS = Table(
    "dead_letters",
    ("connection", "message_id"),
    (
        "id",
        "offset",
        "body",
        "code",
        "detail",
        "at",
        "attempts",
        "request",
        "status",
        "answer",
        "replayed_at",
        "source",
        "replay",
    ),
)
TABLES = {
    table.name: table
    for table in (
        LETTERS,
        Table("attempts", ("connection", "offset"), ("tries",)),
        Table("at_hand", ("connection",), ("offsets",)),
        Table("holds", ("connection",), ("code", "since")),
        Table("orders", ("connection",), ("paused", "at")),
        Table("origins", ("connection", "origin")),
        Table("owners", ("connection", "partition"), ("at",)),
        Table("pairings", ("key", "value"), ("made_at",)),
        Table("places", ("connection", "partition"), ("next", "metadata")),
        Table("quarantine", ("connection", "identity"), ("since",)),
    )
}
_IN_HEX = frozenset({"identity", "key", "message_id", "value"})
"""Columns of keys that hold bytes, or whatever a sender wrote."""

_OWN_TABLES = """
CREATE TABLE at_hand (connection TEXT PRIMARY KEY, offsets BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE owners (
    connection TEXT NOT NULL, partition INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (connection, partition)
) WITHOUT ROWID;
CREATE TABLE places (
    connection TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    metadata TEXT NOT NULL, PRIMARY KEY (connection, partition)
) WITHOUT ROWID;
CREATE TABLE changed (
    name TEXT NOT NULL, key TEXT NOT NULL,
    deleted INTEGER,                           -- the place of the failure that a letter was of
    PRIMARY KEY (name, key)
);
CREATE TABLE versions (
    name TEXT NOT NULL, key TEXT NOT NULL, offset INTEGER NOT NULL, is_there INTEGER NOT NULL,
    deleted INTEGER, PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE TABLE following (is_on INTEGER NOT NULL);
INSERT INTO following VALUES (0);
"""

_DELETED = "failure"
"""The header of a record without a value: which failure of a letter was deleted, by its place."""


class BookView:
    """The tables, for one thread.

    Args:
        address: where the topics are.
        producing: takes the records of what changes.

    Raises:
        LogUnavailableError: the topics cannot be read now.
    """

    def __init__(self, address: Address, producing: Producing) -> None:
        self._topics = {address.letters: 0, address.state: 0}
        self._address = address
        self._producing = producing
        self.database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        make_tables(self.database)
        self.database.executescript(_OWN_TABLES + "".join(map(_triggers, TABLES.values())))
        self._kinds = {name: _kinds(self.database, name) for name in TABLES}
        self._hidden: set[str] = set()
        """The keys of letters whose last record belongs to an earlier failure than they have."""
        self._consumer = Consumer(client_for_reading(address))
        self._assign()

    def _assign(self) -> None:
        """Continue each topic after the last record that this process has taken in."""
        places = [TopicPartition(topic, 0, at) for topic, at in self._topics.items()]
        with failures_told("Kafka cannot be read"):
            self._consumer.assign(places)

    def catch_up(self) -> None:
        """Follow the topics up to what they hold now.

        Raises:
            LogUnavailableError: they cannot be read.
        """
        with failures_told("Kafka cannot be read"):
            ends = {
                topic: watermarks(self._consumer, TopicPartition(topic, 0))[1]
                for topic in self._topics
            }
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while True:
            self.follow(0.1)
            if all(self._is_through(topic, end) for topic, end in ends.items()):
                return
            if time.monotonic() > deadline:
                raise LogUnavailableError(f"{', '.join(self._topics)} take too long to read")

    def follow(self, patience: float = 0.0) -> bool:
        """Take in others' changes, outside a transaction; return whether there were any."""
        with failures_told("Kafka cannot be read"):
            messages = self._consumer.consume(_AT_ONCE, patience)
        if not messages:
            return False
        through = dict(self._topics)
        self.database.execute("BEGIN")
        try:
            with self._following():
                for message in messages:
                    if (error := message.error()) is None:
                        self._take_in(message)
                        through[message.topic() or ""] = (message.offset() or 0) + 1
                    elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                        self._trouble(error)
            self.database.execute("COMMIT")
        except BaseException:
            self.database.execute("ROLLBACK")
            self._assign()  # what was read is read again
            raise
        self._topics = through
        return True

    def publish(self) -> None:
        """Hand this transaction's changes to the brokers. They are kept when this returns.

        Raises:
            LogUnavailableError: they may not be kept; roll back.
        """
        found = self.database.execute("SELECT name, key, deleted FROM changed ORDER BY rowid")
        deleted = {(name, key): place for name, key, place in found}
        changed = [*deleted]
        if not changed:
            return
        self.database.execute("DELETE FROM changed")
        self._set_aside_numbers(changed)
        records = [self._record(TABLES[name], key, at) for (name, key), at in deleted.items()]
        by_topic: dict[str, list[int]] = {}
        for topic in self._topics:
            places = [number for number, each in enumerate(records) if each.topic == topic]
            if places:
                offsets = self._producing.send_and_wait([records[number] for number in places])
                by_topic[topic] = offsets
                with self._following():
                    for number, offset in zip(places, offsets, strict=True):
                        name, key = changed[number]
                        self._kept(name, key, records[number], offset, deleted[name, key])

    @property
    def hides(self) -> bool:
        """Whether compaction would remove a failure, so that `show_hidden` has something to do."""
        return bool(self._hidden)

    def show_hidden(self) -> None:
        """Write again the failures that were hidden. Only one process at a time may do so.

        A command appends a letter's event, then marks the letter. The worker may be faster and put
        the letter again before the mark. Or a command, or another process for lack of room or for
        age, may delete the letter at that moment. Every follower sees that the mark or the deletion
        belongs to the earlier failure, but compaction keeps only the last record of a key.

        Raises:
            LogUnavailableError: they may not be written; who looks next does it.
        """
        if not self._hidden:
            return
        self.database.execute("BEGIN")
        try:
            self.change_hidden()
            self.publish()
            self.database.execute("COMMIT")
        except BaseException:
            self.database.execute("ROLLBACK")
            raise

    def change_hidden(self) -> None:
        """Count the failures that were hidden among this transaction's changes."""
        self.database.executemany(
            "INSERT OR IGNORE INTO changed VALUES (?, ?, NULL)",
            [(LETTERS.name, key) for key in self._hidden],
        )

    def _set_aside_numbers(self, changed: Iterable[tuple[str, str]]) -> None:
        """Remove the numbers that this database gave new letters: other letters may have them."""
        with self._following():
            for name, key in changed:
                if name == LETTERS.name and not self._has_number(key):
                    self.database.execute(
                        "UPDATE dead_letters SET id = -id WHERE connection = ? AND message_id = ?",
                        _decoded_key(LETTERS, key),
                    )

    def close(self) -> None:
        """Let go."""
        self._consumer.close()
        self.database.close()

    def _is_through(self, topic: str, end: int) -> bool:
        with failures_told("Kafka cannot be read"):
            (place,) = self._consumer.position([TopicPartition(topic, 0)])
            if place.offset >= end:
                return True
            # Nothing was read from it: it is empty, or all of it is deleted.
            low, high = watermarks(self._consumer, TopicPartition(topic, 0))
            return low == high

    def _trouble(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            raise LogFileError(
                f"{', '.join(self._topics)}: the beginning is gone ({told(error)}): they must be "
                "compacted, and nothing but the router may delete records of them"
            )

    def _take_in(self, message: Message) -> None:
        """Apply a record, unless a later one of its key is known already.

        A record that no router wrote is left out. The others are right all the same.
        """
        name, key = _name_and_key(message.key() or b"")
        if name not in TABLES:  # from a newer version
            return
        self.database.execute("SAVEPOINT record")
        try:
            self._take_row(TABLES[name], key, message)
        except (ValueError, sqlite3.Error, OverflowError) as error:
            self.database.execute("ROLLBACK TO record")
            about = {"topic": message.topic(), "partition": message.partition() or 0}
            # Without its content, which may be personal.
            detail = f"{name}: {error}" if isinstance(error, UnreadableError) else name
            _log.warning(
                "record_skipped", extra={**about, "offset": message.offset() or 0, "detail": detail}
            )
        self.database.execute("RELEASE record")

    def _take_row(self, table: Table, key: str, message: Message) -> None:
        columns = dict(zip(table.key, _decoded_key(table, key), strict=True))
        offset = message.offset() or 0
        value = message.value()
        row = None if value is None else columns | _decoded_value(table, value)
        if row is not None and table is LETTERS and row.get("id") is None:
            row["id"] = offset + 1
        _see_kinds(self._kinds[table.name], columns if row is None else row)
        known = self.database.execute(
            "SELECT offset, deleted FROM versions WHERE name = ? AND key = ?", (table.name, key)
        ).fetchone()
        version, deleted = known or (-1, None)
        counts = offset > version
        if counts:
            deleted = None if row is not None else _deleted_failure(message)
        if table is LETTERS and self._is_hidden(key, row, deleted, is_last=counts):
            counts = not counts
            self._hidden.add(key)
        elif counts:
            self._hidden.discard(key)
        if counts:
            self._delete(table, key)
            if row is not None:
                self._insert(table, row)
        if counts or offset > version:
            is_there = not counts or row is not None
            self._note(table.name, key, max(offset, version), deleted, is_there=is_there)

    def _is_hidden(
        self, key: str, row: dict[str, Any] | None, deleted: int | None, *, is_last: bool
    ) -> bool:
        """Say whether a replay's mark or a deletion comes after a later failure of its letter.

        Both hold the place of the failure that was replayed or deleted. They say nothing about any
        other.

        Args:
            key: the letter's.
            row: the record's values of it; None: it is deleted.
            deleted: the failure that was deleted, by the later of that record and the known one.
            is_last: whether that record comes after the one that is known.
        """
        known = self.database.execute(
            "SELECT offset, replayed_at FROM dead_letters WHERE connection = ? AND message_id = ?",
            _decoded_key(LETTERS, key),
        ).fetchone()
        if row is None:
            return is_last and known is not None and deleted not in {None, known[0]}
        if known is None:
            # Of an earlier failure, it may be a record that this process has not heard of.
            return not is_last and deleted is not None and row.get("offset", -1) > deleted
        if known[0] == row.get("offset"):
            return False
        known_is_marked, is_marked = known[1] is not None, row.get("replayed_at") is not None
        return (
            (is_marked and not known_is_marked) if is_last else (known_is_marked and not is_marked)
        )

    def _kept(self, name: str, key: str, record: Record, offset: int, deleted: int | None) -> None:
        """Note that this process's record of a row is in its topic."""
        if name == LETTERS.name:
            self._hidden.discard(key)
            if not self._has_number(key):
                self.database.execute(
                    "UPDATE dead_letters SET id = ? WHERE connection = ? AND message_id = ?",
                    (offset + 1, *_decoded_key(LETTERS, key)),
                )
        self._note(name, key, offset, deleted, is_there=record.value is not None)

    def _record(self, table: Table, key: str, deleted: int | None) -> Record:
        where = " AND ".join(f"{column} = ?" for column in table.key)
        columns = ", ".join(table.columns) or "1"
        found = self.database.execute(
            f"SELECT {columns} FROM {table.name} WHERE {where}",  # noqa: S608 -- made of constants
            _decoded_key(table, key),
        ).fetchone()
        value = None
        if found is not None:
            row = dict(zip(table.columns, found, strict=False))
            if table is LETTERS and not self._has_number(key):
                row["id"] = None  # the record's offset, which is the same for all but not known yet
            value = msgspec.json.encode({name: _readable(each) for name, each in row.items()})
        topic = self._address.letters if table is LETTERS else self._address.state
        is_told = value is None and deleted is not None
        headers: Headers = [(_DELETED, str(deleted).encode())] if is_told else []
        return Record(topic, f"{table.name}\n{key}".encode(), value, headers, partition=0)

    def _has_number(self, key: str) -> bool:
        """Whether a letter has its number for people."""
        known = self.database.execute(
            "SELECT 1 FROM versions WHERE name = 'dead_letters' AND key = ? AND is_there", (key,)
        ).fetchone()
        return known is not None

    def _note(
        self, name: str, key: str, offset: int, deleted: int | None, *, is_there: bool
    ) -> None:
        self.database.execute(
            "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?, ?)",
            (name, key, offset, is_there, deleted),
        )

    def _delete(self, table: Table, key: str) -> None:
        where = " AND ".join(f"{column} = ?" for column in table.key)
        self.database.execute(
            f"DELETE FROM {table.name} WHERE {where}",  # noqa: S608 -- made of constants
            _decoded_key(table, key),
        )

    def _insert(self, table: Table, row: dict[str, Any]) -> None:
        names = [*table.key, *table.columns]
        values = [row.get(name) for name in names]
        self.database.execute(
            f"INSERT INTO {table.name} ({', '.join(names)}) "  # noqa: S608 -- made of constants
            f"VALUES ({', '.join('?' * len(names))})",
            values,
        )

    @contextlib.contextmanager
    def _following(self) -> Iterator[None]:
        self.database.execute("UPDATE following SET is_on = 1")
        try:
            yield
        finally:
            self.database.execute("UPDATE following SET is_on = 0")


class KafkaBooks:
    """The tables in a thread of their own, which follows the topics; a `BookStore`.

    Args:
        address: where the topics are.
        producing: takes the records of what changes.
    """

    def __init__(self, address: Address, producing: Producing) -> None:
        self._view = BookView(address, producing)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._is_behind = True
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-books", daemon=True)
        self._thread.start()

    async def transact(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Make changes. Brokers have them when this returns."""
        done: T = await asyncio.wrap_future(self._asked(write))
        return done

    async def query(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read."""
        return await self.transact(read)

    def transact_and_wait(
        self, write: Callable[[sqlite3.Connection], T], seconds: float | None = None
    ) -> T:
        """Make changes from a thread that may wait.

        Args:
            write: makes the changes.
            seconds: how long the thread may wait at most; None: without limit.

        Raises:
            TimeoutError: it takes longer, and may succeed later.
        """
        done: T = self._asked(write).result(seconds)
        return done

    def transact_soon(self, write: Callable[[sqlite3.Connection], object]) -> None:
        """Make changes after those asked for earlier. Nobody waits, and they may fail."""
        self._asked(write)

    @property
    def hides(self) -> bool:
        """Whether compaction would remove a failure, so that `show_hidden` has something to do."""
        return self._view.hides

    def show_hidden(self, is_alone: Callable[[], bool]) -> None:
        """Write again the failures that were hidden, from a thread that may wait.

        Args:
            is_alone: says whether no other process does it now, nor any command changes the log.
        """
        self._is_behind = True  # what others have written is read first

        def change(_: sqlite3.Connection) -> None:
            if is_alone():
                self._view.change_hidden()

        self.transact_and_wait(change)

    def close(self) -> None:
        """Finish the jobs that wait, and close."""
        self._jobs.put(None)
        self._thread.join()

    def _asked(self, write: Callable[[sqlite3.Connection], T]) -> Future[T]:
        job = _Job(write)
        self._jobs.put(job)
        if self._is_over.is_set():
            self._refuse()
        return job.future

    def _refuse(self) -> None:
        """Answer jobs that come after the end."""
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None and job.future.set_running_or_notify_cancel():
                    _fail([job], LogUnavailableError("nothing is kept any more: this process ends"))

    def _run(self) -> None:
        try:
            with contextlib.closing(self._view):
                while (jobs := self._next(_PAUSE)) is not None:
                    try:
                        self._step(jobs)
                    except WHATEVER as error:  # the thread goes on
                        # A defect of this program: the caller is told, and the next may succeed.
                        _log.exception("books_failed")
                        told_of = f"what is remembered cannot be told or kept: {whereabouts(error)}"
                        _fail(jobs, LogUnavailableError(told_of))
                        time.sleep(_RETRY_SECONDS)
        finally:
            self._is_over.set()
            self._refuse()

    def _step(self, jobs: Sequence[_Job]) -> None:
        """Follow the topics, and do jobs."""
        try:
            if self._is_behind:
                self._view.catch_up()
                self._is_behind = False
            elif len(jobs) < _AT_ONCE:
                while self._view.follow():
                    pass
        except (LogFileError, LogUnavailableError) as error:
            self._is_behind = self._is_behind or isinstance(error, LogFileError)
            _fail(jobs, error)
            return
        if jobs:
            self._transact(jobs)

    def _next(self, patience: float) -> list[_Job] | None:
        jobs: list[_Job] = []
        try:
            while len(jobs) < _AT_ONCE:
                job = self._jobs.get(timeout=patience) if not jobs else self._jobs.get_nowait()
                if job is None:
                    if not jobs:
                        return None
                    self._jobs.put(None)
                    break
                if job.future.set_running_or_notify_cancel():
                    jobs.append(job)
        except queue.Empty:
            pass
        return jobs

    def _transact(self, jobs: Sequence[_Job]) -> None:
        """Do jobs together, to wait for brokers once. A job that fails fails alone."""
        database = self._view.database
        database.execute("BEGIN")
        done: list[tuple[_Job, Any]] = []
        for job in jobs:
            database.execute("SAVEPOINT one")
            try:
                done.append((job, job.write(database)))
            except WHATEVER as error:  # the caller is told; the thread goes on
                database.execute("ROLLBACK TO one")
                job.future.set_exception(error)
            database.execute("RELEASE one")
        try:
            self._view.publish()
            database.execute("COMMIT")
        except BaseException as error:
            database.execute("ROLLBACK")
            if not isinstance(error, LogUnavailableError):
                raise
            _fail([job for job, _ in done], error)
            return
        for job, result in done:
            job.future.set_result(result)


class _Job:
    def __init__(self, write: Callable[[sqlite3.Connection], Any]) -> None:
        self.write = write
        self.future: Future[Any] = Future()


def _fail(jobs: Iterable[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)


class UnreadableError(ValueError):
    """A record is not one that a router writes. The text says why, without the content."""


def _triggers(table: Table) -> str:
    """Write the SQL that notes changed rows, unless the change comes from a topic.

    A statement that inserts or updates decides about conflicts within its triggers, too. So a
    trigger must not insert what is there: a letter may be put twice within a transaction.
    """
    parts = []
    for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        columns = ", ".join(
            f"hex({row}.{name})" if name in _IN_HEX else f"{row}.{name}" for name in table.key
        )
        deleted = "OLD.offset" if table is LETTERS and event == "DELETE" else "NULL"
        parts.append(f"""
CREATE TRIGGER changed_{table.name}_{event} AFTER {event} ON {table.name}
WHEN (SELECT is_on FROM following) = 0
BEGIN
    INSERT INTO changed SELECT '{table.name}', json_array({columns}), {deleted} WHERE NOT EXISTS (
        SELECT 1 FROM changed WHERE name = '{table.name}' AND key = json_array({columns})
    );
END;
""")  # noqa: S608 -- made of constants
    return "".join(parts)


def _deleted_failure(message: Message) -> int | None:
    """Tell which failure of a letter a record deletes; None: any.

    Raises:
        UnreadableError: no router has written it.
    """
    try:
        found = dict(message.headers() or {}).get(_DELETED)
        return None if found is None else int(found)
    except (ValueError, RuntimeError, SystemError):
        raise UnreadableError("its headers cannot be read") from None


def _name_and_key(content: bytes) -> tuple[str, str]:
    name, _, key = content.decode("utf-8", "replace").partition("\n")
    return name, key


def _decoded_key(table: Table, key: str) -> tuple[Any, ...]:
    """Read a key.

    Raises:
        UnreadableError: it does not belong to the table.
    """
    try:
        found = msgspec.json.decode(key, type=list[Any])
        if len(found) != len(table.key):
            raise UnreadableError(f"its key has {len(found)} parts")
        parts = []
        for name, part in zip(table.key, found, strict=True):
            value = bytes.fromhex(part) if name in _IN_HEX else part
            parts.append(value.decode("utf-8", "replace") if name == "message_id" else value)
    except (msgspec.MsgspecError, RecursionError, TypeError):
        raise UnreadableError("its key cannot be read") from None
    return tuple(parts)


def _decoded_value(table: Table, value: bytes) -> dict[str, Any]:
    """Read a value, without what a newer version adds.

    Raises:
        UnreadableError: it does not belong to the table.
    """
    try:
        found = msgspec.json.decode(value, type=dict[str, Any])
        return {name: _plain(found[name]) for name in table.columns if name in found}
    except (msgspec.MsgspecError, RecursionError, TypeError, KeyError, binascii.Error):
        raise UnreadableError("its value cannot be read") from None


_KINDS: dict[str, tuple[type, ...]] = {
    "INTEGER": (int,), "REAL": (int, float), "TEXT": (str,), "BLOB": (bytes,),
}  # fmt: skip


def _kinds(database: sqlite3.Connection, table: str) -> dict[str, tuple[type, ...]]:
    """Return the types that each column of a table may hold: SQLite itself takes any."""
    columns = database.execute(f"PRAGMA table_info({table})").fetchall()
    return {
        name: _KINDS[kind] + (() if not_null or part_of_key else (type(None),))
        for _, name, kind, not_null, _, part_of_key in columns
    }


def _see_kinds(kinds: dict[str, tuple[type, ...]], row: dict[str, Any]) -> None:
    for name, value in row.items():
        if not isinstance(value, kinds[name]):
            raise UnreadableError(f"its {name} is a {type(value).__name__}")


def _readable(value: Any) -> Any:
    """Write a column's value as JSON. Bytes, which are not text, become an object."""
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return value


def _plain(value: Any) -> Any:
    return base64.b64decode(value["bytes"], validate=True) if isinstance(value, dict) else value
