"""Properties as Mixpanel takes them: within its limits, and away from the names that it reserves.

Whatever is changed or left out leaves a note with its path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import msgspec

from destination_router import Json, Note, body_bytes
from mixpanel_destination.limits import (
    DEPTH,
    EVENT_CONTAINER_BYTES,
    ITEMS,
    NAME_BYTES,
    PROFILE_CONTAINER_BYTES,
    RESERVED,
    RESERVED_IN_EVENTS,
    RESERVED_IN_PROFILES,
    TEXT_BYTES,
)

_SHOWN_PATH = 200


class Kind(msgspec.Struct, frozen=True):
    """What properties belong to, as far as it makes a difference.

    Attributes:
        renamed: what a property of this name is called instead.
        container_bytes: how large a list or an object may be.
    """

    renamed: Mapping[str, str]
    container_bytes: int


def _kind(
    reserved: Iterable[str], container_bytes: int, known: Mapping[str, str] | None = None
) -> Kind:
    return Kind({**{name: f"_{name}" for name in reserved}, **(known or {})}, container_bytes)


EVENT = _kind(RESERVED_IN_EVENTS, EVENT_CONTAINER_BYTES)
GROUP = _kind(RESERVED, PROFILE_CONTAINER_BYTES, {"name": "$name"})
USER = _kind(
    RESERVED_IN_PROFILES,
    PROFILE_CONTAINER_BYTES,
    {
        "avatar": "$avatar",
        "created": "$created",
        "createdAt": "$created",
        "email": "$email",
        "firstName": "$first_name",
        "lastName": "$last_name",
        "name": "$name",
        "phone": "$phone",
    },
)
"""The names under which Mixpanel shows a profile [docs.mixpanel.com/docs/
data-structure, User Profiles]."""


def fitted(
    properties: Mapping[str, Any], kind: Kind, path: str, notes: list[Note]
) -> dict[str, Json]:
    """Fit properties into Mixpanel's limits.

    Args:
        properties: any JSON object.
        kind: what they belong to.
        path: where the object stands in the message, for the notes.
        notes: is added to.
    """
    kept: dict[str, Json] = {}
    for name, value in properties.items():
        place = f"{path}.{name}"
        wanted = kind.renamed.get(name, name)
        if problem := _name_problem(name, wanted, properties, kept):
            _note(notes, "dropped", place, problem)
            continue
        found = fitted_value(value, kind, place, notes)
        if found is None:
            continue
        if wanted != name:
            reason = (
                "Mixpanel reserves it" if wanted.startswith("_") else "Mixpanel has a name for it"
            )
            _note(notes, "renamed", place, f"{reason}: sent as {wanted}")
        kept[wanted] = found
    return kept


def fitted_value(value: Any, kind: Kind, path: str, notes: list[Note], depth: int = 1) -> Json:
    """Fit one value; None where it is left out."""
    match value:
        case bool():
            return value
        case str():
            return cut(value, path, notes)
        case int() if -(2**63) <= value < 2**64:
            return value
        case float() if isfinite(value):
            return value
        case dict() if depth <= DEPTH:
            return dict(_first(value.items(), kind, path, notes, depth))
        case list() if depth <= DEPTH:
            return [item for _, item in _first(enumerate(value), kind, path, notes, depth)]
    _note(notes, "dropped", path, _reason(value))
    return None


def cut(text: str, path: str, notes: list[Note]) -> str:
    """Keep a text within 255 bytes of UTF-8; no character is cut in two."""
    if len(text) * 4 <= TEXT_BYTES or len(content := text.encode()) <= TEXT_BYTES:
        return text
    _note(notes, "truncated", path, f"{len(content)} bytes were cut to {TEXT_BYTES}")
    return content[:TEXT_BYTES].decode(errors="ignore")


def first(properties: dict[str, Json], most: int, path: str, notes: list[Note]) -> dict[str, Json]:
    """Keep the first so many properties, which is all that Mixpanel takes."""
    if len(properties) <= most:
        return properties
    _note(notes, "truncated", path, f"of {len(properties)} properties the first {most} are sent")
    return dict(list(properties.items())[:most])


def _first(
    pairs: Iterable[tuple[Any, Any]], kind: Kind, path: str, notes: list[Note], depth: int
) -> Iterable[tuple[Any, Json]]:
    """Give the first of a container's items that fit, in number and in bytes."""
    room = kind.container_bytes - len("[]")
    for place, (key, value) in enumerate(pairs):
        found = fitted_value(value, kind, _below(path, str(key)), notes, depth + 1)
        room -= body_bytes({str(key): found})
        if place == ITEMS or room < 0:
            _note(notes, "truncated", path, f"its first {place} items are sent")
            return
        if found is not None:
            yield key, found


def _below(path: str, key: str) -> str:
    """Write a path within a path, as far as it is shown: it may be longer than its message."""
    return path if len(path) > _SHOWN_PATH else f"{path}.{key}"[: _SHOWN_PATH + 1]


def _name_problem(
    name: str, wanted: str, properties: Mapping[str, Any], kept: Mapping[str, Json]
) -> str | None:
    if not name:
        return "its name is empty"
    if len(name.encode()) > NAME_BYTES:
        return f"its name is longer than {NAME_BYTES} bytes"
    if wanted != name and (properties.get(wanted) is not None or wanted in kept):
        return f"it would be sent as {wanted}, which is there too"
    return None


def _reason(value: Any) -> str:
    match value:
        case None:
            return "null"
        case int() | float():
            return "the number is too large for JSON"
        case _:
            return f"it is nested deeper than {DEPTH} levels"


def _note(notes: list[Note], code: str, path: str, detail: str) -> None:
    shown = path if len(path) <= _SHOWN_PATH else f"{path[:_SHOWN_PATH]}…"
    notes.append(Note(code, shown, detail))
