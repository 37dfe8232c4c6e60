"""Heap's partner endpoints, `/api/integrations/...`: JSON bodies read into an `Ingestion`.

Heap does not document this API. The rules are what existing integrations are seen to send, and
for identities, names and lengths of properties those of the documented endpoints, because they
belong to Heap's data and not to one way in. Its rate limits are unknown, so there are none.
"""

from typing import Any

from heap_destination.simulator import checks, limits, properties
from heap_destination.simulator.bodies import read_bulk
from heap_destination.simulator.checks import BodyError, optional, required
from heap_destination.simulator.records import Event, Ingestion, UserUpdate

_EVENT = frozenset(
    {"event", "user_identifier", "custom_properties", "idempotency_key", "timestamp"}
)
_EVENT_IDENTIFIERS = frozenset({"identity", "anonymous_id", "user_id", "email"})
_USER = frozenset({"user_identifier", "custom_properties"})
_USER_IDENTIFIERS = frozenset({"identity"})


def track(body: object) -> Ingestion:
    """Read `/api/integrations/track`: `{"app_id", "library": "server", "events": [...]}`."""
    app_id, items = _envelope(body, "events")
    return Ingestion(app_id=app_id, events=read_bulk(items, "postBody.events", _event))


def add_user_properties(body: object) -> Ingestion:
    """Read `/api/integrations/add_user_properties`: the same envelope, around `users`."""
    app_id, items = _envelope(body, "users")
    return Ingestion(app_id=app_id, users=read_bulk(items, "postBody.users", _user))


def _envelope(body: object, plural: str) -> tuple[str, object]:
    fields = checks.as_object(body, "postBody")
    app_id = required(fields, "postBody", "app_id", checks.app_id)
    checks.only(fields, "postBody", frozenset({"app_id", "library", plural}))
    required(fields, "postBody", "library", _library)
    return app_id, required(fields, "postBody", plural, checks.as_bulk)


def _event(fields: dict[str, Any], path: str) -> Event:
    checks.only(fields, path, _EVENT)
    who = required(fields, path, "user_identifier", checks.as_object)
    who_path = f"{path}.user_identifier"
    checks.only(who, who_path, _EVENT_IDENTIFIERS)
    if not who:
        raise BodyError(who_path, "should NOT have fewer than 1 properties")
    return Event(
        event=required(fields, path, "event", checks.event_name),
        identity=optional(who, who_path, "identity", checks.identity),
        user_id=optional(who, who_path, "user_id", checks.user_id),
        anonymous_id=optional(who, who_path, "anonymous_id", checks.as_text),
        email=optional(who, who_path, "email", checks.as_text),
        properties=optional(fields, path, "custom_properties", properties.of_partner_event) or {},
        timestamp=optional(fields, path, "timestamp", checks.timestamp),
        idempotency_key=optional(fields, path, "idempotency_key", _key),
    )


def _user(fields: dict[str, Any], path: str) -> UserUpdate:
    checks.only(fields, path, _USER)
    who = required(fields, path, "user_identifier", checks.as_object)
    who_path = f"{path}.user_identifier"
    checks.only(who, who_path, _USER_IDENTIFIERS)
    return UserUpdate(
        required(who, who_path, "identity", checks.identity),
        optional(fields, path, "custom_properties", properties.of_partner_user) or {},
    )


def _library(value: object, path: str) -> None:
    if value != "server":
        raise BodyError(path, "should be equal to constant 'server'")


def _key(value: object, path: str) -> str:
    return checks.as_text(value, path, least=limits.PARTNER_KEY.value)
