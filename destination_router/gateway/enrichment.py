"""Completes an event on its way into the log.

The rules are those of rudder-server's gateway and, for the time, of its processor. New fields go in
front of the sender's own bytes. An event is rewritten only if one of its values must be replaced,
and even then every other value stays as it was written.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from destination_router.contract.records import Json, Reject
from destination_router.contract.times import format_time, read_time
from destination_router.faults import UNDECODABLE
from destination_router.pipeline.normalise import decode_json
from destination_router.pipeline.wire import members

_WIRE_NAMES = {
    "type": "type",
    "message_id": "messageId",
    "user_id": "userId",
    "anonymous_id": "anonymousId",
    "timestamp": "timestamp",
    "original_timestamp": "originalTimestamp",
    "sent_at": "sentAt",
    "received_at": "receivedAt",
    "request_ip": "request_ip",
}
_FRONTS = {name: f'"{wire_name}":'.encode() for name, wire_name in _WIRE_NAMES.items()}
_FRONT = b'{"receivedAt":"%b","request_ip":%b,"timestamp":'
_NEEDS_NO_IDENTITY = frozenset({"extract", "record"})
_UNREADABLE: Json = []
_ID_KEY = b"messageId"
_BLANKS = b" \t\n\r"


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """The arrival of a request, which all its events share.

    Attributes:
        received_at: when, with a time zone.
        new_id: makes the `messageId` of an event that has none.
        request_ip: where from, without a port; empty if not known.
        kind: the call that the route stands for; None where each event says its own.
        write_key: whose request it is; empty where ids are not to be derived.
        late: by each `sentAt` of the request, how long after it the request came in.
        received_text: when, as it is written into every event of the request.
        front: how an event begins that lacks both and its time, up to the value of its time.
    """

    received_at: datetime
    new_id: Callable[[], str]
    request_ip: str = ""
    kind: str | None = None
    write_key: bytes = b""
    late: dict[str, timedelta] = {}
    received_text: str = ""
    front: bytes = b""

    def __post_init__(self) -> None:
        """Compute what all events of the request share."""
        if self.received_at.tzinfo is not UTC:
            msgspec.structs.force_setattr(self, "received_at", self.received_at.astimezone(UTC))
        text = format_time(self.received_at)
        front = _FRONT % (text.encode(), _encode(self.request_ip))
        msgspec.structs.force_setattr(self, "received_text", text)
        msgspec.structs.force_setattr(self, "front", front)


class _Fields(msgspec.Struct, kw_only=True, rename=_WIRE_NAMES):
    """The fields that are read. The decoder skips all others. UNSET: absent."""

    type: Any = msgspec.UNSET
    message_id: Any = msgspec.UNSET
    user_id: Any = msgspec.UNSET
    anonymous_id: Any = msgspec.UNSET
    timestamp: Any = msgspec.UNSET
    original_timestamp: Any = msgspec.UNSET
    sent_at: Any = msgspec.UNSET
    received_at: Any = msgspec.UNSET
    request_ip: Any = msgspec.UNSET


class _Usual(_Fields, kw_only=True, rename=_WIRE_NAMES, gc=False):
    """The fields of an event as SDKs write them. The decoder refuses any other event."""

    message_id: str
    timestamp: msgspec.UnsetType = msgspec.UNSET
    received_at: msgspec.UnsetType = msgspec.UNSET
    request_ip: msgspec.UnsetType = msgspec.UNSET


_decode_fields = msgspec.json.Decoder(_Fields).decode
_decode_usual = msgspec.json.Decoder(_Usual).decode
_encode = msgspec.json.Encoder().encode
_from_iso = datetime.fromisoformat
_TIME_STEP = len('"2026-11-22T10:00:00.000000Z",')
_MILLISECONDS_END = len('"2026-11-22T10:00:00.000')
_NOT_SO_SIMPLE = (TypeError, ValueError, LookupError, OverflowError)
"""What the quick way meets in an `originalTimestamp` or `sentAt` of any other kind, and in the
first `sentAt` of a request."""

# Python's own, since a name that `members` found may hold half a character.
_encode_name = json.JSONEncoder().encode


def enrich(raw: bytes, arrival: Arrival, place: int = 0) -> bytes:
    """Complete one event.

    - `type`: the route's, if the route has one.
    - `messageId`: without blanks around it. If it is blank or no text, an event that carries a time
      of its own gets one that is made of the write key, its place and its bytes, so that it is the
      same when the request is sent again; any other gets a new one, for two events may be alike to
      the byte.
    - `receivedAt`, `request_ip`: the arrival's, unless the event has one that is not null.
    - `timestamp`: kept if it is a time, else `receivedAt - (sentAt - originalTimestamp)`, which
      leaves out how far the sender's clock is off. Of these three, one that is no time counts as
      the time of receipt.

    Args:
        raw: one event as wire JSON.
        arrival: how it came in.
        place: the event's number within its request.

    Returns:
        The event as wire JSON, with every other field as it was written.

    Raises:
        Reject: `invalid_json`; `not_an_object`; or `missing_identity`, where both `userId` and
            `anonymousId` are blank, null or absent.
    """
    usual = enrich_usual([raw.lstrip(_BLANKS)], arrival)
    if usual is not None:
        return usual[0]
    fields = _read(raw)
    if not _has_identity(fields, arrival):
        raise Reject("missing_identity", "give a userId or an anonymousId")
    changes = _changes(fields, arrival)
    if changes.get("message_id") == "":
        changes["message_id"] = _id_of(raw, fields, arrival, place)
    return _write(raw, fields, changes)


def enrich_usual(raw_events: Sequence[bytes], arrival: Arrival) -> list[bytes] | None:
    """Complete events that are all as SDKs write them, as `enrich` does each; else None.

    Such an event lacks a time, a time of receipt and an address, and all else stays as it is. All
    take each step together, so that its code stays at hand: that takes a microsecond for each.

    Args:
        raw_events: each without blanks in front of it.
        arrival: how they came in.
    """
    try:
        events = list(map(_decode_usual, raw_events))
    except UNDECODABLE:
        return None
    if not _are_usual(events, arrival):
        return None
    front = arrival.front
    return [
        front + time + raw[1:]
        for raw, time in zip(raw_events, _times(events, arrival), strict=True)
    ]


def _are_usual(events: Sequence[_Usual], arrival: Arrival) -> bool:
    """Tell whether all have a user, and an id and a type that stay as they are."""
    kind = arrival.kind
    try:
        for event in events:
            message_id = event.message_id
            if (
                not message_id
                or message_id.strip() != message_id
                or not (event.user_id or event.anonymous_id).strip()
                or (kind is not None and event.type != kind)
            ):
                return False
    except AttributeError:  # a user is no text
        return False
    return arrival.request_ip != ""


def _times(events: Sequence[_Usual], arrival: Arrival) -> list[bytes]:
    """Write the `timestamp` of each event, as JSON, with the comma behind it."""
    moments = _moments(events, arrival)
    text = _encode(moments)
    if len(text) == _TIME_STEP * len(moments) + 1:  # no whole second, which has no digits after it
        ats = range(1, len(text), _TIME_STEP)
        return [text[at : at + _MILLISECONDS_END] + b'Z",' for at in ats]
    return [b'"%b",' % format_time(moment).encode() for moment in moments]


def _moments(events: Sequence[_Usual], arrival: Arrival) -> list[datetime]:
    """Compute the time of each event, in UTC."""
    late = arrival.late
    moments = []
    for event in events:
        original = event.original_timestamp
        try:
            if original[-1] == "Z":  # as most senders write it, so that it is in UTC
                moment = _from_iso(original)
                if moment.year > 1:
                    moments.append(moment + late[event.sent_at])
                    continue
        except _NOT_SO_SIMPLE:
            pass
        moments.append(_corrected(event, arrival))
    return moments


def _corrected(fields: _Fields, arrival: Arrival) -> datetime:
    """As `_corrected_time`, of an event without a time of receipt; looks at each clock once."""
    received = arrival.received_at
    sent_at = fields.sent_at
    if type(sent_at) is not str:
        return _corrected_time(fields, arrival)
    late = arrival.late.get(sent_at)
    if late is None:
        late = arrival.late[sent_at] = received - (read_time(sent_at) or received)
    try:
        return (read_time(fields.original_timestamp) or received) + late
    except OverflowError:  # beyond the year 9999 or before the year 1
        return received


def _read(raw: bytes) -> _Fields:
    try:
        return _decode_fields(raw)
    except UNDECODABLE:
        found = members(raw)
    return _Fields(
        **{
            name: _decode(found[wire_name])
            for name, wire_name in _WIRE_NAMES.items()
            if wire_name in found
        }
    )


def _decode(value: bytes) -> Json:
    try:
        return decode_json(value)[0]
    except Reject:  # too deep or too long a number: neither text nor null nor a time
        return _UNREADABLE


def _has_identity(fields: _Fields, arrival: Arrival) -> bool:
    if _identifies(fields.user_id) or _identifies(fields.anonymous_id):
        return True
    # Reverse ETL's calls need none; whether anything takes such a call is for the pipeline to say.
    return (
        arrival.kind is None and isinstance(fields.type, str) and fields.type in _NEEDS_NO_IDENTITY
    )


def _identifies(value: Json) -> bool:
    """Tell whether rudder-server's text for a value is not blank. false and 0 are text, too."""
    return bool(value.strip()) if isinstance(value, str) else not _is_missing(value)


