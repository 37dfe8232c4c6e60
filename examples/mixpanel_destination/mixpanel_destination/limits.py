"""Mixpanel's limits, in one table. Where a page says KB or MB, it is read in the stricter way.

Sources: docs.mixpanel.com/reference, Import Events ("import") and Rate Limits ("rate");
docs.mixpanel.com/docs/data-structure ("types", "reserved", "user profiles").
"""

from datetime import UTC, datetime
from typing import Final

EVENTS_PER_REQUEST: Final = 2000  # import
PROFILES_PER_REQUEST: Final = 2000  # limits of user and group profile updates
REQUEST_BYTES: Final = 2_097_152  # the 413 of import; its prose allows 10 MB
EVENT_BYTES: Final = 1_000_000  # import: less than 1 MB
PROFILE_BYTES: Final = 1_000_000  # limits of user and group profile updates
BYTES_PER_MINUTE: Final = 2_000_000_000  # rate
EVENTS_PER_MINUTE: Final = 1_800_000  # rate: about 30,000 a second

EVENT_PROPERTIES: Final = 254  # import: fewer than 255
PROFILE_PROPERTIES: Final = 2000  # user profiles
ITEMS: Final = 254  # import: fewer than 255 keys of a nested object, or elements of a list
DEPTH: Final = 3  # import: levels of nesting
TEXT_BYTES: Final = 255  # types: a longer text is cut
NAME_BYTES: Final = 255  # types: of a property
EVENT_CONTAINER_BYTES: Final = 8_000  # types: a list or an object
PROFILE_CONTAINER_BYTES: Final = 256_000  # types

INSERT_ID_CHARACTERS: Final = 36  # import
ID_BYTES: Final = 255 - len("$device:")  # types: what is longer would be cut, and be someone else
EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)  # import

UNSAFE_IDS: Final = frozenset(
    [
        "00000000-0000-0000-0000-000000000000",
        "anon",
        "anonymous",
        "nil",
        "none",
        "null",
        "n/a",
        "na",
        "undefined",
        "unknown",
        "<nil>",
        "0",
        "-1",
        "true",
        "false",
        "[]",
        "{}",
    ]
)  # import: refused as distinct_id and as $insert_id

RESERVED: Final = frozenset(
    [
        "token",
        "ip",
        "time",
        "$time",
        "distinct_id",
        "$distinct_id",
        "$device_id",
        "$user_id",
        "$insert_id",
        "$event_name",
        "$identified_id",
        "$anon_id",
        "alias",
        "$distinct_ids",
        "$source",
        "$partner_id",
        "bucket",
        "$bucket",
        "$ignore",
    ]
)  # reserved; an event with $ignore is dropped without a word
RESERVED_IN_EVENTS: Final = RESERVED | {"id"}  # Mixpanel's page on Segment warns against it
RESERVED_IN_PROFILES: Final = RESERVED | {"$ip", "$token", "$last_seen"}  # user profiles
MERGING_EVENTS: Final = frozenset({"$identify", "$create_alias", "$merge"})  # id management
