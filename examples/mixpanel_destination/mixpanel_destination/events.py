"""Messages → events for `/import` [docs.mixpanel.com/reference, Import Events].

Events are sent with `strict=1`, so that Mixpanel says which ones it refuses.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from destination_router import (
    HttpRequest,
    Json,
    Message,
    Note,
    Page,
    Reject,
    Screen,
    Track,
    body_bytes,
    parse_time,
)
from mixpanel_destination.identity import ids_of, insert_id
from mixpanel_destination.limits import (
    EARLIEST,
    EVENT_BYTES,
    EVENT_PROPERTIES,
    MERGING_EVENTS,
)
from mixpanel_destination.properties import EVENT, cut, first, fitted, fitted_value
from mixpanel_destination.settings import MixpanelSettings

IMPORT = "/import"

CONTEXT = {
    "campaign.content": "utm_content",
    "campaign.medium": "utm_medium",
    "campaign.name": "utm_campaign",
    "campaign.source": "utm_source",
    "campaign.term": "utm_term",
    "device.manufacturer": "$manufacturer",
    "device.model": "$model",
    "library.name": "mp_lib",
    "library.version": "$lib_version",
    "os.name": "$os",
    "os.version": "$os_version",
    "page.referrer": "$referrer",
    "page.url": "$current_url",
    "screen.height": "$screen_height",
    "screen.width": "$screen_width",
}
"""What of a message's context becomes which property, unless the event has one of that name: the
names that Mixpanel's own libraries use, as Segment and RudderStack map them."""

_BROWSERS_AND_APPS = ("web", "mobile")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def track_event(message: Track, settings: MixpanelSettings) -> HttpRequest:
    """Record what a user did.

    Raises:
        Reject: it has no name, or one that would merge users.
    """
    if not message.event or not message.event.strip():
        raise Reject("missing_event", "name what the user did", "event")
    if message.event in MERGING_EVENTS:
        raise Reject("reserved_event", "it would merge users; send identify or alias", "event")
    return event(message, settings, message.event, message.properties)


def view_event(message: Page | Screen, name: str, settings: MixpanelSettings) -> HttpRequest:
    """Record that a user saw a page or a screen: one event name for all of them.

    Mixpanel does not index more than 5000 names [docs.mixpanel.com/docs/data-structure].
    """
    named = {"name": message.name, "category": message.category}
    given = {key: value for key, value in named.items() if value is not None}
    notes = [
        Note("dropped", f"properties.{key}", f"the call's own {key} is sent")
        for key, value in given.items()
        if message.properties.get(key, value) != value
    ]
    return event(message, settings, name, {**message.properties, **given}, notes)


def event(
    message: Message,
    settings: MixpanelSettings,
    name: str,
    properties: dict[str, Json],
    notes: list[Note] | None = None,
) -> HttpRequest:
    """Build an event under the message's ids, with its time and its `$insert_id`.

    Raises:
        Reject: it has no usable time, or is too large.
    """
    notes = [] if notes is None else notes
    ids = ids_of(message, settings, notes)
    if not ids.distinct:
        detail = "no usable id: Mixpanel keeps the event and leaves it out of user analysis"
        notes.append(Note("unattributed", "userId", detail))
    own = {
        **fitted(properties, EVENT, "properties", notes),
        **_from_context(message, properties, settings, notes),
    }
    fixed: dict[str, Json] = {
        "time": _milliseconds(message, notes),
        "distinct_id": ids.distinct,
        "$insert_id": insert_id(message, notes),
        "ip": client_ip(message) or 0,  # without it, Mixpanel would locate the router
    }
    if ids.device is not None:
        fixed["$device_id"] = ids.device
    if ids.user is not None:
        fixed["$user_id"] = ids.user
    kept = first(own, EVENT_PROPERTIES - len(fixed), "properties", notes)
    named = cut(name, "event", notes)
    return _request(settings, named, {**kept, **fixed}, notes, identity=ids.user or "")


def merging_event(
    message: Message, settings: MixpanelSettings, name: str, user: str, ids: dict[str, Json]
) -> HttpRequest:
    """Build one of the events by which original identity merge joins ids, to a user's."""
    notes: list[Note] = []
    fixed = {
        "token": settings.token,
        "time": _milliseconds(message, notes),
        "$insert_id": insert_id(message, notes),
    }
    return _request(settings, name, {**ids, **fixed}, notes, identity=user)


def client_ip(message: Message) -> str | None:
    """Find the user's address; the one that a browser's or an app's request came from will do."""
    given = message.context.get("ip")
    if not given and message.channel in _BROWSERS_AND_APPS:
        given = message.other("request_ip")
    return given if isinstance(given, str) and given else None


def _request(
    settings: MixpanelSettings,
    name: str,
    properties: dict[str, Json],
    notes: list[Note],
    *,
    identity: str,
) -> HttpRequest:
    record = {"event": name, "properties": properties}
    if (size := body_bytes(record)) >= EVENT_BYTES:
        detail = f"an event of {size} bytes; Mixpanel takes less than {EVENT_BYTES}: send less"
        raise Reject("too_large", detail, "properties")
    return HttpRequest(
        url=settings.url(IMPORT),
        params={"strict": "1", **settings.project},
        auth=settings.auth,
        json=[record],
        notes=tuple(notes),
        identity=identity,
    )


def _from_context(
    message: Message, properties: dict[str, Json], settings: MixpanelSettings, notes: list[Note]
) -> dict[str, Json]:
    """List what the context adds: where the event comes from, and the group that it belongs to."""
    table = CONTEXT if settings.group_key is None else {**CONTEXT, "groupId": settings.group_key}
    found = {}
    for path, name in table.items():
        value = _at(message.context, path)
        if value is None or name in properties:
            continue
        fit = fitted_value(value, EVENT, f"context.{path}", notes)
        if fit is not None:
            found[name] = fit
    return found


def _at(context: dict[str, Any], path: str) -> Any:
    value: Any = context
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _milliseconds(message: Message, notes: list[Note]) -> int:
    """Say when it happened, in milliseconds since 1970.

    Never the time at hand: Mixpanel knows a repeat by its time, too.
    """
    times = {
        "timestamp": message.timestamp,
        "originalTimestamp": message.original_timestamp,
        "receivedAt": message.received_at,
    }
    for field, text in times.items():
        moment = None if text is None else parse_time(text)
        if moment is not None and moment >= EARLIEST:
            return (moment - _EPOCH) // timedelta(milliseconds=1)
        if text is not None:
            notes.append(Note("invalid_timestamp", field, f"it is no time since {EARLIEST.year}"))
    raise Reject("missing_timestamp", f"send when it happened, since {EARLIEST.year}", "timestamp")
