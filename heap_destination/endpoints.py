"""Heap's server-side HTTP API: one function for each endpoint builds one request.

https://developers.heap.io/reference documents the bodies. There is no key: `app_id` in the body is
the only credential. Functions leave out what is None.
"""

from __future__ import annotations

from typing import Any

import msgspec

from destination_router import Cost, HttpRequest, Note, Pairing
from heap_destination.dialects import Dialect
from heap_destination.limits import IDENTITIES_PER_USER_ID, MONTH, USER_IDS_PER_IDENTITY
from heap_destination.paths import (
    ADD_ACCOUNT_PROPERTIES,
    ADD_USER_PROPERTIES,
    IDENTIFY,
    PARTNER_TRACK,
    PARTNER_USERS,
    TRACK,
)
from heap_destination.quotas import event_costs, identity_key, single_request, user_id_key
from heap_destination.settings import HeapSettings

_OPTIONAL = ("timestamp", "idempotency_key")


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event as Heap sees it, without its user.

    Attributes:
        name: what happened.
        properties: flat.
        timestamp: ISO 8601; Heap takes its own time if None.
        idempotency_key: a repeat with the same key changes nothing.
        session_id: Heap's own id of a session, if known.
    """

    name: Any
    properties: dict[str, Any]
    timestamp: Any
    idempotency_key: Any
    session_id: str | None = None


def track(
    settings: HeapSettings,
    event: Event,
    notes: list[Note],
    *,
    identity: Any = None,
    user_id: str | None = None,
) -> HttpRequest:
    """Record an event under exactly one of `identity` and `user_id` [track-1]."""
    return recorded(
        settings,
        event.name,
        event.properties,
        event.timestamp,
        event.idempotency_key,
        notes,
        identity,
        user_id,
        event.session_id,
    )


def recorded(  # noqa: PLR0913, PLR0917 -- an `Event`, whose making and reading costs as much
    settings: HeapSettings,
    name: Any,
    properties: dict[str, Any],
    timestamp: Any,
    idempotency_key: Any,
    notes: list[Note],
    identity: Any = None,
    user_id: str | None = None,
    session_id: str | None = None,
) -> HttpRequest:
    """Do what `track` does with the fields of an event."""
    rules: Dialect = settings.rules
    if identity is None:
        field, who = "user_id", user_id
        named = ""
        key = user_id_key(user_id or "")
    else:
        field, who = "identity", identity
        named = identity if type(identity) is str else str(identity)
        key = identity_key(named)
    # All at once, as most have all of it: Python makes a dict anew that grows.
    body = {
        "app_id": settings.app_id,
        "event": name,
        field: who,
        "properties": properties,
        "timestamp": timestamp,
        "idempotency_key": idempotency_key,
    }
    if timestamp is None or idempotency_key is None or session_id is not None:
        body = _of_event(body, session_id)
    costs, bulk_costs = event_costs(key)
    # Most requests are made here: `_post` would be a call more, and look at what is not there.
    return HttpRequest(
        url=settings.urls[TRACK],
        headers=rules.headers,
        json=_ordered(rules.orders["track"], body) if rules.orders else body,
        notes=tuple(notes) if notes else (),
        costs=costs,
        bulk_costs=bulk_costs,
        identity=named,
    )


def partner_track(
    settings: HeapSettings, event: Event, notes: list[Note], *, who: dict[str, Any]
) -> HttpRequest:
    """Record an event under any of `identity`, `anonymous_id`, `user_id`, `email` [partner API].

    Its properties must be text; it carries no session.
    """
    orders = settings.rules.orders
    item = {
        "event": event.name,
        "user_identifier": who,
        "custom_properties": event.properties,
    }
    if event.idempotency_key is not None:
        item["idempotency_key"] = event.idempotency_key
    if event.timestamp is not None:
        item["timestamp"] = event.timestamp
    events = [_ordered(orders.get("partner_event"), item)]
    body = {"app_id": settings.app_id, "library": "server", "events": events}
    ordered = _ordered(orders.get("partner_track"), body)
    return _post(settings, PARTNER_TRACK, ordered, notes, identity=str(who.get("identity", "")))


def add_user_properties(
    settings: HeapSettings,
    *,
    identity: Any,
    properties: dict[str, Any],
    notes: list[Note],
    order: str = "profile",
) -> HttpRequest:
    """Create a user or overwrite some of their properties [add-user-properties].

    Args:
        settings: the connection's. Its dialect chooses the API.
        identity: the user's.
        properties: flat.
        notes: the changes that the mapping made.
        order: the name of the dialect's order of keys for this body.
    """
    rules: Dialect = settings.rules
    state_key = f"user:{identity}"
    orders = rules.orders
    if rules.user_api == "partner":
        user: dict[str, Any] = {
            "user_identifier": {"identity": identity},
            "custom_properties": properties,
        }
        body: dict[str, Any] = {"app_id": settings.app_id, "library": "server", "users": [user]}
        named = str(identity)
        return _post(settings, PARTNER_USERS, body, notes, state_key=state_key, identity=named)
    body = {"app_id": settings.app_id, "identity": identity, "properties": properties}
    return _post(
        settings,
        ADD_USER_PROPERTIES,
        _ordered(orders.get(order), body),
        notes,
        state_key=state_key,
        costs=single_request(identity_key(str(identity))),
        bulk_costs=(),
        identity=str(identity),
    )


def add_account_properties(
    settings: HeapSettings, *, account_id: str, properties: dict[str, Any], notes: list[Note]
) -> HttpRequest:
    """Create an account or overwrite some of its properties [add-account-properties]."""
    body = {"app_id": settings.app_id, "account_id": account_id, "properties": properties}
    state_key = f"account:{account_id}"
    return _post(settings, ADD_ACCOUNT_PROPERTIES, body, notes, state_key=state_key)


def identify(
    settings: HeapSettings,
    *,
    user_id: str,
    identity: str,
    timestamp: str | None = None,
    notes: list[Note],
) -> HttpRequest:
    """Move the events of an anonymous `user_id` to an identity, for good [identify-1].

    Heap silently ignores merges beyond its limits, so the host keeps within them.
    """
    body = {"app_id": settings.app_id, "user_id": user_id, "identity": identity}
    if timestamp is not None:
        body["timestamp"] = timestamp
    limits = _merge_limits(settings, user_id, identity)
    return _post(settings, IDENTIFY, body, notes, pairings=limits, identity=identity)


def _merge_limits(settings: HeapSettings, user_id: str, identity: str) -> tuple[Pairing, ...]:
    number = str(int(user_id))  # Heap takes 007 and 7 for one
    return (
        Pairing(
            rule="merged_elsewhere",
            key=f"{settings.app_id} {number}",
            value=identity,
            limit=IDENTITIES_PER_USER_ID,
            detail="the anonymous user is another user's already, and Heap merges it only once; "
            "reset the anonymousId when somebody else signs in",
        ),
        Pairing(
            rule="merged_too_often",
            key=f"{settings.app_id} {identity}",
            value=number,
            limit=USER_IDS_PER_IDENTITY,
            period=MONTH,
            detail=f"Heap merges {USER_IDS_PER_IDENTITY} anonymous users into one user in a month; "
            "replay it when that is over",
        ),
    )


def _post(  # noqa: PLR0913 -- what differs between endpoints, by keyword
    settings: HeapSettings,
    path: str,
    body: dict[str, Any],
    notes: list[Note],
    *,
    state_key: str | None = None,
    costs: tuple[Cost, ...] = (),
    bulk_costs: tuple[Cost, ...] | None = None,
    pairings: tuple[Pairing, ...] = (),
    identity: str = "",
) -> HttpRequest:
    rules: Dialect = settings.rules
    return HttpRequest(
        url=settings.urls[path],
        headers=rules.headers,
        json=body,
        notes=tuple(notes),
        state_key=state_key,
        costs=costs,
        bulk_costs=bulk_costs,
        pairings=pairings,
        identity=identity,
    )


def _of_event(body: dict[str, Any], session_id: str | None) -> dict[str, Any]:
    """Leave out of an event's body what is not there, and add its session behind its user."""
    kept: dict[str, Any] = {}
    for field, value in body.items():
        if field == "properties" and session_id is not None:
            kept["session_id"] = session_id
        if value is not None or field not in _OPTIONAL:
            kept[field] = value
    return kept


def _ordered(keys: tuple[str, ...] | None, body: dict[str, Any]) -> dict[str, Any]:
    """Put a body's keys in a dialect's order, if it has one."""
    return body if keys is None else {key: body[key] for key in keys if key in body}
