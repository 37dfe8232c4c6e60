"""Changes copies of JSON values by path. Unchanged parts are shared with the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from destination_router.pipeline.paths import UNDEFINED

EACH = "*"
"""In a path: every item of a list, or every value of an object."""

Change = Callable[[Any], Any]
"""Takes a value; returns another, the same for no change, or UNDEFINED to remove it."""


def edited(value: Any, keys: Sequence[str], change: Change) -> Any:
    """Change the value at a path. If there is none, return the value itself."""
    if not keys:
        return change(value)
    key, rest = keys[0], keys[1:]
    if key == EACH:
        return _each(value, rest, change)
    if not isinstance(value, dict) or key not in value:
        return value
    changed = edited(value[key], rest, change)
    if changed is value[key]:
        return value
    if changed is UNDEFINED:
        return {name: item for name, item in value.items() if name != key}
    return {**value, key: changed}


def placed(value: dict[str, Any], keys: Sequence[str], item: Any) -> dict[str, Any] | None:
    """Put an item at a path, and make objects on the way; None if another value is in the way."""
    key, rest = keys[0], keys[1:]
    if not rest:
        return {**value, key: item}
    within = value.get(key, {})
    inner = placed(within, rest, item) if isinstance(within, dict) else None
    return None if inner is None else {**value, key: inner}


def key_renamed(value: Any, old: str, new: str, lost: list[bool]) -> Any:
    """Rename one key of an object, in its place.

    Args:
        value: any value. One that is not an object with that key stays.
        old: the key.
        new: its new name.
        lost: gets an entry if the new name existed before.
    """
    if not isinstance(value, dict) or old not in value:
        return value
    if new in value and new != old:
        lost.append(True)
    kept = {name: item for name, item in value.items() if name != new or name == old}
    return {(new if name == old else name): item for name, item in kept.items()}


def _each(value: Any, keys: Sequence[str], change: Change) -> Any:
    if isinstance(value, list):
        items = [edited(item, keys, change) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return [item for item in items if item is not UNDEFINED]
    if isinstance(value, dict):
        pairs = {name: edited(item, keys, change) for name, item in value.items()}
        if all(pairs[name] is item for name, item in value.items()):
            return value
        return {name: item for name, item in pairs.items() if item is not UNDEFINED}
    return value
