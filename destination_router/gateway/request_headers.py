"""A header of a request, from the scope that it came with."""

from __future__ import annotations

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """Read a header, the first of its name; None if there is none.

    Starlette's `Headers` makes text of each name that it passes.

    Args:
        scope: the request's.
        name: in lower case, as all names are in a scope.
    """
    for given, value in scope["headers"]:
        if given == name:
            text: str = value.decode("latin-1")
            return text
    return None
