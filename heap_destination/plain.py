"""Tells whether a track or an identify is plain: all but its properties goes out unchanged.

Nearly all are plain. The mapping (`calls.py`) asks many questions about a message, and a plain one
needs none of them, which saves a third of the mapping's time. Every other message goes the whole
way. For a plain one, the whole way gives the same request.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from destination_router import Identify, Track, utc_text
from heap_destination.identity import are_plain
from heap_destination.limits import FIRST_YEAR, LAST_YEAR
from heap_destination.settings import HeapSettings

_SHORT = 255
"""Characters. Names are shorter, and a longer one may have to be cut."""


PlainEvent: TypeAlias = tuple[str, dict[str, Any], str | None, str, str]
"""A plain track's name, properties, time, id and user."""


def plain_event(message: Track, settings: HeapSettings) -> PlainEvent | None:
    """Read a track whose name, user, time and id go out unchanged; None: it is not plain.

    It does not look at the properties.

    Args:
        message: the track.
        settings: the connection's. In a dialect with other questions, no track is plain.
    """
    if not settings.has_plain_tracks or message.mapped or message.context_part.traits:
        return None
    name, user_id, time = message.event, message.user_id, message.timestamp
    if not name or name.isspace() or len(name) > _SHORT or user_id is None:
        return None
    if not are_plain(user_id, message.anonymous_id, message.integrations, settings):
        return None
    if time is None:
        if message.original_timestamp is not None or message.received_at is not None:
            return None
    elif not (FIRST_YEAR <= time < LAST_YEAR and utc_text(time, is_valid=True) == time):
        return None
    return name, message.properties, time, message.message_id, user_id


def is_plain_user(message: Identify, settings: HeapSettings) -> bool:
    """Tell whether an identify's ids go out unchanged, with the traits at its root and no merge.

    It does not look at the traits.

    Args:
        message: the identify.
        settings: the connection's. In a dialect with other questions, no identify is plain.
    """
    return (
        settings.has_plain_users
        and not message.mapped
        and not message.context_part.traits
        and message.user_id is not None
        and are_plain(message.user_id, message.anonymous_id, message.integrations, settings)
    )
