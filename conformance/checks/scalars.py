"""The values in a request, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from destination_router import HttpRequest


def scalars(request: HttpRequest) -> Iterator[Any]:
    """Walk through a request's body and query: every scalar, in order."""
    yield from values(request.params)
    yield from values(request.form)
    yield from values(request.json)


def values(value: Any) -> Iterator[Any]:
    """Walk through a JSON value: every scalar, in order; an absent body has none."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from values(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from values(item)
    elif value is not None:
        yield value


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Walk through a message's value: every scalar, and every empty container, with its path."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}.{index}")
    else:
        yield path, value
