"""The values in a message or a request, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from destination_router import HttpRequest


def scalars(request: HttpRequest) -> Iterator[Any]:
    """Walk through a request's query and body: every scalar and empty container, in order.

    JSON that stands as text in a form's field is walked through too.
    """
    form = {name: field_json(text) for name, text in (request.form or {}).items()}
    for part in (request.params, form, request.json):
        if part:
            yield from (value for _, value in leaves(part, ""))


def field_json(text: str) -> Any:
    """Read the object or list that a form's field holds as JSON; any other text is itself."""
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
