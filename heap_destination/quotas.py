"""Heap's documented rate limits, and what each request takes from them.

Single requests and bulks have separate budgets. A single `track` or `add_user_properties` uses one
of its identity's 30 requests. An event in a bulk uses one of its identity's 1000 events and one of
the app's 15,000. Heap documents no limit for users in bulk, accounts, merges and the partner API.
"""

from __future__ import annotations

from destination_router import Cost, Quota
from heap_destination.limits import EVENTS_PER_APP, EVENTS_PER_IDENTITY, REQUESTS_PER_IDENTITY

_APP = Cost("events_per_app")

QUOTAS = (
    Quota(name="events_per_app", limit=EVENTS_PER_APP[0], period=EVENTS_PER_APP[1], unit="events"),
    Quota(
        name="events_per_identity",
        limit=EVENTS_PER_IDENTITY[0],
        period=EVENTS_PER_IDENTITY[1],
        unit="events",
        scope="user",
    ),
    Quota(
        name="requests_per_identity",
        limit=REQUESTS_PER_IDENTITY[0],
        period=REQUESTS_PER_IDENTITY[1],
        unit="requests",
        scope="user",
    ),
)


def identity_key(identity: str) -> str:
    """Name the budgets of an identity."""
    return "identity:" + identity


def user_id_key(user_id: str) -> str:
    """Name the budgets of a `user_id`: a number, so `007` is `7`."""
    return f"user_id:{user_id.lstrip('0')}"


def single_request(key: str) -> tuple[Cost, ...]:
    """Count what a single `track` or `add_user_properties` uses."""
    return (Cost("requests_per_identity", 1, key),)


def event_costs(key: str) -> tuple[tuple[Cost, ...], tuple[Cost, ...]]:
    """Count what an event uses: alone, and in a bulk."""
    # Most requests come here: `single_request` would be a call more.
    return (Cost("requests_per_identity", 1, key),), (_APP, Cost("events_per_identity", 1, key))
