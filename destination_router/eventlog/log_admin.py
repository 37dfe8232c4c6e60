"""The interface with which commands read and change a log, even while a router runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import msgspec

from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.interface import Lag


class Kept(msgspec.Struct, frozen=True):
    """An event that a connection has delivered.

    Attributes:
        offset: its place in the log.
        received_at: Unix time in seconds.
        source: who sent it.
        body: one message, as wire JSON.
    """

    offset: int
    received_at: float
    source: str | None
    body: bytes


class LogAdmin(Protocol):
    """A log as commands use it. Every method may raise `LogFileError`, which says what to do.

    Attributes:
        books: the tables of `sqlite/file.py` that hold dead letters, and how connections stand;
            `events`, `connections` and `done` among them are not for commands.
    """

    @property
    def books(self) -> sqlite3.Connection:
        """The tables."""

    def reading(self) -> AbstractContextManager[None]:
        """Read consistently during a block."""

    def writing(self) -> AbstractContextManager[None]:
        """Make changes, all or none. No other command changes anything meanwhile."""

    def lags(self, now: float) -> dict[str, Lag]:
        """Return each connection's lag, by name. `now` is Unix time in seconds."""

    def forget(self, name: str) -> None:
        """Drop a connection's claim to undelivered events, within `writing`."""

    def replay_letters(self, letters: Sequence[DeadLetter], now: float) -> None:
        """Append letters to the log again, each for its own connection, and mark them.

        Within `writing`; `now` is Unix time in seconds.
        """

    def delivered(self, name: str, since: float, until: float) -> Iterator[Kept]:
        """Read what a connection delivered of what came in between two Unix times, in order."""

    def kept_since(self) -> float | None:
        """Tell since when the log holds all that came in; None where nothing was deleted yet.

        Of an empty log everything may be gone: infinity.
        """

    def send_again(self, name: str, events: Sequence[Kept], replay: str, now: float) -> None:
        """Append events for one connection after those that wait, within `writing`.

        Args:
            name: the connection's.
            events: which, in their order.
            replay: `events` or `profiles`, as `Event.replay`.
            now: Unix time, in seconds.
        """

    def bodies(self) -> Iterator[bytes]:
        """Read every event in the log, without replays."""

    def register(self, name: str, start: Literal["end", "start"]) -> None:
        """Register a new connection, outside a transaction."""

    def waiting(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Read what a connection has not delivered: offsets and bodies."""

    def drop_waiting(self, name: str, offsets: Collection[int]) -> None:
        """Mark messages as done, undelivered, within no transaction; other connections keep them.

        Only for who has claimed the log: a worker would not see.
        """
