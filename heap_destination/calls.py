"""Maps the six calls to Heap's endpoints: the requests of a message, and their order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from destination_router import (
    Alias,
    Group,
    HttpRequest,
    Identify,
    Ignored,
    Message,
    Note,
    Page,
    Reject,
    Screen,
    Track,
    javascript,
    utc_text,
)
from heap_destination import endpoints
from heap_destination.dialects import Dialect
from heap_destination.endpoints import recorded
from heap_destination.flattening import flat_event, flat_user
from heap_destination.framework import (
    check_fields,
    object_of,
    sent,
    text_of,
    time_of,
    trimmed,
    utc_time,
)
from heap_destination.identity import (
    Identifiers,
    anonymous_id,
    endings,
    identifiers,
    loose,
    missing_identity,
    stitched_user_id,
    unsafe,
)
from heap_destination.limits import (
    EVENT_CHARACTERS,
    FIRST_YEAR,
    LAST_YEAR,
    PARTNER_KEY_CHARACTERS,
    VALUE_CHARACTERS,
)
from heap_destination.plain import is_plain_user, plain_event
from heap_destination.properties import cut, event_properties, texts
from heap_destination.settings import HeapSettings

EventMessage: TypeAlias = Track | Page | Screen | Group | Alias
"""Messages that Heap may record as events; a group and an alias only if the dialect says so."""

_CALLS: dict[type[Message], str] = {
    Identify: "identify",
    Track: "track",
    Page: "page",
    Screen: "screen",
    Group: "group",
    Alias: "alias",
}
_OWN_FIELDS = {
    "track": (),
    "page": ("name", "category"),
    "screen": ("name", "category"),
    "group": ("groupId", "traits"),
    "alias": ("previousId",),
}
"""Fields that only this call has, beside its properties."""


_KEPT_AWAY = Ignored("this dialect sends no call whose integrations is null or an empty list")
_NO_STITCHING = Ignored("an alias merges users only where the setting anonymousEvents is stitch")


def check_call(message: Message, settings: HeapSettings) -> None:
    """Refuse a call that the dialect's system refuses for its type or the types of its fields."""
    rules = settings.rules
    if rules.takes_all:
        return
    if (call := _call(message)) not in rules.calls:
        raise Reject("unsupported_type", f"message type {call} is not supported", "type")
    if rules.exact_type and message.as_sent("type") != call:
        raise Reject("unsupported_type", f"write {call} in lower case, without blanks", "type")
    if rules.checks:
        check_fields(message, rules.checks[call])


def kept_away(message: Message, settings: HeapSettings) -> Ignored | None:
    """Check a call, and say why the dialect's system would not send it for its `integrations`."""
    rules = settings.rules
    if rules.takes_all:
        return None
    check_call(message, settings)
    odd = rules.empty_integrations == "everyone"
    return _KEPT_AWAY if odd and message.as_sent("integrations") in (None, []) else None


def is_event(message: Group | Alias, settings: HeapSettings) -> bool:
    """Whether the dialect records such a call as an event."""
    return _call(message) in settings.rules.event_names


def identify_user(message: Identify, settings: HeapSettings) -> list[HttpRequest] | Ignored:
    """Create or update the user that an identify names."""
    if not is_plain_user(message, settings):
        return kept_away(message, settings) or update_user(message, settings)
    identity, own_id = message.user_id, message.anonymous_id
    return [_update_user(settings, identity, message.traits, own_id, [])]


def update_user(message: Identify, settings: HeapSettings) -> list[HttpRequest]:
    """Create or update a user; with stitching on, merge what they did before they were known."""
    rules = settings.rules
    found = identifiers(message, settings)
    if found.identity is None:
        raise missing_identity(found.identity_danger, "an id that is this user's alone")
    notes = list(found.notes)
    traits = _user_traits(message, rules, notes)
    request = _update_user(settings, found.identity, traits, anonymous_id(message, rules), notes)
    return [request, *_merge(message, settings, found, found.anonymous_id)]


def _update_user(
    settings: HeapSettings, identity: Any, traits: Any, own_id: Any, notes: list[Note]
) -> HttpRequest:
    """Create or update a user. `own_id` is what the identify has for an anonymousId."""
    rules: Dialect = settings.rules
    profile = flat_user(traits, "traits", notes, settings)
    if rules.user_traits == "some" and not profile:
        raise Reject("missing_traits", "no properties to update; send some", "traits")
    if own_id is not None:
        profile = _ADD_ANONYMOUS_ID[rules.profile_anonymous_id](profile, own_id, notes)
    return endpoints.add_user_properties(
        settings, identity=identity, properties=profile, notes=notes, order="identify"
    )


