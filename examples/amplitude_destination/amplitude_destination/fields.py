"""The fields of each call that a connection's mapping may override."""

from __future__ import annotations

from typing import Any, Literal

from destination_router import Field


def _part(
    name: str,
    part: str,
    description: str,
    *,
    type: Literal["string", "object", "datetime"] = "string",  # noqa: A002 -- as in Field
    required: bool = False,
) -> Field:
    """Stand for a part of the message."""
    return Field(
        name=name,
        type=type,
        description=description,
        required=required,
        default={"@path": f"$.{part}"},
        part=part,
    )


_USER_ID = _part("user_id", "userId", "A known user's id, of at least minIdLength characters.")
_DEVICE_ID = _part(
    "anonymous_id", "anonymousId", "The device's id: what Amplitude calls device_id."
)
_MESSAGE_ID = _part(
    "message_id",
    "messageId",
    "The insert_id: a repeat with the same one within 7 days is ignored.",
    required=True,
)
_TIMESTAMP = _part(
    "timestamp",
    "timestamp",
    "When it happened. Amplitude takes its own time without it.",
    type="datetime",
)
_SESSION_ID = Field(
    name="session_id",
    type="string",
    description=(
        "When the session started, in milliseconds since 1970; -1 for none. Unless it is mapped, "
        "integrations.Amplitude.session_id."
    ),
)
_EVENT = _part("event", "event", "The event_type: what the user did.", required=True)
_EVENT_TYPE = Field(
    name="event_type",
    type="string",
    description="What the event is called. Unless it is mapped, Page Viewed or Screen Viewed.",
)
_PROPERTIES = _part("properties", "properties", "The event_properties.", type="object")
_NAME = _part("name", "name", "The page's or screen's name; a property of the event.")
_CATEGORY = _part(
    "category", "category", "The page's or screen's category; a property of the event."
)
_EVENT_TRAITS = _part(
    "traits", "context.traits", "User properties that are set with the event.", type="object"
)
_TRAITS = _part(
    "traits",
    "traits",
    "User properties. One that is called $setOnce, $add, $append or $unset is that operation.",
    type="object",
)
_GROUP_ID = _part("group_id", "groupId", "The group's value, of the type groupType.", required=True)
_GROUP_TRAITS = _part("traits", "traits", "The group's properties.", type="object")
_PREVIOUS_ID = _part("previous_id", "previousId", "The user_id that is mapped.", required=True)
_GLOBAL_ID = _part("user_id", "userId", "The global_user_id that it is mapped to.", required=True)

_WHO: list[Any] = [_USER_ID, _DEVICE_ID, _MESSAGE_ID, _TIMESTAMP, _SESSION_ID]
_VIEW = [*_WHO, _EVENT_TYPE, _NAME, _CATEGORY, _PROPERTIES, _EVENT_TRAITS]

FIELDS: dict[str, list[Field]] = {
    "identify": [*_WHO, _TRAITS],
    "track": [*_WHO, _EVENT, _PROPERTIES, _EVENT_TRAITS],
    "page": _VIEW,
    "screen": _VIEW,
    "group": [*_WHO, _GROUP_ID, _GROUP_TRAITS],
    "alias": [_GLOBAL_ID, _PREVIOUS_ID],
}
"""Each call's fields, in the order in which they are shown."""
