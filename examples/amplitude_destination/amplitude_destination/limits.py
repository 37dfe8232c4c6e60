"""Amplitude's documented limits, each with its source: one table that everything else reads.

Sources are pages of https://amplitude.com/docs/apis/analytics: http-v2, identify, group-identify,
user-mapping and [batch], which is batch-event-upload; [limits] is https://amplitude.com/docs/faq/limits.
"""

from __future__ import annotations

from typing import Final

import msgspec


class EventApi(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two APIs that take events.

    Attributes:
        path: of its URL.
        events: in one request, at most.
        size: of a request's body, at most, in bytes.
        per_second: how many events of one user, and of one device, in a second.
        pause: how many seconds a user or device is left alone that sent more than that.
    """

    path: str
    events: int
    size: int
    per_second: int
    pause: float


MEGABYTE: Final = 1_000_000
"""The pages say MB; this is the smaller of the two that they can mean."""

EVENT_APIS: Final = {
    "batch": EventApi(
        path="/batch", events=2000, size=20 * MEGABYTE, per_second=1000, pause=15.0
    ),  # [batch]
    "httpapi": EventApi(
        path="/2/httpapi", events=2000, size=MEGABYTE, per_second=30, pause=30.0
    ),  # [http-v2]
}

GROUP_UPDATES: Final = 1024
"""Groups in one request, at most [group-identify]."""

GROUP_PROPERTIES: Final = 1024
"""Properties of all groups in one request, at most [group-identify]."""

GROUP_SIZE: Final = MEGABYTE
"""Bytes of one request's body, at most [group-identify]."""

USER_MAPPINGS: Final = 2000
"""Users in one request, at most [user-mapping]."""

USER_MAPPING_SIZE: Final = MEGABYTE
"""Bytes of one request's body, at most [user-mapping]."""

MAPPINGS_PER_PROJECT: Final = (1500, 30.0)
"""50 a second, averaged over 30 seconds; above that everything is throttled [user-mapping]."""

UPDATES_PER_USER: Final = (1800, 3600.0)
"""Updates of one user's properties in an hour; more may be dropped without a word [limits]."""

ID_CHARACTERS: Final = 5
"""A user's or a device's id, at least, unless a request says less [http-v2]."""

TEXT_CHARACTERS: Final = 1024
"""What is longer is cut: ids and values [limits]."""

DEPTH: Final = 40
"""How deep the properties of an event or a user may nest [http-v2]."""

REFUSED_IDS: Final = frozenset(
    {
        "anonymous",
        "nil",
        "none",
        "null",
        "n/a",
        "na",
        "undefined",
        "unknown",
        "{}",
        "lmy47d",
        "-1",
    }
)
"""Ids that are answered 400 [http-v2]; those of nothing but zeros are too."""

RESERVED_EVENTS: Final = frozenset({"$identify", "$groupidentify"})
"""Types of events with a meaning of their own [http-v2]."""

RESERVED_PREFIX: Final = "[Amplitude] "
"""How the types of Amplitude's own events begin [limits]."""

OPERATIONS: Final = frozenset({"$set", "$setOnce", "$add", "$append", "$unset"})
"""What an `$identify` event can do to a user's properties [http-v2]."""

FOREIGN_OPERATIONS: Final = frozenset({"$prepend", "$preInsert", "$postInsert", "$remove"})
"""What only the form API can do to them [identify]."""
