"""Keeps, finds and marks dead letters in the event log's own file.

Every function runs within its caller's transaction. A message is one letter for each connection,
however often it fails. Its last failure counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from destination_router.eventlog.dead_letter import (
    DamagedLetter,
    DeadLetter,
    DeadLetterFilter,
    LetterGroup,
)
from destination_router.eventlog.sqlite.checksums import DamageError, checked_time
from destination_router.eventlog.sqlite.letter_room import delete_numbered
from destination_router.eventlog.sqlite.rows import FIRST


def _of_event(column: str) -> str:
    """Write the SQL of what an event's row says. It is asked with the offset, twice."""
    return (
        f"(SELECT {column} FROM events WHERE {FIRST} <= ? "  # noqa: S608
        "AND offset = (SELECT min(offset) FROM events WHERE offset >= ?))"
    )


_PUT = f"""
INSERT INTO dead_letters
    (connection, message_id, offset, body, code, detail, at, attempts, request, status, answer,
     source, replay)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    coalesce(?, {_of_event("source")}), coalesce(?, {_of_event("replay")}))
ON CONFLICT (connection, message_id) DO UPDATE SET
    offset = excluded.offset, body = excluded.body, code = excluded.code,
    detail = excluded.detail, at = excluded.at, attempts = attempts + excluded.attempts,
    request = excluded.request, status = excluded.status, answer = excluded.answer,
    replayed_at = NULL, source = excluded.source, replay = excluded.replay
"""  # noqa: S608
_FIND = """
SELECT id, connection, message_id, offset, body, code, detail, at, attempts, request, status,
       answer, replayed_at, source, replay
FROM dead_letters WHERE {conditions} ORDER BY id LIMIT ?
"""
_GROUPS = """
SELECT connection, code, count(*), max(id) FROM dead_letters WHERE {conditions}
GROUP BY connection, code
ORDER BY count(*) DESC, max(id)
"""
_CHUNK = 500
_UNREADABLE = (TypeError, ValueError, RecursionError)
"""What a damaged row raises as it is read; errors of msgspec are among them."""

_HOUR = 3_600_000  # milliseconds


def put_letters(connection: sqlite3.Connection, letters: Iterable[DeadLetter]) -> None:
    """Keep dead letters."""
    connection.executemany(_PUT, [_row(letter) for letter in letters])


def find_letters(
    connection: sqlite3.Connection,
    wanted: DeadLetterFilter,
    damaged: list[DamagedLetter] | None = None,
) -> Iterator[DeadLetter]:
    """Find dead letters, the oldest first.

    Args:
        connection: to the file.
        wanted: which.
        damaged: takes those that are not as they were written, as far as their types tell; they
            count towards a limit. None: the first one raises.

    Raises:
        DamageError: one is not as it was written.
    """
    conditions, values = _conditions(wanted)
    query = _FIND.format(conditions=" AND ".join(conditions))
    limit = -1 if wanted.limit is None else wanted.limit
    for row in connection.execute(query, [*values, limit]):
        try:
            letter = _stored(row)
        except DamageError:
            if damaged is None:
                raise
            damaged.append(_damaged(row))
        else:
            yield letter


def group_letters(connection: sqlite3.Connection, wanted: DeadLetterFilter) -> list[LetterGroup]:
    """Group dead letters by connection and code, the largest group first, without any limit."""
    conditions, values = _conditions(wanted)
    query = _GROUPS.format(conditions=" AND ".join(conditions))
    groups = []
    for found, about, count, number in connection.execute(query, values).fetchall():
        name, code = _name(found), _name(about)
        # This one also stands for a letter that an index has, and the table has not.
        damaged = [DamagedLetter(id=number, connection=name, code=code, body=None)]
        read = list(find_letters(connection, DeadLetterFilter(ids=(number,)), damaged))
        groups.append(LetterGroup(name, code, count, read[0] if read else damaged[0]))
    return groups


