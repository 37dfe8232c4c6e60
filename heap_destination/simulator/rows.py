"""What the read side shows: one row per user, event, account and request."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class UserRow(msgspec.Struct, kw_only=True):
    """A user with an identity. `email` is Heap's built-in property, absent until it is filled."""

    app_id: str
    identity: str
    user_ids: list[str]
    properties: dict[str, Any]
    email: Any | UnsetType = UNSET


class EventRow(msgspec.Struct, kw_only=True):
    """An event; `received` is its place, from 1, among all events stored.

    `identity` is whose event it is now, merges included. `timestamp` is as it was sent, else the
    time of arrival. `email` is there only if the event was sent under one.
    """

    app_id: str
    event: str
    identity: str | None
    user_id: str | None
    anonymous_id: str | None
    session_id: str | None
    properties: dict[str, Any]
    timestamp: str
    idempotency_key: str | None
    received: int
    email: str | UnsetType = UNSET


class AccountRow(msgspec.Struct, kw_only=True):
    """An account."""

    app_id: str
    account_id: str
    properties: dict[str, Any]


class IgnoredRow(msgspec.Struct, kw_only=True):
    """A merge that was ignored, while its sender was told 200; `at` is ISO 8601."""

    app_id: str
    user_id: str
    identity: str
    reason: str
    at: str


class RequestRow(msgspec.Struct, kw_only=True):
    """A request; `received` is its place, from 1, among all requests.

    `body` is its JSON, or its text if it is none, or None if it was too large to keep; `size`
    is in bytes. `status` is what the client was told, None if it was told nothing.
    `fault` says whether an injected fault took part.
    """

    method: str
    path: str
    body: Any
    size: int
    status: int | None
    fault: bool
    received: int
