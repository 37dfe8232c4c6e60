"""Which identifier a message goes out under, and which ids are too unsafe to send.

Heap merges everybody who carries the same identity into one user and cannot undo it
[developers.heap.io/reference/identify]. So a placeholder such as `null` never goes out as one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec

from destination_router import Group, Identify, Message, Note, Reject, placeholder_reason
from heap_destination.dialects import Dialect
from heap_destination.framework import email_of, text_of, trimmed
from heap_destination.limits import (
    IDENTITY_CHARACTERS,
    SDK_IDENTITY_CHARACTERS,
    USER_ID_BITS,
)
from heap_destination.settings import HeapSettings

RUDDERSTACK_NAME = "Heap.io"
"""RudderStack's display name of Heap. Its senders write it in `integrations`."""

NAMES = ("Heap", RUDDERSTACK_NAME)
"""The names of Heap that senders use in `integrations`."""

_OPTION_NAMES = ("heap", *NAMES)

_OPTIONS = ("identity", "user_id", "session_id")

_USER_ID = re.compile("[0-9]{1,16}")


class Identifiers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The identifiers of a message that are fit to be sent.

    Attributes:
        identity: of a known user: text, except in a dialect that sends any value.
        user_id: Heap's own id of a user, where the sender knows it: digits.
        anonymous_id: the sender's id of an unknown user; its type is as of `identity`.
        session_id: Heap's own id of a session, where the sender knows it.
        email: the user's, in a dialect that sends it as an identifier.
        identity_danger: why the message's identity is unsafe, if it is.
        anonymous_danger: the same for its anonymousId.
        notes: why an identifier was left out.
    """

    identity: Any
    user_id: str | None
    anonymous_id: Any
    session_id: str | None = None
    email: str | None = None
    identity_danger: Note | None = None
    anonymous_danger: Note | None = None
    notes: tuple[Note, ...] = ()


def identifiers(message: Message, settings: HeapSettings) -> Identifiers:
    """Sort out a message's identifiers, as the dialect finds them.

    A mapping's `identity` comes before everything in the message. In the dialects that read
    `integrations.Heap`, it may have `identity`, which replaces `userId`, and Heap's own `user_id`
    and `session_id`.
    """
    rules = settings.rules
    if rules.unusable == "unsafe":
        if ids_are_plain(message, settings):
            known, anonymous = message.user_id, message.anonymous_id
            return Identifiers(identity=known, user_id=None, anonymous_id=anonymous)
        return _guarded(message, settings)
    places = rules.user_identity if type(message) is Identify else rules.event_identity
    notes: list[Note] = []
    if not places and message.user_id is not None and "identity" not in message.mapped:
        detail = "this dialect sends no userId with an event unless a mapping makes it the identity"
        notes.append(Note("dropped", "userId", detail))
    # An identify's anonymousId is a property there, and no identifier: nothing is left out.
    told = [] if isinstance(message, Identify) else notes
    identity = _first_usable(message, places, rules, notes)
    anonymous = _usable(anonymous_id(message, rules), "anonymousId", rules.unusable, told)
    if isinstance(identity, str) and identity != anonymous:
        notes += _oddities(identity, "userId")
    if isinstance(anonymous, str):
        notes += endings(anonymous, "anonymousId")
    return Identifiers(
        identity=identity,
        user_id=_extra(message, "user_id", rules, notes),
        anonymous_id=anonymous,
        email=_email(message, rules),
        notes=tuple(notes),
    )


def ids_are_plain(message: Message, settings: HeapSettings) -> bool:
    """Tell whether a message's ids go out as they are, without a note, as nearly all do.

    It knows nothing of a dialect: ask it where `unusable` is `unsafe`.
    """
    return not message.mapped and are_plain(
        message.user_id, message.anonymous_id, message.integrations, settings
    )


def are_plain(
    known: str | None, anonymous: str | None, said: dict[str, Any], settings: HeapSettings
) -> bool:
    """Tell what `ids_are_plain` tells of a message that no mapping changed.

    Args:
        known: its userId.
        anonymous: its anonymousId.
        said: its `integrations`.
        settings: the connection's.
    """
    if said and (len(said) > 1 or "All" not in said):
        return False
    if known and anonymous:  # as most have; looked through together, and mostly at a glance
        both, ends = known + anonymous, settings.harmless_ends
        if (
            len(both) <= SDK_IDENTITY_CHARACTERS
            and known[-1] in ends
            and anonymous[-1] in ends
            and not ("{" in both or "<" in both or "\0" in both)
        ):
            return True
    listed = settings.unsafe_identities
    if known is not None and (
        len(known) > SDK_IDENTITY_CHARACTERS
        or "\0" in known
        or placeholder_reason(known, listed) is not None
    ):
        return False
    return anonymous is None or not (
        len(anonymous) > IDENTITY_CHARACTERS
        or "\0" in anonymous
        or placeholder_reason(anonymous, listed) is not None
    )


def _guarded(message: Message, settings: HeapSettings) -> Identifiers:
    """Leave out every identity that would merge different people."""
    rules = settings.rules
    places = rules.user_identity if type(message) is Identify else rules.event_identity
    mapped, options = message.mapped, message.options(*_OPTION_NAMES)
    notes: list[Note] = []
    extra = {**options, **mapped} if mapped else options
    given = _option_text(options, "identity", notes) if options and "option" in places else None
    identity, path = message.user_id, "userId"
    if "identity" in mapped:
        identity, path = mapped["identity"], "mapping.identity"
    elif given is not None:
        identity, path = given, "integrations.Heap.identity"
    danger = _danger(identity, path, settings)
    anonymous_danger = _danger(message.anonymous_id, "anonymousId", settings)
    if danger or anonymous_danger:
        notes.extend(note for note in (danger, anonymous_danger) if note)
    notes += _all_oddities(
        None if danger else identity, path, None if anonymous_danger else message.anonymous_id
    )
    notes += [
        Note("dropped", f"integrations.Heap.{name}", f"only {', '.join(_OPTIONS)} are read there")
        for name in options
        if name not in _OPTIONS
    ]
    user_id = _heap_user_id(extra, notes) if extra else None
    if user_id is not None and (given is not None or mapped.get("identity") is not None):
        detail = f"Heap takes one identifier: {path} is sent"
        notes.append(Note("dropped", "integrations.Heap.user_id", detail))
        user_id = None
    return Identifiers(
        identity=None if danger else identity,
        user_id=user_id,
        anonymous_id=None if anonymous_danger else message.anonymous_id,
        session_id=_option_text(extra, "session_id", notes) if extra else None,
        identity_danger=danger,
        anonymous_danger=anonymous_danger,
        notes=tuple(notes),
    )


# -- the identifiers of the other systems -------------------------------------------------------


def anonymous_id(message: Message, rules: Dialect) -> Any:
    """Write the anonymousId as the dialect does; None if there is none."""
    return loose(message, "anonymousId", rules)


def loose(message: Message, field: str, rules: Dialect) -> Any:
    """Write a field that should be text as the dialect does: `userId`, `event`.

    Args:
        message: the message.
        field: its name on the wire, or that of a field that only a mapping gives.
        rules: the dialect.
    """
    return _LOOSE[rules.loose](message, field)


def _mended(message: Message, field: str) -> Any:
    attribute = _ATTRIBUTES.get(field)
    return message.mapped.get(field) if attribute is None else getattr(message, attribute)


_ATTRIBUTES = {
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "event": "event",
    "name": "name",
    "category": "category",
}

_LOOSE: dict[str, Callable[[Message, str], Any]] = {
    "mended": _mended,
    "text": lambda message, field: text_of(message.as_sent(field), field),
    "trimmed": lambda message, field: trimmed(text_of(message.as_sent(field), field)),
    "kept": lambda message, field: message.as_sent(field),
}


def _first_usable(
    message: Message, places: tuple[str, ...], rules: Dialect, notes: list[Note]
) -> Any:
    if "identity" in message.mapped:
        given = loose(message, "identity", rules)
        return _usable(given, "mapping.identity", rules.unusable, notes)
    for place in places:
        value = _usable(_PLACES[place](message, rules), place, rules.unusable, notes)
        if value is not None:
            return value
    return None


def _usable(value: Any, path: str, unusable: str, notes: list[Note]) -> Any:
    """Return a value that the dialect accepts as an identity. Otherwise note it; None."""
    if value is None or not _UNUSABLE[unusable](value):
        return value
    notes.append(Note("dropped", path, "this dialect takes it for no identity"))
    return None


_UNUSABLE: dict[str, Callable[[Any], bool]] = {
    "zero": lambda value: value == "0",
    # As in JavaScript, where a list or an object is truthy, an empty one too.
    "falsy": lambda value: not value and not isinstance(value, (dict, list)),
}


def _traits_at_root(message: Message) -> dict[str, Any]:
    traits = message.traits if isinstance(message, (Identify, Group)) else message.other("traits")
    return traits if isinstance(traits, dict) else {}


_PLACES: dict[str, Callable[[Message, Dialect], Any]] = {
    "userId": lambda message, rules: loose(message, "userId", rules),
    "traits.userId": lambda message, _: _traits_at_root(message).get("userId"),
    "traits.id": lambda message, _: _traits_at_root(message).get("id"),
    "context.traits.userId": lambda message, _: message.context_traits.get("userId"),
    "context.traits.id": lambda message, _: message.context_traits.get("id"),
    "anonymousId": anonymous_id,
}


def _extra(message: Message, name: str, rules: Dialect, notes: list[Note]) -> str | None:
    if name not in rules.identifiers or name not in message.mapped:
        return None
    return (
        loose(message, name, rules) if rules.checks else _option_text(message.mapped, name, notes)
    )


def _email(message: Message, rules: Dialect) -> str | None:
    """Find the user's address: at the root, even if it is blank, or else in their traits."""
    if "email" not in rules.identifiers:
        return None
    if "email" in message.mapped:
        return email_of(message.as_sent("email"), "email")
    given = message.other("email")
    if given is not None:
        return email_of(given, "email")
    return email_of(message.context_traits.get("email"), "context.traits.email")