def count_letters(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """Count the letters that are not replayed, by connection and code."""
    rows = connection.execute(
        "SELECT connection, code, count(*) FROM dead_letters "
        "WHERE replayed_at IS NULL GROUP BY connection, code"
    )
    counts: dict[tuple[str, str], int] = {}
    for name, code, count in rows:
        kind = _name(name), _name(code)
        counts[kind] = counts.get(kind, 0) + count
    return counts


def count_by_hour(connection: sqlite3.Connection, wanted: DeadLetterFilter) -> dict[int, int]:
    """Count letters by the hour in which each was given up (Unix time / 3600), without a read."""
    conditions, values = _conditions(wanted)
    query = (
        f"SELECT at / {_HOUR}, count(*) FROM dead_letters "  # noqa: S608 -- names of ours
        f"WHERE {' AND '.join(conditions)} GROUP BY 1"
    )
    rows = connection.execute(query, values).fetchall()
    return {hour: count for hour, count in rows if isinstance(hour, int)}  # or it is damaged


def mark_replayed(
    connection: sqlite3.Connection, letters: Sequence[DeadLetter], now: float
) -> None:
    """Note that letters went back into the log. `now` is Unix time in seconds."""
    at = _milliseconds(now)
    connection.executemany(
        "UPDATE dead_letters SET replayed_at = ? WHERE id = ?",
        [(at, letter.id) for letter in letters],
    )


def delete_letters(
    connection: sqlite3.Connection, letters: Sequence[DeadLetter | DamagedLetter]
) -> None:
    """Delete letters for good: their content is nowhere else."""
    delete_numbered(connection, [(letter.id,) for letter in letters])


def delete_letters_before(connection: sqlite3.Connection, moment: float) -> int:
    """Delete some letters whose last failure is before a Unix time; return how many."""
    numbers = connection.execute(
        "SELECT id FROM dead_letters WHERE at < ? LIMIT ?", (_milliseconds(moment), _CHUNK)
    ).fetchall()
    return delete_numbered(connection, numbers)


def _row(letter: DeadLetter) -> tuple[Any, ...]:
    return (
        letter.connection,
        letter.message_id or f"offset-{letter.offset}",
        letter.offset,
        letter.body,
        letter.code,
        letter.detail,
        _milliseconds(letter.at),
        letter.attempts,
        None if letter.request is None else msgspec.json.encode(letter.request),
        letter.status,
        letter.answer,
        letter.source,
        letter.offset,
        letter.offset,
        letter.replay,
        letter.offset,
        letter.offset,
    )


def _stored(row: Sequence[Any]) -> DeadLetter:
    number, connection, message_id, offset, body, code, detail, at, attempts, *rest = row
    request, status, answer, replayed_at, source, replay = rest
    whose = f"dead letter {number}"
    try:
        return msgspec.convert(
            {
                "id": number,
                "connection": connection,
                "message_id": message_id,
                "offset": offset,
                "body": body,
                "code": code,
                "detail": detail,
                "at": checked_time(at, whose),
                "attempts": attempts,
                "request": None if request is None else msgspec.json.decode(request),
                "status": status,
                "answer": answer,
                "replayed_at": None if replayed_at is None else checked_time(replayed_at, whose),
                "source": source,
                "replay": replay,
            },
            DeadLetter,
            builtin_types=(bytes,),
        )
    except _UNREADABLE:  # its words would quote it
        raise DamageError(f"{whose} is not as it was written") from None


def _damaged(row: Sequence[Any]) -> DamagedLetter:
    number, connection, _, _, body, code, *_ = row
    return DamagedLetter(
        id=number,
        connection=_name(connection),
        code=_name(code),
        body=body if isinstance(body, bytes) else None,
    )


def _name(found: object) -> str:
    return found if isinstance(found, str) else ""


def _conditions(wanted: DeadLetterFilter) -> tuple[list[str], list[Any]]:
    conditions = ["1"]
    values: list[Any] = []
    for column, value in (
        ("connection = ?", wanted.connection),
        ("code = ?", wanted.code),
        ("message_id = ?", wanted.message_id),
        ("at >= ?", None if wanted.since is None else _milliseconds(wanted.since)),
        ("at < ?", None if wanted.before is None else _milliseconds(wanted.before)),
    ):
        if value is not None:
            conditions.append(column)
            values.append(value)
    if wanted.ids:
        conditions.append(f"id IN ({', '.join('?' * len(wanted.ids))})")
        values.extend(wanted.ids)
    if wanted.replayed is not None:
        conditions.append(f"replayed_at IS {'NOT ' if wanted.replayed else ''}NULL")
    return conditions, values


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)
