"""A Heap connection's settings, and the JSON Schema that a host checks them against."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from destination_router import PLACEHOLDER_IDS, harmless_ends
from heap_destination.dialects import DEFAULT, DIALECTS, NESTED, Dialect, Nested
from heap_destination.paths import PATHS

UNSAFE_IDENTITIES = PLACEHOLDER_IDS
"""Placeholders that senders write for an unknown user. Heap merges everybody who carries the same
identity, for good [developers.heap.io/reference/identify]."""

BASE_URLS = {"US": "https://heapanalytics.com", "EU": "https://c.eu.heap-api.com"}
"""Heap's ingestion host for each region."""


# Not `$`: in Python it would let a line end pass.
_DIGITS = r"^[0-9]+(?![\s\S])"


class GivenSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The settings as the schema has them, typed.

    Attributes:
        app_id: the environment's App ID.
        region: whose host the requests go to.
        dialect: which system's mapping is used, by name.
        anonymous_events: what becomes of an event without a usable identity.
        account_id_property: the user property that Heap joins accounts on, if any.
        deletion_api_key: for the deletion of users alone.
        unsafe_identities: never sent as an identity; in lower case.
        nested_properties_mode: what becomes of nested properties.
    """

    app_id: Annotated[str, msgspec.Meta(pattern=_DIGITS)]
    region: Literal["US", "EU"] = "US"
    dialect: str = DEFAULT
    anonymous_events: Literal["partner", "stitch", "reject"] = "partner"
    account_id_property: str | None = None
    deletion_api_key: str | None = None
    unsafe_identities: frozenset[str] = frozenset(UNSAFE_IDENTITIES)
    nested_properties_mode: Nested = msgspec.field(default="flatten", name="nested_properties_mode")


class HeapSettings(GivenSettings, frozen=True, kw_only=True):
    """The settings that all hooks receive, with what follows from them.

    Every message reads that, so it is in fields: to ask for a property takes several times as long.

    Attributes:
        rules: the dialect's options.
        base_url: the origin that requests go to.
        urls: the URL of each path, which is made once: a new text would be hashed by every reader.
        harmless_ends: those of the unsafe identities.
        has_plain_tracks: whether `plain.py` may decide on a track.
        has_plain_users: whether `plain.py` may decide on an identify.
    """

    rules: Dialect = DIALECTS[DEFAULT]
    base_url: str = ""
    urls: dict[str, str] = {}
    harmless_ends: frozenset[str] = frozenset()
    has_plain_tracks: bool = False
    has_plain_users: bool = False

    def __post_init__(self) -> None:
        """Fill in what follows."""
        rules, base_url = DIALECTS[self.dialect], BASE_URLS[self.region]
        found = {
            "rules": rules,
            "base_url": base_url,
            "urls": {path: base_url + path for path in PATHS},
            "harmless_ends": harmless_ends(self.unsafe_identities),
            "has_plain_tracks": rules.has_plain_tracks,
            "has_plain_users": rules.has_plain_users and self.anonymous_events != "stitch",
        }
        for name, value in found.items():
            msgspec.structs.force_setattr(self, name, value)


def heap_settings(settings: dict[str, Any]) -> HeapSettings:
    """Type settings that are valid by the schema.

    Raises:
        ValueError: settings contradict each other, or a dialect does not have one of them. The text
        names the field.
    """
    typed = msgspec.convert(settings, GivenSettings)
    for name in sorted(_DIALECT_SETTINGS - DIALECTS[typed.dialect].settings):
        default = SETTINGS_SCHEMA["properties"][name].get("default")
        if settings.get(name, default) != default:
            raise ValueError(f"{name}: dialect {typed.dialect} does not know it; drop it")
    unsafe = frozenset(identity.strip().casefold() for identity in typed.unsafe_identities)
    return HeapSettings(**{**msgspec.structs.asdict(typed), "unsafe_identities": unsafe})


def renamed_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Turn RudderStack's configuration for Heap into settings.

    `dataResidency` is `eu` for the European host, and anything else for the American one. `appId`
    may be a number in a configuration that was written by hand.
    """
    settings = {name: value for name, value in config.items() if name != "dataResidency"}
    residency = config.get("dataResidency")
    if "region" not in settings and isinstance(residency, str):
        settings["region"] = "EU" if residency.strip().lower() == "eu" else "US"
    if type(settings.get("appId")) is int:
        settings["appId"] = str(settings["appId"])
    return settings


_DIALECT_SETTINGS = frozenset().union(*(dialect.settings for dialect in DIALECTS.values()))
"""The settings that some dialects read and others do not."""


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
            "description": (
                "The system whose mapping is used, so that Heap gets the same requests. heap "
                "follows Heap's documentation. segment is Heap Cloud (Actions), and syft is the "
                "same. segment-cloud is the rewrite of Heap Cloud. rudderstack is RudderStack's "
                "cloud mode."
            ),
            "type": "string",
            "enum": list(DIALECTS),
            "default": DEFAULT,
        },
        "anonymousEvents": {
            "title": "Anonymous events",
            "description": (
                "What happens to an event without a usable identity. partner sends it under its "
                "anonymousId, through the API that Heap's partners use. stitch sends it under a "
                "user_id made from the anonymousId, and merges that into the user on identify. "
                "reject rejects it."
            ),
            "type": "string",
            "enum": ["partner", "stitch", "reject"],
            "default": "partner",
        },
        "accountIdProperty": {
            "title": "Account ID property",
            "description": (
                "The user property by which the Heap project joins accounts. If you set it, a "
                "group call writes the group's id into it."
            ),
            "type": "string",
            "minLength": 1,
        },
        "deletionApiKey": {
            "title": "API key for deletion",
            "description": (
                "The API key of Heap's Main Production environment. Only the deletion of users "
                "needs it. Give it by reference, from the environment or a file."
            ),
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
        },
        "unsafeIdentities": {
            "title": "Unsafe identities",
            "description": (
                "Values, in any casing, that are never sent as an identity, because Heap would "
                "merge everyone with the same one, and cannot undo it. 0 stands for any text of "
                "zeros. Blanks of every kind and templates that nobody filled in ({{ user.id }}) "
                "are never sent, listed or not."
            ),
            "type": "array",
            "items": {"type": "string"},
            "default": list(UNSAFE_IDENTITIES),
        },
        "nested_properties_mode": {
            "title": "Nested properties",
            "description": (
                "For dialect segment-cloud: what happens to an object or list in the properties. "
                "flatten makes its parts properties. stringify sends its JSON text. drop leaves "
                "it out."
            ),
            "type": "string",
            "enum": list(NESTED),
            "default": "flatten",
        },
    },
}
