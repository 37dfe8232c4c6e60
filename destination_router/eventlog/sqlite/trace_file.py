"""Keeps traces and roll-ups in a file of their own beside the event log's.

They are worth less than events. So they are written without waiting for the disk, you may delete
them at any time, and damage to them harms no event. Any number of processes write and read the
file. It keeps each connection's last traces, and a week of roll-ups.

A batch of traces is one row, because nearly all of them are never looked at. A reader takes the
batch apart.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import asdict, replace

from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.trace import (
    Action,
    ConnectionState,
    Rollup,
    Trace,
    TraceContent,
    TraceFilter,
    TraceWith,
    event_name,
    joined,
)

APPLICATION_ID = 0x44524C43
"""`DRLC`, in SQLite's header."""

VERSION = 3
"""Traces of another version are dropped when the file is opened."""

KEPT_SECONDS = 7 * 86_400
"""How long roll-ups are kept: a week."""

STALE_SECONDS = 40.0
"""A worker notes its state at least every fifteen seconds."""

WATCHED_SECONDS = 10.0
"""How long somebody counts as watching after they have said so."""

MOST_ACTIONS = 1000

MOST_BYTES = 64 * 2**20
"""How much the traces of one connection may take."""

LARGEST_TRACE = 256 * 1024
"""A trace with more bytes is kept without its content."""

_LONGEST_TEXT = 1000
_IN_BATCH = 1 << 12
_WAITING_AS_WELL = 4
"""How many times `keep` traces there may be, with those of messages that changed since."""

_WATCHED = "-live"

_MOST_REMEMBERED = 16
"""How many batches are remembered that this process wrote: a few seconds."""

_LEAST_INTEGER, _MOST_INTEGER = -(2**63), 2**64 - 1
"""The integers that MessagePack can hold. JSON has more."""

_UNWRITABLE = (ValueError, OverflowError, TypeError, RecursionError)
"""The errors of a trace that cannot be written, for half a character or too large an integer."""

