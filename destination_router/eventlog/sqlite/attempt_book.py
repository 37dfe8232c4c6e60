"""Keeps which messages were being decided or planned when a process died, and how often.

The messages at hand are in the file `<log>.attempts`, which is written without waiting for the
disk. The file survives a killed process, and if the machine stops, no message is at fault. When a
connection's worker starts, it reads the file, and only then is anything noted in the log itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path

from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.router_log import BookStore
from destination_router.faults import file_problem
from destination_router.private_files import open_private

MOST = 10_000
"""How many messages the file holds at once: as many as a window may have."""

_DIGEST_BYTES = 16
_WHOLE_BYTES = 4096
"""What is within one page is in the file whole or not at all, wherever the process is killed."""

_COUNT = struct.Struct("<I")
_NONE = _COUNT.pack(0)
_OFFSETS = _COUNT.size + _DIGEST_BYTES

_ALONE = """
INSERT INTO attempts VALUES (?, ?, 1)
ON CONFLICT (connection, offset) DO UPDATE SET tries = tries + 1
"""
_AMONG_OTHERS = "INSERT OR IGNORE INTO attempts VALUES (?, ?, 1)"
_OVER = """
DELETE FROM attempts
WHERE connection = ? AND offset <= (SELECT low FROM connections WHERE name = ?)
"""
_KNOWN = "SELECT offset, tries FROM attempts WHERE connection = ?"

_log = logging.getLogger(__name__)


class LoggedAttempts:
    """Keeps attempts beside an event log, and counts those that ended with their process.

    Only a process that has claimed the log may use it, and each has a file of its own.

    Args:
        log: keeps the counts.
        path: the file of the messages at hand; made if it is not there.
    """

    def __init__(self, log: BookStore, path: Path) -> None:
        self._log = log
        self._file: int | None = None
        try:
            with open_private(path, "ab") as file:
                self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                del file
        except OSError as error:
            _log.warning("attempts_not_kept", extra={"detail": file_problem(path, error)})
        # Read it at once: the first connection that works overwrites what killed another's process.
        self._whose, self._left = self._found()

    async def open(self, connection: str) -> dict[int, int]:
        """List the messages at which processes died, and how often, this time included.

        Raises:
            LogUnavailableError: nothing was noted. The messages at hand are still known.
        """
        left = self._left if self._whose == _digest(connection) else ()
        tries = await self._log.transact(partial(_noted, connection=connection, left=left))
        if left:
            self._left = ()
        return tries

    def begin(self, connection: str, offsets: Sequence[int], *, again: bool = False) -> None:
        """Note the messages at hand until `end`; no others may be at hand meanwhile."""
        del again  # a note costs next to nothing
        if self._file is None:
            return
        kept = offsets[:MOST]
        count = _COUNT.pack(len(kept))
        content = _digest(connection) + struct.pack(f"<{len(kept)}q", *kept)
        with contextlib.suppress(OSError):  # if the disk is full, no message is at fault
            if len(count) + len(content) <= _WHOLE_BYTES:
                os.pwrite(self._file, count + content, 0)
                return
            os.pwrite(self._file, content, _COUNT.size)
            os.pwrite(self._file, count, 0)

    def end(self) -> None:
        """Note that nothing is at hand."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._file, _NONE, 0)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def left_by(self, connections: Iterable[str]) -> str | None:
        """Return the connection at whose messages the file's last process died, if it is listed."""
        if not self._left:
            return None
        return next((name for name in connections if _digest(name) == self._whose), None)

    def _found(self) -> tuple[bytes, tuple[int, ...]]:
        """Read the connection and the messages at hand when a process died."""
        if self._file is None:
            return b"", ()
        try:
            head = os.pread(self._file, _OFFSETS, 0)
            if len(head) < _OFFSETS:
                return b"", ()
            (count,) = _COUNT.unpack_from(head)
            content = os.pread(self._file, 8 * min(count, MOST), _OFFSETS)
        except OSError:
            return b"", ()
        whole = len(content) // 8
        return head[_COUNT.size :], struct.unpack_from(f"<{whole}q", content)


def attempts_path(log: Path, share: int | None = None) -> Path:
    """Return the path of the messages at hand, for a log or for one process that delivers it."""
    return log.with_name(
        f"{log.name}.attempts" if share is None else f"{log.name}.attempts.{share}"
    )


def _is_ours(file: Path, log: Path) -> bool:
    name, share = file.name, file.suffix[1:]
    own = attempts_path(log).name
    return name == own or (share.isdecimal() and name == f"{own}.{share}")


async def note_left(log: BookStore, path: Path, connections: Sequence[str]) -> None:
    """Count the messages at hand when processes died, and start over with empty files.

    Args:
        log: keeps the counts.
        path: the path of the log's file. No process delivers from it now.
        connections: those whose messages may have been at hand.
    """
    own = attempts_path(path)
    try:
        files = sorted(each for each in path.parent.iterdir() if _is_ours(each, path))
    except OSError:
        return
    for each in files:
        with contextlib.closing(LoggedAttempts(log, each)) as book:
            try:
                if (name := book.left_by(connections)) is not None:
                    await book.open(name)
            except LogUnavailableError:
                continue  # it stays where it is; a share with the same number may find it
            book.end()
        if each != own:
            with contextlib.suppress(OSError):
                each.unlink()


@lru_cache(maxsize=256)
def _digest(connection: str) -> bytes:
    return hashlib.blake2b(connection.encode(), digest_size=_DIGEST_BYTES).digest()


def _noted(database: sqlite3.Connection, *, connection: str, left: Sequence[int]) -> dict[int, int]:
    database.execute(_OVER, (connection, connection))
    statement = _ALONE if len(left) == 1 else _AMONG_OTHERS
    database.executemany(statement, [(connection, offset) for offset in left])
    return dict(database.execute(_KNOWN, (connection,)).fetchall())
