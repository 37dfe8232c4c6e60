"""A Heap connection's settings, and the JSON Schema that a host checks them against."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

UNSAFE_IDENTITIES = (
    "null",
    "undefined",
    "none",
    "nan",
    "true",
    "false",
    "guest",
    "anonymous",
    "user",
    "unknown",
    "0",
    "-1",
    "00000000-0000-0000-0000-000000000000",
)
"""What senders write where they know no user. Heap merges all who carry the same identity, for
good [developers.heap.io/reference/identify]."""

BASE_URLS = {"US": "https://heapanalytics.com", "EU": "https://c.eu.heap-api.com"}
"""Heap's ingestion host per region."""


# Not `$`: in Python it would let a line end pass.
_DIGITS = r"^[0-9]+(?![\s\S])"


class HeapSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the hooks receive as `settings`.

    Attributes:
        app_id: the environment's App ID.
        region: whose host the requests go to.
        dialect: which system's mapping is used.
        anonymous_events: what becomes of an event without a usable identity.
        account_id_property: the user property that Heap joins accounts on, if any.
        unsafe_identities: never sent as an identity; in lower case.
    """

    app_id: Annotated[str, msgspec.Meta(pattern=_DIGITS)]
    region: Literal["US", "EU"] = "US"
    dialect: Literal["heap"] = "heap"
    anonymous_events: Literal["partner", "stitch", "reject"] = "partner"
    account_id_property: str | None = None
    unsafe_identities: frozenset[str] = frozenset(UNSAFE_IDENTITIES)

    @property
    def base_url(self) -> str:
        """The origin that requests go to."""
        return BASE_URLS[self.region]


def heap_settings(settings: dict[str, Any]) -> HeapSettings:
    """Type settings that the schema has passed.

    Raises:
        msgspec.ValidationError: the settings do not fit; the text names the field.
    """
    typed = msgspec.convert(settings, HeapSettings)
    unsafe = frozenset(identity.strip().casefold() for identity in typed.unsafe_identities)
    return msgspec.structs.replace(typed, unsafe_identities=unsafe)


def renamed_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Read the configuration that RudderStack keeps for Heap as settings.

    Its `dataResidency` is `eu` for the European host and anything else for the American one; its
    `appId` may be a number in a configuration that was written by hand.
    """
    settings = {name: value for name, value in config.items() if name != "dataResidency"}
    residency = config.get("dataResidency")
    if "region" not in settings and isinstance(residency, str):
        settings["region"] = "EU" if residency.strip().lower() == "eu" else "US"
    if type(settings.get("appId")) is int:
        settings["appId"] = str(settings["appId"])
    return settings


SETTINGS_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Heap",
    "description": "Sends users, events and accounts to Heap's server-side API.",
    "type": "object",
    "additionalProperties": False,
    "required": ["appId"],
    "properties": {
        "appId": {
            "title": "App ID",
            "description": (
                "The ID of the Heap environment, as text of digits: in Heap under Account, "
                "Manage, Projects. Heap accepts events for a wrong one without a word."
            ),
            "type": "string",
            "examples": ["1234567890"],
            "pattern": _DIGITS,
        },
        "region": {
            "title": "Region",
            "description": "Where the Heap project is hosted.",
            "type": "string",
            "enum": ["US", "EU"],
            "default": "US",
        },
        "dialect": {
            "title": "Dialect",
            "description": "Which system's mapping is used; heap follows Heap's documentation.",
            "type": "string",
            "enum": ["heap"],
            "default": "heap",
        },
        "anonymousEvents": {
            "title": "Anonymous events",
            "description": (
                "What becomes of an event without a usable identity. partner: sent under its "
                "anonymousId, through the API that Heap's partners use. stitch: sent under a "
                "user_id made from the anonymousId, and merged into the user on identify. "
                "reject: rejected."
            ),
            "type": "string",
            "enum": ["partner", "stitch", "reject"],
            "default": "partner",
        },
        "accountIdProperty": {
            "title": "Account ID property",
            "description": (
                "The user property that the Heap project joins accounts on. When it is set, a "
                "group call writes the group's id into it."
            ),
            "type": "string",
            "minLength": 1,
        },
        "unsafeIdentities": {
            "title": "Unsafe identities",
            "description": (
                "Values, in any casing, that are never sent as an identity: Heap would merge "
                "everyone who carries one, and cannot undo it."
            ),
            "type": "array",
            "items": {"type": "string"},
            "default": list(UNSAFE_IDENTITIES),
        },
    },
}
