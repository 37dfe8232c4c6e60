"""What Amplitude holds: users, events and groups.

Properties are not retroactive: an event keeps what its user's were when it came
[https://amplitude.com/docs/apis/analytics/identify]. A device's events become those of the user who
is seen on it [https://amplitude.com/docs/get-started/identify-users].
"""

from collections.abc import Iterator
from typing import Any

from amplitude_destination.simulator import limits
from amplitude_destination.simulator.events import IDENTIFY

Row = dict[str, Any]


class Store:
    """All that was taken in, in the order in which it came."""

    def __init__(self) -> None:
        self.duplicates = 0
        self.truncated = 0
        self.mappings: dict[str, str] = {}
        self._events: list[Row] = []
        self._properties: dict[str, Row] = {}
        self._owners: dict[str, str] = {}
        self._groups: dict[tuple[str, str], Row] = {}
        self._seen: dict[tuple[str, str], float] = {}

    def take_event(self, event: Row, now: float) -> None:
        """Take one event, unless its device sent one with the same key in the last 7 days."""
        user, device = event.get("user_id"), event.get("device_id")
        key = (device or f"made from {user}", event.get("insert_id", ""))
        if key[1] and now - self._seen.get(key, float("-inf")) < limits.DEDUPLICATED_SECONDS:
            self.duplicates += 1
            return
        self._seen[key] = now
        if user and device:
            self._join(device, user)
        person = user or self._owners.get(f"device:{device}", f"device:{device}")
        properties = self._properties.setdefault(person, {})
        self.truncated += _overlong(event)
        _change(properties, event.get("user_properties", {}))
        properties.update(event.get("groups", {}))
        if event["event_type"] != IDENTIFY:
            kept = {name: value for name, value in event.items() if name != "user_properties"}
            row = {"user": person, **kept, "user_properties": dict(properties)}
            self._events.append(row | _amount(event))

    def take_group(self, group: Row) -> None:
        """Change a group's properties."""
        key = (group["group_type"], group["group_value"])
        _change(self._groups.setdefault(key, {}), group["group_properties"])

    def users(self) -> Iterator[Row]:
        """Everybody, known or not, with their properties."""
        for person, properties in self._properties.items():
            yield {"user": person, "user_properties": properties}

    def events(self) -> Iterator[Row]:
        """Every event as it came, with its user and that user's properties at the time."""
        for event in self._events:
            yield {**event, "user": self._owners.get(event["user"], event["user"])}

    def accounts(self) -> Iterator[Row]:
        """Every group with its properties."""
        for (kind, value), properties in self._groups.items():
            yield {"group_type": kind, "group_value": value, "group_properties": properties}

    def _join(self, device: str, user: str) -> None:
        earlier = self._properties.pop(f"device:{device}", {})
        self._properties[user] = {**earlier, **self._properties.get(user, {})}
        self._owners[f"device:{device}"] = user


def _change(properties: Row, changes: Row) -> None:
    """Apply operations, or properties as they are."""
    if not any(name.startswith("$") for name in changes):
        changes = {"$set": changes}
    properties.update(changes.get("$set", {}))
    for name, value in changes.get("$setOnce", {}).items():
        properties.setdefault(name, value)
    for name, value in changes.get("$add", {}).items():
        before = properties.get(name)
        properties[name] = value + (before if isinstance(before, (int, float)) else 0)
    for name, value in changes.get("$append", {}).items():
        before = properties.get(name, [])
        properties[name] = [*(before if isinstance(before, list) else [before]), value]
    for name in changes.get("$unset", {}):
        properties.pop(name, None)


def _amount(event: Row) -> Row:
    """Say what an event earned: price x quantity, else revenue."""
    if "price" in event:
        return {"amount": event["price"] * event.get("quantity", 1)}
    return {"amount": event["revenue"]} if "revenue" in event else {}


def _overlong(value: object) -> int:
    """Count the texts that Amplitude would cut."""
    if isinstance(value, dict):
        return sum(map(_overlong, value.values()))
    if isinstance(value, list):
        return sum(map(_overlong, value))
    return isinstance(value, str) and len(value) > limits.MAX_TEXT
