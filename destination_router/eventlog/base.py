"""The event log's interface: where accepted events wait until every connection has taken them.

Small on purpose, so that a distributed log can stand behind it. The gateway appends; each
connection reads with a cursor of its own and commits what it is done with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class LogUnavailableError(Exception):
    """The log cannot take events now (a full disk, say); the sender should try again later."""


class Event(msgspec.Struct, frozen=True):
    """One accepted message: its place in the log, and its wire JSON."""

    offset: int
    body: bytes


class EventLog(Protocol):
    """An ordered log of events with one cursor per connection."""

    async def append(self, bodies: Sequence[bytes]) -> None:
        """Accept events, all or none; they are kept when this returns.

        Args:
            bodies: one message each, as wire JSON.

        Raises:
            LogUnavailableError: nothing was accepted.
        """

    async def read(self, connection: str, limit: int) -> list[Event]:
        """Wait for events that the connection has not read since it started, oldest first."""

    async def commit(self, connection: str, offset: int) -> None:
        """Mark every event up to and including this offset as done by the connection."""
