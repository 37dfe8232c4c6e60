"""Single requests → batches: what goes to one place with the same headers, in its order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from destination_router import HttpRequest, Json, bulks
from webhook_destination.bodies import batch_body, batch_item
from webhook_destination.settings import WebhookSettings
from webhook_destination.signing import signed, unsigned_headers


def pack_requests(requests: Iterable[HttpRequest], settings: WebhookSettings) -> list[HttpRequest]:
    """Fill batches up to what the settings allow, and sign each anew."""
    batch = settings.batch
    if batch is None:
        return list(requests)

    def place(request: HttpRequest) -> tuple[Json, ...]:
        return (request.url, request.params, unsigned_headers(request, settings.signature))

    def item(request: HttpRequest) -> bytes:
        return batch_item(request.content or b"", settings)

    def body(items: list[bytes]) -> bytes:
        return batch_body(items, settings)

    return [
        signed(request, settings.signature)
        for _, run in groupby(requests, key=place)
        for request in bulks(
            run, item=item, body=body, most=batch.max_events, most_bytes=batch.max_bytes
        )
    ]