_MOST_CODES = 50
_MINUTE = 60
_SLACK = 1.2
_BUSY_SECONDS = 2.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connection TEXT NOT NULL,
    at REAL NOT NULL,
    ended INTEGER NOT NULL,                    -- how many messages ended in it
    traces INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    content BLOB NOT NULL                      -- traces, as MessagePack
);
CREATE TABLE IF NOT EXISTS rollups (
    minute INTEGER NOT NULL,                   -- Unix time / 60
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    counts BLOB NOT NULL,
    PRIMARY KEY (minute, kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS standings (
    name TEXT NOT NULL,
    worker TEXT NOT NULL,
    at REAL NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (name, worker)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL,
    count INTEGER NOT NULL
);
"""
_DROP_EARLIER = """
DROP TABLE IF EXISTS traces;                   -- of version 1
DROP TABLE IF EXISTS states;
DROP TABLE IF EXISTS watching;
DROP TABLE IF EXISTS batches;
"""
_PUT = "INSERT INTO batches VALUES (NULL, ?, ?, ?, ?, ?, ?)"
_NEWEST = "SELECT id, content FROM batches WHERE id > ? ORDER BY id DESC"
_NEWEST_OF_ONE = "SELECT id, content FROM batches WHERE id > ? AND connection = ? ORDER BY id DESC"

T = TypeVar("T")
C = TypeVar("C")

_NO_CONTENT = TraceContent()


def trace_path(log: Path) -> Path:
    """Return the path of the traces of a router whose event log is a file."""
    return log.with_name(f"{log.name}-console")


class TraceFile:
    """Keeps traces, roll-ups, states and actions in a file. It blocks, so call it in a thread.

    Args:
        path: the file; made if nothing is there.
        keep: how many traces of each connection it keeps.

    Raises:
        LogFileError: the file at the path is something else or damaged.
    """

    def __init__(self, path: Path, keep: int = 500) -> None:
        self.path = path
        self._keep = keep
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._swept = 0
        self._worker = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._remembers = False
        self._remembered: list[tuple[int, list[Trace]]] = []
        self._own_write: object = None
        self._dated_paths = (os.fspath(path), f"{path}-wal")  # texts, for they are looked at often
        self._watched_path = f"{path}{_WATCHED}"
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
        except (sqlite3.Error, LogUnavailableError) as error:
            self._database.close()
            raise self._unusable(error) from error
        except LogFileError:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    # -- for workers -----------------------------------------------------------------------------

    def put(
        self,
        traces: Sequence[Trace],
        rollups: Mapping[tuple[str, str], Rollup],
        states: Mapping[str, ConnectionState],
        now: float,
    ) -> None:
        """Keep traces, and count roll-ups into their minutes."""
        minute = int(now // _MINUTE)
        batches = list(_batches(traces, now))
        told = [
            (name, self._worker, now, msgspec.json.encode(state)) for name, state in states.items()
        ]

        numbers: list[int] = []

        def write(database: sqlite3.Connection) -> None:
            numbers.extend(database.execute(_PUT, batch.row).lastrowid or 0 for batch in batches)
            for (kind, name), counted in rollups.items():
                _count(database, (minute, kind, name), counted)
            if told:
                database.executemany("INSERT OR REPLACE INTO standings VALUES (?, ?, ?, ?)", told)
            if minute != self._swept:
                _sweep(database, minute)

        self._transact(write)
        self._swept = minute
        self._prune(traces)
        if self._remembers:
            self._remember([(at, batch.traces) for at, batch in zip(numbers, batches, strict=True)])

    def watched(self, now: float) -> bool:
        """Whether somebody watches what comes in. This costs only a look at a file's date."""
        try:
            since = os.stat(self._watched_path).st_mtime  # noqa: PTH116 -- a path's own takes twice as long
        except OSError:
            return False
        return now - WATCHED_SECONDS < since <= now + WATCHED_SECONDS

    # -- for the console -------------------------------------------------------------------------

    def watch(self, now: float) -> None:
        """Note that somebody watches."""
        try:
            os.close(os.open(self._watched_path, os.O_CREAT | os.O_RDWR, 0o600))
            os.utime(self._watched_path, (now, now))
        except OSError as error:
            raise LogUnavailableError(f"{self._watched_path}: {error}") from error

    def last_write(self) -> object:
        """Return a value that differs once anything was written: dates and sizes.

        Two changes within a few milliseconds may look like one, so read anyway now and then.
        """
        return [*map(_dated, self._dated_paths)]

    def remember(self, *, watched: bool) -> None:
        """Start or stop remembering, for a few seconds, what this process writes."""
        self._remembers = watched
        self._remembered = []

    def fresh(self, after: int, written: object) -> list[Trace] | None:
        """Return what changed after a number, the newest last, without a read of the file.

        None: that is unknown, because others have written or it is not remembered. Two changes of
        one message are both returned. It never waits.

        Args:
            after: the number.
            written: what `last_write` has just returned.
        """
        remembered = self._remembered
        if not remembered or remembered[0][0] > after // _IN_BATCH + 1:
            return None
        if self._own_write != written:
            return None
        return [each for _, traces in remembered for each in traces if each.number > after]

    def find(self, wanted: TraceFilter) -> list[Trace]:
        """Find traces without their content, the last changed first."""
        return self._read(lambda database: list(islice(_found(database, wanted), wanted.limit)))

    def news(self, wanted: TraceFilter) -> tuple[list[Trace], int]:
        """Do the same as `find`, and return how many more there were."""

        def look(database: sqlite3.Connection) -> tuple[list[Trace], int]:
            found = _found(database, wanted)
            return list(islice(found, wanted.limit)), sum(1 for _ in found)

        return self._read(look)

    def one(self, connection: str, offset: int) -> Trace | None:
        """Return a trace with its content; None if it is not kept."""
        return next(self.several(connection, {offset}), None)

    def several(self, connection: str, offsets: Collection[int]) -> Iterator[Trace]:
        """Yield traces of a connection with their content."""
        wanted = set(offsets)

        def look(database: sqlite3.Connection) -> list[Trace]:
            heads = _heads(database, connection, 0, _decode_heads)
            return [_whole(head, number) for number, head in heads if head.offset in wanted]

        yield from self._read(look)

    def forget(self, connection: str, is_theirs: Callable[[Trace], bool]) -> int:
        """Delete the traces of some messages beyond recovery from the file; return how many.

        Raises:
            LogUnavailableError: not all could be deleted now.
        """
        forgotten = 0

        def write(database: sqlite3.Connection) -> None:
            nonlocal forgotten
            query = "SELECT id FROM batches WHERE connection = ?"
            for (number,) in database.execute(query, (connection,)).fetchall():
                forgotten += _forget_in(database, number, is_theirs)

        self._transact(write)
        self._read(lambda database: database.execute("VACUUM"))  # earlier deletions, too
        self._read(lambda database: database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        return forgotten

    def rollups(self, kind: str, since: float, width: int) -> dict[str, dict[int, Rollup]]:
        """Sum up roll-ups, by name and by the start of each span, Unix time in seconds.

        Args:
            kind: `connection` or `source`.
            since: the first moment, Unix time in seconds.
            width: how many minutes make one span.
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
        """Return connections' states, as their workers last noted them."""
        query = "SELECT name, state FROM standings ORDER BY at DESC"
        told: dict[str, list[ConnectionState]] = {}
        for name, state in self._read(lambda d: d.execute(query).fetchall()):
            told.setdefault(name, []).append(msgspec.json.decode(state, type=ConnectionState))
        return {name: joined(states) for name, states in told.items()}

    def note(self, action: Action) -> None:
        """Keep an action."""
        row = (action.at, action.who, action.what, action.subject, action.count)

        def write(database: sqlite3.Connection) -> None:
            database.execute("INSERT INTO actions VALUES (NULL, ?, ?, ?, ?, ?)", row)
            database.execute(
                "DELETE FROM actions WHERE id <= (SELECT max(id) FROM actions) - ?", (MOST_ACTIONS,)
            )

        self._transact(write)

    def actions(self, limit: int) -> list[Action]:
        """List actions, the last first."""
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
        self._transact(_make_tables)

    def _unusable(self, error: Exception) -> LogFileError:
        return LogFileError(
            f"{self.path}: cannot be used to keep traces in: {error}. Nothing depends on it: "
            "delete it, or let it be written"
        )

    def _remember(self, batches: list[tuple[int, Sequence[Trace]]]) -> None:
        known = self._remembered
        for number, traces in batches:
            if known and known[-1][0] != number - 1:
                known = []  # another process wrote in between
            known = [*known[1 - _MOST_REMEMBERED :], (number, _listed(number, traces))]
        self._own_write = self.last_write()
        self._remembered = known

    def _prune(self, traces: Sequence[Trace]) -> None:
        """Drop the oldest traces of connections that may be a fifth above their limit."""
        added_to: dict[str, int] = {}
        for trace in traces:
            added_to[trace.connection] = added_to.get(trace.connection, 0) + 1
        for name, added in added_to.items():
            known = self._counts.get(name, int(_SLACK * self._keep))  # not counted since the start
            self._counts[name] = known + added
            if self._counts[name] >= _SLACK * self._keep:
                self._transact(partial(self._drop_oldest, name=name))
                self._counts[name] = self._keep

    def _drop_oldest(self, database: sqlite3.Connection, name: str) -> None:
        query = "SELECT id, ended, traces, bytes FROM batches WHERE connection = ? ORDER BY id DESC"
        ended = traces = size = 0
        for number, *counts in database.execute(query, (name,)).fetchall():
            if ended >= self._keep or traces >= _WAITING_AS_WELL * self._keep or size >= MOST_BYTES:
                database.execute(
                    "DELETE FROM batches WHERE connection = ? AND id <= ?", (name, number)
                )
                return
            ended, traces, size = ended + counts[0], traces + counts[1], size + counts[2]

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


def _make_tables(database: sqlite3.Connection) -> None:
    """Make the tables that are missing, and drop those of an earlier version."""
    (version,) = database.execute("PRAGMA user_version").fetchone()  # others open the file, too
    statements = _DROP_EARLIER + _SCHEMA if version < VERSION else _SCHEMA
    for statement in statements.split(";"):
        database.execute(statement)
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {VERSION}")


def _dated(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 -- as in `watched`
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _count(database: sqlite3.Connection, place: tuple[int, str, str], counted: Rollup) -> None:
    """Count into a minute. Beyond a number of codes, further codes are counted together."""
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


def _sweep(database: sqlite3.Connection, minute: int) -> None:
    """Drop roll-ups older than a week, and the states of connections that are gone."""
    oldest = minute - KEPT_SECONDS // _MINUTE
    database.execute("DELETE FROM rollups WHERE minute < ?", (oldest,))
    gone = "SELECT name FROM standings GROUP BY name HAVING max(at) < ?"
    for (name,) in database.execute(gone, (oldest * _MINUTE,)).fetchall():
        database.execute("DELETE FROM batches WHERE connection = ?", (name,))
        database.execute("DELETE FROM standings WHERE name = ?", (name,))
    # A worker notes its state every few seconds. The last state stays if none works.
    database.execute(
        "DELETE FROM standings WHERE at < "
        "(SELECT max(at) - ? FROM standings AS newer WHERE newer.name = standings.name)",
        (STALE_SECONDS,),
    )


class _Body(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a `TraceContent`: all that a list of messages shows of it."""

    body: str | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode_glances = msgspec.msgpack.Decoder(list[TraceWith[_Body]]).decode
_decode_heads = msgspec.msgpack.Decoder(list[TraceWith[msgspec.Raw]]).decode
_decode_content = msgspec.msgpack.Decoder(TraceContent).decode


class _Batch(msgspec.Struct, frozen=True):
    """The traces of one connection that become one row, and that row."""

    traces: Sequence[Trace]
    row: tuple[Any, ...]


def _batches(traces: Sequence[Trace], now: float) -> Iterator[_Batch]:
    """Write traces as rows, one connection in each."""
    by_connection: dict[str, list[Trace]] = {}
    for trace in traces:
        by_connection.setdefault(trace.connection, []).append(trace)
    for name, theirs in by_connection.items():
        for first in range(0, len(theirs), _IN_BATCH):
            part = theirs[first : first + _IN_BATCH]
            ended = sum(trace.result != "waiting" for trace in part)
            content, stored = _encoded(part)
            yield _Batch(stored, (name, now, ended, len(part), len(content), content))


def _listed(number: int, traces: Sequence[Trace]) -> list[Trace]:
    """Return a batch's traces as in a list: with numbers, without content."""
    return [
        replace(
            trace,
            number=number * _IN_BATCH + at,
            event=_event_of(trace.fingerprint, trace.event, trace.content.body),
            content=_NO_CONTENT,
        )
        for at, trace in enumerate(traces)
    ]


def _event_of(fingerprint: str, event: str, body: str | None) -> str:
    """Return a message's name, which is read from the message if the trace leaves it out."""
    return event_name(body or "") if fingerprint else event


def _encoded(traces: list[Trace]) -> tuple[bytes, list[Trace]]:
    """Write traces; return them also as they were written."""
    try:
        content = _encode(traces)
    except _UNWRITABLE:
        content = b""
    if 0 < len(content) <= LARGEST_TRACE:
        return content, traces
    fitting = list(map(_fitting, traces))
    return _encode(fitting), fitting


def _fitting(trace: Trace) -> Trace:
    """Leave out a trace's content if it is too large: a plugin can make much of little."""
    for change in (_as_it_is, _with_small_integers):
        try:
            changed = change(trace)
            if len(_encode(changed)) <= LARGEST_TRACE:
                return changed
        except _UNWRITABLE:
            pass
    about = ("body_bytes", "left_out", "decided_at", "ended_at")
    content = TraceContent(**{name: getattr(trace.content, name) for name in about})
    return replace(
        trace,
        message_id=_writable(trace.message_id),
        event=_writable(trace.event),
        detail=_writable(trace.detail),
        content=content,
        fingerprint="",
    )


def _as_it_is(trace: Trace) -> Trace:
    return trace


def _with_small_integers(trace: Trace) -> Trace:
    """Write integers in a message's values as text if MessagePack cannot hold them."""
    content = trace.content
    exchanges = [replace(each, request=_small(each.request)) for each in content.exchanges]
    content = replace(
        content,
        steps=tuple(map(_small, content.steps)),
        requests=tuple(map(_small, content.requests)),
        exchanges=tuple(exchanges),
    )
    return replace(trace, content=content)


def _small(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _small(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_small(item) for item in value]
    is_large = isinstance(value, int) and not _LEAST_INTEGER <= value <= _MOST_INTEGER
    return str(value) if is_large else value


def _writable(text: str) -> str:
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode()


def _heads(
    database: sqlite3.Connection,
    connection: str,
    after: int,
    decode: Callable[[bytes], list[TraceWith[C]]],
) -> Iterator[tuple[int, TraceWith[C]]]:
    """Read what changed after a number, the last first, with each message's last change only."""
    first = after // _IN_BATCH - 1
    if connection:
        rows = database.execute(_NEWEST_OF_ONE, (first, connection))
    else:
        rows = database.execute(_NEWEST, (first,))
    known: set[tuple[str, int]] = set()
    for number, content in rows:
        try:
            heads = decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # damage to them harms nothing else
        for at in range(len(heads) - 1, -1, -1):
            head = heads[at]
            key = (head.connection, head.offset)
            its_number = number * _IN_BATCH + at
            if its_number <= after:
                return
            if key not in known:
                known.add(key)
                yield its_number, head


def _found(database: sqlite3.Connection, wanted: TraceFilter) -> Iterator[Trace]:
    for number, head in _heads(database, wanted.connection, wanted.after, _decode_glances):
        event = _event_of(head.fingerprint, head.event, head.content.body)
        trace = _traced(head, number, event)
        if wanted.takes(trace):
            yield trace


def _whole(head: TraceWith[msgspec.Raw], number: int = 0) -> Trace:
    content = _decode_content(head.content)
    event = _event_of(head.fingerprint, head.event, content.body)
    return _traced(head, number, event, content)


def _traced(
    head: TraceWith[Any], number: int, event: str, content: TraceContent = _NO_CONTENT
) -> Trace:
    changed = {"number": number, "event": event, "content": content}
    return Trace(**{**asdict(head), **changed})


def _forget_in(
    database: sqlite3.Connection, number: int, is_theirs: Callable[[Trace], bool]
) -> int:
    """Leave some traces out of a batch; return how many."""
    row = database.execute("SELECT content FROM batches WHERE id = ?", (number,)).fetchone()
    try:
        heads = _decode_heads(row[0])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        heads = []
    others = [head for head in heads if not is_theirs(_whole(head))]
    if heads and len(others) == len(heads):
        return 0
    if others:
        content = _encode(others)
        database.execute(
            "UPDATE batches SET content = ?, bytes = ? WHERE id = ?",
            (content, len(content), number),
        )
    else:
        database.execute("DELETE FROM batches WHERE id = ?", (number,))
    return len(heads) - len(others)
