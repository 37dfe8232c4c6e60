"""The values in a message or a request, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from destination_router import HttpRequest


def scalars(request: HttpRequest) -> Iterator[Any]:
    """Walk through a request's query and body: every scalar and empty container, in order."""
    for part in (request.params, request.form, request.json):
        if part:
            yield from (value for _, value in leaves(part, ""))


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
