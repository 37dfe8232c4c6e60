"""From the six calls to Heap's endpoints: which requests a message becomes, and in what order."""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import msgspec

from destination_router import (
    Alias,
    Group,
    HttpRequest,
    Identify,
    Message,
    Note,
    Page,
    Reject,
    Screen,
    Track,
    utc_text,
)
from heap_destination import endpoints
from heap_destination.identity import (
    Identifiers,
    identifiers,
    missing_identity,
    stitched_user_id,
    unsafe,
)
from heap_destination.limits import EVENT_CHARACTERS, PARTNER_KEY_CHARACTERS, VALUE_CHARACTERS
from heap_destination.properties import (
    Properties,
    cut,
    event_properties,
    texts,
    user_properties,
)
from heap_destination.settings import HeapSettings

EventMessage: TypeAlias = Track | Page | Screen


def identify_user(message: Identify, settings: HeapSettings) -> list[HttpRequest]:
    """Create or update the user; with stitching on, merge what they did before they were known."""
    found = identifiers(message, settings)
    if found.identity is None:
        raise missing_identity(found.identity_danger, "an id that is this user's alone")
    notes = list(found.notes)
    profile = user_properties(message.traits, "traits", notes)
    if message.anonymous_id is not None:
        _add_anonymous_id(profile, message.anonymous_id, notes)
    request = endpoints.add_user_properties(
        settings, identity=found.identity, properties=profile, notes=notes
    )
    return [request, *_merge(message, settings, found, found.anonymous_id)]


def merge_users(message: Alias, settings: HeapSettings) -> list[HttpRequest]:
    """With stitching on, merge the user that an anonymous id stood for; otherwise ignore it."""
    if settings.anonymous_events != "stitch":
        return []
    found = identifiers(message, settings)
    if found.identity is None:
        raise missing_identity(found.identity_danger, "the id that the user has from now on")
    if message.previous_id is None:
        raise Reject("missing_previous_id", "say which id is the user's too", "previousId")
    if danger := unsafe(message.previous_id, settings):
        raise Reject("unsafe_identity", f"{danger}; send the user's former id", "previousId")
    return _merge(message, settings, found, message.previous_id)


def record_event(
    message: EventMessage, settings: HeapSettings, event: str, named: dict[str, str]
) -> list[HttpRequest]:
    """Record an event, after the user's traits that ride in its context.

    Args:
        message: a track, page or screen call.
        settings: the connection's.
        event: what Heap shall call it.
        named: properties that come from fields of the message itself.
    """
    found = identifiers(message, settings)
    notes = list(found.notes)
    profile: Properties = {}
    if found.identity is not None:
        profile = user_properties(message.context_traits, "context.traits", notes)
    request = _event_request(settings, found, _event(message, event, named, notes), notes)
    if not profile or found.identity is None:
        return [request]
    return [
        endpoints.add_user_properties(
            settings, identity=found.identity, properties=profile, notes=[]
        ),
        request,
    ]


def update_account(message: Group, settings: HeapSettings) -> list[HttpRequest]:
    """Create or update the account, after the user property that Heap joins accounts on."""
    if message.group_id is None:
        raise Reject("missing_group_id", "say which account it is", "groupId")
    if danger := unsafe(message.group_id, settings):
        raise Reject("unsafe_identity", f"{danger}; send the account's own id", "groupId")
    notes: list[Note] = []
    properties = event_properties(message.traits, "traits", notes)
    return [
        *_account_membership(message, settings, notes),
        endpoints.add_account_properties(
            settings, account_id=message.group_id, properties=properties, notes=notes
        ),
    ]


def _event(
    message: EventMessage, event: str, named: dict[str, str], notes: list[Note]
) -> endpoints.Event:
    properties = {**message.properties, **named} if named else message.properties
    for key, value in named.items():
        if message.properties.get(key, value) != value:
            notes.append(Note("dropped", f"properties.{key}", f"the call's own {key} is sent"))
    return endpoints.Event(
        name=cut(event, EVENT_CHARACTERS, "event", notes),
        properties=event_properties(properties, "properties", notes),
        timestamp=_time(message, notes),
        idempotency_key=message.message_id,
    )


