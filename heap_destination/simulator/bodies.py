"""Heap's documented endpoints: one function per endpoint reads a JSON body into an `Ingestion`.

A body that breaks a rule raises `BodyError`; then nothing of it is stored, not even the valid
items of a bulk. A single event, user or account is treated, and named in errors, as the first
of a bulk: Heap does so with `events[0]`.

Source: developers.heap.io/reference, the pages that the functions name.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from heap_destination.simulator import checks, properties
from heap_destination.simulator.checks import BodyError, optional, required
from heap_destination.simulator.records import AccountUpdate, Event, Ingestion, Merge, UserUpdate

Item = TypeVar("Item")

_APP_ID = frozenset({"app_id"})
_EVENT = frozenset(
    {"event", "identity", "user_id", "session_id", "properties", "timestamp", "idempotency_key"}
)
_USER = frozenset({"identity", "properties"})
_ACCOUNT = frozenset({"account_id", "properties"})
_MERGE = frozenset({"app_id", "user_id", "identity", "timestamp"})


def track(body: object) -> Ingestion:
    """Read `/api/track` (track-1): one event, or a bulk under `events` (bulk-track)."""
    app_id, events, bulk = _one_or_many(body, "events", _event)
    return Ingestion(app_id=app_id, events=events, budget="events" if bulk else "requests")


def add_user_properties(body: object) -> Ingestion:
    """Read `/api/add_user_properties`: one user, or `users` (bulk-add-user-properties)."""
    app_id, users, bulk = _one_or_many(body, "users", _user)
    return Ingestion(app_id=app_id, users=users, budget=None if bulk else "requests")


def add_account_properties(body: object) -> Ingestion:
    """Read `/api/add_account_properties`: one account, or a bulk under `accounts`."""
    app_id, accounts, _ = _one_or_many(body, "accounts", _account)
    return Ingestion(app_id=app_id, accounts=accounts)


def identify(body: object) -> Ingestion:
    """Read `/api/v1/identify` (identify-1): an anonymous user_id and whose it is."""
    fields = checks.as_object(body, "postBody")
    app_id = required(fields, "postBody", "app_id", checks.app_id)
    checks.only(fields, "postBody", _MERGE)
    merge = Merge(
        user_id=required(fields, "postBody", "user_id", checks.user_id),
        identity=required(fields, "postBody", "identity", checks.identity),
    )
    optional(fields, "postBody", "timestamp", checks.timestamp)
    return Ingestion(app_id=app_id, merges=[merge])


def _one_or_many(
    body: object, plural: str, read: Callable[[dict[str, Any], str], Item]
) -> tuple[str, list[Item], bool]:
    fields = checks.as_object(body, "postBody")
    app_id = required(fields, "postBody", "app_id", checks.app_id)
    path = f"postBody.{plural}"
    if plural not in fields:
        item = {name: value for name, value in fields.items() if name != "app_id"}
        return app_id, [read(item, f"{path}[0]")], False
    checks.only(fields, "postBody", _APP_ID | {plural})
    return app_id, read_bulk(fields[plural], path, read), True


def read_bulk(value: object, path: str, read: Callable[[dict[str, Any], str], Item]) -> list[Item]:
    """Read each of 1 to 1000 items under its own path."""
    items = []
    for index, item in enumerate(checks.as_bulk(value, path)):
        item_path = f"{path}[{index}]"
        items.append(read(checks.as_object(item, item_path), item_path))
    return items


def _event(fields: dict[str, Any], path: str) -> Event:
    checks.only(fields, path, _EVENT)
    if ("identity" in fields) == ("user_id" in fields):
        raise BodyError(path, "should have exactly one of 'identity' and 'user_id'")
    return Event(
        event=required(fields, path, "event", checks.event_name),
        identity=optional(fields, path, "identity", checks.identity),
        user_id=optional(fields, path, "user_id", checks.user_id),
        session_id=optional(fields, path, "session_id", checks.as_text),
        properties=optional(fields, path, "properties", properties.of_event) or {},
        timestamp=optional(fields, path, "timestamp", checks.timestamp),
        idempotency_key=optional(fields, path, "idempotency_key", checks.as_text),
    )


def _user(fields: dict[str, Any], path: str) -> UserUpdate:
    checks.only(fields, path, _USER)
    return UserUpdate(
        required(fields, path, "identity", checks.identity),
        optional(fields, path, "properties", properties.of_user) or {},
    )


def _account(fields: dict[str, Any], path: str) -> AccountUpdate:
    checks.only(fields, path, _ACCOUNT)
    return AccountUpdate(
        required(fields, path, "account_id", checks.as_text),
        optional(fields, path, "properties", properties.of_account) or {},
    )