# -- the firewall -------------------------------------------------------------------------------


def missing_identity(danger: Note | None, wanted: str) -> Reject:
    """Say why a message that has no usable identifier cannot be sent.

    Args:
        danger: what is wrong with its identifier, if it has one.
        wanted: what to send instead.
    """
    if danger is not None:
        return Reject("unsafe_identity", f"{danger.detail}; send {wanted}", danger.path)
    return Reject("missing_identity", f"there is none; send {wanted}", "userId")


def unsafe(identity: str, settings: HeapSettings) -> str | None:
    """Say why an id would merge different people; None if it would not."""
    if len(identity) > IDENTITY_CHARACTERS:
        return f"it is longer than {IDENTITY_CHARACTERS} characters"
    reason = placeholder_reason(identity, settings.unsafe_identities)
    return None if reason is None else f"{reason}, and Heap would merge all who carry it into one"


def _oddities(identity: str, path: str) -> list[Note]:
    """Note an identity that goes out, but may not match the same user in other sources."""
    notes = []
    if len(identity) > SDK_IDENTITY_CHARACTERS:
        detail = f"Heap's own SDKs take {SDK_IDENTITY_CHARACTERS} characters: it never meets theirs"
        notes.append(Note("long_identity", path, detail))
    return notes + endings(identity, path)


