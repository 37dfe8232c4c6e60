"""From the six calls to Amplitude's endpoints: which requests a message becomes, in what order."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeAlias

from amplitude_destination import endpoints
from amplitude_destination.context import campaign, current_group, surroundings
from amplitude_destination.identity import identifiers, usable_id
from amplitude_destination.limits import (
    GROUP_PROPERTIES,
    RESERVED_EVENTS,
    RESERVED_PREFIX,
    TEXT_CHARACTERS,
)
from amplitude_destination.properties import cut, fitted, note, plain_properties, user_properties
from amplitude_destination.revenue import revenue
from amplitude_destination.settings import AmplitudeSettings
from destination_router import (
    Alias,
    Group,
    HttpRequest,
    Identify,
    Json,
    Message,
    Note,
    Page,
    Reject,
    Screen,
    Track,
    parse_time,
)

EventMessage: TypeAlias = Track | Page | Screen

NAMES = ("Amplitude", "AM")
"""What senders call Amplitude in `integrations`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SESSIONS = 2**63
_WHOLE = re.compile(r"-1|[0-9]{1,18}")
_VIEWS = {Page: "Page Viewed", Screen: "Screen Viewed"}


def identify_user(message: Identify, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Change the user's properties; with both ids, join what the device did before."""
    notes: list[Note] = []
    fields = _fields(message, settings, "$identify", notes)
    properties = user_properties(message.traits, "traits", notes)
    return [endpoints.event(settings, _with(fields, user_properties=properties), notes)]


def record_event(message: EventMessage, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Record an event with the traits that come with it, after the campaign that led to it."""
    notes: list[Note] = []
    event_type = _event_type(message, notes)
    fields = _fields(message, settings, event_type, notes)
    group = current_group(message)
    if isinstance(message, Track):
        fields |= revenue(message.properties, notes)
    event = _with(
        fields | surroundings(message),
        event_properties=fitted(_properties(message, notes), "properties", notes),
        user_properties=plain_properties(message.context_traits, "context.traits", notes),
        groups={settings.group_type: group} if group else {},
    )
    return [*_attribution(message, settings), endpoints.event(settings, event, notes)]


def update_group(message: Group, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Set the group's properties, then join the user to it."""
    if message.group_id is None:
        raise Reject("missing_group_id", "say which group it is", "groupId")
    if len(message.group_id) > TEXT_CHARACTERS:
        detail = f"longer than {TEXT_CHARACTERS} characters, and Amplitude would cut it"
        raise Reject("unsafe_identity", f"{detail}; send the group's own id", "groupId")
    notes: list[Note] = []
    properties = _group_properties(message, notes)
    joined = _membership(message, settings, notes, required=not properties)
    requests = []
    if properties:
        update = endpoints.group_identify(settings, message.group_id, properties, notes)
        requests.append(update)
    if joined:
        requests.append(endpoints.event(settings, joined, [] if requests else notes))
    return requests


def map_users(message: Alias, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Map the previous id to the user's; both are users' ids, none a device's."""
    user_id = usable_id(message.user_id, "userId", settings)
    previous_id = usable_id(message.previous_id, "previousId", settings)
    if previous_id == user_id:
        raise Reject("unsafe_identity", "it is the userId; send the former one", "previousId")
    return [endpoints.user_map(settings, previous_id, user_id, [])]


def _fields(
    message: Message, settings: AmplitudeSettings, event_type: str, notes: list[Note]
) -> dict[str, Json]:
    """Say whose event it is, when it happened, and by what key a repeat of it is known."""
    fields = {
        "event_type": event_type,
        **identifiers(message, settings, notes).fields,
        "time": _time(message, notes),
        "insert_id": _insert_id(message.message_id, notes),
        "session_id": _session_id(message, notes),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _with(fields: dict[str, Json], **parts: dict[str, Json]) -> dict[str, Json]:
    """Add the parts that hold something."""
    return fields | {name: part for name, part in parts.items() if part}


def _event_type(message: EventMessage, notes: list[Note]) -> str:
    if isinstance(message, Track):
        name, path = message.event, "event"
    else:
        name, path = message.mapped.get("event_type") or _VIEWS[type(message)], "event_type"
    if name is None or not name.strip():
        raise Reject("missing_event", "name what the user did", path)
    if name in RESERVED_EVENTS or name.startswith(RESERVED_PREFIX):
        detail = "Amplitude means something else by this name; rename it, here or by a mapping"
        raise Reject("reserved_event", detail, path)
    return cut(name, path, notes)


def _properties(message: EventMessage, notes: list[Note]) -> dict[str, Json]:
    """Add a page's or screen's own name and category to its properties."""
    if isinstance(message, Track):
        return message.properties
    named = {"name": message.name, "category": message.category}
    named = {key: value for key, value in named.items() if value}
    for key, value in named.items():
        if message.properties.get(key, value) != value:
            note(notes, "dropped", f"properties.{key}", f"the call's own {key} is sent")
    return {**message.properties, **named}


def _attribution(message: EventMessage, settings: AmplitudeSettings) -> list[HttpRequest]:
    """Keep the campaign that led to an event with the user: the latest, and the first of all.

    It is an `$identify` event of its own, with a key of its own: beside another event, Amplitude
    documents no `$setOnce` [http-v2].
    """
    utm = campaign(message)
    if not utm:
        return []
    fields = _fields(message, settings, "$identify", [])
    fields["insert_id"] = _insert_id(f"{message.message_id}-campaign", [])
    first = {f"initial_{name}": value for name, value in utm.items()}
    changes = {"$set": utm, "$setOnce": first}
    return [endpoints.event(settings, _with(fields, user_properties=changes), [])]


def _group_properties(message: Group, notes: list[Note]) -> dict[str, Json]:
    properties = plain_properties(message.traits, "traits", notes)
    for name in islice(properties, GROUP_PROPERTIES, None):
        detail = f"Amplitude takes {GROUP_PROPERTIES} properties at most"
        note(notes, "dropped", f"traits.{name}", detail)
    return dict(islice(properties.items(), GROUP_PROPERTIES))


def _membership(
    message: Group, settings: AmplitudeSettings, notes: list[Note], *, required: bool
) -> dict[str, Json] | None:
    """Make the event that joins the user to the group; None if nobody is there to join."""
    try:
        fields = _fields(message, settings, "$identify", notes)
    except Reject as reject:
        if required:
            raise
        note(notes, "dropped", reject.path, f"nobody is joined to the group: {reject.detail}")
        return None
    group = {settings.group_type: message.group_id}
    return _with(fields, groups=group, user_properties={"$set": group})


def _time(message: Message, notes: list[Note]) -> int | None:
    """Say when it happened, in milliseconds since 1970; Amplitude takes its own time if None."""
    for path, text in (
        ("timestamp", message.timestamp),
        ("originalTimestamp", message.original_timestamp),
    ):
        moment = parse_time(text) if text else None
        if moment is not None and moment >= _EPOCH:
            return (moment - _EPOCH) // _MILLISECOND
        if text:
            note(notes, "invalid_timestamp", path, "Amplitude counts from 1970")
    return None


def _insert_id(key: str, notes: list[Note]) -> str:
    """Keep a key within what Amplitude keeps of it: cut, it would be another event's."""
    if len(key) <= TEXT_CHARACTERS:
        return key
    note(notes, "converted", "messageId", f"longer than {TEXT_CHARACTERS}: a digest is sent")
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _session_id(message: Message, notes: list[Note]) -> int | None:
    """Read the session's start in milliseconds, which only the sender can know."""
    path = "integrations.Amplitude.session_id"
    given = message.options(*NAMES).get("session_id")
    if "session_id" in message.mapped:
        path, given = "mapping.session_id", message.mapped["session_id"]
    start = given
    if isinstance(given, float):  # as some languages write every number
        start = int(given) if given.is_integer() else None
    elif isinstance(given, str) and _WHOLE.fullmatch(given):
        start = int(given)
    if type(start) is int and -1 <= start < _SESSIONS:
        return start
    if given is not None:
        note(notes, "dropped", path, "not a time in milliseconds, nor -1 for none")
    return None
