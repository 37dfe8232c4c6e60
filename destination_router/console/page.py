"""What a page of the console is: a path, who may ask for it, and what answers."""

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
        answer: answers whoever is signed in.
        acts: whether it is posted to and changes something: only an operator may.
    """

    path: str
    answer: Handler
    acts: bool = False


def session_of(request: Request) -> Session:
    """Say who asks."""
    session: Session = request.state.session
    return session