def merge_users(message: Alias, settings: HeapSettings) -> list[HttpRequest] | Ignored:
    """With stitching on, merge the user that an anonymous id stood for; otherwise ignore it."""
    if settings.anonymous_events != "stitch":
        return _NO_STITCHING
    found = identifiers(message, settings)
    if found.identity is None:
        raise missing_identity(found.identity_danger, "the id that the user has from now on")
    if message.previous_id is not None and "@" in message.previous_id:
        detail = "an e-mail is a known user's, and Heap merges anonymous ones; send the anonymousId"
        raise Reject("known_user", detail, "previousId")
    if message.previous_id is None:
        raise Reject("missing_previous_id", "say which id is the user's too", "previousId")
    if danger := unsafe(message.previous_id, settings):
        raise Reject("unsafe_identity", f"{danger}; send the user's former id", "previousId")
    return _merge(message, settings, found, message.previous_id)


def record_track(message: Track, settings: HeapSettings) -> list[HttpRequest] | Ignored:
    """Record the event that a track names."""
    plain = plain_event(message, settings)
    if plain is None:
        return kept_away(message, settings) or record_event(message, settings)
    name, given, time, message_id, identity = plain
    notes: list[Note] = []
    properties = event_properties(given, "properties", notes)
    return [recorded(settings, name, properties, time, message_id, notes, identity)]


def record_event(message: EventMessage, settings: HeapSettings) -> list[HttpRequest]:
    """Record an event of any kind, after the user's properties that come with it."""
    notes: list[Note] = []
    rules = settings.rules
    name = _event_name(message, rules, notes)
    found = identifiers(message, settings)
    if found.notes:
        notes += found.notes
    profile = None
    # Most events have no traits to update their user with first, nor to tell of.
    if message.context_traits or rules.event_profile != "traits" or rules.checks:
        profile = _profile_of_event(message, settings, found, notes)
    if "traits.id" in rules.event_identity and not isinstance(message, Group):
        traits = message.other("traits")
        if isinstance(traits, dict) and not traits.keys() <= {"userId", "id"}:
            notes.append(Note("dropped", "traits", "this dialect reads no more than an id there"))
    request = _event_request(settings, found, _event(message, settings, name, notes), notes)
    if profile is None:
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
    notes = endings(message.group_id, "groupId")
    if _has_more_traits(message, settings.rules):
        notes.append(Note("dropped", "context.traits", "a group call sends the account's traits"))
    properties = flat_event(message.traits, "traits", notes, settings)
    return [
        *_account_membership(message, settings, notes),
        endpoints.add_account_properties(
            settings, account_id=message.group_id, properties=properties, notes=notes
        ),
    ]


def _event_name(message: EventMessage, rules: Dialect, notes: list[Note]) -> Any:
    if type(message) is Track:
        given = message.event if rules.loose == "mended" else _NAMES[rules.loose](message)
    else:
        given = rules.event_names[_call(message)]
    if type(given) is str and given and not given.isspace():
        return given
    if rules.loose == "kept":
        blank = not given and not isinstance(given, (dict, list))  # as JavaScript sees it
    else:
        blank = not given or (rules.event_shape is None and not given.strip())
    if not blank:
        return given
    if rules.event_fallback is None:
        raise Reject("missing_event", "name what the user did", "event")
    if isinstance(message, Track) and isinstance(message.as_sent("event"), list):
        notes.append(Note("dropped", "event", f"it is empty; sent as {rules.event_fallback}"))
    return rules.event_fallback


def _profile_of_event(
    message: EventMessage, settings: HeapSettings, found: Identifiers, notes: list[Note]
) -> dict[str, Any] | None:
    """Choose the user's properties that an event updates first; None if it updates none."""
    rules = settings.rules
    if rules.event_profile == "never" or (
        found.identity is None and not rules.traits_need_identity
    ):
        if _has_more_traits(message, rules):
            why = (
                "this dialect sends none with an event"
                if found.identity
                else "they need an identity"
            )
            notes.append(Note("dropped", "context.traits", why))
        return None
    traits = _context_traits(message, rules)
    if rules.traits_need_identity and traits.keys() == {"anonymousId"}:
        traits = {}  # RudderStack's SDKs put the anonymousId there, which is nobody's trait
    if rules.event_profile == "traits" and not traits:
        return None
    profile = flat_user(traits, "context.traits", notes, settings)
    if found.identity is None:
        if not profile:
            return None
        raise Reject("missing_identity", "there is none for the traits; send one", "userId")
    if rules.event_profile == "traits":
        return profile or None
    if found.anonymous_id is None and not traits:
        return None
    return _with_anonymous_id_first(profile, found.anonymous_id, notes)