def _is_missing(value: Json) -> bool:
    return value is None or value is msgspec.UNSET


def _changes(fields: _Fields, arrival: Arrival) -> dict[str, str]:
    changes: dict[str, str] = {}
    if arrival.kind is not None and fields.type != arrival.kind:
        changes["type"] = arrival.kind
    message_id = fields.message_id.strip() if isinstance(fields.message_id, str) else ""
    if not message_id or message_id != fields.message_id:
        changes["message_id"] = message_id
    if _is_missing(fields.received_at):
        changes["received_at"] = arrival.received_text
    if arrival.request_ip and _is_missing(fields.request_ip):
        changes["request_ip"] = arrival.request_ip
    if read_time(fields.timestamp) is None:
        changes["timestamp"] = format_time(_corrected_time(fields, arrival))
    return changes


def _id_of(raw: bytes, fields: _Fields, arrival: Arrival, place: int) -> str:
    """Make an id. It is the same for the same event of the same request, if possible."""
    times = (fields.timestamp, fields.original_timestamp, fields.sent_at)
    if not arrival.write_key or all(read_time(time) is None for time in times):
        return arrival.new_id()
    digest = hashlib.blake2b(raw, digest_size=16, key=_ID_KEY, salt=place.to_bytes(16, "big"))
    digest.update(b"\0" + arrival.write_key)
    return str(uuid.UUID(bytes=digest.digest(), version=4))


def _corrected_time(fields: _Fields, arrival: Arrival) -> datetime:
    known = fields.received_at
    received = (None if known is msgspec.UNSET else read_time(known)) or arrival.received_at
    sent = read_time(fields.sent_at) or received
    original = read_time(fields.original_timestamp) or received
    try:
        return received - (sent - original)
    except OverflowError:  # beyond the year 9999 or before the year 1
        return received


def _write(raw: bytes, fields: _Fields, changes: dict[str, str]) -> bytes:
    if not changes:
        return raw
    if any(getattr(fields, name) is not msgspec.UNSET for name in changes):
        added = {_WIRE_NAMES[name]: _encode(value) for name, value in changes.items()}
        return b"{" + _joined({**members(raw), **added}) + b"}"
    # An event that has an identity or a type has a field, so a comma always follows.
    return b"{" + _front(changes) + raw[raw.index(b"{") + 1 :]


def _front(values: dict[str, str]) -> bytes:
    return b"".join([_FRONTS[name] + _encode(value) + b"," for name, value in values.items()])


def _joined(values: dict[str, bytes]) -> bytes:
    return b",".join([_encode_name(name).encode() + b":" + text for name, text in values.items()])
