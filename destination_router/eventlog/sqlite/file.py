"""Opens the file of an embedded event log: makes it whole or not at all, and never harms it.

It refuses a file that is damaged, foreign or from a newer version, with a text that says what to
do. Nothing in such a file is changed or deleted.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from destination_router.eventlog.interface import LogFileError
from destination_router.eventlog.sqlite.checksums import DamageError
from destination_router.eventlog.sqlite.letter_room import LETTER_ROOM
from destination_router.eventlog.sqlite.queries import damage, last_offset, progress_of
from destination_router.faults import file_problem

APPLICATION_ID = 0x44524C47
"""`DRLG` in SQLite's header, which identifies the router's files."""

VERSION = 6
"""The schema's, in SQLite's `user_version`; a file of an older version is brought up to it."""

_BUSY_SECONDS = 10.0
_WAL_BYTES = 64 * 2**20

_PAGE_BYTES = 8192
"""Of a new file. An event has a kilobyte or two: of SQLite's own 4096, a third would stay empty,
and each page takes two calls of the system to write, and two more when it leaves the journal."""

_CHECKPOINT_PAGES = 2000
"""What the journal holds before it goes into the file. Room that was used again meanwhile, as that
of what was delivered is, goes there once."""

_SCHEMA = """
CREATE TABLE events (
    offset INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, even when all are deleted
    received_at INTEGER NOT NULL,              -- Unix time in milliseconds
    partition TEXT NOT NULL,                   -- whose event it is
    target TEXT,                               -- the only connection that it is for; NULL: all
    body BLOB NOT NULL
);  -- a row may be several events since version 6: see rows.py
CREATE TABLE connections (
    name TEXT PRIMARY KEY,
    low INTEGER NOT NULL                       -- every event up to this offset is done
) WITHOUT ROWID;
CREATE TABLE done (                            -- what is done above it
    connection TEXT NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (connection, offset)
) WITHOUT ROWID;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    connection TEXT NOT NULL,
    message_id TEXT NOT NULL,
    offset INTEGER NOT NULL,
    body BLOB NOT NULL,                        -- the message as wire JSON
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL,                       -- Unix time in milliseconds
    attempts INTEGER NOT NULL,
    request BLOB,                              -- JSON, secrets hidden; NULL: none was made
    status INTEGER,                            -- of the vendor's answer; NULL: there was none
    answer TEXT NOT NULL,
    replayed_at INTEGER,
    UNIQUE (connection, message_id)
);
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), tried_at INTEGER NOT NULL);
INSERT INTO probe VALUES (1, 0);
"""
_ADDED_2 = (
    """
CREATE TABLE pairings (                        -- ties that a vendor limits, as digests
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    made_at INTEGER,                           -- Unix time in milliseconds; NULL: perhaps not yet
    PRIMARY KEY (key, value)
) WITHOUT ROWID""",
    """
CREATE TABLE quarantine (
    connection TEXT NOT NULL,
    identity BLOB NOT NULL,                    -- a digest
    since INTEGER NOT NULL,                    -- Unix time in milliseconds
    PRIMARY KEY (connection, identity)
) WITHOUT ROWID""",
)
_ADDED_3 = (
    "ALTER TABLE events ADD COLUMN source TEXT",  # the sender's name; NULL: unknown
    "ALTER TABLE dead_letters ADD COLUMN source TEXT",
    "ALTER TABLE events ADD COLUMN replay TEXT",  # what is sent again; NULL: it is no replay
)
_ADDED_4 = (
    """
CREATE TABLE attempts (                        -- messages at hand when a process died
    connection TEXT NOT NULL,
    offset INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    PRIMARY KEY (connection, offset)
) WITHOUT ROWID""",
    """
CREATE TABLE holds (                           -- connections that may not send now
    connection TEXT PRIMARY KEY,
    code TEXT NOT NULL,                        -- of the vendor's answer
    since INTEGER NOT NULL                     -- Unix time in milliseconds
) WITHOUT ROWID""",
    """
CREATE TABLE origins (                         -- those that have taken something of a connection
    connection TEXT NOT NULL,
    origin TEXT NOT NULL,
    PRIMARY KEY (connection, origin)
) WITHOUT ROWID""",
    """
