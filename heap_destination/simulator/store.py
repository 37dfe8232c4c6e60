"""What Heap holds and how each valid request changes it: events, users, merges, accounts.

Made for a million events in memory: an event is one flat record, its properties kept as JSON.
"""

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET

from heap_destination.simulator import limits
from heap_destination.simulator.deletions import Target
from heap_destination.simulator.records import AccountUpdate, Event, Ingestion, Merge, UserUpdate
from heap_destination.simulator.rows import AccountRow, EventRow, IgnoredRow, UserRow

_KEPT_IGNORED = 10_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class _StoredEvent(msgspec.Struct, kw_only=True, gc=False):
    app_id: str
    event: str
    identity: str | None
    user_id: str | None
    anonymous_id: str | None
    email: str | None
    session_id: str | None
    properties: bytes
    timestamp: str
    idempotency_key: str | None


@dataclass(slots=True)
class _User:
    properties: dict[str, Any] = field(default_factory=dict)
    # Tuples, because almost every user has none of either.
    user_ids: tuple[str, ...] = ()
    merged_at: tuple[float, ...] = ()


@dataclass(slots=True)
class _Environment:
    """All that belongs to one app_id."""

    users: dict[str, _User] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    owners: dict[str, str] = field(default_factory=dict)
    """The identity of each user_id that was merged."""
    unmerged: dict[str, list[_StoredEvent]] = field(default_factory=dict)
    """The events of each user_id that was not."""


class Store:
    """All that Heap holds, of every app_id."""

    def __init__(self) -> None:
        self._duplicates = 0
        self._merges_ignored = 0
        self._ignored: deque[IgnoredRow] = deque(maxlen=_KEPT_IGNORED)
        self._events: list[_StoredEvent] = []
        self._environments: dict[str, _Environment] = {}

    def apply(self, ingestion: Ingestion, now: float) -> None:
        """Do all that a valid request asks for, at `now` (Unix time, seconds)."""
        environment = self._environments.setdefault(ingestion.app_id, _Environment())
        for user in ingestion.users:
            _update_user(environment, user)
        for account in ingestion.accounts:
            _update_account(environment, account)
        for event in ingestion.events:
            self._add(environment, ingestion.app_id, event, now)
        for merge in ingestion.merges:
            reason = _merge(environment, merge, now)
            if reason is not None:
                self._merges_ignored += 1
                self._ignored.append(
                    IgnoredRow(
                        app_id=ingestion.app_id,
                        user_id=merge.user_id,
                        identity=merge.identity,
                        reason=reason,
                        at=_iso(now),
                    )
                )

    def events(self, app_id: str | None = None, identity: str | None = None) -> Iterator[EventRow]:
        """Events in the order they arrived."""
        for received, event in enumerate(self._events, 1):
            if app_id in {None, event.app_id} and identity in {None, event.identity}:
                yield _event_row(event, received)

    def users(self, app_id: str | None = None, identity: str | None = None) -> Iterator[UserRow]:
        """Users with an identity, in the order they were created."""
        for environment_id, environment in self._chosen(app_id):
            for name, user in environment.users.items():
                if identity in {None, name}:
                    yield UserRow(
                        app_id=environment_id,
                        identity=name,
                        user_ids=list(user.user_ids),
                        properties=dict(user.properties),
                        # Only the key in lower case fills the built-in (add-user-properties).
                        email=user.properties.get("email", UNSET),
                    )

    def accounts(self, app_id: str | None = None) -> Iterator[AccountRow]:
        """Accounts, in the order they were created."""
        for environment_id, environment in self._chosen(app_id):
            for account_id, properties in environment.accounts.items():
                yield AccountRow(
                    app_id=environment_id, account_id=account_id, properties=dict(properties)
                )

    def delete(self, target: Target) -> None:
        """Delete a user and all their events, in all environments (user-deletion).

        A user_id that was merged is its identity's: they are one user.
        """
        gone: set[tuple[str, str]] = set()
        for app_id, environment in self._environments.items():
            user_id = target.user_id
            identity = target.identity or environment.owners.get(user_id or "")
            if identity is None:
                environment.unmerged.pop(user_id or "", None)
                gone.add((app_id, f"user_id {user_id}"))
                continue
            environment.users.pop(identity, None)
            for merged in [u for u, owner in environment.owners.items() if owner == identity]:
                del environment.owners[merged]
            gone.add((app_id, f"identity {identity}"))
        self._events = [event for event in self._events if _whose(event) not in gone]

    def ignored(self) -> Iterator[IgnoredRow]:
        """The latest merges that were ignored in silence, oldest first."""
        return iter(tuple(self._ignored))

    def totals(self) -> dict[str, int]:
        """How much is held, and how often something was ignored in silence."""
        environments = self._environments.values()
        return {
            "events_stored": len(self._events),
            "duplicates": self._duplicates,
            "users": sum(len(environment.users) for environment in environments),
            "accounts": sum(len(environment.accounts) for environment in environments),
            "merges": sum(len(environment.owners) for environment in environments),
            "merges_ignored": self._merges_ignored,
        }

    def _chosen(self, app_id: str | None) -> list[tuple[str, _Environment]]:
        return [(e, held) for e, held in self._environments.items() if app_id in {None, e}]

    def _add(self, environment: _Environment, app_id: str, event: Event, now: float) -> None:
        key = event.idempotency_key
        if key is not None:
            if key in environment.keys:
                # A repeat never updates what the first one said (track-1).
                self._duplicates += 1
                return
            environment.keys.add(key)
        identity, user_id = event.identity, event.user_id
        if identity is None and user_id is not None:
            identity = environment.owners.get(user_id)
        stored = _StoredEvent(
            app_id=app_id,
            # Interned, because a million events have few names and not a million users.
            event=sys.intern(event.event),
            identity=identity and sys.intern(identity),
            user_id=user_id,
            anonymous_id=event.anonymous_id,
            email=event.email,
            session_id=event.session_id,
            properties=_encode(event.properties),
            timestamp=event.timestamp or _iso(now),
            idempotency_key=key,
        )
        self._events.append(stored)
        if identity is not None:
            environment.users.setdefault(identity, _User())
        elif user_id is not None:
            environment.unmerged.setdefault(user_id, []).append(stored)


