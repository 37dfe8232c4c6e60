"""What a host sees of a connection at work."""

from __future__ import annotations

from typing import Literal

import msgspec

from destination_router.delivery.stats import DeliveryStats

State = Literal["sending", "paused", "held", "silent"]


class ConnectionStats(msgspec.Struct, frozen=True, kw_only=True):
    """One connection since the router started.

    Attributes:
        state: `sending`; `paused` by a person; `held` (the vendor refuses the connection, for
            example its key, and everything waits); or `silent` (the vendor does not answer, and
            the router asks now and then).
        detail: for `held` and `silent`, what the vendor said or what went wrong. No secrets.
        received: messages read from the log.
        delivered: messages of which the vendor has everything.
        filtered: messages that the connection does not take, or the destination ignores.
        rejected: messages that became dead letters, by code.
        retried: how often a message was to be sent again.
        waiting: messages in memory now, those under way included.
        in_flight: requests under way now.
        requests: requests sent, by what came back: a status such as `200`, or `network`.
    """

    state: State
    detail: str = ""
    received: int = 0
    delivered: int = 0
    filtered: int = 0
    rejected: dict[str, int] = {}
    retried: int = 0
    waiting: int = 0
    in_flight: int = 0
    requests: dict[str, int] = {}


def connection_stats(stats: DeliveryStats | None) -> ConnectionStats:
    """Sum up what a worker counts; None: it has not begun."""
    if stats is None:
        return ConnectionStats(state="sending")
    state, detail = _state(stats)
    return ConnectionStats(
        state=state,
        detail=detail,
        received=stats.received,
        delivered=stats.delivered,
        filtered=stats.filtered,
        rejected=dict(stats.rejected),
        retried=stats.retried,
        waiting=stats.waiting,
        in_flight=stats.in_flight,
        requests=dict(stats.requests),
    )


def _state(stats: DeliveryStats) -> tuple[State, str]:
    if stats.paused:
        return "paused", ""
    if stats.held_since is not None:
        return "held", stats.held_detail
    if stats.circuit != "closed":
        return "silent", stats.last_failure
    return "sending", ""