def _event_request(
    settings: HeapSettings,
    found: Identifiers,
    event: endpoints.Event,
    notes: list[Note],
) -> HttpRequest:
    event = msgspec.structs.replace(event, session_id=found.session_id)
    if found.user_id is not None:
        return endpoints.track(settings, event, notes, user_id=found.user_id)
    if found.identity is not None:
        return endpoints.track(settings, event, notes, identity=found.identity)
    if found.anonymous_id is None:
        danger = found.identity_danger or found.anonymous_danger
        raise missing_identity(danger, "an id that is this user's alone, or an anonymousId")
    match settings.anonymous_events:
        case "reject":
            wanted = "one, or set anonymousEvents to partner or stitch"
            raise missing_identity(found.identity_danger, wanted)
        case "stitch":
            user_id = stitched_user_id(found.anonymous_id)
            return endpoints.track(settings, event, notes, user_id=user_id)
        case "partner":
            return _partner_event(settings, event, notes, found.anonymous_id)


def _partner_event(
    settings: HeapSettings, event: endpoints.Event, notes: list[Note], anonymous_id: str
) -> HttpRequest:
    if event.session_id is not None:
        path = "integrations.Heap.session_id"
        notes.append(Note("dropped", path, "anonymous events carry no session"))
    event = msgspec.structs.replace(
        event,
        properties=texts(event.properties, "properties", notes),
        idempotency_key=_partner_key(event.idempotency_key, notes),
    )
    return endpoints.partner_track(settings, event, notes, anonymous_id=anonymous_id)


def _merge(
    message: Identify | Alias,
    settings: HeapSettings,
    found: Identifiers,
    anonymous_id: str | None,
) -> list[HttpRequest]:
    if settings.anonymous_events != "stitch" or found.identity is None:
        return []
    if found.user_id is not None:
        user_id = found.user_id
    elif anonymous_id is not None:
        user_id = stitched_user_id(anonymous_id)
    else:
        return []
    notes: list[Note] = []
    timestamp = _time(message, notes)
    return [
        endpoints.identify(
            settings, user_id=user_id, identity=found.identity, timestamp=timestamp, notes=notes
        )
    ]


def _account_membership(
    message: Group, settings: HeapSettings, notes: list[Note]
) -> list[HttpRequest]:
    if settings.account_id_property is None or message.group_id is None:
        return []
    found = identifiers(message, settings)
    if found.identity is None:
        detail = "no usable identity: the user is not joined to the account"
        notes.extend((*found.notes, Note("dropped", "userId", detail)))
        return []
    joined = {settings.account_id_property: message.group_id}
    return [
        endpoints.add_user_properties(
            settings,
            identity=found.identity,
            properties=user_properties(joined, "groupId", notes),
            notes=list(found.notes),
        )
    ]


def _add_anonymous_id(profile: Properties, anonymous_id: str, notes: list[Note]) -> None:
    if "anonymous_id" not in profile:
        profile["anonymous_id"] = cut(anonymous_id, VALUE_CHARACTERS, "anonymousId", notes)
    elif profile["anonymous_id"] != anonymous_id:
        detail = "the trait anonymous_id is sent in its place"
        notes.append(Note("dropped", "anonymousId", detail))


def _time(message: Message, notes: list[Note]) -> str | None:
    """Say when it happened: by `timestamp`, else by `originalTimestamp`."""
    candidates = {
        "timestamp": message.timestamp,
        "originalTimestamp": message.original_timestamp,
    }
    for path, text in candidates.items():
        if text is None:
            continue
        written = utc_text(text)
        if written is not None:
            return written
        notes.append(Note("invalid_timestamp", path, "it is not an ISO 8601 time"))
    return None


def _partner_key(message_id: str, notes: list[Note]) -> str:
    """Keep a key that is long enough; a shorter one becomes a stable digest of itself."""
    if len(message_id) >= PARTNER_KEY_CHARACTERS:
        return message_id
    detail = f"an idempotency key has at least {PARTNER_KEY_CHARACTERS} characters; sent a digest"
    notes.append(Note("converted", "messageId", detail))
    return hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
