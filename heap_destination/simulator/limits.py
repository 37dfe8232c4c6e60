"""Every limit the simulator enforces, once, each with the page of Heap's documentation it is from.

The pages are those of developers.heap.io/reference, named by their last path segment.
"Observed" marks Heap's partner API, which Heap does not document: its rules are what existing
integrations are seen to send.
"""

from typing import NamedTuple


class Limit(NamedTuple):
    """A bound on a size or a number, and where it is written."""

    value: int
    unit: str
    source: str


class Rate(NamedTuple):
    """At most `limit` of `unit` in any `period` seconds, and where it is written."""

    limit: int
    period: float
    unit: str
    source: str


EVENT_NAME = Limit(1024, "characters at most", "track-1")
IDENTITY = Limit(255, "characters at most", "track-1")
PROPERTY_TEXT = Limit(1023, "characters at most, of each key and each value", "track-1")
JOINED_ARRAY = Limit(1024, "characters kept of an array joined with ||", "track-1")
USER_ID = Limit(2**53 - 1, "at most, from 0", "track-1")
BULK = Limit(1000, "items at most in a bulk", "bulk-track, bulk-add-user-properties")
PARTNER_KEY = Limit(8, "characters at least in an idempotency_key", "observed")
USER_IDS_PER_IDENTITY = Limit(10, "user_ids at most per identity per month", "identify-1")

DELETED_USERS = Limit(10_000, "users at most in a deletion", "user-deletion")
TOKEN_SECONDS = Limit(300, "seconds that a token lives", "user-deletion")

MONTH = 30 * 86_400.0
"""Seconds. identify-1 says "month"; any 30 days is as strict as a month that starts on the 1st."""

REQUESTS_PER_IDENTITY = Rate(30, 30.0, "requests per identity per app_id", "track-1")
EVENTS_PER_IDENTITY = Rate(1000, 60.0, "bulk events per identity per app_id", "bulk-track")
EVENTS_PER_APP = Rate(15_000, 60.0, "bulk events per app_id", "bulk-track")

RESERVED_NAME_IN_ANY_CASING = "id"
"""No user property may be called this, in any casing (add-user-properties)."""

RESERVED_NAME = "user_id"
"""Nor this (adduserproperties)."""
