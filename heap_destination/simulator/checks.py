"""The rules for single fields: each check returns the value it was given, or raises `BodyError`.

The wording of an error follows the one answer of Heap's that is known,
`postBody.events[0].properties should be object`: the path of the field, then the rule.
Lengths count Unicode code points.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from heap_destination.simulator import limits

_DIGITS = re.compile(r"[0-9]+")
_USER_ID = re.compile(r"[0-9]{1,16}")
_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
# The extended format of ISO 8601, the one that JavaScript, the language of Heap's examples, reads.
_ISO_8601 = re.compile(
    r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII
)
Checked = TypeVar("Checked")
Check = Callable[[Any, str], Checked]
"""Takes a value and its path; returns what to keep, or raises `BodyError`."""


class BodyError(Exception):
    """A 400: the path of the offending field, and the rule it breaks."""

    def __init__(self, path: str, rule: str) -> None:
        super().__init__(f"{path} {rule}")


def as_object(value: object, path: str) -> dict[str, Any]:
    """Refuse anything but a JSON object; `[]` and null are none."""
    if type(value) is not dict:
        raise BodyError(path, "should be object")
    return value


def as_bulk(value: object, path: str) -> list[Any]:
    """Refuse anything but an array of 1 to 1000 items."""
    if type(value) is not list:
        raise BodyError(path, "should be array")
    if not value:
        raise BodyError(path, "should NOT have fewer than 1 items")
    if len(value) > limits.BULK.value:
        raise BodyError(path, f"should NOT have more than {limits.BULK.value} items")
    return value


def only(body: dict[str, Any], path: str, allowed: frozenset[str]) -> None:
    """Refuse a field that the documentation does not name."""
    if not body.keys() <= allowed:
        unknown = min(body.keys() - allowed)
        raise BodyError(path, f"should NOT have additional properties: '{unknown}'")


def required(body: dict[str, Any], path: str, name: str, check: Check[Checked]) -> Checked:
    """Refuse a body without the field, and check it."""
    if name not in body:
        raise BodyError(path, f"should have required property '{name}'")
    return check(body[name], f"{path}.{name}")


def optional(body: dict[str, Any], path: str, name: str, check: Check[Checked]) -> Checked | None:
    """Check the field if it is there. A null is there, and refused."""
    return check(body[name], f"{path}.{name}") if name in body else None


def as_text(value: object, path: str, *, least: int = 1, most: int | None = None) -> str:
    """Refuse anything but a string of `least` to `most` characters."""
    if type(value) is not str:
        raise BodyError(path, "should be string")
    if len(value) < least:
        raise BodyError(path, f"should NOT be shorter than {least} characters")
    if most is not None and len(value) > most:
        raise BodyError(path, f"should NOT be longer than {most} characters")
    return value


def app_id(value: object, path: str) -> str:
    """Refuse an `app_id` that is not a string of digits."""
    value = as_text(value, path)
    if not _DIGITS.fullmatch(value):
        raise BodyError(path, 'should match pattern "^[0-9]+$"')
    return value


def event_name(value: object, path: str) -> str:
    """Refuse an event name that is not a string of 1 to 1024 characters."""
    return as_text(value, path, most=limits.EVENT_NAME.value)


def identity(value: object, path: str) -> str:
    """Refuse an identity that is not a string of 1 to 255 characters."""
    return as_text(value, path, most=limits.IDENTITY.value)


def user_id(value: object, path: str) -> str:
    """Refuse a `user_id` that is not a numeric string from 0 to 2^53 - 1; answer it without zeros.

    It names a number, so `007` and `7` are one user.
    """
    value = as_text(value, path)
    if not _USER_ID.fullmatch(value) or int(value) > limits.USER_ID.value:
        raise BodyError(path, f"should be a numeric string from 0 to {limits.USER_ID.value}")
    return str(int(value))


def timestamp(value: object, path: str) -> str:
    """Refuse a timestamp that is not an ISO 8601 date or time. Any age and any future will do."""
    value = as_text(value, path)
    if _ISO_8601.fullmatch(value):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return value
    raise BodyError(path, 'should match format "date-time" (ISO 8601)')
