"""The fields of each call that a connection's mapping may override."""

from __future__ import annotations

from typing import Literal

from destination_router import Field


def _field(name: str, part: str, description: str, **more: bool) -> Field:
    return Field(
        name=name,
        type=_TYPES.get(part, "string"),
        description=description,
        default={"@path": f"$.{part}"},
        part=part,
        **more,
    )


_TYPES: dict[str, Literal["object", "datetime"]] = {
    "properties": "object",
    "traits": "object",
    "timestamp": "datetime",
}

_USER_ID = _field("user_id", "userId", "Who it is, if that is known: $user_id.")
_ANONYMOUS_ID = _field("anonymous_id", "anonymousId", "Who it is until then: $device_id.")
_MESSAGE_ID = _field("message_id", "messageId", "What makes $insert_id, which drops repeats.")
_TIMESTAMP = _field("timestamp", "timestamp", "When it happened: time.")
_PROPERTIES = _field("properties", "properties", "The event's properties.")
_NAME = _field("name", "name", "The name of the page or screen.")
_CATEGORY = _field("category", "category", "The category of the page or screen.")
_IDS = [_USER_ID, _ANONYMOUS_ID, _MESSAGE_ID, _TIMESTAMP]
_VIEW = [_NAME, _CATEGORY, _PROPERTIES, *_IDS]

FIELDS: dict[str, list[Field]] = {
    "identify": [_field("traits", "traits", "The user profile's properties."), *_IDS],
    "track": [
        _field("event", "event", "The event's name.", required=True),
        _PROPERTIES,
        *_IDS,
    ],
    "page": _VIEW,
    "screen": _VIEW,
    "group": [
        _field("group_id", "groupId", "The group's id: $group_id.", required=True),
        _field("traits", "traits", "The group profile's properties."),
        *_IDS,
    ],
    "alias": [
        _field("previous_id", "previousId", "The id that the user had.", required=True),
        *_IDS,
    ],
}
"""Each call's fields, in the order in which they are shown."""
