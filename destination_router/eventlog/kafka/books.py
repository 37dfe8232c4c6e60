"""What a router remembers beside events, on Kafka: tables that follow compacted topics.

Each row is a record under the row's key; a row that is deleted, a record without a value. The
tables are those of a log's file, in a temporary database of this process, so that all that is
written for those holds here. A change is kept once brokers have its records.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
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
from destination_router.eventlog.kafka.failures import failures_told, told
from destination_router.eventlog.kafka.groups import TIMEOUT, client_for_reading
from destination_router.eventlog.kafka.producing import Producing, Record
from destination_router.eventlog.sqlite.file import make_tables

T = TypeVar("T")

_AT_ONCE = 1000
_PAUSE = 0.02
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
    name TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (name, key) ON CONFLICT IGNORE
);
CREATE TABLE versions (
    name TEXT NOT NULL, key TEXT NOT NULL, offset INTEGER NOT NULL, is_there INTEGER NOT NULL,
    PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE TABLE following (is_on INTEGER NOT NULL);
INSERT INTO following VALUES (0);
"""


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
        self._consumer = Consumer(client_for_reading(address))
        with failures_told("Kafka cannot be read"):
            self._consumer.assign([TopicPartition(topic, 0, 0) for topic in self._topics])

    def catch_up(self) -> None:
        """Follow the topics up to what they hold now.

        Raises:
            LogUnavailableError: they cannot be read.
        """
        with failures_told("Kafka cannot be read"):
            ends = {
                topic: self._consumer.get_watermark_offsets(TopicPartition(topic, 0), TIMEOUT)[1]
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
        """Take in what others changed; whether there was anything. Within no transaction."""
        with failures_told("Kafka cannot be read"):
            messages = self._consumer.consume(_AT_ONCE, patience)
        if not messages:
            return False
        self.database.execute("BEGIN")
        with self._following():
            for message in messages:
                if (error := message.error()) is None:
                    self._take_in(message)
                elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                    self._trouble(error)
        self.database.execute("COMMIT")
        return True

    def publish(self) -> None:
        """Hand what changed in this transaction to the brokers; kept when this returns.

        Raises:
            LogUnavailableError: it may not be kept; roll back.
        """
        changed = self.database.execute("SELECT name, key FROM changed ORDER BY rowid").fetchall()
        if not changed:
            return
        self.database.execute("DELETE FROM changed")
        self._set_aside_numbers(changed)
        records = [self._record(TABLES[name], key) for name, key in changed]
        by_topic: dict[str, list[int]] = {}
        for topic in self._topics:
            places = [number for number, each in enumerate(records) if each.topic == topic]
            if places:
                offsets = self._producing.send_and_wait([records[number] for number in places])
                by_topic[topic] = offsets
                with self._following():
                    for number, offset in zip(places, offsets, strict=True):
                        name, key = changed[number]
                        self._kept(name, key, records[number], offset)

    def _set_aside_numbers(self, changed: Iterable[tuple[str, str]]) -> None:
        """Take from new letters the numbers that this database gave them: others may have them."""
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
        (place,) = self._consumer.position([TopicPartition(topic, 0)])
        if place.offset >= end:
            return True
        # Nothing was read of it: it is empty, or all of it is deleted.
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, 0), TIMEOUT)
        return low == high

    def _trouble(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            raise LogFileError(
                f"{', '.join(self._topics)}: the beginning is gone ({told(error)}): they must be "
                "compacted, and nothing but the router may delete records of them"
            )

    def _take_in(self, message: Message) -> None:
        """Do what a record says, unless a later one of its key is known already."""
        name, key = _name_and_key(message.key() or b"")
        if name not in TABLES:  # of a newer version
            return
        offset = message.offset() or 0
        known = self.database.execute(
            "SELECT offset FROM versions WHERE name = ? AND key = ?", (name, key)
        ).fetchone()
        if known is not None and known[0] >= offset:
            return
        table = TABLES[name]
        self._delete(table, key)
        if (value := message.value()) is not None:
            row = dict(zip(table.key, _decoded_key(table, key), strict=True))
            row |= {each: _plain(told) for each, told in msgspec.json.decode(value).items()}
            if table is LETTERS and row.get("id") is None:
                row["id"] = offset + 1
            self._insert(table, row)
        self._note(name, key, offset, is_there=value is not None)

    def _kept(self, name: str, key: str, record: Record, offset: int) -> None:
        """Note that this process's record of a row is in its topic."""
        if name == LETTERS.name and not self._has_number(key):
            self.database.execute(
                "UPDATE dead_letters SET id = ? WHERE connection = ? AND message_id = ?",
                (offset + 1, *_decoded_key(LETTERS, key)),
            )
        self._note(name, key, offset, is_there=record.value is not None)

    def _record(self, table: Table, key: str) -> Record:
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
                row["id"] = None  # its offset, which is not known yet, and which all others see
            value = msgspec.json.encode({name: _readable(each) for name, each in row.items()})
        topic = self._address.letters if table is LETTERS else self._address.state
        return Record(topic, f"{table.name}\n{key}".encode(), value, partition=0)

    def _has_number(self, key: str) -> bool:
        """Whether a letter has the number by which people know it."""
        known = self.database.execute(
            "SELECT 1 FROM versions WHERE name = 'dead_letters' AND key = ? AND is_there", (key,)
        ).fetchone()
        return known is not None

    def _note(self, name: str, key: str, offset: int, *, is_there: bool) -> None:
        self.database.execute(
            "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?)", (name, key, offset, is_there)
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
        self._thread = threading.Thread(target=self._run, name="kafka-books", daemon=True)
        self._thread.start()

    async def transact(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Change something; brokers have it when this returns."""
        done: T = await asyncio.wrap_future(self._asked(write))
        return done

    async def query(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Read something."""
        return await self.transact(read)

    def transact_and_wait(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Change something, in a thread that may wait."""
        done: T = self._asked(write).result()
        return done

    def transact_soon(self, write: Callable[[sqlite3.Connection], object]) -> None:
        """Change something after what was asked for; nobody waits, and it may fail."""
        self._asked(write)

    def close(self) -> None:
        """Finish what was asked for, and let go."""
        self._jobs.put(None)
        self._thread.join()

    def _asked(self, write: Callable[[sqlite3.Connection], T]) -> Future[T]:
        job = _Job(write)
        self._jobs.put(job)
        return job.future

    def _run(self) -> None:
        with contextlib.closing(self._view):
            is_behind = True
            while True:
                jobs = self._next(_PAUSE)
                if jobs is None:
                    return
                try:
                    if is_behind:
                        self._view.catch_up()
                        is_behind = False
                    elif not jobs or len(jobs) < _AT_ONCE:
                        while self._view.follow():
                            pass
                except (LogFileError, LogUnavailableError) as error:
                    is_behind = is_behind or isinstance(error, LogFileError)
                    _fail(jobs, error)
                    continue
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
        """Do jobs together, so that brokers are waited for once; one that fails fails alone."""
        database = self._view.database
        database.execute("BEGIN")
        done: list[tuple[_Job, Any]] = []
        for job in jobs:
            database.execute("SAVEPOINT one")
            try:
                done.append((job, job.write(database)))
            except Exception as error:  # noqa: BLE001 -- whoever asked is told; the thread goes on
                database.execute("ROLLBACK TO one")
                job.future.set_exception(error)
            database.execute("RELEASE one")
        try:
            self._view.publish()
        except LogUnavailableError as error:
            database.execute("ROLLBACK")
            _fail([job for job, _ in done], error)
            return
        database.execute("COMMIT")
        for job, result in done:
            job.future.set_result(result)


class _Job:
    def __init__(self, write: Callable[[sqlite3.Connection], Any]) -> None:
        self.write = write
        self.future: Future[Any] = Future()


def _fail(jobs: Iterable[_Job], error: Exception) -> None:
    for job in jobs:
        job.future.set_exception(error)


def _triggers(table: Table) -> str:
    """Say in SQL that rows that change are noted, unless they follow a topic."""
    parts = []
    for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        columns = ", ".join(
            f"hex({row}.{name})" if name in _IN_HEX else f"{row}.{name}" for name in table.key
        )
        parts.append(f"""
CREATE TRIGGER changed_{table.name}_{event} AFTER {event} ON {table.name}
WHEN (SELECT is_on FROM following) = 0
BEGIN INSERT INTO changed VALUES ('{table.name}', json_array({columns})); END;
""")  # noqa: S608 -- made of constants
    return "".join(parts)


def _name_and_key(content: bytes) -> tuple[str, str]:
    name, _, key = content.decode("utf-8", "replace").partition("\n")
    return name, key


def _decoded_key(table: Table, key: str) -> tuple[Any, ...]:
    parts = []
    for name, part in zip(table.key, msgspec.json.decode(key), strict=True):
        value = bytes.fromhex(part) if name in _IN_HEX else part
        parts.append(value.decode("utf-8", "replace") if name == "message_id" else value)
    return tuple(parts)


def _readable(value: Any) -> Any:
    """Write a value of a column as JSON; bytes as an object, for they are no text."""
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return value


def _plain(value: Any) -> Any:
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value
