"""The webhook destination: its hooks, as a table of contents."""

from __future__ import annotations

from starlette.applications import Starlette

from destination_router import (
    HttpRequest,
    HttpResponse,
    Ignored,
    Json,
    Message,
    Outcome,
    Quota,
    hookimpl,
)
from webhook_destination.events import request_for
from webhook_destination.packing import pack_requests
from webhook_destination.responses import read_response
from webhook_destination.schema import SETTINGS_SCHEMA
from webhook_destination.settings import WebhookSettings, configured

DEFAULT_WINDOW = 1000
"""Messages: what a host packs at once unless it is told another number."""


@hookimpl
def settings_schema() -> dict[str, Json]:
    """Describe a webhook connection's settings."""
    return SETTINGS_SCHEMA


@hookimpl
def configure(settings: dict[str, Json]) -> WebhookSettings:
    """Type the settings once, and refuse those that contradict each other."""
    return configured(settings)


@hookimpl
def display_names() -> list[str]:
    """Name what RudderStack's and Segment's senders call their webhooks."""
    return ["Webhook", "Webhooks", "Webhooks (Actions)"]


@hookimpl
def on_track(message: Message, settings: WebhookSettings) -> list[HttpRequest] | Ignored:
    """Send the event, whichever call it is."""
    return request_for(message, settings)


on_identify = on_page = on_screen = on_group = on_alias = on_track


@hookimpl
def window(settings: WebhookSettings) -> int:
    """Let windows fill the largest batch."""
    return max(DEFAULT_WINDOW, settings.batch.max_events if settings.batch else 1)


@hookimpl
def pack(requests: list[HttpRequest], settings: WebhookSettings) -> list[HttpRequest]:
    """Fill batches with what goes to one place, and sign each."""
    return pack_requests(requests, settings)


@hookimpl
def on_response(request: HttpRequest, response: HttpResponse, settings: WebhookSettings) -> Outcome:
    """Read an answer by its status, as the settings say."""
    return read_response(request, response, settings)


@hookimpl
def quotas(settings: WebhookSettings) -> list[Quota]:
    """Declare how often the receiver may be called, if the settings say."""
    if settings.requests_per_minute is None:
        return []
    return [Quota(name="requests", limit=settings.requests_per_minute, period=60.0)]


@hookimpl
def origins(settings: WebhookSettings) -> list[str]:
    """Name the configured host: no event is sent to another."""
    return [settings.target.origin]


@hookimpl
def simulator(settings: WebhookSettings) -> Starlette:
    """Stand in for the receiver: an app that takes what these settings promise, and no more."""
    from webhook_destination.simulator import Promise, create_simulator  # noqa: PLC0415 -- for demos

    signature, batch, basic = settings.signature, settings.batch, settings.basic_auth
    return create_simulator(
        Promise(
            method=settings.method,
            body=settings.body,
            basic=(basic.username, basic.password) if basic else None,
            bearer=settings.bearer_token,
            headers={
                name: value for name, value in settings.headers.items() if name != "user-agent"
            },
            secret=signature.secret if signature else None,
            signature_header=signature.header if signature else "",
            algorithm=signature.algorithm if signature else "",
            encoding=signature.encoding if signature else "",
            prefix=signature.prefix if signature else "",
            max_events=batch.max_events if batch else None,
            max_bytes=batch.max_bytes if batch else None,
        )
    )
