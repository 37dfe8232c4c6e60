"""An event as a query: what GET and DELETE carry in RudderStack's format, which is not much.

Of an identify these are the traits, of all else the properties: flattened, `a.b` for a member and
`a[0]` for an element [rudder-transformer, src/v0/destinations/webhook/utils.js]. A group has traits
alone, so here they go out too.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from destination_router import Alias, Group, Identify, Ignored, Json, Message, Note

_LEFT_OUT = {
    "user_id": "userId",
    "anonymous_id": "anonymousId",
    "event": "event",
    "name": "name",
    "category": "category",
    "group_id": "groupId",
    "context": "context",
}
"""What a message may hold beside its properties, by its attribute, as it is spelt on the wire."""


def query_event(message: Message, notes: list[Note]) -> list[tuple[str, str]] | Ignored:
    """Give the parameters that a message becomes; notes tell of all that they do not hold."""
    if isinstance(message, Alias):
        return Ignored("a query holds properties or traits, and an alias has neither: use POST")
    of_user = isinstance(message, (Identify, Group))
    field = "traits" if of_user else "properties"
    content = message.traits if isinstance(message, (Identify, Group)) else message.properties
    for name, wire in _LEFT_OUT.items():
        if getattr(message, name, None):
            notes.append(Note("dropped", wire, f"a query holds the {field} alone: use POST"))
    pairs: list[tuple[str, str]] = []
    kinds: set[type] = set()
    for name, path, value in _leaves(content, "", field):
        if value is None or value in ([], {}):
            notes.append(Note("dropped", path, "a query has no way to say that it is empty"))
            continue
        kinds.add(type(value))
        pairs.append((name, value if isinstance(value, str) else _json(value)))
    if kinds - {str}:
        notes.append(Note("converted", field, "in a query every value is text"))
    return pairs


def _leaves(value: Json, name: str, path: str) -> Iterator[tuple[str, str, Json]]:
    """Walk through a value: for each scalar and empty container its parameter and its path."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else key, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}[{index}]", f"{path}.{index}")
    elif name:
        yield name, path, value


def _json(value: Json) -> str:
    return msgspec.json.encode(value).decode()