def _event(
    message: EventMessage, settings: HeapSettings, name: Any, notes: list[Note]
) -> endpoints.Event:
    rules = settings.rules
    named = _named(message, rules, notes)
    given = _properties(message, rules)
    for key, value in named.items():
        if isinstance(given, dict) and given.get(key, value) != value:
            notes.append(Note("dropped", f"properties.{key}", f"the call's own {key} is sent"))
    if rules.event_shape is None:
        name = cut(name, EVENT_CHARACTERS, "event", notes)
        whole = {**given, **named} if named else given
        properties = event_properties(whole, "properties", notes)
    else:
        flat = flat_event(given, "properties", notes, settings)
        properties = dict(javascript.in_order({**rules.constants, **flat, **named}))
    return endpoints.Event(
        name=name,
        properties=properties,
        timestamp=_TIMES[rules.time](message, rules, notes),
        idempotency_key=message.message_id if rules.key == "message" else _own_key(given),
    )


def _properties(message: EventMessage, rules: Dialect) -> Any:
    """Get an event's properties: an object, or any value in a dialect that takes any."""
    if type(message) is Track and rules.loose == "mended" and not rules.checks:  # as of nearly all
        return message.properties
    if not isinstance(message, (Track, Page, Screen)):
        properties = message.other("properties")
        return properties if isinstance(properties, dict) else {}
    if rules.checks:
        return object_of(message.as_sent("properties"), "properties") or {}
    return message.as_sent("properties") if rules.loose == "kept" else message.properties


def _context_traits(message: Message, rules: Dialect) -> dict[str, Any]:
    if not rules.checks:
        return message.context_traits
    return object_of(message.as_sent("context.traits"), "context.traits") or {}


def _event_request(
    settings: HeapSettings,
    found: Identifiers,
    event: endpoints.Event,
    notes: list[Note],
) -> HttpRequest:
    rules = settings.rules
    if rules.event_api == "partner":
        return endpoints.partner_track(settings, event, notes, who=_user_identifier(found, rules))
    if found.session_id is not None:
        event = msgspec.structs.replace(event, session_id=found.session_id)
    if found.user_id is not None:
        return endpoints.track(settings, event, notes, user_id=found.user_id)
    if found.identity is not None:
        return endpoints.track(settings, event, notes, identity=found.identity)
    if found.anonymous_id is None or not rules.anonymous:
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
            return _anonymous_event(settings, event, notes, found.anonymous_id)


def _user_identifier(found: Identifiers, rules: Dialect) -> dict[str, Any]:
    """Name the user by every identifier that the dialect uses, or by the first that there is."""
    who = {name: getattr(found, name) for name in rules.identifiers}
    present = {name: value for name, value in who.items() if value is not None}
    if not present and any(note.path == "userId" for note in found.notes):
        detail = (
            "this dialect sends no userId with an event unless identity is mapped to it; send it"
        )
        raise Reject("missing_identity", detail, "anonymousId")
    if not present:
        raise missing_identity(None, f"one of {', '.join(rules.identifiers)}")
    if rules.identifier_choice == "all":
        return present
    first = next(iter(present))
    return {first: present[first]}


def _anonymous_event(
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
    return endpoints.partner_track(settings, event, notes, who={"anonymous_id": anonymous_id})


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
    if type(message) is Alias:
        notes += (*found.notes, *endings(anonymous_id or "", "previousId"))
        if message.anonymous_id not in (None, anonymous_id):
            detail = "it is not the anonymousId: a known user's makes a stand-in without events"
            notes.append(Note("doubtful_merge", "previousId", detail))
    timestamp = _time_in_utc(message, settings.rules, notes)
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
            properties=flat_user(joined, "groupId", notes, settings),
            notes=list(found.notes),
        )
    ]


