"""The parts of a message that a transformation reads and rewrites, by path: `properties.plan`."""

from __future__ import annotations

from typing import Any

import msgspec

from destination_router.contract.messages import (
    Identify,
    Message,
    Page,
    Screen,
    rewritten,
    with_context,
    with_root,
)
from destination_router.contract.records import Note
from destination_router.pipeline.names import event_of, name_text
from destination_router.pipeline.normalise import mend_part
from destination_router.pipeline.paths import UNDEFINED, keys_of
from destination_router.pipeline.transformations.edits import EACH, Change, edited, placed

_OBJECTS = {"properties": "properties", "traits": "traits", "context": "context"}
_TEXTS = {
    "event": "event",
    "name": "name",
    "category": "category",
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "groupId": "group_id",
    "previousId": "previous_id",
    "timestamp": "timestamp",
}
_CONTEXT = "context"
_VIEW_NAMES = ("name", "category")
_EVENT_OF_VIEW = "event of a page or screen"
"""Marks a root field that the call does not have and that no path reaches."""


class Place(msgspec.Struct, frozen=True):
    """A path into a message.

    Attributes:
        text: as configured.
        part: the part of the message: `properties`.
        keys: the path within it; none for a part that is text.
    """

    text: str
    part: str
    keys: tuple[str, ...]


def parse_place(text: str) -> Place:
    """Read a path.

    Raises:
        ValueError: it does not lead to a part that can be transformed. The text says which do.
    """
    part, *keys = keys_of(text) or ("",)
    if part in _OBJECTS and keys:
        return Place(text, part, tuple(keys))
    if part in _TEXTS and not keys:
        return Place(text, part, ())
    objects = ", ".join(f"{name}.<name>" for name in _OBJECTS)
    raise ValueError(f"write a path: {objects}, or one of {', '.join(_TEXTS)}")


def value_at(message: Message, place: Place) -> Any:
    """Read the value at a place; UNDEFINED if there is none."""
    found: list[Any] = []

    def see(value: Any) -> Any:
        found.append(value)
        return value

    edited(_current(message, place.part), place.keys, see)
    return found[0] if found and found[0] is not None else UNDEFINED


def changed(message: Message, place: Place, change: Change, notes: list[Note]) -> Message:
    """Change the value at a place, if there is one, and at its twins (`_twins`).

    Raises:
        Reject: the part cannot hold the new value.
    """
    for one in (place, *_twins(message, place)):
        now = _current(message, one.part)
        if now is UNDEFINED or now is None:
            continue
        new = edited(now, one.keys, change)
        if new is not now:
            message = _put(message, one.part, None if new is UNDEFINED else new, notes)
    return message


def set_at(message: Message, place: Place, value: Any, notes: list[Note]) -> Message:
    """Put a value at a place. Add a note if the message has no room for it.

    The twins of the place get the value, too.

    Raises:
        Reject: the part cannot hold the value.
    """
    twins = _twins(message, place)
    message = _set_at(message, place, value, notes)
    for twin in twins:
        message = _set_at(message, twin, value, notes)
    return message


def _set_at(message: Message, place: Place, value: Any, notes: list[Note]) -> Message:
    now = _current(message, place.part)
    if now is UNDEFINED:
        return message
    new = placed(now, place.keys, value) if place.keys else value
    if new is None:
        notes.append(Note("dropped", place.text, "something stands there that holds no fields"))
        return message
    return _put(message, place.part, new, notes)


def _twins(message: Message, place: Place) -> list[Place]:
    """List other places where SDKs write the same value, and which change together.

    The traits of an identify are in `traits`, in `context.traits`, or in both. The name of a page
    or screen is at the root, in its properties, in its `event`, or in several of them.
    """
    if isinstance(message, Identify):
        return _twins_of_traits(message, place)
    if not isinstance(message, (Page, Screen)):
        return []
    if place.part in _VIEW_NAMES and not place.keys:
        return _twins_of_name(message, place, place.part)
    if place.part == "properties" and place.keys in ((EACH,), *((name,) for name in _VIEW_NAMES)):
        names = _VIEW_NAMES if place.keys == (EACH,) else place.keys
        return [
            twin
            for name in names
            if name_text(message.properties.get(name)) == (getattr(message, name) or UNDEFINED)
            for twin in (Place(place.text, name, ()), *_twins_of_name(message, place, name))
            if twin.part != "properties"
        ]
    return []


def _twins_of_traits(message: Identify, place: Place) -> list[Place]:
    if place.part == "traits" and message.context_traits:
        return [Place(place.text, _CONTEXT, ("traits", *place.keys))]
    if place.part == _CONTEXT and place.keys[0] == "traits" and len(place.keys) > 1:
        return [Place(place.text, "traits", place.keys[1:])]
    return []


def _twins_of_name(message: Page | Screen, place: Place, name: str) -> list[Place]:
    twins = []
    if name_text(message.properties.get(name)) is not None:
        twins.append(Place(place.text, "properties", (name,)))
    if name == "name" and name_text(event_of(message)) is not None:
        twins.append(Place(place.text, _EVENT_OF_VIEW, ()))
    return twins


def _current(message: Message, part: str) -> Any:
    if part == _CONTEXT:
        return message.context
    if part == _EVENT_OF_VIEW:
        return message.wire.get("event", UNDEFINED)
    return getattr(message, _OBJECTS.get(part) or _TEXTS[part], UNDEFINED)


def _put(message: Message, part: str, value: Any, notes: list[Note]) -> Message:
    if part == _CONTEXT:
        return with_context(message, value)
    if part == _EVENT_OF_VIEW:
        return with_root(message, "event", value)
    kind = str(message.__struct_config__.tag)
    return rewritten(message, part, **mend_part(kind, part, value, part, notes))
