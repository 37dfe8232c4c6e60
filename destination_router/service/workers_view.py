"""The interface to workers, in this process (`Workers`) or in others (`Supervisor`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from destination_router.delivery.stats import DeliveryStats


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a process that delivers a share of the connections.

    Attributes:
        share: its number, from 1.
        connections: the names of its connections.
        works: whether it is at work.
        cpu: the processor time that it has used, in seconds; 0 if unknown.
        resident: its memory in bytes; 0 if unknown.
    """

    share: int
    connections: Sequence[str]
    works: bool
    cpu: float = 0.0
    resident: int = 0


class WorkersView(Protocol):
    """The stats of workers, and what they can be told."""

    def stats(self) -> Mapping[str, DeliveryStats]:
        """Tell what each connection's worker has done since it started."""

    @property
    def letters(self) -> Mapping[tuple[str, str], int]:
        """How many dead letters were made, by connection and code."""

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each connection's worker failed, and was started again."""

    @property
    def lost_letters(self) -> Mapping[tuple[str, str], int]:
        """How many dead letters were deleted for want of room, by connection and code."""

    @property
    def expired_events(self) -> Mapping[str, int]:
        """How many events passed `max_age`, by connection."""

    @property
    def processes(self) -> Sequence[ProcessState]:
        """The states of the processes that deliver; none if this one does."""

    async def look(self) -> None:
        """Update the stats of other processes."""

    def announce(self) -> None:
        """Announce new events."""
