"""What a log still holds for one connection, to be looked through for whatever shall not go out.

Reading takes no lock, so that senders need not wait while much is looked through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator

from destination_router.eventlog.dead_letter import LetterFilter, StoredLetter
from destination_router.eventlog.sqlite.dead_letter_store import delete_letters, find_letters

_WAITING = """
SELECT offset, body FROM events
WHERE offset > (SELECT low FROM connections WHERE name = :name)
    AND (target IS NULL OR target = :name)
    AND offset NOT IN (SELECT offset FROM done WHERE connection = :name)
"""


def waiting_events(database: sqlite3.Connection, name: str) -> Iterator[tuple[int, bytes]]:
    """Read what a connection has not delivered: offsets and bodies."""
    return database.execute(_WAITING, {"name": name})


def drop_waiting(database: sqlite3.Connection, name: str, offsets: Collection[int]) -> None:
    """Mark messages as done, undelivered. Only for who has claimed the log: a worker would not see.

    Other connections deliver them all the same.
    """
    database.execute("BEGIN IMMEDIATE")
    database.executemany(
        "INSERT OR IGNORE INTO done VALUES (?, ?)", [(name, offset) for offset in offsets]
    )
    database.execute("COMMIT")


def all_letters(database: sqlite3.Connection, name: str) -> Iterator[tuple[StoredLetter, bytes]]:
    """Read a connection's dead letters, replayed or not, and their bodies."""
    for letter in find_letters(database, LetterFilter(connection=name)):
        yield letter, letter.body


def drop_letters(database: sqlite3.Connection, letters: Collection[StoredLetter]) -> None:
    """Delete dead letters."""
    database.execute("BEGIN IMMEDIATE")
    delete_letters(database, list(letters))
    database.execute("COMMIT")
