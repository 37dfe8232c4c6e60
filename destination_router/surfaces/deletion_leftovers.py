"""What a router's log still holds of people who are deleted: it shall not bring them back.

Dead letters go at once. What waits to be delivered is dropped, for this connection alone, where no
router runs; one that runs has it in hand, and is given a while to deliver it before the vendor is
asked to delete.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from destination_router.eventlog.claim import LogInUseError, claim
from destination_router.eventlog.file import connect, damage_told, open_file
from destination_router.eventlog.leftovers import (
    IsMeant,
    drop_letters,
    drop_waiting,
    find_meant_letters,
    find_waiting,
)
from destination_router.eventlog.queries import register

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
PATIENCE = 30.0
"""How long a running router is given to deliver what it has in hand, in seconds."""


class Leftovers(msgspec.Struct, frozen=True, rename="camel"):
    """What was found.

    Attributes:
        dead_letters: those that were removed.
        dropped: waiting events that this connection will not deliver.
        waiting: those that a running router may deliver after all.
    """

    dead_letters: int = 0
    dropped: int = 0
    waiting: int = 0


class LeftoversOf:
    """What a connection's log holds of people.

    Args:
        path: the log's file.
        connection: the connection's name.
        is_theirs: tells of a message whether it is one of theirs.
        start: where the connection begins if the log does not know it yet.
    """

    def __init__(
        self, path: Path, connection: str, is_theirs: IsMeant, start: Literal["end", "start"]
    ) -> None:
        self._path = path
        self._connection = connection
        self._start = start
        self._is_theirs = is_theirs

    def count(self) -> Leftovers:
        """Look only: dead letters and waiting events.

        Raises:
            LogFileError: the log cannot be used.
        """
        open_file(self._path, create=False)
        with damage_told(self._path), contextlib.closing(connect(self._path)) as database:
            letters = find_meant_letters(database, self._connection, self._is_theirs)
            waiting = find_waiting(database, self._connection, self._is_theirs)
        return Leftovers(dead_letters=len(letters), waiting=len(waiting))

    def drop(self) -> Leftovers:
        """Drop what may be dropped now.

        Raises:
            LogFileError: the log cannot be used.
        """
        open_file(self._path, create=False)
        with damage_told(self._path), contextlib.closing(connect(self._path)) as database:
            letters = find_meant_letters(database, self._connection, self._is_theirs)
            if letters:
                drop_letters(database, letters)
            try:
                with claim(self._path):
                    if self._start == "start":  # else nothing waits for one that is new
                        register(database, (self._connection,), self._start)
                    waiting = find_waiting(database, self._connection, self._is_theirs)
                    if waiting:
                        drop_waiting(database, self._connection, waiting)
                    return Leftovers(dead_letters=len(letters), dropped=len(waiting))
            except LogInUseError:
                waiting = find_waiting(database, self._connection, self._is_theirs)
                return Leftovers(dead_letters=len(letters), waiting=len(waiting))

    async def clear(self, patience: float, told: Callable[[int], None]) -> Leftovers:
        """Drop all of it, and give a running router a while with what it has in hand.

        Args:
            patience: how long, in seconds.
            told: is told once how many events a router has in hand.

        Raises:
            LogFileError: as `drop`.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + min(patience, PATIENCE)
        pause = _FIRST_PAUSE
        found = self.drop()
        if found.waiting:
            told(found.waiting)
        while found.waiting and clock() < until:
            await asyncio.sleep(min(pause, max(0.0, until - clock())))
            pause = min(2 * pause, _LONGEST_PAUSE)
            more = self.drop()
            found = Leftovers(
                dead_letters=found.dead_letters + more.dead_letters,
                dropped=found.dropped + more.dropped,
                waiting=more.waiting,
            )
        return found
