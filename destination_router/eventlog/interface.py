"""The event log's interface: where accepted events wait until every connection has taken them.

Small on purpose, so that a distributed log can stand behind it. The gateway appends; each
connection reads on from where it is, and commits what it is done with, in any order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from destination_router.contract.records import Pairing
from destination_router.pipeline.message_root import Root


class LogUnavailableError(Exception):
    """The log cannot take events now, for example because the disk is full. Try again later."""


class LogFileError(Exception):
    """The log on disk cannot be used. The text says why and what to do."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One accepted message: its place in the log, its wire JSON, and when it came.

    Attributes:
        offset: rising; never given twice.
        body: one message.
        received_at: Unix time in seconds; None where the log does not know.
        source: the name of the source that sent it; None where it came from a file or before
            sources had names.
        replay: for one that a person sends again: `events`, without updates of profiles, or
            `profiles`, with them; None for any other.
        root: what was read of its body before it was handed out; None: nothing.
    """

    offset: int
    body: bytes
    received_at: float | None = None
    source: str | None = None
    replay: str | None = None
    root: Root | None = None


class Lag(msgspec.Struct, frozen=True):
    """How far a connection is behind.

    Attributes:
        messages: how many events it has not committed.
        seconds: the age of the oldest of them; 0 if there is none.
    """

    messages: int
    seconds: float


class EventLog(Protocol):
    """An ordered log of events, with the progress of each connection."""

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:
        """Accept events, all or none. They are kept when this returns.

        Args:
            bodies: one message each, as wire JSON.
            source: who sent them; kept beside each, not in it.

        Raises:
            LogUnavailableError: nothing was accepted.
        """

    async def read(self, connection: str, after: int, limit: int) -> list[Event]:
        """Wait for events that the connection has not committed, oldest first.

        Args:
            connection: who reads.
            after: the last offset that it has read since it started; -1 at the start.
            limit: how many at most; at least one is returned.
        """

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        """Mark events as done by the connection, which does not read them again."""


class PairingEntry(msgspec.Struct, frozen=True):
    """Whether a request's ties may be made.

    Attributes:
        made: the vendor has all of them; there is nothing to send.
        beyond: the tie that is beyond its limit, if one is; then none was entered.
    """

    made: bool = False
    beyond: Pairing | None = None


class PairingBook(Protocol):
    """A book of ties."""

    async def enter(self, scope: str, pairings: Sequence[Pairing], now: float) -> PairingEntry:
        """Enter a request's ties, all or none. They are kept when this returns.

        Args:
            scope: whose rules they are: the plugin's name.
            pairings: at least one.
            now: Unix time, in seconds.

        Raises:
            LogUnavailableError: nothing was entered.
        """

    async def confirm(self, scope: str, pairings: Sequence[Pairing], now: float) -> None:
        """Note that the vendor has made ties. Their period begins now.

        Raises:
            LogUnavailableError: nothing was noted.
        """


class QuarantineBook(Protocol):
    """A book of held-back identities, as digests."""

    async def held(self, connection: str) -> set[bytes]:
        """List those that a connection holds back."""

    async def hold(self, connection: str, identities: Iterable[bytes], now: float) -> None:
        """Hold back more; kept when this returns.

        Raises:
            LogUnavailableError: nothing was kept.
        """

    async def release(self, connection: str, identities: Iterable[bytes]) -> None:
        """Hold some back no longer.

        Raises:
            LogUnavailableError: nothing was changed.
        """


class AttemptBook(Protocol):
    """A book of the messages at hand. If the process dies, it still has them."""

    async def open(self, connection: str) -> dict[int, int]:
        """List the messages at which processes died, each with how often, by offset.

        Raises:
            LogUnavailableError: nothing was noted.
        """

    def begin(self, connection: str, offsets: Sequence[int], *, again: bool = False) -> None:
        """Note the messages at hand until `end`. Never raises, and never waits for a disk.

        Args:
            connection: whose messages they are.
            offsets: theirs.
            again: they were decided in this process before, and it lives: a book that pays for each
                note may leave this one out.
        """

    def end(self) -> None:
        """Note that nothing is at hand. Never raises."""


class Held(msgspec.Struct, frozen=True):
    """Why a connection may not send, and since when.

    Attributes:
        code: of the vendor's answer: `http_401`.
        since: Unix time, in seconds; None: it was kept, and is not as it was written.
    """

    code: str
    since: float | None

    def seconds(self, now: float) -> int | None:
        """How long it has lasted at a Unix time; None if nobody knows."""
        return None if self.since is None else round(now - self.since)


class Order(msgspec.Struct, frozen=True):
    """A person's latest order for a connection.

    Attributes:
        paused: whether it shall send nothing; otherwise it shall go on, and ask at once.
        at: when, Unix time in seconds; None: it was kept, and is not as it was written.
    """

    paused: bool
    at: float | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A connection's standing with its vendor, which is remembered across runs.

    Attributes:
        held: why it is held; None: it is not.
        origins: those that have taken something from it.
    """

    held: Held | None = None
    origins: frozenset[str] = frozenset()


class StandingBook(Protocol):
    """A book of connections' standings and orders."""

    async def standing(self, connection: str) -> Standing:
        """Read a connection's standing."""

    async def order(self, connection: str) -> Order | None:
        """Read a person's latest order for a connection; None if there is none.

        Raises:
            LogUnavailableError: it cannot be told now.
        """

    async def keep(self, connection: str, standing: Standing) -> None:
        """Keep a connection's standing. It is kept when this returns.

        Raises:
            LogUnavailableError: nothing was kept.
        """
