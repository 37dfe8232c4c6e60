"""What a project holds, and how valid records change it: events, profiles, and who is whom."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mixpanel_destination.simulator.rules import milliseconds

TEXT_BYTES = 255

_Key = tuple[str, float, str, str]


class Project:
    """One project.

    Args:
        id_merge: how it joins ids: `simplified`, `original` or `legacy`.
    """

    def __init__(self, id_merge: str) -> None:
        self._id_merge = id_merge
        self._events: dict[_Key, dict[str, Any]] = {}
        self._users: dict[str, dict[str, Any]] = {}
        self._groups: dict[tuple[str, str], dict[str, Any]] = {}
        self._joined: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def store_event(self, record: dict[str, Any], now: float) -> None:
        """Store a valid event; one that is equal in four properties takes the place of another.

        These are event, time, distinct_id and $insert_id [docs.mixpanel.com/
        reference, Import Events].
        """
        properties = {name: _cut(value) for name, value in record["properties"].items()}
        if "$ignore" in properties:
            self.counts["ignored"] += 1
            return
        self._join(record["event"], properties)
        time = milliseconds(properties["time"], now)
        key = (record["event"], time, properties["distinct_id"], properties["$insert_id"])
        self.counts["duplicates"] += key in self._events
        self._events.pop(key, None)
        shown = {**properties, "time": min(time, now * 1e3)}
        self._events[key] = {"event": record["event"], "properties": shown}

    def set_profile(self, record: dict[str, Any]) -> None:
        """Set properties of a user's profile; a missing one is created."""
        self._users.setdefault(record["$distinct_id"], {}).update(_cut_all(record["$set"]))

    def set_group(self, record: dict[str, Any]) -> None:
        """Set properties of a group's profile; a missing one is created."""
        key = (record["$group_key"], record["$group_id"])
        self._groups.setdefault(key, {}).update(_cut_all(record["$set"]))

    def users(self) -> list[dict[str, Any]]:
        """List the profiles, each with the ids that are joined to it."""
        return [
            {
                "distinct_id": user,
                "also": sorted(i for i in self._joined if self._whose(i) == self._whose(user)),
                "properties": properties,
            }
            for user, properties in self._users.items()
        ]

    def events(self) -> list[dict[str, Any]]:
        """List the events in order of arrival; `user` is whose each is, joins considered."""
        return [
            {"event": event["event"], "user": self._whose(key[2]), **event}
            for key, event in self._events.items()
        ]

    def groups(self) -> list[dict[str, Any]]:
        """List the groups."""
        return [
            {"group_key": key, "group_id": group, "properties": properties}
            for (key, group), properties in self._groups.items()
        ]

    def stats(self) -> dict[str, int]:
        """Count what is held, and what was ignored in silence."""
        held = {"events": len(self._events), "users": len(self._users), "groups": len(self._groups)}
        return {**held, "joins": len(self._joined), **self.counts}

    def _join(self, event: str, properties: dict[str, Any]) -> None:
        match self._id_merge, event:
            case "simplified", _:
                user, device = properties.get("$user_id"), properties.get("$device_id")
                if user is not None and device is not None:
                    self._joined.setdefault(f"$device:{device}", user)
            case "original", "$identify":
                self._joined.setdefault(properties["$anon_id"], properties["$identified_id"])
            case _, "$create_alias":
                self._joined.setdefault(properties["alias"], properties["distinct_id"])

    def _whose(self, distinct_id: str) -> str:
        seen = {distinct_id}
        while (further := self._joined.get(distinct_id)) and further not in seen:
            seen.add(further)
            distinct_id = further
        return distinct_id


def _cut(value: Any) -> Any:
    """Cut a text as Mixpanel does [docs.mixpanel.com/docs/data-structure]."""
    if isinstance(value, str):
        return value.encode()[:TEXT_BYTES].decode(errors="ignore")
    return value


def _cut_all(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: _cut(value) for name, value in properties.items()}