def _named(message: EventMessage, rules: Dialect, notes: list[Note]) -> dict[str, str]:
    """List the fields of the message itself that go out as properties."""
    named: dict[str, str] = {}
    if type(message) is Track and rules.event_shape is None and not message.mapped:
        return named  # a track has no such fields of its own
    notes.extend(
        Note("dropped", field, "this dialect does not send it")
        for field in _OWN_FIELDS[_call(message)]
        if field not in rules.named and message.as_sent(field)
    )
    for field in rules.named:
        value = _named_field(message, field, rules)
        if isinstance(value, (dict, list)):
            raise Reject("invalid_type", "must be text, not an object or a list", field)
        if value == "0" and rules.unusable == "zero":
            notes.append(Note("dropped", field, "this dialect takes 0 for nothing"))
        elif value and isinstance(value, str):
            named[field] = value
        elif rules.checks and sent(message, field):
            notes.append(Note("dropped", field, "it is blank"))
    return named


def _named_field(message: EventMessage, field: str, rules: Dialect) -> Any:
    if rules.checks:
        return _segment_name(message, field, rules)
    if getattr(message, field, None) is not None and not _is_elsewhere(message, field):
        return loose(message, field, rules)
    # Heap's own dialect knows a track's `name` only from a mapping; Segment's any sender's.
    return message.mapped.get(field)


def _segment_name(message: EventMessage, field: str, rules: Dialect) -> str | None:
    """Write the name as Segment does. Its rewrite ignores a blank name, and does not trim."""
    text = text_of(sent(message, field), field)
    return None if rules.loose == "trimmed" and trimmed(text) is None else text


def _user_traits(message: Identify, rules: Dialect, notes: list[Note]) -> Any:
    """Find an identify's traits. RudderStack's SDKs write them only into the context."""
    traits = _TRAITS[rules.user_traits](message, rules)
    if not _has_more_traits(message, rules):
        return traits
    if rules.checks and not traits and _is_from_rudderstack(message):
        detail = "sent as the traits: RudderStack's SDKs put them there"
        notes.append(Note("converted", "context.traits", detail))
        given = message.context_traits
        return {name: value for name, value in given.items() if name != "anonymousId"}
    if traits != message.context_traits:
        notes.append(Note("dropped", "context.traits", "an identify sends its own traits"))
    return traits


def _has_more_traits(message: Message, rules: Dialect) -> bool:
    """Tell whether `context.traits` holds more than ids."""
    if not message.context_traits:
        return False
    read = {"anonymousId", *(place.rpartition(".")[2] for place in rules.event_identity)}
    return not message.context_traits.keys() <= read.union(rules.identifiers)


def _is_from_rudderstack(message: Message) -> bool:
    library = message.context.get("library")
    name = library.get("name") if isinstance(library, dict) else None
    return isinstance(name, str) and "rudder" in name.lower()


def _any_traits(message: Identify, rules: Dialect) -> Any:
    """Take the traits at the message's root; Segment reads no others."""
    if rules.checks:
        return object_of(message.as_sent("traits"), "traits") or {}
    return message.traits


def _given_traits(message: Identify, _rules: Dialect) -> Any:
    """Take the traits, of any type, or else those of the context. Refuse a message without any."""
    traits = message.as_sent("traits")
    if "traits" not in message.mapped:
        if not traits and message.other("traits") is None:
            traits = None
        if traits is None:
            traits = message.as_sent("context.traits")
            if not traits and traits == {} and message.context.get("traits") is None:
                traits = None
    if not traits and not isinstance(traits, (dict, list)):
        raise Reject("missing_traits", "traits are required", "traits")
    return traits


_TRAITS: dict[str, Callable[[Identify, Dialect], Any]] = {
    "any": _any_traits,
    "some": _any_traits,
    "given": _given_traits,
}
_NAMES: dict[str, Callable[[Track], Any]] = {
    "text": lambda message: text_of(message.as_sent("event"), "event"),
    "trimmed": lambda message: text_of(message.as_sent("event"), "event"),
    "kept": lambda message: message.as_sent("event"),
}


def _is_elsewhere(message: EventMessage, field: str) -> bool:
    """Tell whether a page has its name in a field where Heap's own dialect does not look.

    A screen's `event` counts as its name, because apps write it there. A page's does not: Segment's
    documentation does not have it, and no SDK writes it.
    """
    if field != "name" or not isinstance(message, Page):
        return False
    if message.as_sent(field) == message.name:
        return False
    return javascript.text(message.properties.get("name")) != message.name


def _with_anonymous_id_last(
    profile: dict[str, Any], anonymous_id: str, notes: list[Note]
) -> dict[str, Any]:
    if "anonymous_id" not in profile:
        shown = cut(anonymous_id, VALUE_CHARACTERS, "anonymousId", notes)
        return {**profile, "anonymous_id": shown}
    if profile["anonymous_id"] != anonymous_id:
        notes.append(_superseded())
    return profile


