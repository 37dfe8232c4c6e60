"""What a valid request asks of Heap: plain records that validation makes and the store applies."""

from typing import Any, Literal

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event to store; of its four identifiers at least one is set."""

    event: str
    identity: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    email: str | None = None
    session_id: str | None = None
    properties: dict[str, Any]
    timestamp: str | None = None
    idempotency_key: str | None = None


class UserUpdate(msgspec.Struct, frozen=True, gc=False):
    """User properties to set for one identity."""

    identity: str
    properties: dict[str, Any]


class AccountUpdate(msgspec.Struct, frozen=True, gc=False):
    """Account properties to set for one account."""

    account_id: str
    properties: dict[str, Any]


class Merge(msgspec.Struct, frozen=True):
    """The anonymous user `user_id` turns out to be `identity`."""

    user_id: str
    identity: str


class Ingestion(msgspec.Struct, frozen=True, kw_only=True):
    """All that one valid request asks for.

    `budget` names the rate limits that count it: `requests` those of single requests, `events`
    those of bulk track, None none.
    """

    app_id: str
    events: list[Event] = []
    users: list[UserUpdate] = []
    accounts: list[AccountUpdate] = []
    merges: list[Merge] = []
    budget: Literal["requests", "events"] | None = None
