"""The interface of a running router's event log, beyond `EventLog`: books, limits, ownership.

`sqlite/log.py` and `kafka/log.py` are such logs; `opening.py` says which one an url means.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar

from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.interface import AttemptBook, EventLog, Lag

T = TypeVar("T")

Kind = tuple[str, str]
"""A connection and a code of dead letters."""


class BookStore(Protocol):
    """Tables for what a log keeps beside events. `sqlite/file.py` has them."""

    async def transact(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Change something in a transaction. It is kept when this returns.

        Args:
            write: may be called more than once, if its transaction fails.

        Raises:
            LogUnavailableError: nothing was changed.
            LogFileError: the log turned out to be damaged.
        """

    async def query(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Read something.

        Raises:
            LogUnavailableError: it could not be read now.
        """


class Ownership(Protocol):
    """Whether this process is the one that delivers a connection's events."""

    def may_send(self) -> bool:
        """Tell whether a request that begins now ends before another process may deliver."""

    async def until_lost(self) -> float:
        """Wait until another process has to deliver.

        Returns:
            How long what is under way may take, in seconds; 0: another one delivers already, and
            nothing may go out or be committed any more.
        """

    def let_go(self) -> None:
        """Note that no event is in hand any more."""

    def leave(self) -> None:
        """Note that this process no longer delivers the connection's events."""


class SoleOwner:
    """The ownership of the only process that ever delivers from a log."""

    def may_send(self) -> bool:
        """Say yes."""
        return True

    async def until_lost(self) -> float:
        """Wait for ever."""
        for_ever: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        return await for_ever

    def let_go(self) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""


class KeptAttempts(AttemptBook, Protocol):
    """An `AttemptBook` that has to be closed."""

    def close(self) -> None:
        """Let go of it."""


class RouterLog(EventLog, BookStore, Protocol):
    """The event log of a router.

    What raises `LogUnavailableError` has changed nothing, and may be tried again.
    """

    async def admit(
        self,
        connections: Iterable[str],
        *,
        start: Literal["end", "start"],
        kept: Mapping[str, Callable[[bytes], bytes]],
        request_seconds: float | None = None,
    ) -> None:
        """Admit connections that the log was not opened with.

        Args:
            connections: all that read from now on.
            start: where one begins that the log does not know: behind what is in the log
                already, or before all that is still there.
            kept: for a connection that may not keep all of an event in a dead letter, what it
                keeps.
            request_seconds: how long a request to a vendor may take at most from now on; None: as
                long as before.

        Raises:
            LogUnavailableError: none was let in, and nothing has changed.
        """

    def ownership(self, connection: str) -> Ownership:
        """Tell whether this process is the one that delivers a connection's events."""

    def announce(self) -> None:
        """Look for events now, because another process has appended some."""

    async def release(self, connections: Iterable[str]) -> None:
        """Stop reading for connections: another process will. None of their events is in hand."""

    def attempts(self, share: int | None = None) -> KeptAttempts:
        """Open the book of messages at hand. The caller closes it.

        Args:
            share: which of the processes this is that deliver from the log; None: the only one.
        """

    async def note_attempts_left(self, connections: Iterable[str]) -> None:
        """Count messages that were at hand when processes died, before any delivers again.

        Those that come now may share the connections otherwise, and look into other books.
        """

    async def put(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; see `DeadLetterSink.put`. Beyond their budget, old ones go."""

    async def clean(self) -> int:
        """Delete some delivered events, and handle those that are too old. 0: there were none."""

    async def check(self) -> None:
        """Check that the log takes events.

        Raises:
            LogUnavailableError: it does not; the text says why.
        """

    async def lags(self) -> dict[str, Lag]:
        """Return the lag of each connection of the log, including those of other processes."""

    async def size(self) -> int:
        """Return the bytes of events."""

    async def letters_size(self) -> int:
        """Return the bytes of dead letters."""

    async def dead_letters(self) -> dict[Kind, int]:
        """Count dead letters that were not replayed, by connection and code."""

    @property
    def max_age(self) -> float | None:
        """The age in seconds at which an undelivered event becomes a dead letter; None: never."""

    @property
    def lost_letters(self) -> Mapping[Kind, int]:
        """How many dead letters were deleted for want of room, by connection and code."""

    @property
    def expired_events(self) -> Mapping[str, int]:
        """How many events passed `max_age` here, by connection; 0 for one that reads here."""

    def close(self) -> None:
        """Finish what was asked for, and close the log."""
