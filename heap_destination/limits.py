"""Heap's documented limits, each with its source: one table that everything else reads.

Sources are pages of https://developers.heap.io/reference, by name. "Partner API" is what other
platforms are seen to send; Heap does not document it.
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
"""What Heap joins an array with [track-1]."""

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
"""Identities that a `user_id` may be merged into, for good; more are ignored [identify-1]."""

USER_IDS_PER_IDENTITY: Final = 10
"""How many `user_id`s are merged into one identity in a month; more are ignored [identify-1]."""

MONTH: Final = 31 * 86_400.0
"""Seconds. Heap does not say how it cuts its months: who keeps within any 31 days keeps within all
of them."""

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
"""How deep an object may nest before what is deeper is dropped."""

EXACT_INTEGER: Final = 2**53
"""Up to it, every whole number survives a reader that knows no integers [ECMA-262]."""

NUMBER_BITS: Final = 1024
"""A whole number of more bits is beyond every JSON reader's largest number."""
