"""Under which ids a message goes out, and which ids are too unsafe to send.

Mixpanel refuses placeholders such as `null` [docs.mixpanel.com/reference, Import Events], and what
it has joined stays joined [docs.mixpanel.com/docs/tracking-methods/id-management].
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from destination_router import Message, Note, Reject
from mixpanel_destination.limits import ID_BYTES, INSERT_ID_CHARACTERS, UNSAFE_IDS
from mixpanel_destination.settings import MixpanelSettings

_INSERT_ID = re.compile(rf"[A-Za-z0-9-]{{1,{INSERT_ID_CHARACTERS}}}")


class Ids(msgspec.Struct, frozen=True):
    """A message's ids that are fit to be sent.

    Attributes:
        user: who it is, if that is known.
        device: what Mixpanel calls a device: the anonymousId.
        distinct: under which of them Mixpanel files it; empty where there is neither.
        profile: whose profile can be set, if anyone's.
    """

    user: str | None
    device: str | None
    distinct: str
    profile: str | None


def ids_of(message: Message, settings: MixpanelSettings, notes: list[Note]) -> Ids:
    """Sort out a message's ids; one that is unsafe is left out, with a note.

    In simplified identity merge an unknown user is `$device:<anonymousId>`, whose profile would be
    lost when they become known [docs.mixpanel.com/docs/tracking-methods/id-management].
    """
    user = _safe(message.user_id, "userId", notes)
    device = _safe(message.anonymous_id, "anonymousId", notes)
    simplified = settings.id_merge == "simplified"
    unknown = f"$device:{device}" if device and simplified else device
    return Ids(
        user=user,
        device=device,
        distinct=user or unknown or "",
        profile=user or (None if simplified else device),
    )


def checked_id(identifier: str | None, path: str, wanted: str) -> str:
    """Give an id that a call cannot do without.

    Raises:
        Reject: `missing_identity` or `unsafe_identity`.
    """
    if identifier is None:
        raise Reject("missing_identity", f"there is none; send {wanted}", path)
    if danger := _danger(identifier):
        raise Reject("unsafe_identity", f"{danger}; send {wanted}", path)
    return identifier


def insert_id(message: Message, notes: list[Note]) -> str:
    """Make the `$insert_id` of a message, by which Mixpanel knows repeats: the same every time.

    It is the messageId where Mixpanel takes it; else a digest, since cutting it or leaving
    characters out could give two messages the same one.
    """
    message_id = message.message_id
    if _INSERT_ID.fullmatch(message_id) and message_id.casefold() not in UNSAFE_IDS:
        return message_id
    detail = f"an $insert_id is 1 to {INSERT_ID_CHARACTERS} letters, digits and -; sent a digest"
    notes.append(Note("converted", "messageId", detail))
    digest = hashlib.sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()
    return digest[:INSERT_ID_CHARACTERS]


def _safe(identifier: str | None, path: str, notes: list[Note]) -> str | None:
    danger = None if identifier is None else _danger(identifier)
    if danger is None:
        return identifier
    notes.append(Note("unsafe_identity", path, danger))
    return None


def _danger(identifier: str) -> str | None:
    if identifier.casefold() in UNSAFE_IDS:
        return "it is a placeholder, which Mixpanel refuses"
    if len(identifier.encode("utf-8", "surrogatepass")) > ID_BYTES:
        return f"it is longer than {ID_BYTES} bytes, and Mixpanel would cut it"
    return None
