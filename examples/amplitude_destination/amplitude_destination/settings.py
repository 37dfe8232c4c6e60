"""An Amplitude connection's settings, and the JSON Schema that a host checks them against."""

from __future__ import annotations

from typing import Literal

import msgspec

from amplitude_destination.limits import EVENT_APIS, ID_CHARACTERS, EventApi
from destination_router import Json

ORIGINS = {"US": "https://api2.amplitude.com", "EU": "https://api.eu.amplitude.com"}
"""Where events and groups go [http-v2]."""

MAPPING_ORIGINS = {"US": "https://api.amplitude.com", "EU": "https://api.eu.amplitude.com"}
"""Where user mappings go: the page knows the first alone [user-mapping]; other senders use both."""


class AmplitudeSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the hooks receive as `settings`; `SETTINGS_SCHEMA` says what each is."""

    api_key: str
    region: Literal["US", "EU"] = "US"
    event_api: Literal["batch", "httpapi"] = "batch"
    min_id_length: int = ID_CHARACTERS
    group_type: str = "group"
    map_users: bool = False

    @property
    def api(self) -> EventApi:
        """The API that events go to, with its limits."""
        return EVENT_APIS[self.event_api]


SETTINGS_SCHEMA: dict[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Amplitude",
    "description": "Sends users, events and groups to Amplitude's server-side APIs.",
    "type": "object",
    "additionalProperties": False,
    "required": ["apiKey"],
    "properties": {
        "apiKey": {
            "title": "API key",
            "description": (
                "The project's API key: in Amplitude under Settings, Projects. It travels in the "
                "body of every request, and is hidden wherever a request is shown."
            ),
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "examples": ["0123456789abcdef0123456789abcdef"],
        },
        "region": {
            "title": "Region",
            "description": "Where the Amplitude project is hosted.",
            "type": "string",
            "enum": list(ORIGINS),
            "default": "US",
        },
        "eventApi": {
            "title": "Event API",
            "description": (
                "Which API takes the events. batch: up to 20 MB in a request, 1000 events a second "
                "of one user, and every bad event is named. httpapi: 1 MB, 30 events a second of "
                "one user; for projects that need events within seconds."
            ),
            "type": "string",
            "enum": list(EVENT_APIS),
            "default": "batch",
        },
        "minIdLength": {
            "title": "Shortest id",
            "description": (
                "How many characters a user's or a device's id has at least. Amplitude refuses "
                "shorter ones, and takes this in place of its own 5."
            ),
            "type": "integer",
            "minimum": 1,
            "maximum": 1024,
            "default": ID_CHARACTERS,
        },
        "groupType": {
            "title": "Group type",
            "description": (
                "What the groups of group calls are called in Amplitude: company, team. It needs "
                "Amplitude's Accounts add-on."
            ),
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "default": "group",
        },
        "mapUsers": {
            "title": "Map users",
            "description": (
                "Whether an alias call maps its previousId to its userId across projects, with "
                "Amplitude's Portfolio add-on. Without it alias calls are not for Amplitude, which "
                "joins what a device did before its user was known by itself."
            ),
            "type": "boolean",
            "default": False,
        },
    },
}
