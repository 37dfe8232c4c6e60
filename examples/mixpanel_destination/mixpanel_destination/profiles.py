"""Messages → updates of user profiles (`/engage`) and of group profiles (`/groups`).

Only `$set`: it may be repeated without harm, and Mixpanel's answers do not tell what they left out
[docs.mixpanel.com/reference, User Profiles and Group Profiles].
"""

from __future__ import annotations

from destination_router import (
    Group,
    HttpRequest,
    Identify,
    Json,
    Message,
    Note,
    Reject,
    body_bytes,
    utc_text,
)
from mixpanel_destination.events import client_ip
from mixpanel_destination.identity import Ids
from mixpanel_destination.limits import PROFILE_BYTES, PROFILE_PROPERTIES
from mixpanel_destination.properties import GROUP, USER, first, fitted
from mixpanel_destination.settings import MixpanelSettings

ENGAGE = "/engage"
GROUPS = "/groups"

_SECONDS = len("2026-11-22T10:00:00")


def user_traits(
    message: Identify, settings: MixpanelSettings, ids: Ids, notes: list[Note]
) -> list[HttpRequest]:
    """Set a user's traits, under the names by which Mixpanel shows a profile."""
    traits = _with_created(fitted(message.traits, USER, "traits", notes), notes)
    traits = first(traits, PROFILE_PROPERTIES, "traits", notes)
    return [user_update(message, settings, ids, traits)] if traits else []


def user_update(
    message: Message, settings: MixpanelSettings, ids: Ids, properties: dict[str, Json]
) -> HttpRequest:
    """Set properties of a user's profile, or of a device's where those have one."""
    profile = ids.profile or ""
    record = {
        "$token": settings.token,
        "$distinct_id": profile,
        "$ip": client_ip(message) or "0",  # without it, Mixpanel would locate the router
        "$set": properties,
    }
    return _request(settings, ENGAGE, record, f"user:{profile}", identity=ids.user or "")


def group_traits(
    message: Group, settings: MixpanelSettings, key: str, group: str, notes: list[Note]
) -> list[HttpRequest]:
    """Set a group's traits."""
    traits = fitted(message.traits, GROUP, "traits", notes)
    traits = first(traits, PROFILE_PROPERTIES, "traits", notes)
    if not traits:
        return []
    record = {
        "$token": settings.token,
        "$group_key": key,
        "$group_id": group,
        "$set": traits,
    }
    return [_request(settings, GROUPS, record, f"group:{group}", identity="")]


def _request(
    settings: MixpanelSettings, path: str, record: dict[str, Json], state: str, *, identity: str
) -> HttpRequest:
    if (size := body_bytes(record)) > PROFILE_BYTES:
        detail = f"a profile of {size} bytes; Mixpanel takes up to {PROFILE_BYTES}: send less"
        raise Reject("too_large", detail, "traits")
    return HttpRequest(
        url=settings.url(path),
        params={"verbose": "1"},
        json=[record],
        state_key=state,
        costs=(),
        identity=identity,
    )


def _with_created(traits: dict[str, Json], notes: list[Note]) -> dict[str, Json]:
    """Write when the profile was created as Mixpanel's dates are: UTC, whole seconds."""
    given = traits.get("$created")
    written = utc_text(given) if isinstance(given, str) else None
    if written is None or written[:_SECONDS] == given:
        return traits
    notes.append(Note("converted", "traits.createdAt", "a date is in UTC, to the second"))
    return {**traits, "$created": written[:_SECONDS]}
