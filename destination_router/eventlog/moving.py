"""Moves what waits in a file to a Kafka: once, in order, and resumably.

An event goes to the connections that have not delivered it. Each record says which event of which
file it is, so that what an attempt before this one has moved is known from the topic itself. Dead
letters and what else is remembered follow. At the end the file has nothing left to deliver.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import Address, address_of
from destination_router.eventlog.partition import partition_key
from destination_router.eventlog.sqlite.claim import claim
from destination_router.eventlog.sqlite.file import connect, damage_told, open_file
from destination_router.eventlog.sqlite.queries import last_offset, progress_of, put_low, read
from destination_router.eventlog.sqlite.rows import Row

_AT_ONCE = 500
"""Events of a chunk. The next one is begun only when brokers have all of one."""

_NOTED = 10 * _AT_ONCE
_COPIED = ("holds", "orders", "origins", "pairings", "quarantine")
_LETTERS = (
    "connection, message_id, offset, body, code, detail, at, attempts, request, status, answer, "
    "replayed_at, source, replay"
)


class Moved(msgspec.Struct):
    """What was moved.

    Attributes:
        events: how many.
        before: how many an attempt before had moved.
        letters: how many dead letters.
    """

    events: int = 0
    before: int = 0
    letters: int = 0


def move(source: EventLogConfig, target: EventLogConfig, told: Callable[[int], None]) -> Moved:
    """Move what waits in a file to a Kafka whose topics are there, and new to these connections.

    Args:
        source: the file's.
        target: the Kafka's.
        told: is told now and then how many events have been moved.

    Raises:
        LogInUseError: a router delivers from the file.
        LogFileError: one of them cannot be used; what was moved stays moved.
    """
    address = address_of(target)
    open_file(source.path, create=False)
    try:
        with (
            claim(source.path),
            damage_told(source.path),
            contextlib.closing(connect(source.path)) as database,
            contextlib.ExitStack() as stack,
        ):
            moving = stack.enter_context(contextlib.closing(_Moving(database, address, target)))
            return moving.run(told)
    except LogUnavailableError as error:
        raise LogFileError(f"{error}; run it again to go on") from error


class _Moving:
    def __init__(
        self, database: sqlite3.Connection, address: Address, target: EventLogConfig
    ) -> None:
        from destination_router.eventlog.kafka.groups import Groups  # noqa: PLC0415 -- an extra

        self._database = database
        self._address = address
        self._target = target
        self._groups = Groups(address)
        self._file = _identity(database)
        self._progress = {
            name: progress_of(database, name)
            for (name,) in database.execute("SELECT name FROM connections ORDER BY name").fetchall()
        }

    def close(self) -> None:
        self._groups.close()

    def run(self, told: Callable[[int], None]) -> Moved:
        from destination_router.eventlog.kafka.producing import (  # noqa: PLC0415 -- an extra
            Producing,
        )

        partitions = self._groups.partitions()
        if not partitions:
            raise LogFileError(
                f"there is no topic {self._address.events}: `eventlog create` makes it"
            )
        self._begin(partitions)
        there, before = self._moved_before(partitions)
        moved = Moved(before=before)
        last = last_offset(self._database)
        with contextlib.closing(Producing(self._address)) as producing:
            for chunk in self._records(there):
                producing.send_and_wait(chunk)
                moved.events += len(chunk)
                told(moved.events)
        moved.letters = self._copy_books()
        self._finish(last)
        return moved

    def _begin(self, partitions: list[int]) -> None:
        """Let connections begin before all new events, unless they have begun there already."""
        from destination_router.eventlog.kafka.admin import (  # noqa: PLC0415 -- an extra
            opened_admin,
        )
        from destination_router.eventlog.kafka.log import (  # noqa: PLC0415 -- an extra
            places_of,
            put_places,
        )
        from destination_router.eventlog.kafka.marks import Mark  # noqa: PLC0415 -- an extra

        starts = self._groups.starts(partitions)
        with opened_admin(self._address) as log, log.writing():
            known_there = places_of(log.books)
            put_places(
                log.books,
                {
                    name: {each: Mark(starts[each]) for each in partitions}
                    for name in self._progress
                    if name not in known_there
                },
            )
        for name in self._progress:
            known = self._groups.marks(name)
            new = {each: Mark(starts[each]) for each in partitions if each not in known}
            if new and not self._groups.set_marks(name, new):
                raise LogFileError(f"{name!r} is being delivered from there: end the routers first")

    def _moved_before(self, partitions: list[int]) -> tuple[set[int], int]:
        """Find the last events of the file in the topic, and count those that are there.

        Of a chunk that broke off, some may be missing before others that are there. All earlier
        ones are there.
        """
        from destination_router.eventlog.kafka.reading import (  # noqa: PLC0415 -- an extra
            Stretch,
            readable,
        )

        last, count = 0, 0
        there: set[int] = set()
        with contextlib.closing(Stretch(self._address)) as stretch:
            starts, ends = self._groups.starts(partitions), self._groups.ends(partitions)
            for each in readable(stretch.messages(starts, ends)):
                file, _, number = each.moved.partition("/")
                if file == self._file and number.isdecimal():
                    last, count = max(last, int(number)), count + 1
                    there.add(int(number))
                    if len(there) > _NOTED:
                        there = {offset for offset in there if offset > last - _AT_ONCE}
        return there, count

    def _records(self, there: set[int]) -> Iterator[list[Any]]:
        """Read the file, and make a record of each undelivered event that is not in the topic."""
        low = min((progress.low for progress in self._progress.values()), default=0)
        at = max(max(there, default=0) - _AT_ONCE, low)
        while True:
            rows, _ = read(self._database, at, _AT_ONCE)
            if not rows:
                return
            at = rows[-1].last
            if chunk := [
                record
                for row in rows
                for offset, body in row.events()
                if offset not in there and (record := self._record(row, offset, body)) is not None
            ]:
                yield chunk

    def _record(self, row: Row, offset: int, body: bytes) -> Any:
        from destination_router.eventlog.kafka.producing import (  # noqa: PLC0415 -- an extra
            Headers,
            Record,
        )

        waiting = [
            name
            for name, progress in self._progress.items()
            if row.target in (None, name) and not progress.is_done(offset)
        ]
        if not waiting:
            return None
        found: Headers = [("moved", f"{self._file}/{offset}".encode())]
        if row.target is not None or len(waiting) < len(self._progress):
            found += [("target", name.encode()) for name in waiting]
        if row.source is not None:
            found.append(("source", row.source.encode()))
        if row.replay is not None:
            found.append(("replay", row.replay.encode()))
        key = partition_key(body).encode() or None
        return Record(self._address.events, key, body, found, row.received_at)

    def _copy_books(self) -> int:
        """Copy dead letters and the other books. Existing entries stay."""
        from destination_router.eventlog.kafka.admin import (  # noqa: PLC0415 -- an extra
            opened_admin,
        )

        with opened_admin(self._address) as log, log.writing():
            for table in _COPIED:
                rows = self._database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
                if rows:
                    marks = ", ".join("?" * len(rows[0]))
                    log.books.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)  # noqa: S608
            letters = self._database.execute(
                f"SELECT {_LETTERS} FROM dead_letters ORDER BY id"  # noqa: S608
            ).fetchall()
            marks = ", ".join("?" * len(_LETTERS.split(",")))
            log.books.executemany(
                f"INSERT OR IGNORE INTO dead_letters ({_LETTERS}) VALUES ({marks})",  # noqa: S608
                letters,
            )
        return len(letters)

    def _finish(self, last: int) -> None:
        """Note in the file that nothing waits there, except events that came in meanwhile."""
        self._database.execute("BEGIN IMMEDIATE")
        for name in self._progress:
            put_low(self._database, name, last)
        self._database.execute("COMMIT")


def _identity(database: sqlite3.Connection) -> str:
    """Identify a file by its place. It must not be moved or copied between two attempts."""
    (path,) = [row[2] for row in database.execute("PRAGMA database_list") if row[1] == "main"]
    return hashlib.blake2b(str(path).encode(), digest_size=8).hexdigest()
