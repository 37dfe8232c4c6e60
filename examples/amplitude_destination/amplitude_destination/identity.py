"""Which ids a message goes out under. An id that Amplitude would refuse is never sent.

Amplitude refuses the whole event for one bad id, even where the other is good; and an id, once
sent, cannot be changed [https://amplitude.com/docs/apis/analytics/http-v2].
"""

from __future__ import annotations

import msgspec

from amplitude_destination.limits import REFUSED_IDS, TEXT_CHARACTERS
from amplitude_destination.settings import AmplitudeSettings
from destination_router import Message, Note, Reject


class Identifiers(msgspec.Struct, frozen=True):
    """The ids of a message that are fit to be sent, at least one of them.

    Attributes:
        user_id: a known user's.
        device_id: of whoever it is, known or not: the anonymousId.
    """

    user_id: str | None
    device_id: str | None

    @property
    def fields(self) -> dict[str, str]:
        """The ids as fields of an event."""
        both = {"user_id": self.user_id, "device_id": self.device_id}
        return {name: value for name, value in both.items() if value is not None}


def identifiers(message: Message, settings: AmplitudeSettings, notes: list[Note]) -> Identifiers:
    """Sort out a message's ids; each that is not fit leaves a note.

    Raises:
        Reject: none is fit (`unsafe_identity`), or there is none (`missing_identity`).
    """
    given = {"userId": message.user_id, "anonymousId": message.anonymous_id}
    unfit = [
        Note("unsafe_identity", path, problem)
        for path, value in given.items()
        if value is not None and (problem := unfitness(value, settings))
    ]
    refused = {note.path for note in unfit}
    user_id, device_id = (None if path in refused else value for path, value in given.items())
    if user_id is not None or device_id is not None:
        notes.extend(unfit)
        return Identifiers(user_id, device_id)
    if unfit:
        detail = f"{unfit[0].detail}; send the user's own id"
        raise Reject("unsafe_identity", detail, unfit[0].path)
    raise Reject("missing_identity", "there is none; send one, or an anonymousId", "userId")


def usable_id(value: str | None, path: str, settings: AmplitudeSettings) -> str:
    """Take an id that a message cannot do without.

    Raises:
        Reject: there is none, or it is not fit.
    """
    if value is None:
        raise Reject("missing_identity", "there is none; send the user's id", path)
    if problem := unfitness(value, settings):
        raise Reject("unsafe_identity", f"{problem}; send the user's own id", path)
    return value


def unfitness(value: str, settings: AmplitudeSettings) -> str | None:
    """Say why Amplitude would refuse an id, or mistake it for another; None if it would not."""
    if value.casefold() in REFUSED_IDS or not value.strip("0-"):
        return "it is a placeholder, and Amplitude refuses it"
    if len(value) < settings.min_id_length:
        return f"it is shorter than {settings.min_id_length} characters (the setting minIdLength)"
    if len(value) > TEXT_CHARACTERS:
        return f"it is longer than {TEXT_CHARACTERS} characters, and Amplitude would cut it"
    return None
