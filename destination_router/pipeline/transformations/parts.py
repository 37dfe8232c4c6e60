"""The parts of a message that a transformation reads and rewrites, by path: `properties.plan`."""

from __future__ import annotations

from typing import Any

import msgspec

from destination_router.contract.messages import Identify, Message, rewritten, with_context
from destination_router.contract.records import Note
from destination_router.pipeline.normalise import mend_part
from destination_router.pipeline.paths import UNDEFINED, keys_of
from destination_router.pipeline.transformations.edits import Change, edited, placed

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
        ValueError: it does not lead to what can be transformed; the text says what does.
    """
    part, *keys = keys_of(text) or ("",)
    if part in _OBJECTS and keys:
        return Place(text, part, tuple(keys))
    if part in _TEXTS and not keys:
        return Place(text, part, ())
    objects = ", ".join(f"{name}.<name>" for name in _OBJECTS)
    raise ValueError(f"write a path: {objects}, or one of {', '.join(_TEXTS)}")


def value_at(message: Message, place: Place) -> Any:
    """Read what stands at a place; UNDEFINED where nothing does."""
    found: list[Any] = []

    def see(value: Any) -> Any:
        found.append(value)
        return value

    edited(_current(message, place.part), place.keys, see)
    return found[0] if found and found[0] is not None else UNDEFINED


def changed(message: Message, place: Place, change: Change, notes: list[Note]) -> Message:
    """Change what stands at a place, if anything does.

    What an identify says of its user stands in `traits`, in `context.traits`, or in both: a change
    of the one is a change of the other.

    Raises:
        Reject: the part cannot hold what it was changed to.
    """
    part, keys = place.part, place.keys
    now = _current(message, part)
    if now is UNDEFINED or now is None:
        return message
    new = edited(now, keys, change)
    if new is not now:
        message = _put(message, part, None if new is UNDEFINED else new, notes)
    if part == "traits" and isinstance(message, Identify) and message.context_traits:
        twin = Place(place.text, _CONTEXT, ("traits", *keys))
        return changed(message, twin, change, notes)
    return message


def set_at(message: Message, place: Place, value: Any, notes: list[Note]) -> Message:
    """Put a value at a place; a note where the message has no room for it.

    Raises:
        Reject: the part cannot hold the value.
    """
    now = _current(message, place.part)
    if now is UNDEFINED:
        return message
    new = placed(now, place.keys, value) if place.keys else value
    if new is None:
        notes.append(Note("dropped", place.text, "something stands there that holds no fields"))
        return message
    return _put(message, place.part, new, notes)


def _current(message: Message, part: str) -> Any:
    if part == _CONTEXT:
        return message.context
    return getattr(message, _OBJECTS.get(part) or _TEXTS[part], UNDEFINED)


def _put(message: Message, part: str, value: Any, notes: list[Note]) -> Message:
    if part == _CONTEXT:
        return with_context(message, value)
    kind = str(message.__struct_config__.tag)
    return rewritten(message, part, **mend_part(kind, part, value, part, notes))
