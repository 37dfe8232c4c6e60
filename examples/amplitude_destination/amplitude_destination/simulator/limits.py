"""Every limit that the simulator enforces, read from Amplitude's pages for itself.

The pages are those of https://amplitude.com/docs/apis/analytics, by name; [limits] is
https://amplitude.com/docs/faq/limits.
"""

from typing import NamedTuple


class EventPath(NamedTuple):
    """What one of the two paths for events allows."""

    max_events: int
    max_bytes: int
    events_per_second: int
    seconds_averaged: int
    seconds_paused: int
    names_every_index: bool


EVENT_PATHS = {
    "/2/httpapi": EventPath(2000, 1_000_000, 30, 1, 30, names_every_index=False),  # http-v2
    "/batch": EventPath(2000, 20_000_000, 1000, 30, 15, names_every_index=True),  # batch
}

FORM_BYTES = 1_000_000  # group-identify, user-mapping
MAX_GROUPS = 1024  # group-identify
MAX_GROUP_PROPERTIES = 1024  # group-identify
MAX_MAPPINGS = 2000  # user-mapping
MAPPINGS = (1500, 30)  # user-mapping: so many in so many seconds

MIN_ID_LENGTH = 5  # http-v2
MAX_DEPTH = 40  # http-v2
MAX_TEXT = 1024  # limits: longer texts are cut
MAX_GROUP_TYPES = 5  # http-v2
MAX_GROUP_VALUES = 10  # http-v2
DEDUPLICATED_SECONDS = 7 * 86_400  # http-v2

BAD_IDS = (  # http-v2
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "",
    "00000000-0000-0000-0000-000000000000",
    "{}",
    "lmy47d",
    "0",
    "-1",
)
