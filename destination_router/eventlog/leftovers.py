"""What a log still holds for one connection, looked through for whatever shall not go out.

Reading takes no lock, so that senders need not wait while much is looked through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection

from destination_router.eventlog.dead_letters import delete_letters, find_letters
from destination_router.eventlog.letters import LetterFilter, StoredLetter

IsMeant = Callable[[bytes], bool]
"""Tells of a message, as wire JSON, whether it is one of those that are looked for."""

_WAITING = """
SELECT offset, body FROM events
WHERE offset > (SELECT low FROM connections WHERE name = :name)
    AND (target IS NULL OR target = :name)
    AND offset NOT IN (SELECT offset FROM done WHERE connection = :name)
"""


def find_waiting(database: sqlite3.Connection, name: str, is_meant: IsMeant) -> list[int]:
    """List the offsets of messages that a connection has not delivered; those that are meant."""
    rows = database.execute(_WAITING, {"name": name})
    return [offset for offset, body in rows if is_meant(body)]


def drop_waiting(database: sqlite3.Connection, name: str, offsets: Collection[int]) -> None:
    """Mark messages as done, undelivered. Only for who has claimed the log: a worker would not see.

    Other connections deliver them all the same.
    """
    database.execute("BEGIN IMMEDIATE")
    database.executemany(
        "INSERT OR IGNORE INTO done VALUES (?, ?)", [(name, offset) for offset in offsets]
    )
    database.execute("COMMIT")


def find_meant_letters(
    database: sqlite3.Connection, name: str, is_meant: IsMeant
) -> list[StoredLetter]:
    """List a connection's dead letters, replayed or not; those that are meant."""
    letters = find_letters(database, LetterFilter(connection=name))
    return [letter for letter in letters if is_meant(letter.body)]


def drop_letters(database: sqlite3.Connection, letters: Collection[StoredLetter]) -> None:
    """Delete dead letters."""
    database.execute("BEGIN IMMEDIATE")
    delete_letters(database, list(letters))
    database.execute("COMMIT")
