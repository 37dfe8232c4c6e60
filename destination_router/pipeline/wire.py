"""Cuts wire JSON: a request's body into events, and an event into its members.

It decodes only what it must, so each piece is byte for byte what the sender wrote. Standard JSON
takes the fast road. The variants that real senders write (`NaN`, half a character, bytes that are
not UTF-8) and JSON that is nested too deeply to decode are cut at their commas. So one such event
costs its neighbours nothing.
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
    """The events of a batch. Everything beside them is skipped."""

    batch: list[msgspec.Raw]


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_members: Callable[[bytes], dict[str, msgspec.Raw]] = msgspec.json.Decoder(
    dict[str, msgspec.Raw]
).decode
_check_standard = msgspec.json.Decoder(msgspec.Raw).decode

_UNTOLD = frozenset({"too_deep", "too_many_digits"})
"""Codes that reject only one event: the body that holds it may still be JSON."""

_BLANKS = b" \t\n\r"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_MARK = re.compile(rb'(?:[^"\[\]{},]++|' + _STRING + rb')*+([\[\]{},"])', re.DOTALL)
_BATCH_DEPTH = 2
"""The depth at which commas separate events: within an array within the body's object."""

_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_MEMBER = re.compile(rb"[ \t\n\r]*(" + _STRING + rb")[ \t\n\r]*:(.*)", re.DOTALL)


def split_batch(body: bytes, most: int | None = None) -> list[bytes]:
    """Cut `{"batch": [event, ...]}` into its events. Other keys are discarded.

    It follows rudder-server's gateway: a `batch` that is no array is one event, and a body whose
    `batch` is missing or null holds none.

    Args:
        body: the request's body, unpacked.
        most: how many events it may hold; None: any number.

    Returns:
        At least one event, as it was written. Not every one is certain to be JSON: `members`
        checks those that were not decoded.

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
    """Cut a batch as `split_batch` does if that is quick; None if it may take a while.

    Args:
        body: the request's body, unpacked.
        most: more events than this also take a while.
    """
    try:
        raw_events = _decode_batch(body).batch
    except UNDECODABLE:
        return None
    return [bytes(event) for event in raw_events] if 0 < len(raw_events) <= most else None


def split_list(text: bytes) -> list[bytes]:
    """Cut a JSON array into its items, each as it was written. An item may itself be no JSON.

    Raises:
        Reject: `invalid_json`: it is no array.
    """
    text = text.strip(_BLANKS)
    if not text.startswith(b"["):
        raise _invalid()
    return _items(text)


def members(event: bytes) -> dict[str, bytes]:
    """Cut an event into its fields: each name, with its value as it was written.

    If a field is there twice, the last counts.

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

    It looks no further than it must. Other functions report any other fault of the body.

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
    """Refuse a value that is not JSON. The pipeline itself refuses one too deep or long to tell."""
    try:
        _check_standard(value)
    except UNDECODABLE:
        try:
            decode_json(value)
        except Reject as reject:
            if reject.code not in _UNTOLD:
                raise


def _cut(text: bytes, most: int | None = None) -> list[bytes]:
    """Cut an array or object at its own commas, whatever is between them.

    An item may still be no JSON. But if every item is JSON, so is the whole: the cut removes only
    the commas and the outer brackets, and it checks those.
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
        elif mark == b'"':  # never closed: each further search would begin again
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
    """Read only a message's id; empty if it cannot be read."""
    try:
        return msgspec.json.decode(raw, type=_Id).message_id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
