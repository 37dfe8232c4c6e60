"""Properties as a dialect flattens them: Heap's own way, or that of another system.

The other systems are written in JavaScript, so their keys keep the order in which JavaScript
enumerates them. If two keys flatten to the same key, it has the later value in the earlier one's
place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from destination_router import Note, Reject, javascript
from heap_destination.dialects import Dialect, Nested, Shape
from heap_destination.properties import event_properties, user_properties
from heap_destination.settings import HeapSettings

_SHOWN_PATH = 200
_FLAT_CHARACTERS = 10_000_000
"""The systems have no bound, but a message of a few megabytes could take all memory."""


def flat_event(
    properties: Mapping[str, Any], path: str, notes: list[Note], settings: HeapSettings
) -> dict[str, Any]:
    """Flatten the properties of an event or an account as the dialect does."""
    rules: Dialect = settings.rules
    shape = rules.event_shape
    if shape is None:
        return event_properties(properties, path, notes)
    return flatten(properties, shape, settings.nested_properties_mode, path, notes)


def flat_user(
    traits: Mapping[str, Any], path: str, notes: list[Note], settings: HeapSettings
) -> dict[str, Any]:
    """Flatten a user's traits as the dialect does."""
    rules: Dialect = settings.rules
    shape = rules.user_shape
    if shape is None:
        return user_properties(traits, path, notes)
    return flatten(traits, shape, settings.nested_properties_mode, path, notes)


def flatten(
    properties: Any,
    shape: Shape,
    nested: Nested,
    path: str,
    notes: list[Note],
) -> dict[str, Any]:
    """Flatten a JSON object by a dialect's options.

    Args:
        properties: any JSON object; with brackets any JSON value.
        shape: how to treat arrays, leaves and empty values.
        nested: whether objects and arrays are flattened at all.
        path: where the object stands in the message, for the notes.
        notes: gets a note for each change.
    """
    flat: dict[str, Any] = {}
    for key, value in _leaves(properties, shape, nested, path, notes):
        if key in shape.without:
            notes.append(_note("dropped", path, key, "this dialect never sends it"))
            continue
        if key in flat:
            notes.append(_note("dropped", path, key, "a later property has the same name"))
        flat[key] = _scalar(value, shape, path, key, notes)
    return dict(javascript.in_order(flat))


def _leaves(
    properties: Any, shape: Shape, nested: Nested, path: str, notes: list[Note]
) -> Iterator[tuple[str, Any]]:
    """List the leaves without recursion, because a message may be nested at any depth."""
    if not isinstance(properties, Mapping):  # as RudderStack passes it on
        properties = {"": properties}
    waiting = [
        (key, value, 1) for key, value in reversed(list(javascript.in_order(properties).items()))
    ]
    room = _FLAT_CHARACTERS
    while waiting:
        key, value, depth = waiting.pop()
        if not isinstance(value, (Mapping, list, tuple)):
            yield key, value
        elif depth == 1 and nested == "stringify":
            notes.append(_note("converted", path, key, "nested: sent as JSON text"))
            yield key, _json_text(value, path)
        elif depth == 1 and nested == "drop":
            notes.append(_note("dropped", path, key, "it is nested"))
        elif value:
            room -= len(key) * len(value)  # which the names within it repeat
            if room < 0:
                detail = f"flattened, names come to more than {_FLAT_CHARACTERS} characters"
                raise Reject("too_large", detail, path)
            parts = reversed(list(_parts(value, key, shape)))
            waiting.extend((part, item, depth + 1) for part, item in parts)
        elif shape.empty == "kept" and (key or not isinstance(value, Mapping)):
            yield key, value
        else:
            notes.append(_note("dropped", path, key, "it is empty"))


def _parts(
    value: Mapping[str, Any] | list[Any] | tuple[Any, ...], key: str, shape: Shape
) -> Iterator[tuple[str, Any]]:
    brackets = shape.arrays == "brackets"
    if isinstance(value, Mapping):
        # rudder-transformer writes no dot after an empty key; Segment does.
        prefix = "" if brackets and not key else f"{key}."
        for name, item in javascript.in_order(value).items():
            yield f"{prefix}{name}", item
    else:
        for index, item in enumerate(value):
            yield f"{key}[{index}]" if brackets else f"{key}.{index}", item


def _json_text(value: Any, path: str) -> str:
    try:
        return javascript.json_text(value)
    except RecursionError:
        raise Reject("too_deep", "send less deeply nested JSON", path) from None


def _scalar(value: Any, shape: Shape, path: str, key: str, notes: list[Note]) -> Any:
    if shape.leaves == "kept" or isinstance(value, str):
        return value
    what = "null" if value is None else "a boolean" if isinstance(value, bool) else "a number"
    notes.append(_note("converted", path, key, f"{what} became text"))
    return javascript.text(value)


def _note(code: str, path: str, key: str, detail: str) -> Note:
    shown = f"{path}.{key}"
    return Note(code, shown if len(shown) <= _SHOWN_PATH else f"{shown[:_SHOWN_PATH]}…", detail)
