"""Properties as Heap takes them: one level, numbers and text, within Heap's limits.

Each change or omission leaves a note with its path.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import Any, TypeAlias

import msgspec

from destination_router import Note, format_time, javascript
from heap_destination.limits import (
    ARRAY_SEPARATOR,
    BUILT_IN_EMAIL,
    DEPTH,
    EXACT_INTEGER,
    KEY_CHARACTERS,
    NUMBER_BITS,
    RESERVED_USER_PROPERTIES,
    VALUE_CHARACTERS,
)

Properties: TypeAlias = dict[str, str | int | float]

_SHOWN_PATH = 200
_LONG_NAME = f"its name is longer than {KEY_CHARACTERS} characters"
_LEAST_INTEGER = -EXACT_INTEGER
_RESERVED = RESERVED_USER_PROPERTIES | {"Id", "iD", "ID"}
_join = ARRAY_SEPARATOR.join
_SCALARS = frozenset({str, int, float, bool, type(None)})


def event_properties(properties: Mapping[str, Any], path: str, notes: list[Note]) -> Properties:
    """Flatten the properties of an event or an account.

    Args:
        properties: any JSON object.
        path: where it stands in the message, for the notes.
        notes: is added to.
    """
    flat: Properties = dict(properties)
    # Nearly all values need no change, and a dict copies itself faster than a loop does.
    for name, value in properties.items():
        kind = type(value)
        if not 0 < len(name) <= KEY_CHARACTERS:
            pass
        elif kind is str:
            if len(value) <= VALUE_CHARACTERS:
                continue
        elif kind is int:
            if _LEAST_INTEGER <= value <= EXACT_INTEGER:
                continue
        elif kind is float and isfinite(value):
            continue
        _flatten(_Flattening(path, notes, flat, {}), _cut_off(flat, name), "", 1)
        break
    return flat


def user_properties(traits: Mapping[str, Any], path: str, notes: list[Note]) -> Properties:
    """Flatten a user's traits, and rename those whose names Heap reserves."""
    flat = event_properties(traits, path, notes)
    return _with_built_in_email(_without_reserved(flat, path, notes), path, notes)


def _cut_off(flat: dict[str, Any], first: str) -> list[tuple[str, Any]]:
    """Take an item out of a dict, and all that come after it, and return them in their order."""
    items = [flat.popitem()]
    while items[-1][0] != first:
        items.append(flat.popitem())
    items.reverse()
    return items


def texts(properties: Properties, path: str, notes: list[Note]) -> Properties:
    """Turn every value into text: the partner API takes nothing else for events."""
    for key, value in properties.items():
        if not isinstance(value, str):
            notes.append(_note("converted", f"{path}.{key}", "a number became text"))
    return {
        key: value if isinstance(value, str) else number_text(value)
        for key, value in properties.items()
    }


def cut(text: str, characters: int, path: str, notes: list[Note]) -> str:
    """Cut a text to a number of characters (whole Unicode code points)."""
    if len(text) <= characters:
        return text
    detail = f"{len(text)} characters were cut to {characters}"
    notes.append(_note("truncated", path, detail))
    return text[:characters]


def number_text(number: float) -> str:
    """Write a number as JavaScript does, except that a whole number has all its digits.

    `1.0` is `1`, `1e21` is `1e+21`, `0.1` is `0.1` [ECMA-262, Number::toString].
    """
    if isinstance(number, int):
        return str(number)
    return javascript.number_text(number)


class _Flattening(msgspec.Struct, gc=False):
    """One run over what has to be changed in an object. Keys keep the order of the message.

    Attributes:
        path: where the object stands in the message, for the notes.
        notes: is added to.
        flat: the properties so far.
        depths: the level of nesting of those that are nested.
    """

    path: str
    notes: list[Note]
    flat: Properties
    depths: dict[str, int]


def _flatten(run: _Flattening, items: Iterable[tuple[str, Any]], prefix: str, depth: int) -> None:
    """Flatten an object. This loop keeps values that need no change.

    Args:
        run: what the properties go into.
        items: the object's, or those that are left.
        prefix: of its keys: empty, or ending with a dot.
        depth: its level of nesting, from 1.
    """
    flat = run.flat
    is_nested = prefix != ""
    for name, item in items:
        key = prefix + name
        kind = type(item)
        if kind is str:
            fits = len(item) <= VALUE_CHARACTERS
        elif kind is int:
            fits = _LEAST_INTEGER <= item <= EXACT_INTEGER
        elif kind is float:
            fits = isfinite(item)
        elif kind is dict:
            _container(run, item, key, depth)
            continue
        elif kind is list and item and type(item[0]) is str:
            item = _joined(run, item, len(item), key)  # noqa: PLW2901 -- a text, if it can be
            fits = type(item) is str and len(item) <= VALUE_CHARACTERS
        else:
            fits = False
        if fits and key not in flat and 0 < len(key) <= KEY_CHARACTERS:
            flat[key] = item
            if is_nested:
                run.depths[key] = depth
        else:
            _value(run, item, key, depth)


def _value(run: _Flattening, value: Any, key: str, depth: int) -> None:
    kind = type(value)
    if value is None:
        _tell(run, "dropped", key, "null")
    elif kind is str:
        _keep(run, key, _text(run, key, value), depth)
    elif kind is int or kind is float:
        if (problem := _number_problem(value)) is None:
            if kind is int and abs(value) > EXACT_INTEGER:
                detail = "beyond 2^53 a reader may round it; send it as text"
                _tell(run, "imprecise_number", key, detail)
            _keep(run, key, value, depth)
        else:
            _tell(run, "dropped", key, problem)
    elif isinstance(value, Mapping):
        _container(run, value, key, depth)
    elif isinstance(value, (list, tuple)):
        _array(run, value, key, depth)
    else:
        _scalar(run, value, key, depth)


