"""Traces and roll-ups in a file of their own beside the event log's.

Of their own, for they are worth less than events: they are written without waiting for the disk,
may be deleted at any time, and what damages them harms no event. Any number of processes write and
read it. Of each connection the last traces are kept, of roll-ups a week.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.trace import (
    Action,
    ConnectionState,
    Rollup,
    Trace,
    TraceContent,
    TraceFilter,
)

APPLICATION_ID = 0x44524C43
"""`DRLC`, in SQLite's header."""

VERSION = 1

KEPT_SECONDS = 7 * 86_400
"""How long roll-ups are kept: a week."""

WATCHED_SECONDS = 10.0
"""How long it is believed that somebody looks, once they have said so."""

MOST_ACTIONS = 1000

_MOST_CODES = 50
_MINUTE = 60
_SLACK = 1.2
_BUSY_SECONDS = 2.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS traces (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- rises with each change
    connection TEXT NOT NULL,
    offset INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    type TEXT NOT NULL,
    event TEXT NOT NULL,
    source TEXT NOT NULL,
    received_at REAL,
    at REAL NOT NULL,
    result TEXT NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (connection, offset)
);
CREATE INDEX IF NOT EXISTS traces_of_connection ON traces (connection, number);
CREATE TABLE IF NOT EXISTS rollups (
    minute INTEGER NOT NULL,                   -- Unix time / 60
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    counts BLOB NOT NULL,
    PRIMARY KEY (minute, kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS states (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watching (id INTEGER PRIMARY KEY CHECK (id = 1), until REAL NOT NULL);
CREATE TABLE IF NOT EXISTS actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL,
    count INTEGER NOT NULL
);
"""
_COLUMNS = (
    "number",
    "connection",
    "offset",
    "message_id",
    "type",
    "event",
    "source",
    "received_at",
    "at",
    "result",
    "code",
    "detail",
)
_SUMMARY = f"SELECT {', '.join(_COLUMNS)} FROM traces"  # noqa: S608 -- names of ours
_ONE = f"SELECT {', '.join(_COLUMNS)}, content FROM traces WHERE connection = ? AND offset = ?"  # noqa: S608
_PUT = f"INSERT OR REPLACE INTO traces VALUES (NULL{', ?' * 12})"  # noqa: S608

T = TypeVar("T")


def trace_path(log: Path) -> Path:
    """Say where the traces of a router are whose event log is a file."""
    return log.with_name(f"{log.name}-console")


class TraceFile:
    """Keeps traces, roll-ups, states and actions in a file. It blocks: call it in a thread.

    Args:
        path: the file; made if nothing is there.
        keep: how many traces of each connection are kept.

    Raises:
        LogFileError: what is at the path is something else, or damaged.
    """

    def __init__(self, path: Path, keep: int = 500) -> None:
        self.path = path
        self._keep = keep
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        try:
            self._database.text_factory = lambda content: content.decode("utf-8", "replace")
            self._open()
        except sqlite3.Error as error:
            self._database.close()
            raise self._unusable(error) from error
        except LogFileError:
            self._database.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    # -- for whoever works -----------------------------------------------------------------------

    def put(
        self,
        traces: Sequence[Trace],
        rollups: Mapping[tuple[str, str], Rollup],
        states: Mapping[str, ConnectionState],
        now: float,
    ) -> None:
        """Keep traces and count roll-ups into their minute."""
        minute = int(now // _MINUTE)
        told = [(name, msgspec.json.encode(state)) for name, state in states.items()]

        def write(database: sqlite3.Connection) -> None:
            database.executemany(_PUT, [_trace_row(trace) for trace in traces])
            for (kind, name), counted in rollups.items():
                _count(database, (minute, kind, name), counted)
            database.executemany("INSERT OR REPLACE INTO states VALUES (?, ?)", told)
            if rollups:
                oldest = minute - KEPT_SECONDS // _MINUTE
                database.execute("DELETE FROM rollups WHERE minute < ?", (oldest,))

        self._transact(write)
        self._prune(traces)

    def watched(self, now: float) -> bool:
        """Whether somebody looks at what comes in."""
        row = self._read(lambda d: d.execute("SELECT until FROM watching").fetchone())
        return row is not None and bool(now < row[0] <= now + 2 * WATCHED_SECONDS)

    # -- for whoever looks -----------------------------------------------------------------------

    def watch(self, now: float) -> None:
        """Say that somebody looks."""
        row = (1, now + WATCHED_SECONDS)
        self._transact(lambda d: d.execute("INSERT OR REPLACE INTO watching VALUES (?, ?)", row))

    def find(self, wanted: TraceFilter) -> list[Trace]:
        """Find traces, without their content; the one that changed last, first."""
        conditions, values = ["number > ?"], [wanted.after]
        for column in ("connection", "source", "type", "event", "result", "message_id"):
            if value := getattr(wanted, column):
                conditions.append(f"{column} = ?")
                values.append(value)
        query = f"{_SUMMARY} WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?"
        rows = self._read(lambda d: d.execute(query, [*values, wanted.limit]).fetchall())
        return [_trace(row) for row in rows]

    def one(self, connection: str, offset: int) -> Trace | None:
        """Give a trace with its content; None: it is not kept."""
        row = self._read(lambda d: d.execute(_ONE, (connection, offset)).fetchone())
        if row is None:
            return None
        content = msgspec.json.decode(row[-1], type=TraceContent)
        return msgspec.structs.replace(_trace(row[:-1]), content=content)

    def rollups(self, kind: str, since: float, width: int) -> dict[str, dict[int, Rollup]]:
        """Sum roll-ups up, by name and by when each span began, Unix time in seconds.

        Args:
            kind: `connection` or `source`.
            since: the first moment, Unix time in seconds.
            width: how many minutes are summed up into one.
        """
        query = (
            "SELECT minute, name, counts FROM rollups WHERE minute >= ? AND kind = ? "
            "ORDER BY minute"
        )
        place = (int(since // _MINUTE), kind)
        found: dict[str, dict[int, Rollup]] = {}
        for minute, name, counts in self._read(lambda d: d.execute(query, place).fetchall()):
            start = minute // width * width * _MINUTE
            total = found.setdefault(name, {}).setdefault(start, Rollup())
            total.add(msgspec.json.decode(counts, type=Rollup))
        return found

    def states(self) -> dict[str, ConnectionState]:
        """Tell how connections stand, as their workers said last."""
        rows = self._read(lambda d: d.execute("SELECT name, state FROM states").fetchall())
        return {name: msgspec.json.decode(state, type=ConnectionState) for name, state in rows}

    def note(self, action: Action) -> None:
        """Keep what somebody did."""
        row = (action.at, action.who, action.what, action.subject, action.count)

        def write(database: sqlite3.Connection) -> None:
            database.execute("INSERT INTO actions VALUES (NULL, ?, ?, ?, ?, ?)", row)
            database.execute(
                "DELETE FROM actions WHERE id <= (SELECT max(id) FROM actions) - ?", (MOST_ACTIONS,)
            )

        self._transact(write)

    def actions(self, limit: int) -> list[Action]:
        """List what was done, the last first."""
        query = "SELECT at, who, what, subject, count FROM actions ORDER BY id DESC LIMIT ?"
        return [Action(*row) for row in self._read(lambda d: d.execute(query, (limit,)).fetchall())]

    # -- inside --------------------------------------------------------------------------------

    def _open(self) -> None:
        database = self._database
        (mark,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if mark != APPLICATION_ID and tables:
            raise LogFileError(f"{self.path}: is some other database; nothing was changed")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise LogFileError(f"{self.path}: was written by a newer version; delete it")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA journal_size_limit = 4194304")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.executescript(_SCHEMA)

    def _unusable(self, error: Exception) -> LogFileError:
        return LogFileError(
            f"{self.path}: cannot be used to keep traces in: {error}. Nothing depends on it: "
            "delete it, or let it be written"
        )

    def _prune(self, traces: Sequence[Trace]) -> None:
        """Drop the oldest traces of connections that may have a fifth too many."""
        for name, added in Counter(trace.connection for trace in traces).items():
            known = self._counts.get(name, int(_SLACK * self._keep))  # not since the start
            self._counts[name] = known + added
            if self._counts[name] >= _SLACK * self._keep:
                self._transact(partial(self._drop_oldest, name=name))
                self._counts[name] = self._keep

    def _drop_oldest(self, database: sqlite3.Connection, name: str) -> None:
        oldest = database.execute(
            "SELECT number FROM traces WHERE connection = ? ORDER BY number DESC LIMIT 1 OFFSET ?",
            (name, self._keep),
        ).fetchone()
        if oldest is not None:
            database.execute(
                "DELETE FROM traces WHERE connection = ? AND number <= ?", (name, oldest[0])
            )

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with self._lock:
                return read(self._database)
        except sqlite3.Error as error:
            raise LogUnavailableError(f"{self.path}: {error}") from error

    def _transact(self, write: Callable[[sqlite3.Connection], object]) -> None:
        try:
            with self._lock:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    write(self._database)
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise LogUnavailableError(f"{self.path}: {error}") from error


def _count(database: sqlite3.Connection, place: tuple[int, str, str], counted: Rollup) -> None:
    """Count into a minute; beyond so many codes, further ones are counted together."""
    row = database.execute(
        "SELECT counts FROM rollups WHERE minute = ? AND kind = ? AND name = ?", place
    ).fetchone()
    total = Rollup() if row is None else msgspec.json.decode(row[0], type=Rollup)
    total.add(counted)
    if len(total.codes) > _MOST_CODES:
        kept = sorted(total.codes, key=lambda code: -total.codes[code])[: _MOST_CODES - 1]
        others = sum(count for code, count in total.codes.items() if code not in kept)
        total.codes = {code: total.codes[code] for code in kept} | {"others": others}
    database.execute(
        "INSERT OR REPLACE INTO rollups VALUES (?, ?, ?, ?)", (*place, msgspec.json.encode(total))
    )


def _trace_row(trace: Trace) -> tuple[Any, ...]:
    values = (getattr(trace, column) for column in _COLUMNS[1:])
    return (*values, msgspec.json.encode(trace.content))


def _trace(row: Sequence[Any]) -> Trace:
    return msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), Trace)
