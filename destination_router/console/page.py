"""The type of a console page: a path, who may ask for it, and what answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from destination_router.console.sessions import Session

Handler = Callable[[Request], Awaitable[Response]]


class Page(msgspec.Struct, frozen=True):
    """One path.

    Attributes:
        path: as Starlette writes it.
        answer: answers a person who is signed in.
        acts: whether it takes POST and changes something, which only an operator may do.
    """

    path: str
    answer: Handler
    acts: bool = False


def session_of(request: Request) -> Session:
    """Return the session of a request."""
    session: Session = request.state.session
    return session
