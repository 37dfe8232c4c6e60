"""Where wire JSON is cut: a request's body into events, an event into its members.

Nothing is decoded that need not be, so what is cut out is byte for byte what the sender wrote.
Standard JSON takes the fast road. What real senders write in its place (`NaN`, half a character,
bytes that are not UTF-8) and what is nested too deeply to decode is cut by its commas instead, so
that one such event costs its neighbours nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import msgspec

from destination_router.contract.records import Reject
from destination_router.pipeline.decoding import UNDECODABLE
from destination_router.pipeline.normalise import decode_json


class _Batch(msgspec.Struct):
    """Only the events of a batch: everything beside them is skipped."""

    batch: list[msgspec.Raw]


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_members: Callable[[bytes], dict[str, msgspec.Raw]] = msgspec.json.Decoder(
    dict[str, msgspec.Raw]
).decode
_check_standard = msgspec.json.Decoder(msgspec.Raw).decode

_UNTOLD = frozenset({"too_deep", "too_many_digits"})
"""What one event alone is rejected for: a body of which it is a part may still be JSON."""

_BLANKS = b" \t\n\r"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_MARK = re.compile(rb'(?:[^"\[\]{},]++|' + _STRING + rb')*+([\[\]{},"])', re.DOTALL)
_BATCH_DEPTH = 2
"""Where commas part the events: within the body's object, within an array."""

_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_MEMBER = re.compile(rb"[ \t\n\r]*(" + _STRING + rb")[ \t\n\r]*:(.*)", re.DOTALL)


def split_batch(body: bytes, most: int | None = None) -> list[bytes]:
    """Cut `{"batch": [event, ...]}` into its events; other keys are discarded.

    As rudder-server's gateway does: a `batch` that is no array is one event, and a body without a
    `batch`, or with null for one, holds none.

    Args:
        body: as it came in, unpacked.
        most: how many events it may hold; None: any number.

    Returns:
        At least one event, as it was written. That it is JSON is certain only of what decodes;
        `members` checks the rest.

    Raises:
        Reject: `invalid_json`, `empty_batch` or `too_many_events`.
    """
    if most is not None and body.count(b",") >= most:
        _refuse_more(body, most)
    try:
        raw_events = _decode_batch(body).batch
    except UNDECODABLE:
        events = _items(_batch_of(body), most)
    else:
        _count(len(raw_events), most)
        events = [bytes(event) for event in raw_events]
    if not events:
        raise Reject("empty_batch", "send at least one event", "batch")
    return events


def standard_batch(body: bytes, most: int) -> list[bytes] | None:
    """As `split_batch`, where that takes no time to speak of; None where it may.

    Args:
        body: as it came in, unpacked.
        most: more events than this take a while, too.
    """
    try:
        raw_events = _decode_batch(body).batch
    except UNDECODABLE:
        return None
    return [bytes(event) for event in raw_events] if 0 < len(raw_events) <= most else None


def split_list(text: bytes) -> list[bytes]:
    """Cut a JSON array into its items; each is as it was written, and may itself be no JSON.

    Raises:
        Reject: `invalid_json`, where it is no array.
    """
    text = text.strip(_BLANKS)
    if not text.startswith(b"["):
        raise _invalid()
    return _items(text)


def members(event: bytes) -> dict[str, bytes]:
    """Take an event apart: each field's name, and its value as it was written.

    Of a field that is there twice, the last counts.

    Raises:
        Reject: `invalid_json` or `not_an_object`.
    """
    try:
        return {name: bytes(value) for name, value in _decode_members(event).items()}
    except UNDECODABLE:
        pass
    text = event.strip(_BLANKS)
    if not text.startswith(b"{"):
        _check(text)
        raise Reject("not_an_object", "a message is a JSON object")
    return dict(_member(item) for item in _cut(text))


def _batch_of(body: bytes) -> bytes:
    try:
        return members(body).get("batch", b"null")
    except Reject as reject:
        if reject.code == "not_an_object":
            return b"null"
        raise


def _items(batch: bytes, most: int | None = None) -> list[bytes]:
    if batch == b"null":
        return []
    if not batch.startswith(b"["):
        return [batch]
    try:
        raw_items = _decode_items(batch)
    except UNDECODABLE:
        return _cut(batch, most)
    _count(len(raw_items), most)
    return [bytes(item) for item in raw_items]


def _refuse_more(body: bytes, most: int) -> None:
    """Refuse a body with too many events before they are made: a million would take 100 MB.

    Looks no further than it must; whatever else is wrong with the body, others tell.

    Raises:
        Reject: `too_many_events`.
    """
    depth = events = 0
    for found in _MARK.finditer(body):
        mark = found[1]
        if mark == b",":
            if depth == _BATCH_DEPTH:
                events += 1
                _count(events + 1, most)
        elif mark == b'"':
            return
        else:
            depth += _STEPS[mark]
            if depth < _BATCH_DEPTH:
                events = 0


def _count(events: int, most: int | None) -> None:
    if most is not None and events > most:
        raise Reject("too_many_events", f"send at most {most} events in a request", "batch")


def _member(item: bytes) -> tuple[str, bytes]:
    found = _MEMBER.fullmatch(item)
    if found is None:
        raise _invalid()
    try:
        name: str = json.loads(found[1].decode("utf-8", "surrogateescape"))
    except ValueError:
        raise _invalid() from None
    value = found[2].strip(_BLANKS)
    _check(value)
    return name, value


def _check(value: bytes) -> None:
    """Refuse what is not JSON; what is too deep or long to tell, the pipeline refuses by itself."""
    try:
        _check_standard(value)
    except UNDECODABLE:
        try:
            decode_json(value)
        except Reject as reject:
            if reject.code not in _UNTOLD:
                raise


def _cut(text: bytes, most: int | None = None) -> list[bytes]:
    """Cut an array or object at its own commas, whatever lies between them.

    An item may still be no JSON. But if every item is, so is the whole: no byte is lost but the
    commas and the outer brackets, and those are checked.
    """
    if text[:1] + text[-1:] not in (b"[]", b"{}"):
        raise _invalid()
    items: list[bytes] = []
    start, depth = 1, 0
    for found in _MARK.finditer(text):
        mark = found[1]
        if mark == b",":
            if depth == 1:
                items.append(text[start : found.start(1)].strip(_BLANKS))
                _count(len(items), most)
                start = found.end()
        elif mark == b'"':  # never closed; to look further would be to look again and again
            raise _invalid()
        else:
            depth += _STEPS[mark]
            if depth == 0 and found.end() != len(text):
                raise _invalid()
    if depth != 0:
        raise _invalid()
    last = text[start:-1].strip(_BLANKS)
    if items or last:
        items.append(last)
    _count(len(items), most)
    return items


def _invalid() -> Reject:
    return Reject("invalid_json", "the body is not JSON")


class _Id(msgspec.Struct, rename="camel"):
    message_id: str = ""


def id_of(raw: bytes) -> str:
    """Read a message's id alone, if it can be read; empty otherwise."""
    try:
        return msgspec.json.decode(raw, type=_Id).message_id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
