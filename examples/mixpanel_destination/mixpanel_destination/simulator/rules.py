"""What Mixpanel's documentation says of one record: nothing, or which field is wrong and why.

Sources: docs.mixpanel.com/reference, docs.mixpanel.com/docs/data-structure and
docs.mixpanel.com/docs/tracking-methods/id-management.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple

NOT_IDS = frozenset(
    [
        "00000000-0000-0000-0000-000000000000",
        "anon",
        "anonymous",
        "nil",
        "none",
        "null",
        "n/a",
        "na",
        "undefined",
        "unknown",
        "<nil>",
        "0",
        "-1",
        "true",
        "false",
        "[]",
        "{}",
    ]
)
INSERT_ID = re.compile(r"[A-Za-z0-9-]{1,36}")
UUID_4 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)

YEAR_1971 = 31_536_000
HOUR = 3600
MOST_BYTES = 2**20  # an event, and an update of a profile
MOST_PROPERTIES = 255  # fewer than so many
MOST_ITEMS = 255  # fewer than so many keys of a nested object, or elements of a list
MOST_LEVELS = 3
MOST_PROFILE_PROPERTIES = 2000
NAME_BYTES = 255
KILOBYTE = 1024
OPERATIONS = frozenset(
    ["$set", "$set_once", "$add", "$union", "$append", "$remove", "$unset", "$delete"]  # of a user
)
GROUP_OPERATIONS = OPERATIONS - {"$add", "$append"}


class Problem(NamedTuple):
    """Why a record is refused."""

    field: str
    message: str


def event_problem(record: Any, now: float, token: str, id_merge: str) -> Problem | None:
    """Judge one item of `/import`; `now` is Unix time in seconds."""
    if not isinstance(record, dict) or record.keys() != {"event", "properties"}:
        return Problem("event", "an event has exactly the keys 'event' and 'properties'")
    name, properties = record["event"], record["properties"]
    if not isinstance(name, str) or not name:
        return Problem("event", "'event' must be a string that is not empty")
    if not isinstance(properties, dict):
        return Problem("properties", "'properties' must be an object")
    if size(record) >= MOST_BYTES:
        return Problem("properties", "an event must be less than 1 MB")
    return (
        _required(properties, now)
        or (_merge_problem(properties, token) if name in MERGES else None)
        or (_ids_problem(properties) if id_merge == "simplified" else None)
        or _properties_problem(properties, 8 * KILOBYTE)
    )


def profile_problem(record: Any) -> Problem | None:
    """Judge one item of `/engage`."""
    allowed = {"$token", "$distinct_id", "$ip", "$ignore_time", "$latitude", "$longitude"}
    return _update_problem(record, {"$token", "$distinct_id"}, allowed, OPERATIONS)


def group_problem(record: Any, group_keys: Collection[str]) -> Problem | None:
    """Judge one item of `/groups`."""
    required = {"$token", "$group_key", "$group_id"}
    problem = _update_problem(record, required, required, GROUP_OPERATIONS)
    if problem is None and record["$group_key"] not in group_keys:
        return Problem("$group_key", "'$group_key' is not in the project's settings")
    return problem


def milliseconds(time: float, now: float) -> float:
    """Read a time in seconds or milliseconds: beyond the next hour it can only be the latter."""
    return time * 1000 if time <= now + HOUR else time


def size(value: Any) -> int:
    """Count the bytes of a JSON value, without blanks."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _required(properties: dict[str, Any], now: float) -> Problem | None:
    time, distinct_id = properties.get("time"), properties.get("distinct_id")
    insert_id = properties.get("$insert_id")
    if type(time) is not int:
        return Problem("properties.time", "'properties.time' must be an integer")
    seconds = milliseconds(time, now) / 1000
    if seconds < YEAR_1971 or seconds > now + HOUR:
        message = "'properties.time' must be since 1971 and at most 1 hour ahead"
        return Problem("properties.time", message)
    if not isinstance(distinct_id, str) or distinct_id in NOT_IDS:
        return Problem("properties.distinct_id", "'properties.distinct_id' is not a valid id")
    if not isinstance(insert_id, str) or not INSERT_ID.fullmatch(insert_id) or insert_id in NOT_IDS:
        message = "'properties.$insert_id' must be 1 to 36 letters, digits and '-'"
        return Problem("properties.$insert_id", message)
    return None