def _with_anonymous_id_first(
    profile: dict[str, Any], anonymous_id: str | None, notes: list[Note]
) -> dict[str, Any]:
    if anonymous_id is None:
        return profile
    if profile.get("anonymous_id", anonymous_id) != anonymous_id:
        notes.append(_superseded())
    return dict(javascript.in_order({"anonymous_id": anonymous_id, **profile}))


def _without_anonymous_id(
    profile: dict[str, Any], _anonymous_id: str, _notes: list[Note]
) -> dict[str, Any]:
    return profile


def _superseded() -> Note:
    return Note("dropped", "anonymousId", "the trait anonymous_id is sent in its place")


_ADD_ANONYMOUS_ID: dict[str, Callable[[dict[str, Any], str, list[Note]], dict[str, Any]]] = {
    "first": _with_anonymous_id_first,
    "last": _with_anonymous_id_last,
    "never": _without_anonymous_id,
}


def _time_in_utc(message: Message, rules: Dialect, notes: list[Note]) -> str | None:
    """Find when it happened: the first field that parses, and its name if it is not the first.

    The last resort is the time of receipt. For a message from a file, Heap would otherwise take the
    time of import.
    """
    first = rules.time_fields[0]
    for field in rules.time_fields:
        text = _TIME_FIELDS[field](message)
        if text is None:
            continue
        written = utc_text(text, is_valid=field != "receivedAt")
        if written is None:
            continue
        if field == "receivedAt" or (field != first and message.as_sent(first)):
            notes.append(Note("converted", first, f"{field} is sent in its place"))
        if not FIRST_YEAR <= written < LAST_YEAR:
            year = written[:4]
            notes.append(Note("invalid_timestamp", field, f"its year is {year}; it is sent"))
        return written
    return None


def _time_as_javascript(message: Message, rules: Dialect, notes: list[Note]) -> str | None:
    """Find when it happened, as JavaScript's `Date` reads it: a number is milliseconds."""
    for field in rules.time_fields:
        given = time_of(sent(message, field), field)
        written = utc_time(given)
        if written is not None:
            return written
        if given is not None and _time_field(message, field) is not None:
            notes.append(_no_time(field))  # else the router has noted it
    return None


def _time_as_given(message: Message, rules: Dialect, notes: list[Note]) -> Any:
    blank: tuple[Any, ...] = (None,)
    if rules.batches and message.channel == "sources":
        blank = (None, "")
        properties = _properties(message, rules) if isinstance(message, Track) else None
        of_batch = properties.get("timestamp") if isinstance(properties, dict) else None
        if of_batch not in blank:
            return of_batch
    for field in rules.time_fields:
        given = message.as_sent(field)
        if rules.checks:
            given = time_of(given, field)
        if given is None or (given in blank and field != rules.time_fields[-1]):
            continue
        if _time_field(message, field) is None:
            detail = "it is no time; this dialect sends it all the same"
            notes.append(Note("invalid_timestamp", field, detail))
        return given
    return None


def _no_time(field: str) -> Note:
    return Note("invalid_timestamp", field, "it is not an ISO 8601 time")


def _time_field(message: Message, field: str) -> str | None:
    return _TIME_FIELDS[field](message)


_TIME_FIELDS: dict[str, Callable[[Message], str | None]] = {
    "timestamp": attrgetter("timestamp"),
    "originalTimestamp": attrgetter("original_timestamp"),
    "receivedAt": attrgetter("received_at"),
}

_TIMES: dict[str, Callable[[Any, Dialect, list[Note]], Any]] = {
    "utc": _time_in_utc,
    "javascript": _time_as_javascript,
    "given": _time_as_given,
}


def _own_key(properties: Any) -> Any:
    key = properties.get("idempotencyKey") if isinstance(properties, dict) else None
    return key if key or isinstance(key, (dict, list)) else None


def _call(message: Message) -> str:
    return _CALLS[type(message)]


def _partner_key(message_id: str, notes: list[Note]) -> str:
    """Keep a key that is long enough. Replace a shorter one by a stable digest of it."""
    if len(message_id) >= PARTNER_KEY_CHARACTERS:
        return message_id
    detail = f"an idempotency key has at least {PARTNER_KEY_CHARACTERS} characters; sent a digest"
    notes.append(Note("converted", "messageId", detail))
    return hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
