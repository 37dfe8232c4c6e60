"""The root of a message as `decoding.py` reads it: a record of the fields of all calls.

It is in a module of its own so that `decoding.py` knows its layout where it is compiled
(`tools/struct_layouts.py`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from destination_router.contract.messages import ContextPart

_NO_CONTEXT = ContextPart()


class Root(msgspec.Struct, kw_only=True, rename="camel", gc=False):
    """The root of a message: the fields of all calls. The calls document each field.

    They are in the order of most senders, because a decoder looks for the next field first.
    """

    type: str
    channel: str | None = None
    message_id: str
    anonymous_id: str | None = None
    user_id: str | None = None
    context_part: ContextPart = msgspec.field(default=_NO_CONTEXT, name="context")
    integrations: dict[str, Any] = {}
    original_timestamp: str | None = None
    sent_at: str | None = None
    timestamp: str | None = None
    received_at: str | None = None
    event: str | None = None
    properties: dict[str, Any] = {}
    traits: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    name: str | None = None
    category: str | None = None
    group_id: str | None = None
    previous_id: str | None = None