def _ids_problem(properties: dict[str, Any]) -> Problem | None:
    """In simplified identity merge: distinct_id is $user_id, else $device: and $device_id."""
    user, device = properties.get("$user_id"), properties.get("$device_id")
    wanted = user if user is not None else None if device is None else f"$device:{device}"
    if wanted is not None and properties["distinct_id"] != wanted:
        message = "'properties.distinct_id' must be the $user_id, else '$device:' and $device_id"
        return Problem("properties.distinct_id", message)
    return None


MERGES = {
    "$identify": ("$identified_id", "$anon_id"),
    "$create_alias": ("distinct_id", "alias"),
}


def _merge_problem(properties: dict[str, Any], token: str) -> Problem | None:
    if properties.get("token") != token:
        return Problem("properties.token", "'properties.token' must be the project's token")
    for name in ("$identified_id", "$anon_id", "alias"):
        value = properties.get(name, "x")
        if not isinstance(value, str) or value in NOT_IDS:
            return Problem(f"properties.{name}", f"'properties.{name}' is not a valid id")
    if "$anon_id" in properties and not UUID_4.fullmatch(properties["$anon_id"]):
        return Problem("properties.$anon_id", "'properties.$anon_id' must be a UUID v4")
    return None


def _update_problem(
    record: Any, required: set[str], allowed: set[str], operations: Collection[str]
) -> Problem | None:
    if not isinstance(record, dict):
        return Problem("", "an update must be an object")
    for name in sorted(required):
        value = record.get(name)
        if not isinstance(value, str) or not value or value in NOT_IDS:
            return Problem(name, f"'{name}' is missing or not valid")
    chosen = record.keys() - allowed
    if len(chosen) != 1 or not chosen <= set(operations):
        return Problem("", "an update has one operation")
    (operation,) = chosen
    if operation == "$set":
        return _set_problem(record[operation]) or _size_problem(record)
    return Problem(operation, "this simulator knows '$set' only")


def _set_problem(properties: Any) -> Problem | None:
    if not isinstance(properties, dict) or not properties:
        return Problem("$set", "'$set' must be an object with properties")
    if len(properties) > MOST_PROFILE_PROPERTIES:
        return Problem("$set", "a profile has at most 2000 properties")
    for name in ("$last_seen", "bucket", "$bucket"):
        if name in properties:
            return Problem(f"$set.{name}", f"'{name}' must not be set")
    return _values_problem(properties, 256 * KILOBYTE)


def _size_problem(record: dict[str, Any]) -> Problem | None:
    return Problem("", "an update is at most 1 MB") if size(record) > MOST_BYTES else None


def _properties_problem(properties: dict[str, Any], container_bytes: int) -> Problem | None:
    if len(properties) >= MOST_PROPERTIES:
        return Problem("properties", "an event must have fewer than 255 properties")
    for name in ("bucket", "$bucket"):
        if name in properties:
            return Problem(f"properties.{name}", f"'properties.{name}' must never be used")
    return _values_problem(properties, container_bytes)


def _values_problem(properties: dict[str, Any], container_bytes: int) -> Problem | None:
    for name, value in properties.items():
        field = f"properties.{name[:50]}"
        if not name or len(name.encode()) > NAME_BYTES:
            return Problem(field, "a property's name must be 1 to 255 bytes")
        if isinstance(value, (dict, list)) and size(value) > container_bytes:
            return Problem(field, f"'{field}' must be at most {container_bytes} bytes")
        if message := _value_problem(value, 1):
            return Problem(field, f"'{field}' {message}")
    return None


def _value_problem(value: Any, level: int) -> str | None:
    if value is None:
        return "must not be null"
    if not isinstance(value, (dict, list)):
        return None
    if level > MOST_LEVELS:
        return "must not be nested deeper than 3 levels"
    if len(value) >= MOST_ITEMS:
        return "must have fewer than 255 items"
    items = value.values() if isinstance(value, dict) else value
    return next((found for item in items if (found := _value_problem(item, level + 1))), None)