def _whose(event: _StoredEvent) -> tuple[str, str]:
    if event.identity is not None:
        return event.app_id, f"identity {event.identity}"
    return event.app_id, f"user_id {event.user_id}"


def _update_user(environment: _Environment, update: UserUpdate) -> None:
    environment.users.setdefault(update.identity, _User()).properties.update(update.properties)


def _update_account(environment: _Environment, update: AccountUpdate) -> None:
    environment.accounts.setdefault(update.account_id, {}).update(update.properties)


def _merge(environment: _Environment, merge: Merge, now: float) -> str | None:
    """Give the events of a user_id to an identity, or say why it is ignored (identify-1)."""
    owner = environment.owners.get(merge.user_id)
    if owner is not None:
        return None if owner == merge.identity else "the user_id has another identity"
    user = environment.users.setdefault(merge.identity, _User())
    recent = tuple(at for at in user.merged_at if now - at < limits.MONTH)
    if len(recent) >= limits.USER_IDS_PER_IDENTITY.value:
        return f"the identity has {len(recent)} user_ids of this month"
    user.merged_at = (*recent, now)
    user.user_ids = (*user.user_ids, merge.user_id)
    environment.owners[merge.user_id] = merge.identity
    for event in environment.unmerged.pop(merge.user_id, ()):
        event.identity = merge.identity
    return None


def _event_row(event: _StoredEvent, received: int) -> EventRow:
    return EventRow(
        app_id=event.app_id,
        event=event.event,
        identity=event.identity,
        user_id=event.user_id,
        anonymous_id=event.anonymous_id,
        session_id=event.session_id,
        properties=_decode(event.properties),
        timestamp=event.timestamp,
        idempotency_key=event.idempotency_key,
        received=received,
        email=UNSET if event.email is None else event.email,
    )


def _iso(now: float) -> str:
    text = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
