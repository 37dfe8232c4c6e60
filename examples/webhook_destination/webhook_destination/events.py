"""A message → its request: RudderStack's webhook format, and Segment's.

RudderStack's is src/cdk/v2/destinations/webhook/procWorkflow.yaml of rudderlabs/rudder-transformer
v1.145.0; Segment's is packages/destination-actions/src/destinations/webhook of
segmentio/action-destinations. Where this one differs on purpose, a case with a `decision` says so.
"""

from __future__ import annotations

from destination_router import HttpRequest, Ignored, Json, Message, Note, Reject, Track
from webhook_destination.bodies import single_body
from webhook_destination.event_headers import headers_of_event
from webhook_destination.query import query_event
from webhook_destination.settings import WITHOUT_BODY, WebhookSettings
from webhook_destination.signing import signed
from webhook_destination.target import ForeignError, Target, params_of, target_of_event

NAMES = ("webhook",)
"""What an event calls this destination in its `integrations`, in any casing."""

INSTRUCTIONS = ("fullPath", "appendPath", "header")
"""What an event says about its own delivery, in RudderStack's format."""


def request_for(message: Message, settings: WebhookSettings) -> list[HttpRequest] | Ignored:
    """Build the request that a message becomes.

    Raises:
        Reject: `foreign_url`, `invalid_path` or `too_large`.
    """
    notes: list[Note] = []
    target = _target(message, settings)
    headers = dict(settings.headers) | headers_of_event(message, settings, notes)
    pairs = list(target.query)
    content = None
    if settings.method in WITHOUT_BODY:
        found = query_event(message, notes)
        if isinstance(found, Ignored):
            return found
        pairs += found
    else:
        content = single_body(_payload(message, settings, notes), settings)
        _check_size(content, settings)
    request = HttpRequest(
        method=settings.method,
        url=target.url,
        params=params_of(pairs),
        headers=headers,
        content=content,
        content_type="" if content is None else settings.content_type,
        gzip=settings.gzip and content is not None,
        auth=settings.auth,
        identity="",  # nobody is merged by what a webhook passes on
        notes=tuple(notes),
    )
    return [signed(request, settings.signature)]


def _target(message: Message, settings: WebhookSettings) -> Target:
    if not settings.event_routing:
        return settings.target
    full, more = (_instruction(message, name) for name in ("fullPath", "appendPath"))
    if not full and not more:
        return settings.target
    try:
        return target_of_event(settings.target, full, more)
    except ForeignError:
        path = "fullPath" if full else "appendPath"
        raise Reject("foreign_url", "name a path or a URL of the configured host", path) from None


def _instruction(message: Message, name: str) -> str:
    given = message.other(name)
    if given is None:
        given = message.options(*NAMES).get(name)
    if given is None:
        return ""
    if not isinstance(given, str):
        raise Reject("invalid_path", "write where the event goes as text", name)
    return given


def _payload(message: Message, settings: WebhookSettings, notes: list[Note]) -> dict[str, Json]:
    event = message.to_dict()
    if isinstance(message, Track) and not (message.event or "").strip():
        notes.append(Note("missing_event", "event", "the event has no name, and is sent without"))
    if settings.format == "segment":
        return event
    left_out = INSTRUCTIONS if settings.event_routing else ()
    payload = {
        name: value for name, value in event.items() if name not in left_out and value is not None
    }
    context = payload.get("context") or {}
    if payload.get("request_ip") and context.get("ip") is None:
        payload["context"] = {**context, "ip": payload["request_ip"]}
    return payload


def _check_size(content: bytes, settings: WebhookSettings) -> None:
    if settings.batch is not None and len(content) > settings.batch.max_bytes:
        raise Reject("too_large", "make the event smaller than batch.maxBytes")
