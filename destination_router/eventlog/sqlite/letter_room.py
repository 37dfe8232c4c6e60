"""Bounds the room of dead letters in a log's file, and deletes those beyond it.

Dead letters have a budget of their own, so they never take the room of events. Beyond the budget,
the oldest letters of the connection and code that holds most are deleted. So a flood of one kind
does not push out rare letters.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

Kind = tuple[str, str]
"""A connection and a code of dead letters."""

_ROW_BYTES = 120
"""The bytes that SQLite keeps for a letter beside its content, in the table and its two indexes."""


def _size(row: str) -> str:
    """Write the SQL of a letter's size in bytes. Rows of earlier versions count the same."""
    once = ("body", "detail", "request", "answer")
    texts = [f"ifnull(length(CAST({row}{name} AS BLOB)), 0)" for name in once]
    return f"({' + '.join(texts)} + 2 * length({row}message_id) + {_ROW_BYTES})"


def _change(row: str, sign: str) -> str:
    return f"""
    UPDATE letter_room SET letters = letters {sign} 1, bytes = bytes {sign} {_size(row)}
    WHERE connection = {row}connection AND code = {row}code;
    """  # noqa: S608 -- made of constants, as all here


_ADD = f"""
INSERT INTO letter_room SELECT NEW.connection, NEW.code, 0, 0 WHERE NOT EXISTS
    (SELECT 1 FROM letter_room WHERE connection = NEW.connection AND code = NEW.code);
{_change("NEW.", "+")}
"""  # noqa: S608
_TAKE = f"""
{_change("OLD.", "-")}
DELETE FROM letter_room WHERE letters = 0;
"""  # noqa: S608

_COUNT = f"""
INSERT OR IGNORE INTO letter_room
SELECT connection, code, count(*), sum{_size("")} FROM dead_letters GROUP BY connection, code
"""  # noqa: S608 -- IGNORE: damage may leave one without a connection or a code

LETTER_ROOM = (
    """
CREATE TABLE letter_room (                     -- kept by triggers, whoever changes dead_letters
    connection TEXT NOT NULL,
    code TEXT NOT NULL,
    letters INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (connection, code)
) WITHOUT ROWID""",
    "CREATE INDEX letters_by_kind ON dead_letters (connection, code, at)",
    f"CREATE TRIGGER letter_kept AFTER INSERT ON dead_letters BEGIN {_ADD} END",
    f"CREATE TRIGGER letter_gone AFTER DELETE ON dead_letters BEGIN {_TAKE} END",
    f"CREATE TRIGGER letter_changed AFTER UPDATE ON dead_letters BEGIN {_ADD} {_TAKE} END",
    _COUNT,
)
"""The parts of a log's file for this, as SQL."""

_DELETE = "DELETE FROM dead_letters WHERE id = ?"
_MADE_WHOLE = """
UPDATE OR IGNORE dead_letters SET connection = '', message_id = 'deleted ' || id WHERE id = ?
"""
_OLDEST = f"""
SELECT id, {_size("")} FROM dead_letters WHERE connection = ? AND code = ? ORDER BY at, id LIMIT ?
"""  # noqa: S608


def letter_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of dead letters."""
    (found,) = connection.execute("SELECT ifnull(sum(bytes), 0) FROM letter_room").fetchone()
    return int(found)


def delete_numbered(connection: sqlite3.Connection, numbers: Sequence[tuple[int]]) -> int:
    """Delete dead letters by their ids, also damaged ones, within a transaction.

    Returns:
        How many there were. An index may have more than the table, if it is damaged.
    """
    connection.execute("SAVEPOINT deletion")
    try:
        count = connection.executemany(_DELETE, numbers).rowcount
    except sqlite3.OperationalError:  # busy, or full: nothing is wrong with them
        raise
    except sqlite3.DatabaseError:
        # One is not where the indexes have it, or lacks what the triggers count.
        connection.execute("ROLLBACK TO deletion")
        connection.execute("REINDEX dead_letters")
        connection.executemany(_MADE_WHOLE, numbers)
        count = connection.executemany(_DELETE, numbers).rowcount
        connection.execute("DELETE FROM letter_room")
        connection.execute(_COUNT)
    connection.execute("RELEASE deletion")
    return max(0, count)


def make_room(connection: sqlite3.Connection, budget: int, most: int) -> Counter[Kind]:
    """Delete dead letters beyond a budget; return how many of each kind.

    Args:
        connection: within a transaction.
        budget: the bytes that they may take.
        most: how many to delete at once, because appends wait meanwhile.
    """
    lost: Counter[Kind] = Counter()
    while most > 0 and (excess := letter_bytes(connection) - budget) > 0:
        kind, ahead = _fullest(connection)
        gone = _oldest(connection, kind, min(excess, ahead), most)
        if not gone:
            break
        delete_numbered(connection, gone)
        lost[kind] += len(gone)
        most -= len(gone)
    return lost


def _fullest(connection: sqlite3.Connection) -> tuple[Kind, int]:
    """Return the kind that holds most, and its lead over the next."""
    (name, code, most), *others = connection.execute(
        "SELECT connection, code, bytes FROM letter_room ORDER BY bytes DESC LIMIT 2"
    ).fetchall()
    return (name, code), max(1, most - others[0][2] if others else most)


def _oldest(connection: sqlite3.Connection, kind: Kind, wanted: int, most: int) -> list[tuple[int]]:
    """List the oldest letters of a kind that take a number of bytes."""
    found: list[tuple[int]] = []
    for number, size in connection.execute(_OLDEST, (*kind, most)):
        found.append((number,))
        wanted -= size
        if wanted <= 0:
            break
    return found
