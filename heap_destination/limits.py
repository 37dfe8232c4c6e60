"""Heap's documented limits, each with its source: one table that everything else reads.

Sources are pages of https://developers.heap.io/reference, by name. Heap does not document the
"partner API"; its limits are those that other platforms keep to.
"""

from typing import Final

EVENT_CHARACTERS: Final = 1024
"""An event's name, at most [track-1]."""

IDENTITY_CHARACTERS: Final = 255
"""An identity, at most [track-1]."""

SDK_IDENTITY_CHARACTERS: Final = 100
"""An identity in Contentsquare's browser and app SDKs, which are Heap's, at most."""

KEY_CHARACTERS: Final = 1023
"""A property's key: "fewer than 1024 characters" [track-1]."""

VALUE_CHARACTERS: Final = 1023
"""A property's value: "fewer than 1024 characters" [track-1]."""

ARRAY_SEPARATOR: Final = "||"
"""The separator with which Heap joins an array [track-1]."""

USER_ID_BITS: Final = 53
"""A `user_id` is a number from 0 to 2^53 - 1, as text [track-1]."""

RESERVED_USER_PROPERTIES: Final = frozenset({"id", "user_id"})
"""A user property may not be called `id` in any casing [add-user-properties], nor `user_id`
[adduserproperties]."""

BUILT_IN_EMAIL: Final = "email"
"""The key, in lower case only, that fills the built-in Email [add-user-properties]."""

PARTNER_KEY_CHARACTERS: Final = 8
"""An idempotency key of the partner API, at least."""

BULK_EVENTS: Final = 1000
"""Events in one bulk request, at most [bulk-track]."""

BULK_USERS: Final = 1000
"""Users in one bulk request, at most [bulk-add-user-properties]."""

BULK_ACCOUNTS: Final = 1000
"""Accounts in one bulk request, at most [add-account-properties]."""

IDENTITIES_PER_USER_ID: Final = 1
"""The most identities into which a `user_id` is ever merged; Heap ignores more [identify-1]."""

USER_IDS_PER_IDENTITY: Final = 10
"""The most `user_id`s merged into one identity a month; Heap ignores more [identify-1]."""

MONTH: Final = 31 * 86_400.0
"""Seconds. Heap does not say when its months begin, so the limit holds within any 31 days."""

DELETED_USERS: Final = 10_000
"""Users in one request for deletion, at most [user-deletion]."""

TOKEN_SECONDS: Final = 300.0
"""How long a token for deletion lives [user-deletion]."""

REQUESTS_PER_IDENTITY: Final = (30, 30.0)
"""Single requests per identity and app: 30 in 30 seconds [track-1]."""

EVENTS_PER_IDENTITY: Final = (1000, 60.0)
"""Events in bulk per identity and app: 1000 in a minute [bulk-track]."""

EVENTS_PER_APP: Final = (15_000, 60.0)
"""Events in bulk per app: 15,000 in a minute [bulk-track]."""

# The rest is ours: Heap documents nothing about it.

DEPTH: Final = 32
"""The deepest nesting of an object. Anything deeper is dropped."""

EXACT_INTEGER: Final = 2**53
"""Up to this, a reader without integers reads every whole number exactly [ECMA-262]."""

NUMBER_BITS: Final = 1024
"""The most bits of a whole number that any JSON reader can read."""

FIRST_YEAR: Final = "1970"
"""Before this year, a clock or a unit is probably wrong."""

LAST_YEAR: Final = "2100"
"""From this year on, a clock or a unit is probably wrong."""
