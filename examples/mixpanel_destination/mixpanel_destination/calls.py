"""From the calls that are about ids to requests: what joins whom, and whose profile is set.

A message's requests stand in the order in which they are packed: profiles, groups, events.
"""

from __future__ import annotations

import re

import msgspec

from destination_router import Alias, Group, HttpRequest, Identify, Ignored, Note, Reject
from mixpanel_destination.events import event, merging_event
from mixpanel_destination.identity import Ids, checked_id, ids_of
from mixpanel_destination.profiles import group_traits, user_traits, user_update
from mixpanel_destination.settings import MixpanelSettings

_UUID_4 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)


def identify_user(message: Identify, settings: MixpanelSettings) -> list[HttpRequest] | Ignored:
    """Set the user's profile, and join what they did before they were known."""
    notes: list[Note] = []
    ids = ids_of(message, settings, notes)
    if ids.user is None and (message.user_id is not None or ids.profile is None):
        checked_id(message.user_id, "userId", "an id that is this user's alone")
    requests = user_traits(message, settings, ids, notes)
    requests += _join(message, settings, ids, notes)
    return _explained(requests, notes)


def describe_group(message: Group, settings: MixpanelSettings) -> list[HttpRequest] | Ignored:
    """Set the user's group, and the group's profile.

    The user's groups are a list in their profile, named like the group key
    [docs.mixpanel.com/docs/data-structure, Group Analytics].
    """
    if settings.group_key is None:
        raise Reject("missing_group_key", "set groupKey to the key in Mixpanel's Project Settings")
    key = settings.group_key
    group = checked_id(message.group_id, "groupId", "the group's own id")
    notes: list[Note] = []
    ids = ids_of(message, settings, notes)
    requests = []
    if ids.profile is not None:
        requests.append(user_update(message, settings, ids, {key: [group]}))
    else:
        notes.append(Note("dropped", "userId", "no usable one: no user is put into the group"))
    requests += group_traits(message, settings, key, group, notes)
    return _explained(requests, notes)


def alias_user(message: Alias, settings: MixpanelSettings) -> list[HttpRequest]:
    """Make the userId stand for who was known by the previousId, or the anonymousId.

    Raises:
        Reject: an id is missing or unsafe, or the project joins ids in another way.
    """
    if settings.id_merge == "simplified":
        detail = "simplified identity merge never joins two users; send both ids with an event"
        raise Reject("alias_not_supported", detail, "type")
    previous, path = message.previous_id, "previousId"
    if previous is None and message.anonymous_id is not None:
        previous, path = message.anonymous_id, "anonymousId"
    former = checked_id(previous, path, "the id that the user had")
    user = checked_id(message.user_id, "userId", "the id that the user has from now on")
    ids = {"distinct_id": former, "alias": user}
    return [merging_event(message, settings, "$create_alias", user, ids)]


def _join(
    message: Identify, settings: MixpanelSettings, ids: Ids, notes: list[Note]
) -> list[HttpRequest]:
    """Join a user's anonymousId to their userId, as the project does it.

    Simplified: any event with both ids. Original: `$identify`, of a UUID version 4 alone
    [docs.mixpanel.com/docs/tracking-methods/id-management].
    """
    if ids.user is None or ids.device is None:
        return []
    match settings.id_merge:
        case "simplified" if settings.identify_event:
            return [event(message, settings, settings.identify_event, {})]
        case "original" if _UUID_4.fullmatch(ids.device):
            joined = {"$identified_id": ids.user, "$anon_id": ids.device, "distinct_id": ids.user}
            return [merging_event(message, settings, "$identify", ids.user, joined)]
        case "original":
            detail = "Mixpanel joins UUIDs of version 4 only: it is not joined to the userId"
        case "legacy":
            detail = "a legacy project joins ids by alias alone: it is not joined to the userId"
        case _:
            detail = "identifyEvent is empty: a later event with both ids joins them"
    notes.append(Note("dropped", "anonymousId", detail))
    return []


def _explained(requests: list[HttpRequest], notes: list[Note]) -> list[HttpRequest] | Ignored:
    """Let the first request carry the notes about the message as a whole.

    Raises:
        Reject: nothing is left of a message that said something.
    """
    if requests:
        first, *rest = requests
        return [msgspec.structs.replace(first, notes=(*notes, *first.notes)), *rest]
    if notes:
        raise Reject("nothing_to_send", f"nothing else is in it ({notes[0].detail})", notes[0].path)
    return Ignored("it has no traits to set, and no two ids that Mixpanel would join")
