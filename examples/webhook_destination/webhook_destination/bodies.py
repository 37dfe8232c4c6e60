"""An event as the bytes of a body, and many events as those of one.

The plugin writes the bytes itself, so that what is signed is what is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec

from destination_router import Json
from webhook_destination.settings import WebhookSettings

_encode = msgspec.json.Encoder().encode


def single_body(event: dict[str, Json], settings: WebhookSettings) -> bytes:
    """Write one event: as what it is, or as a batch of one where events go out in batches."""
    if settings.body == "form":
        return urlencode({name: _text(value) for name, value in event.items()}).encode()
    if settings.body == "ndjson":
        return _encode(event) + b"\n"
    return b"[%b]" % _encode(event) if settings.batch else _encode(event)


def batch_item(body: bytes, settings: WebhookSettings) -> bytes:
    """Give the part of a single body that stands in a batch."""
    return body if settings.body == "ndjson" else body[1:-1]


def batch_body(items: Sequence[bytes], settings: WebhookSettings) -> bytes:
    """Write a batch: a JSON array, or a line for each event."""
    return b"".join(items) if settings.body == "ndjson" else b"[%b]" % b",".join(items)


def _text(value: Json) -> str:
    """Write a form's field as RudderStack's HTTP webhook does: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else _encode(value).decode()
