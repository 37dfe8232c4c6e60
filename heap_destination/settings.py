"""A Heap connection's settings, and the JSON Schema that a host checks them against."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec

from destination_router import PLACEHOLDER_IDS
from heap_destination.dialects import DEFAULT, DIALECTS, NESTED, Dialect, Nested

UNSAFE_IDENTITIES = PLACEHOLDER_IDS
"""Placeholders that senders write for an unknown user. Heap merges everybody who carries the same
identity, for good [developers.heap.io/reference/identify]."""

BASE_URLS = {"US": "https://heapanalytics.com", "EU": "https://c.eu.heap-api.com"}
"""Heap's ingestion host for each region."""


# Not `$`: in Python it would let a line end pass.
_DIGITS = r"^[0-9]+(?![\s\S])"


class _Urls(dict[str, str]):
    """URLs by their paths."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url

    def __missing__(self, path: str) -> str:
        url = self[path] = self._base_url + path
        return url


class HeapSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", dict=True):
    """The typed settings that all hooks receive.

    Attributes:
        app_id: the environment's App ID.
        region: whose host the requests go to.
        dialect: which system's mapping is used, by name.
        anonymous_events: what becomes of an event without a usable identity.
        nested_properties_mode: what becomes of nested properties.
        account_id_property: the user property that Heap joins accounts on, if any.
        deletion_api_key: for the deletion of users alone.
        unsafe_identities: never sent as an identity; in lower case.
    """

    app_id: Annotated[str, msgspec.Meta(pattern=_DIGITS)]
    region: Literal["US", "EU"] = "US"
    dialect: str = DEFAULT
    anonymous_events: Literal["partner", "stitch", "reject"] = "partner"
    account_id_property: str | None = None
    deletion_api_key: str | None = None
    unsafe_identities: frozenset[str] = frozenset(UNSAFE_IDENTITIES)
    nested_properties_mode: Nested = msgspec.field(default="flatten", name="nested_properties_mode")

    @cached_property
    def rules(self) -> Dialect:
        """The dialect's options."""
        return DIALECTS[self.dialect]

    @cached_property
    def base_url(self) -> str:
        """The origin that requests go to."""
        return BASE_URLS[self.region]

    @cached_property
    def urls(self) -> dict[str, str]:
        """The URL of each path, which is made once: a new text would be hashed by every reader."""
        return _Urls(self.base_url)


def heap_settings(settings: dict[str, Any]) -> HeapSettings:
    """Type settings that are valid by the schema.

    Raises:
        ValueError: settings contradict each other, or a dialect does not have one of them. The text
        names the field.
    """
    typed = msgspec.convert(settings, HeapSettings)
    for name in sorted(_DIALECT_SETTINGS - typed.rules.settings):
        default = SETTINGS_SCHEMA["properties"][name].get("default")
        if settings.get(name, default) != default:
            raise ValueError(f"{name}: dialect {typed.dialect} does not know it; drop it")
    unsafe = frozenset(identity.strip().casefold() for identity in typed.unsafe_identities)
    return msgspec.structs.replace(typed, unsafe_identities=unsafe)


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
