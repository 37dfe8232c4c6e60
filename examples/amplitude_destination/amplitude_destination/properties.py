"""Properties as Amplitude takes them: nested as they are, within its limits.

Whatever is changed or left out leaves a note with its path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from amplitude_destination.limits import (
    DEPTH,
    FOREIGN_OPERATIONS,
    OPERATIONS,
    TEXT_CHARACTERS,
)
from destination_router import Json, Note

_INTEGER = 2**63
_SHOWN_PATH = 200


def fitted(
    properties: Mapping[str, Json], path: str, notes: list[Note], depth: int = 1
) -> dict[str, Json]:
    """Bring an object within the limits.

    Args:
        properties: any JSON object.
        path: where it stands in the message, for the notes.
        notes: is added to.
        depth: its level in what Amplitude gets, from 1.
    """
    kept = {}
    for key, value in properties.items():
        fit = value if _fits(value) else _fitted(value, _below(path, key), notes, depth)
        if fit is not None:
            kept[key] = fit
    return kept


def plain_properties(traits: Mapping[str, Json], path: str, notes: list[Note]) -> dict[str, Json]:
    """Bring traits within the limits that are set as they are: operations are left out.

    Beside an event, Amplitude takes operations for properties; and traits that ride along with
    every event would add up every time.
    """
    plain, operations = _apart(traits)
    for name in operations:
        note(notes, "dropped", f"{path}.{name}", "only an identify call can change properties so")
    return fitted(plain, path, notes)


def user_properties(
    traits: Mapping[str, Json], path: str, notes: list[Note]
) -> dict[str, dict[str, Json]]:
    """Turn traits into the operations of an `$identify` event.

    A trait that is called as an operation is one (`{"$add": {"logins": 1}}`); all others are set.
    """
    plain, operations = _apart(traits)
    changes = {"$set": fitted(plain, path, notes, depth=2)}
    for name, value in operations.items():
        place = f"{path}.{name}"
        if name in FOREIGN_OPERATIONS:
            note(notes, "dropped", place, "Amplitude's event APIs do not have it")
        elif not isinstance(value, dict):
            note(notes, "dropped", place, "an operation needs an object of properties")
        elif name == "$unset":
            changes[name] = dict.fromkeys(value, "-")
            note(notes, "converted", place, "the values are sent as -")
        elif name == "$add":
            changes[name] = _numbers(value, place, notes)
        else:
            changes[name] = _under(changes.get(name, {}), value, place, notes)
    return {name: change for name, change in changes.items() if change}


def cut(text: str, path: str, notes: list[Note]) -> str:
    """Keep a text within what Amplitude keeps of it (Unicode code points, none cut in two)."""
    if len(text) <= TEXT_CHARACTERS:
        return text
    note(notes, "truncated", path, f"{len(text)} characters were cut to {TEXT_CHARACTERS}")
    return text[:TEXT_CHARACTERS]


def note(notes: list[Note], code: str, path: str, detail: str) -> None:
    """Leave a note; a path that a sender made very long is shown by its beginning."""
    shown = path if len(path) <= _SHOWN_PATH else f"{path[:_SHOWN_PATH]}…"
    notes.append(Note(code, shown, detail))


def _below(path: str, key: str) -> str:
    """Write a path within a path, as far as it is shown: it may be longer than its message."""
    return path if len(path) > _SHOWN_PATH else f"{path}.{key}"[: _SHOWN_PATH + 1]


def _apart(traits: Mapping[str, Json]) -> tuple[dict[str, Json], dict[str, Json]]:
    named = OPERATIONS | FOREIGN_OPERATIONS
    plain = {name: value for name, value in traits.items() if name not in named}
    return plain, {name: value for name, value in traits.items() if name in named}


def _under(
    plain: dict[str, Json], change: Mapping[str, Json], path: str, notes: list[Note]
) -> dict[str, Json]:
    """Add what an operation changes to the traits that are set anyway, which come first."""
    for name in change:
        if name in plain:
            note(notes, "dropped", f"{path}.{name}", "the trait of that name is sent")
    return {**fitted(change, path, notes, depth=2), **plain}


def _numbers(change: Mapping[str, Json], path: str, notes: list[Note]) -> dict[str, Json]:
    """Keep what can be added."""
    numbers = {name: value for name, value in change.items() if type(value) in (int, float)}
    for name in change.keys() - numbers.keys():
        note(notes, "dropped", f"{path}.{name}", "only a number can be added")
    return fitted(numbers, path, notes, depth=2)


def _fits(value: Json) -> bool:
    """Tell of most values at a glance that they are sent as they are."""
    match value:
        case bool():
            return True
        case str():
            return len(value) <= TEXT_CHARACTERS
        case int():
            return -_INTEGER <= value < _INTEGER
        case float():
            return math.isfinite(value)
        case _:
            return False


def _fitted(value: Json, path: str, notes: list[Note], depth: int) -> Any:
    """Bring a value within the limits; None if nothing is left of it."""
    match value:
        case str():
            return cut(value, path, notes)
        case int():
            return _large(value, path, notes)
        case dict() | list() if depth >= DEPTH:
            note(notes, "dropped", path, f"it is nested deeper than {DEPTH} levels")
        case dict():
            return fitted(value, path, notes, depth + 1)
        case list():
            items = {str(index): item for index, item in enumerate(value)}
            return list(fitted(items, path, notes, depth + 1).values())
        case None:
            note(notes, "dropped", path, "null")
        case _:
            note(notes, "dropped", path, "it is not a finite number")
    return None


def _large(number: int, path: str, notes: list[Note]) -> float | None:
    """Send a whole number beyond 64 bits as a float, which is how JSON's readers take it."""
    try:
        rounded = float(number)
    except OverflowError:
        note(notes, "dropped", path, "the number is too large for JSON")
        return None
    note(notes, "converted", path, "a whole number beyond 64 bits was rounded")
    return rounded
