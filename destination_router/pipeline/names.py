"""Finds the name of a page or screen wherever its SDK wrote it. Pure.

SDKs for browsers and servers write `name` at the root, and most of them also in the properties.
The mobile SDKs of RudderStack and Segment write no root `name`: `{"type": "screen", "event":
"Home", "properties": {"name": "Home"}}`. So the name is the root's `name`, else `properties.name`,
else `event`. `normalise` puts it in the message's own field, so `message.name` has it wherever it
came from. A dialect of a system that reads only the root uses `as_sent`.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from destination_router.contract import javascript
from destination_router.contract.messages import (
    Page,
    Screen,
    wire_json,
    with_mended,
    with_origin_of,
)


def name_text(value: Any) -> str | None:
    """Read a text or a number as a name; None for any other value."""
    if isinstance(value, str):
        return value if value and not value.isspace() else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return javascript.text(value) if _is_finite(value) else None
    return None


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # no float can hold the integer: `JSON.parse` makes it Infinity
        return False


def named(message: Page | Screen) -> Page | Screen:
    """Fill in the name of a page or screen if it is not at the root.

    Raises:
        Reject: as the message's `wire`.
    """
    if name_text(message.name) is not None:
        return message
    found = name_text(message.properties.get("name")) or name_text(event_of(message))
    if found is None:
        return message
    copy = with_origin_of(msgspec.structs.replace(message, name=found), message)
    return with_mended(copy, {"name": (message.as_sent("name"), found)})


def event_of(message: Page | Screen) -> Any:
    """Read the root's `event` of a page or screen, which has no such field.

    Raises:
        Reject: as the message's `wire`.
    """
    kept = message.__dict__
    if "wire" not in kept and "_raw" in kept:
        raw = wire_json(message)
        if b'"event"' not in raw and b"\\u" not in raw:  # nor spelt with escapes: no need to decode
            return kept.get("_rewritten", {}).get("event")
    return message.wire.get("event")
