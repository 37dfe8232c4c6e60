"""Whether an event is valid: for each fault, which list of the answer names it, and its field.

Source: https://amplitude.com/docs/apis/analytics/http-v2. A field that the page does not name is
refused, and so is a null: it documents none.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from amplitude_destination.simulator import limits

INVALID = "events_with_invalid_fields"
MISSING = "events_with_missing_fields"
LENGTH = "events_with_invalid_id_lengths"

Fault = tuple[str, str]
"""The list that names the event, and the field at fault."""

IDENTIFY, GROUP_IDENTIFY = "$identify", "$groupidentify"
OPERATIONS = {"$set", "$setOnce", "$add", "$append", "$unset"}
"""What the page lists for `user_properties`, and only for `$identify`."""


def is_text(value: object) -> bool:
    """Any text but an empty one."""
    return isinstance(value, str) and bool(value)


def is_whole(value: object) -> bool:
    """A whole number; a boolean is none, and neither is 1.0."""
    return type(value) is int


def is_number(value: object) -> bool:
    """A finite number."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def is_properties(value: object) -> bool:
    """An object of what JSON has but null, at most 40 levels deep."""
    return isinstance(value, dict) and _is_shallow(value, 1)


def are_user_properties(value: object, event_type: object) -> bool:
    """Plain properties or, on `$identify`, operations; never both in one object."""
    if not is_properties(value) or not isinstance(value, dict):
        return False
    operations = {key for key in value if key.startswith("$")}
    if not operations:
        return True
    return (
        event_type == IDENTIFY
        and operations == value.keys()
        and operations <= OPERATIONS
        and all(isinstance(change, dict) for change in value.values())
        and all(value == "-" for value in value.get("$unset", {}).values())
        and all(map(is_number, value.get("$add", {}).values()))
    )


def are_groups(value: object) -> bool:
    """`{type: value or [values]}`: at most 5 types and 10 values."""
    if not isinstance(value, dict) or len(value) > limits.MAX_GROUP_TYPES:
        return False
    lists = [named if isinstance(named, list) else [named] for named in value.values()]
    names = [name for named in lists for name in named]
    return len(names) <= limits.MAX_GROUP_VALUES and all(map(is_text, names))


def is_currency(value: object) -> bool:
    """A code of ISO 4217, in capitals."""
    return isinstance(value, str) and len(value) == 3 and value.isascii() and value.isupper()  # noqa: PLR2004 -- ISO 4217


def is_plan(value: object) -> bool:
    """`{branch, source, version}`, all text."""
    return (
        isinstance(value, dict)
        and value.keys() <= {"branch", "source", "version"}
        and all(map(is_text, value.values()))
    )


_TEXTS = [
    "app_version",
    "platform",
    "os_name",
    "os_version",
    "device_brand",
    "device_manufacturer",
    "device_model",
    "carrier",
    "idfa",
    "idfv",
    "adid",
    "android_id",
    "android_app_set_id",
    "user_agent",
    "ip",
    "country",
    "region",
    "city",
    "dma",
    "language",
    "productId",
    "revenueType",
    "insert_id",
    "partner_id",
]

FIELDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_TEXTS, is_text),
    "event_type": is_text,
    "user_id": is_text,
    "device_id": is_text,
    "time": lambda value: is_whole(value) and value >= 0,
    "event_id": is_whole,
    "session_id": lambda value: is_whole(value) and value >= -1,
    "event_properties": is_properties,
    "user_properties": lambda _: True,  # judged with the event's type
    "groups": are_groups,
    "group_properties": is_properties,
    "location_lat": is_number,
    "location_lng": is_number,
    "price": is_number,
    "quantity": is_whole,
    "revenue": is_number,
    "currency": is_currency,
    "plan": is_plan,
    "$skip_user_properties_sync": lambda value: isinstance(value, bool),
}
"""Every field that the page names, and what it may be."""


def faults(event: object, min_id_length: int) -> Iterator[Fault]:
    """Find everything that is wrong with one event."""
    if not isinstance(event, dict):
        yield INVALID, "event"
        return
    if "event_type" not in event:
        yield MISSING, "event_type"
    if not event.keys() & {"user_id", "device_id"}:
        yield MISSING, "user_id"
    for name, value in event.items():
        if not FIELDS.get(name, _is_unknown)(value):
            yield INVALID, name
    for name in ("user_id", "device_id"):
        yield from _id_faults(name, event.get(name), min_id_length)
    yield from _faults_between_fields(event)


def _id_faults(name: str, value: object, min_id_length: int) -> Iterator[Fault]:
    if not isinstance(value, str):
        return
    if value.lower() in limits.BAD_IDS or (value and not value.strip("0-")):
        yield INVALID, name
    elif len(value) < min_id_length:
        yield LENGTH, name
    elif len(value) > limits.MAX_TEXT:  # it would be cut, and be somebody else's
        yield INVALID, name


def _faults_between_fields(event: dict[str, Any]) -> Iterator[Fault]:
    kind = event.get("event_type")
    if isinstance(kind, str) and kind.startswith("[Amplitude] "):
        yield INVALID, "event_type"
    if "user_properties" in event and not are_user_properties(event["user_properties"], kind):
        yield INVALID, "user_properties"
    if "group_properties" in event and kind != GROUP_IDENTIFY:
        yield INVALID, "group_properties"
    has_amount = "revenue" in event or {"price", "quantity"} <= event.keys()
    for name in ("productId", "revenueType"):
        if name in event and not has_amount:
            yield INVALID, name


def _is_unknown(_: object) -> bool:
    return False


def _is_shallow(value: object, depth: int) -> bool:
    if isinstance(value, (dict, list)):
        items = value.values() if isinstance(value, dict) else value
        return depth <= limits.MAX_DEPTH and all(_is_shallow(item, depth + 1) for item in items)
    return isinstance(value, (str, bool)) or is_number(value)
