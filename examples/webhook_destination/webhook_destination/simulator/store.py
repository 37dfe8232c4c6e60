"""What a receiver has: every event once, whoever it is about, and how often it came again."""

from __future__ import annotations

from collections import Counter
from typing import Any


class Store:
    """The events by their messageId, in the order in which they first came."""

    def __init__(self) -> None:
        self._events: dict[str, dict[str, Any]] = {}
        self.counts: Counter[str] = Counter()

    def keep(self, event: dict[str, Any]) -> None:
        """Keep an event, unless it is there."""
        self.counts["taken"] += 1
        if event["messageId"] in self._events:
            self.counts["duplicates"] += 1
        else:
            self._events[event["messageId"]] = event

    def events(self) -> list[dict[str, Any]]:
        """Give all events but those that only say who somebody is."""
        return [event for event in self._events.values() if event["type"] not in _ABOUT]

    def everything(self) -> list[dict[str, Any]]:
        """Give all events."""
        return list(self._events.values())

    def users(self) -> list[dict[str, Any]]:
        """Give what identify calls say of each user, the later over the earlier."""
        return self._merged("identify", "userId")

    def accounts(self) -> list[dict[str, Any]]:
        """Give what group calls say of each account."""
        return self._merged("group", "groupId")

    def _merged(self, kind: str, key: str) -> list[dict[str, Any]]:
        found: dict[Any, dict[str, Any]] = {}
        for event in self._events.values():
            if event["type"] == kind:
                who = event.get(key) or event.get("anonymousId")
                context = event.get("context")
                inner = context.get("traits") if isinstance(context, dict) else None
                traits = event.get("traits") or inner
                kept = found.setdefault(str(who), {key: who, "traits": {}})
                kept["traits"].update(traits if isinstance(traits, dict) else {})
        return list(found.values())


_ABOUT = frozenset({"identify", "group"})
