"""Well-formed messages with an unusual context: senders put anything there.

The specification names the members of `context`, and no gateway checks them. A destination that
reads one must expect a value of any type in it, and a Reject must say something.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_MEMBERS: dict[str, tuple[str, ...]] = {
    "active": (),
    "app": ("name", "version", "build", "namespace"),
    "campaign": ("name", "source", "medium", "term", "content"),
    "channel": (),
    "device": ("id", "manufacturer", "model", "name", "type", "token", "advertisingId"),
    "externalId": (),
    "groupId": (),
    "ip": (),
    "library": ("name", "version"),
    "locale": (),
    "location": ("city", "country", "latitude", "longitude", "region", "speed"),
    "network": ("bluetooth", "carrier", "cellular", "wifi"),
    "os": ("name", "version"),
    "page": ("path", "referrer", "search", "title", "url"),
    "referrer": ("id", "type", "url"),
    "screen": ("density", "height", "width"),
    "sessionId": (),
    "sessionStart": (),
    "timezone": (),
    "traits": ("email", "name", "id", "userId", "address", "company", "createdAt", "plan"),
    "userAgent": (),
    "userAgentData": (),
}
_BAG = (
    "address",
    "avatar",
    "birthday",
    "category",
    "company",
    "createdAt",
    "currency",
    "email",
    "id",
    "name",
    "phone",
    "price",
    "products",
    "quantity",
    "revenue",
    "title",
    "total",
    "url",
    "value",
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    7,
    1.5,
    2**63,
    "",
    "text",
    [],
    ["text", None, {}],
    {},
    {"a": {"b": [None]}},
)
_KINDS = ("identify", "track", "page", "screen", "group", "alias")


def unusual_messages() -> Iterator[tuple[str, dict[str, Any]]]:
    """Make messages of every kind, each with one well-known member of another type."""
    for kind in _KINDS:
        yield from _bags(kind)
        for member, parts in _MEMBERS.items():
            for value in _VALUES:
                yield _made(kind, f"context.{member}", {member: value})
                if value is None or isinstance(value, dict):
                    continue
                for part in parts:
                    yield _made(kind, f"context.{member}.{part}", {member: {part: value}})


def _bags(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the properties and traits that have a meaning everywhere a value of another type."""
    for name in _BAG:
        for value in _VALUES:
            path, message = _made(kind, f"{name} of {type(value).__name__}", {})
            yield path, {**message, "properties": {name: value}, "traits": {name: value}}


def _made(kind: str, path: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    message = {
        "type": kind,
        "messageId": "unusual-1",
        "userId": "user-1",
        "anonymousId": "anonymous-1",
        "timestamp": "2026-11-22T10:00:00.000Z",
        "event": "E",
        "name": "N",
        "groupId": "group-1",
        "previousId": "user-0",
        "properties": {"plan": "pro"},
        "traits": {"plan": "pro"},
        "context": context,
    }
    return f"{kind} with {path}", message
