"""Walk through the values of a message or a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from destination_router import HttpRequest


def scalars(request: HttpRequest) -> Iterator[Any]:
    """Walk through a request's query and body: every scalar and empty container, in order.

    It also reads JSON in the text of a form's field.
    """
    for part in (request.params, read_body(request)):
        if part:
            yield from (value for _, value in leaves(part, ""))


def read_body(request: HttpRequest) -> Any:
    """Read a request's body: JSON, a form, lines of JSON, or other text.

    Each field of a form, and each line, is read as JSON if it holds JSON.
    """
    if request.content is not None:
        return _read_content(request.content.decode("utf-8", "replace"), request.content_type)
    if request.form is not None:
        return {name: field_json(text) for name, text in request.form.items()}
    return request.json


def is_opaque(request: HttpRequest) -> bool:
    """Tell whether the suite cannot read a body of this type: XML, Protocol Buffers."""
    return isinstance(read_body(request), str) and request.content is not None


def _read_content(text: str, content_type: str) -> Any:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return {name: field_json(value) for name, value in parse_qsl(text, keep_blank_values=True)}
    try:
        if kind in _LINES:
            return [msgspec.json.decode(line) for line in text.split("\n") if line.strip()]
        if kind == "application/json" or kind.endswith("+json"):
            return msgspec.json.decode(text)
    except msgspec.DecodeError:
        pass
    return text


_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
"""Content types whose body is one JSON value a line."""


def field_json(text: str) -> Any:
    """Read the object or list that a form's field holds as JSON. Other text stays as it is."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Walk through a JSON value: every scalar and empty container, with its path."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}.{index}")
    else:
        yield path, value