def endings(identifier: str, path: str) -> list[Note]:
    """Describe characters in an id at which some programs stop reading."""
    if "\0" not in identifier:
        return []
    detail = "it holds a NUL, which many programs take for the end of a text"
    return [Note("control_character", path, detail)]


def _all_oddities(identity: str | None, path: str, anonymous: str | None) -> tuple[Note, ...]:
    known = [] if identity is None else _oddities(identity, path)
    return (*known, *([] if anonymous is None else endings(anonymous, "anonymousId")))


def stitched_user_id(anonymous_id: str) -> str:
    """Make a Heap `user_id` from an anonymousId: the same one every time, everywhere.

    Returns:
        A number from 0 to 2^53 - 1, as text.
    """
    digest = hashlib.sha256(anonymous_id.encode("utf-8", "surrogatepass")).digest()
    return str(int.from_bytes(digest[:8], "big") >> (64 - USER_ID_BITS))


def _danger(identity: str | None, path: str, settings: HeapSettings) -> Note | None:
    reason = None if identity is None else unsafe(identity, settings)
    return None if reason is None else Note("unsafe_identity", path, reason)


def _heap_user_id(options: dict[str, Any], notes: list[Note]) -> str | None:
    text = _option_text(options, "user_id", notes)
    if text is None:
        return None
    if _USER_ID.fullmatch(text) and int(text) < 1 << USER_ID_BITS:
        return text
    detail = f"it must be a number from 0 to 2^{USER_ID_BITS} - 1"
    notes.append(Note("dropped", "integrations.Heap.user_id", detail))
    return None


def _option_text(options: dict[str, Any], name: str, notes: list[Note]) -> str | None:
    value = options.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():  # as some languages write every number
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        return value.strip() or None
    detail = "it must be text or a whole number"
    notes.append(Note("dropped", f"integrations.Heap.{name}", detail))
    return None
