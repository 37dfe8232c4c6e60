"""Which identifier a message goes out under, and which ids are too unsafe to send.

Heap merges everybody who carries the same identity into one user and cannot undo it
[developers.heap.io/reference/identify], so a placeholder such as `null` is never sent as one.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from destination_router import Message, Note, Reject
from heap_destination.limits import IDENTITY_CHARACTERS, USER_ID_BITS
from heap_destination.settings import HeapSettings

RUDDERSTACK_NAME = "Heap.io"
"""What RudderStack displays Heap as, which is what its senders write in `integrations`."""

NAMES = ("Heap", RUDDERSTACK_NAME)
"""What senders call Heap in `integrations`."""


_USER_ID = re.compile("[0-9]{1,16}")


class Identifiers(msgspec.Struct, frozen=True, kw_only=True):
    """The identifiers of a message that are fit to be sent.

    Attributes:
        identity: a known user's.
        user_id: Heap's own id of a user, where the sender knows it: digits.
        anonymous_id: the sender's id of someone not known yet.
        session_id: Heap's own id of a session, where the sender knows it.
        identity_danger: why the message's identity is not fit, if it has one that is not.
        anonymous_danger: the same for its anonymousId.
        notes: why an identifier was left out.
    """

    identity: str | None
    user_id: str | None
    anonymous_id: str | None
    session_id: str | None
    identity_danger: Note | None
    anonymous_danger: Note | None
    notes: tuple[Note, ...]


def identifiers(message: Message, settings: HeapSettings) -> Identifiers:
    """Sort out a message's identifiers.

    `integrations.Heap` may carry `identity`, which takes the place of `userId`, and Heap's own
    `user_id` and `session_id`.
    """
    notes: list[Note] = []
    options = message.options("heap", *NAMES)
    given = _option_text(options, "identity", notes)
    identity = message.user_id if given is None else given
    path = "userId" if given is None else "integrations.Heap.identity"
    danger = _danger(identity, path, settings)
    anonymous_danger = _danger(message.anonymous_id, "anonymousId", settings)
    notes.extend(note for note in (danger, anonymous_danger) if note)
    user_id = _heap_user_id(options, notes)
    if user_id is not None and given is not None:
        detail = "Heap takes one identifier: integrations.Heap.identity is sent"
        notes.append(Note("dropped", "integrations.Heap.user_id", detail))
        user_id = None
    return Identifiers(
        identity=None if danger else identity,
        user_id=user_id,
        anonymous_id=None if anonymous_danger else message.anonymous_id,
        session_id=_option_text(options, "session_id", notes),
        identity_danger=danger,
        anonymous_danger=anonymous_danger,
        notes=tuple(notes),
    )


def missing_identity(danger: Note | None, wanted: str) -> Reject:
    """Say why a message that has no usable identifier cannot be sent.

    Args:
        danger: what is wrong with the identifier that it has, if it has one.
        wanted: what to send in its place.
    """
    if danger is not None:
        return Reject("unsafe_identity", f"{danger.detail}; send {wanted}", danger.path)
    return Reject("missing_identity", f"there is none; send {wanted}", "userId")


def unsafe(identity: str, settings: HeapSettings) -> str | None:
    """Say why an id would merge what does not belong together, or None if it would not."""
    if len(identity) > IDENTITY_CHARACTERS:
        return f"it is longer than {IDENTITY_CHARACTERS} characters"
    if identity.strip().casefold() in settings.unsafe_identities:
        return "it is a placeholder, and Heap would merge all who carry it into one"
    return None


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
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        return value.strip() or None
    if value is not None:
        notes.append(Note("dropped", f"integrations.Heap.{name}", "it must be text or a number"))
    return None
