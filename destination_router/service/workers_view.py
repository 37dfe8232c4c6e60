"""Workers, to those who look at them: in this process (`Workers`) or in others (`Supervisor`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from destination_router.delivery.stats import DeliveryStats


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """How a process stands that delivers a share of the connections.

    Attributes:
        share: which one, from 1 on.
        connections: whose.
        works: whether it is at work.
        cpu: what it has used of the processor, in seconds; 0 where nothing is known.
        resident: how much memory it holds, in bytes; 0 where nothing is known.
    """

    share: int
    connections: Sequence[str]
    works: bool
    cpu: float = 0.0
    resident: int = 0


class WorkersView(Protocol):
    """What there is to see of workers, and what they are told."""

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
        """How the processes stand that deliver; none where this one does."""

    async def look(self) -> None:
        """Bring up to date what the others tell."""

    def announce(self) -> None:
        """Tell that events came in."""