CREATE TABLE orders (                          -- what a person said of a connection last
    connection TEXT PRIMARY KEY,
    paused INTEGER NOT NULL,                   -- 1: send nothing; 0: go on, and ask at once
    at INTEGER NOT NULL                        -- Unix time in milliseconds
) WITHOUT ROWID""",
)
_ADDED_5 = (
    # In rows that are older than the column, it is NULL, and they are not checked.
    "ALTER TABLE events ADD COLUMN checksum INTEGER",
    "ALTER TABLE dead_letters ADD COLUMN replay TEXT",
    "ALTER TABLE connections ADD COLUMN checksum INTEGER",
    "ALTER TABLE done ADD COLUMN checksum INTEGER",
    # One that began at the start was noted at 0. Now none is before the first event.
    "UPDATE connections SET low = max(low, (SELECT ifnull(min(offset) - 1, 0) FROM events))",
    *LETTER_ROOM,
)
_ADDED_6 = (
    # NULL: the row is one event. Then `offset` is its own, else that of the last of them.
    "ALTER TABLE events ADD COLUMN lengths BLOB",
)
_ADDED = {1: _ADDED_2, 2: _ADDED_3, 3: _ADDED_4, 4: _ADDED_5, 5: _ADDED_6}
"""What each version lacks compared with the next."""
_TABLES = frozenset(
    {"events", "connections", "done", "dead_letters", "probe", "pairings", "quarantine"}
    | {"attempts", "holds", "origins", "orders", "letter_room"}
)

_SMALL_TABLES = (
    "attempts",
    "connections",
    "done",
    "holds",
    "letter_room",
    "orders",
    "origins",
    "probe",
    "quarantine",
)
"""They are read as a whole at each start; `pairings` and what waits may have millions of rows."""


def open_file(path: Path, *, create: bool = True) -> None:
    """Make sure that a usable event log is at a path.

    Args:
        path: where it is or will be.
        create: whether to make a new one if nothing is there.

    Raises:
        LogFileError: it cannot be used, or is not there.
    """
    try:
        real = path.resolve()  # SQLite's journal is beside the target of a symbolic link
        if not real.exists():
            if not create:
                raise LogFileError(f"{path}: there is no event log; start the router to make one")
            _create(real)
        _refuse_other_names(real)
        with contextlib.closing(connect(path)) as connection:
            _bring_up(connection)
            _check(connection, path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error
    except OSError as error:
        raise LogFileError(file_problem(path, error)) from error


def connect(path: Path, *, patience: float = _BUSY_SECONDS) -> sqlite3.Connection:
    """Connect to an event log's file, for one thread at a time.

    The caller begins and ends transactions. A committed one is on disk (`synchronous=FULL`).

    Args:
        path: the file.
        patience: how long to wait for other users of the file, in seconds.
    """
    connection = sqlite3.connect(
        path, timeout=patience, isolation_level=None, check_same_thread=False
    )
    connection.text_factory = _text
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        # Some builds of SQLite overwrite everything that is deleted. That doubles the writing, and
        # a deletion then needs as much room as it deletes, which a full disk does not have.
        connection.execute("PRAGMA secure_delete = FAST").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _text(content: bytes) -> str:
    """Read text even of a damaged file: Python would quote it in its error."""
    return content.decode("utf-8", "replace")


def integrity_problems(path: Path) -> list[str]:
    """Read a whole log and list what is wrong with it. This takes seconds for each gigabyte.

    Raises:
        LogFileError: it cannot even be opened.
    """
    open_file(path, create=False)
    try:
        with contextlib.closing(connect(path)) as connection:
            rows = connection.execute("PRAGMA quick_check(20)").fetchall()
            problems = [text for (text,) in rows if text != "ok"]
            return problems or [text for text in [damage(connection)] if text is not None]
    except sqlite3.DatabaseError as error:  # too damaged to list its damage
        return [str(error)]


@contextlib.contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turn errors of a damaged file into words for the person who has to mend it."""
    try:
        yield
    except DamageError as error:
        raise damaged(path, str(error)) from error
    except sqlite3.OperationalError as error:
        # A file may be busy, full or unreadable for now, but a missing table or column never comes.
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:
            raise
        raise _unusable(path, error) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error


