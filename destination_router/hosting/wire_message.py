"""Turns a message in any form that a host may have into wire JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from destination_router.contract.messages import Message
from destination_router.contract.records import Json

_encode = msgspec.json.Encoder().encode


def wire_message(message: Message | Mapping[str, Json] | bytes | str) -> bytes:
    """Write a message as JSON. If that fails, the result is not JSON, and is refused later.

    Args:
        message: as it stands on the wire, as the object that it is there, or typed.
    """
    if isinstance(message, bytes):
        return message
    if isinstance(message, str):
        return message.encode("utf-8", "backslashreplace")  # half a character, as JSON does
    try:
        return _encode(dict(message) if isinstance(message, Mapping) else message.to_dict())
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError) as error:
        return f"not JSON: {type(error).__name__}".encode()