def _scalar(run: _Flattening, value: Any, key: str, depth: int) -> None:
    text = _scalar_text(value)
    if text is None:
        _tell(run, "dropped", key, f"JSON has no {type(value).__name__}")
    else:
        _tell(run, "converted", key, f"{_kind(value)} became text")
        _keep(run, key, _text(run, key, text), depth)


def _array(run: _Flattening, values: list[Any] | tuple[Any, ...], key: str, depth: int) -> None:
    if not values:
        _tell(run, "dropped", key, "an empty list")
    elif len(key) > KEY_CHARACTERS:
        _tell(run, "dropped", key, _LONG_NAME)
    elif _holds_containers(values):
        _container(run, {str(at): item for at, item in enumerate(values)}, key, depth)
    elif items := _items(run, values, key):
        _keep(run, key, _text(run, key, _joined(run, items, len(values), key)), depth)


def _joined(run: _Flattening, items: list[Any], given: int, key: str) -> Any:
    """Join a list of texts. One with anything else in it comes back as it is."""
    try:
        text = _join(items)
    except TypeError:
        return items
    _tell(run, "joined", key, _joined_detail(given))
    return text


@lru_cache(maxsize=64)
def _joined_detail(given: int) -> str:
    return f"a list of {given} became one text"


def _items(run: _Flattening, values: list[Any] | tuple[Any, ...], key: str) -> list[str]:
    items: list[str] = []
    for index, value in enumerate(values):
        text = value if type(value) is str else _scalar_text(value)
        if text is None:
            reason = "null" if value is None else "it is no number or text"
            _tell(run, "dropped", f"{key}.{index}", reason)
        else:
            items.append(text)
    return items


def _container(run: _Flattening, value: Mapping[str, Any], key: str, depth: int) -> None:
    if not value:
        _tell(run, "dropped", key, "an empty object")
    elif len(key) > KEY_CHARACTERS:  # and so are those within it, each as long and longer
        _tell(run, "dropped", key, _LONG_NAME)
    elif depth >= DEPTH:
        _tell(run, "dropped", key, f"it is nested deeper than {DEPTH} levels")
    else:
        _flatten(run, value.items(), f"{key}.", depth + 1)


def _text(run: _Flattening, key: str, text: str) -> str:
    if len(text) <= VALUE_CHARACTERS:
        return text
    return cut(text, VALUE_CHARACTERS, f"{run.path}.{key}", run.notes)


def _keep(run: _Flattening, key: str, value: str | float, depth: int) -> None:
    if not key:
        _tell(run, "dropped", key, "its name is empty")
    elif len(key) > KEY_CHARACTERS:
        _tell(run, "dropped", key, _LONG_NAME)
    elif key in run.flat and depth > run.depths.get(key, 1):
        _tell(run, "dropped", key, "a property that is spelt with the dot has the same name")
    else:
        if key in run.flat:
            _tell(run, "dropped", key, "a later or less nested property has the same name")
        run.flat[key] = value
        run.depths[key] = depth


def _tell(run: _Flattening, code: str, key: str, detail: str) -> None:
    path = f"{run.path}.{key}"
    run.notes.append(Note(code, path if len(path) <= _SHOWN_PATH else _shown(path), detail))


def _holds_containers(values: list[Any] | tuple[Any, ...]) -> bool:
    # The first line is only faster: it asks for types, which costs a tenth of isinstance here.
    return not _SCALARS.issuperset(map(type, values)) and any(
        isinstance(item, (Mapping, list, tuple)) for item in values
    )


def _number_problem(number: float) -> str | None:
    if isinstance(number, int):
        return None if number.bit_length() <= NUMBER_BITS else "the number is too large for JSON"
    return None if math.isfinite(number) else "it is not a finite number"


def _scalar_text(value: Any) -> str | None:
    """Write a scalar as text; None if JSON cannot hold it or it is not finite."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return str(value)
        case int() | float():
            return number_text(value) if _number_problem(value) is None else None
        case datetime():
            return format_time(value)
        case _:
            return None


def _kind(value: Any) -> str:
    return "a boolean" if isinstance(value, bool) else f"a {type(value).__name__}"


def _without_reserved(flat: Properties, path: str, notes: list[Note]) -> Properties:
    reserved = _RESERVED.intersection(flat)
    if not reserved:
        return flat
    renamed: Properties = {}
    for key, value in flat.items():
        name = f"_{key}" if key in reserved else key
        if key in reserved and name in flat:
            notes.append(_note("dropped", f"{path}.{key}", f"Heap reserves it; {name} is taken"))
            continue
        if key in reserved:
            notes.append(_note("renamed", f"{path}.{key}", f"Heap reserves it; sent as {name}"))
        renamed[name] = value
    return renamed


def _with_built_in_email(flat: Properties, path: str, notes: list[Note]) -> Properties:
    """Rename a lone `Email` to the key that fills Heap's built-in property."""
    if BUILT_IN_EMAIL in flat:
        return flat
    spellings = [key for key in flat if key.casefold() == BUILT_IN_EMAIL]
    if len(spellings) != 1:
        return flat
    detail = f"Heap's built-in property is called {BUILT_IN_EMAIL}"
    notes.append(_note("renamed", f"{path}.{spellings[0]}", detail))
    return {BUILT_IN_EMAIL if key == spellings[0] else key: v for key, v in flat.items()}


def _note(code: str, path: str, detail: str) -> Note:
    return Note(code, _shown(path), detail)


def _shown(path: str) -> str:
    return path if len(path) <= _SHOWN_PATH else f"{path[:_SHOWN_PATH]}…"