def damaged(path: Path, what: str) -> LogFileError:
    """Describe damage that SQLite itself does not find."""
    return LogFileError(
        f"{path}: is damaged: {what}. Nothing was changed or deleted: restore it from a backup, or "
        "move it (and its -wal file) aside to start with an empty log"
    )


def _unusable(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> LogFileError:
    # Python quotes what it cannot decode, which may be anything.
    told = "damaged" if isinstance(error, UnicodeDecodeError) else error
    return LogFileError(
        f"{path}: cannot be used as an event log: {told}. Nothing was changed or deleted: restore "
        "it from a backup, or move it (and its -wal file) aside to start with an empty log"
    )


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of a log in an empty database."""
    added = "; ".join(statement for each in _ADDED.values() for statement in each)
    connection.executescript(f"BEGIN; {_SCHEMA} {added}; COMMIT;")


def _create(path: Path) -> None:
    """Make a new log under another name and move it into place, so that it is never half made."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    os.close(handle)
    draft = Path(name)
    try:
        with contextlib.closing(connect(draft)) as connection:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            make_tables(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(draft, path)
        _sync(path.parent)
    finally:
        for unneeded in (draft, Path(f"{name}-wal"), Path(f"{name}-shm")):
            unneeded.unlink(missing_ok=True)


def _bring_up(connection: sqlite3.Connection) -> None:
    """Add what a log of an older version lacks. Nothing in it changes."""
    application_id, version = _marks(connection)
    if application_id != APPLICATION_ID or version not in _ADDED:
        return
    connection.execute("BEGIN IMMEDIATE")
    _, version = _marks(connection)  # another process may have been faster
    for older in range(version, VERSION):
        for statement in _ADDED[older]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def _refuse_other_names(path: Path) -> None:
    """Refuse a log with hard links: each name would have its own journal, and its own worker.

    A name that a killed `_create` left behind is removed.
    """
    for draft in path.parent.glob(f".{path.name}.*"):
        if draft.samefile(path):
            draft.unlink(missing_ok=True)
    if (names := path.stat().st_nlink) > 1:
        raise LogFileError(
            f"{path}: has {names} names (hard links), and each would have a journal of its own. "
            "Nothing was changed: leave it one name"
        )


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application_id, version = _marks(connection)
    if application_id != APPLICATION_ID:
        found = "an empty file" if path.stat().st_size == 0 else "some other SQLite database"
        raise LogFileError(
            f"{path}: is {found}, not an event log. Nothing was changed or deleted: give another "
            "path in [eventlog] url, or restore the log from a backup"
        )
    if version > VERSION:
        raise LogFileError(
            f"{path}: was written by a newer version of this program (schema {version}, this one "
            f"knows {VERSION}). Nothing was changed: install that version again"
        )
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if missing := sorted(_TABLES - tables):
        raise LogFileError(
            f"{path}: is damaged: the table {missing[0]} is missing. Nothing was changed or "
            "deleted: restore it from a backup"
        )
    with damage_told(path):
        _check_marks(connection)
    # These read the last pages, so a file that was cut short fails here and not in operation.
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    for table in ("events", "dead_letters"):
        connection.execute(f"SELECT * FROM {table} ORDER BY rowid LIMIT 1").fetchone()  # noqa: S608
        connection.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone()  # noqa: S608
    if not Path(f"{path}-wal").exists() and path.stat().st_size < pages * page_bytes:
        raise LogFileError(
            f"{path}: is cut short: it should have {pages * page_bytes} bytes. Nothing was changed "
            "or deleted: restore it from a backup"
        )


def _check_marks(connection: sqlite3.Connection) -> None:
    """Check that each connection's progress is known, and not beyond the end of the log.

    Otherwise a connection would begin anew after its undelivered events, or never read again.
    """
    for table in _SMALL_TABLES:
        for (problem,) in connection.execute(f"PRAGMA quick_check({table})"):
            if problem != "ok":
                raise DamageError(f"the table {table}: {problem}")
    for (name,) in connection.execute("SELECT name FROM connections").fetchall():
        progress_of(connection, name)
    for (furthest,) in connection.execute(
        "SELECT max(low) FROM connections UNION ALL SELECT max(offset) FROM done"
    ):
        if (furthest or 0) > last_offset(connection):
            raise DamageError(f"a connection is at event {furthest}, and there is no such event")
