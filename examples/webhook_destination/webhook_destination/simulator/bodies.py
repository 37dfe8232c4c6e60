"""A body → the events in it; or what is wrong with it."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any
from urllib.parse import parse_qsl

from webhook_destination.simulator.promise import Promise

CALLS = frozenset({"identify", "track", "page", "screen", "group", "alias"})


class BodyError(ValueError):
    """A body that the receiver cannot read; the text says why."""


def unpacked(body: bytes, encoding: str) -> bytes:
    """Undo gzip.

    Raises:
        BodyError: it is packed otherwise, or not at all.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise BodyError("the encoding is unknown")
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        raise BodyError("the body is no gzip") from None


def events_of(body: bytes, content_type: str, promise: Promise) -> list[dict[str, Any]]:
    """Read the events of a body.

    Raises:
        BodyError: it is of another form than was promised.
    """
    events: list[Any]
    match promise.body:
        case "form":
            events = [_of_form(body, content_type)]
        case "ndjson":
            events = _of_lines(body)
        case _:
            events = _of_json(body, promise)
    if not events or len(events) > (promise.max_events or 1):
        raise BodyError(f"there are {len(events)} events in it")
    for event in events:
        if not isinstance(event, dict) or event.get("type") not in CALLS:
            raise BodyError("an event has no type")
        if not isinstance(event.get("messageId"), str):
            raise BodyError("an event has no messageId")
    return events


def _of_form(body: bytes, content_type: str) -> dict[str, Any]:
    if not content_type.startswith("application/x-www-form-urlencoded"):
        raise BodyError("it is no form")
    fields = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
    return {name: _value(text) for name, text in fields}


def _value(text: str) -> Any:
    """Read a field that holds JSON, as an object or a list in it does."""
    try:
        return _json(text.encode()) if text.startswith(("{", "[")) else text
    except BodyError:
        return text


def _of_lines(body: bytes) -> list[Any]:
    *lines, end = body.split(b"\n")
    if end:
        raise BodyError("the last line has no end")
    return [_json(line) for line in lines]


def _of_json(body: bytes, promise: Promise) -> list[Any]:
    found = _json(body)
    if isinstance(found, list) != (promise.max_events is not None):
        raise BodyError("an array, or none, where it was promised otherwise")
    return found if isinstance(found, list) else [found]


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise BodyError("it is no JSON") from None
