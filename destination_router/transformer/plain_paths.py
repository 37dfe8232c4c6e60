"""One spelling of each path, so that nothing of ours goes upstream by another one.

RudderStack's transformer reads `/deleteUsers/` and `/DELETEUSERS` as `/deleteUsers` (its router is
koa-router: https://github.com/koajs/router, `strict` and `sensitive` are off), and our own client
takes `x/..` out of what it passes on. What such a request holds is ours to answer, and may be what
a connection in HIPAA mode has to mask.
"""

from __future__ import annotations

import posixpath

from starlette.types import ASGIApp, Receive, Scope, Send


class PlainPaths:
    """Routes by the plain path; what is passed on upstream keeps its own (`raw_path`).

    Args:
        app: whose routes are in lower case.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request under its plain path."""
        if scope["type"] == "http":
            scope = {**scope, "path": plain_path(scope["path"])}
        await self._app(scope, receive, send)


def plain_path(path: str) -> str:
    """Write a path in lower case, without `.`, `..` and slashes that separate nothing."""
    return posixpath.normpath("/" + path.lstrip("/")).casefold()
