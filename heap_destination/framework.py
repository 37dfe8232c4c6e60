"""Checks and converts fields as Segment's framework does before a destination sees a message.

A scalar becomes text, and a list of one becomes its item. Any other value of the wrong type, an
invalid time or an invalid e-mail address rejects the message [@segment/actions-core, schema
validation by ajv with `coerceTypes: "array"`].
"""

from __future__ import annotations

import re
from typing import Any

from destination_router import Message, Reject, javascript
from heap_destination.javascript_dates import BLANKS, iso_text, read_date, read_number

_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]*[a-z0-9])?",
    re.IGNORECASE | re.ASCII,
)
"""JSON Schema's format `email`, as the framework defines it."""

_UNIX_SECONDS = 8_640_000_000_000


def check_fields(message: Message, checks: dict[str, tuple[str, ...]]) -> None:
    """Refuse a message with a field that the framework refuses.

    Args:
        message: any. Its fields count as they were sent.
        checks: by kind (`text`, `nullable` text, which no list may hold, `object`, `time`, and the
            `event` that a track needs), which fields are checked.

    Raises:
        Reject: `invalid_type`, `invalid_timestamp` or `missing_event`.
    """
    for field in checks.get("text", ()):
        text_of(sent(message, field), field)
    for field in checks.get("nullable", ()):
        if isinstance(sent(message, field), (dict, list)):
            raise Reject("invalid_type", "must be text, not an object or a list", field)
    for field in checks.get("object", ()):
        object_of(sent(message, field), field)
    for field in checks.get("time", ()):
        time_of(sent(message, field), field)
    for field in checks.get("event", ()):
        if text_of(sent(message, field), field) is None:
            raise Reject("missing_event", "name what the user did", field)


def sent(message: Message, field: str) -> Any:
    """Get a field as it was sent, from the message's root if the call does not define it."""
    value = message.as_sent(field)
    if value is None and field not in message.mapped and not field.startswith("context."):
        value = message.other(field)
    return value


def text_of(value: Any, path: str) -> str | None:
    """Convert a value to text. Blank text is absent at the root, but not in a list."""
    if value is None or value == "":
        return None
    if isinstance(value, list) and len(value) == 1:
        value = "" if value[0] is None else value[0]
    if isinstance(value, (dict, list)):
        raise Reject("invalid_type", "must be text, not an object or a list", path)
    return javascript.text(value)


def object_of(value: Any, path: str) -> dict[str, Any] | None:
    """Take an object. Unlike a scalar, it may not be in a list."""
    if value is None or value == "":
        return None
    if not isinstance(value, dict):
        raise Reject("invalid_type", "must be an object", path)
    return value


def time_of(value: Any, path: str) -> str | int | float | None:
    """Take what the framework accepts as a time: a number, or text that is a number or a date."""
    if value is None or value == "":
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not _is_date_like(value):
        raise Reject("invalid_timestamp", "send a time as ISO 8601", path)
    return value


def email_of(value: Any, path: str) -> str | None:
    """Take an e-mail address."""
    text = text_of(value, path)
    if text is not None and _EMAIL.fullmatch(text) is None:
        raise Reject("invalid_email", "must be an e-mail address, or left out", path)
    return text


def trimmed(text: str | None) -> str | None:
    """Trim as JavaScript does; None if nothing is left."""
    return None if text is None else text.strip(BLANKS) or None


def utc_time(value: str | float | None) -> str | None:
    """Write a time as Segment does, in UTC; None for 0 and beyond the calendar."""
    if not value:
        return None
    moment = read_date(value) if isinstance(value, str) else read_number(value)
    return None if moment is None else iso_text(moment)


def _is_date_like(text: str) -> bool:
    number = _number(text)
    if number is None:
        return read_date(text) is not None
    return abs(number) <= _UNIX_SECONDS


def _number(text: str) -> float | None:
    """Read a text that is a number as JavaScript writes it."""
    try:
        number = float(text)
    except (ValueError, OverflowError):
        return None
    return number if javascript.number_text(number) == text else None
