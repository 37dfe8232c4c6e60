"""Finds an event's user: the key that partitions a log, so that a user's events stay in order.

Kafka is given it. SQLite is not: there a connection reads all events, in their order.

The rules are those of `normalise` for an id: text is trimmed, a number becomes text.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Ids(msgspec.Struct, rename="camel"):
    """The ids of a message. The decoder skips everything else."""

    user_id: Any = None
    anonymous_id: Any = None


_decode = msgspec.json.Decoder(_Ids).decode


def partition_key(body: bytes) -> str:
    """Return an event's userId, or else its anonymousId; empty if it has neither.

    Args:
        body: one message as wire JSON; what cannot be read belongs to nobody.
    """
    try:
        ids = _decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    return id_text(ids.user_id) or id_text(ids.anonymous_id)


def id_text(value: object) -> str:
    """Write an id as text; empty if it is not an id."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return ""
