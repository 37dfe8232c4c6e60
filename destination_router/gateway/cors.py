"""Lets browsers send from any page, as rudder-server's gateway does: the write key decides."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from destination_router.gateway.request_headers import header

_METHODS = frozenset({"GET", "POST", "HEAD"})
_MAX_AGE_SECONDS = 900
_VARIES = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Cors:
    """ASGI middleware: any origin is reflected, credentials and all headers are allowed.

    Args:
        app: what answers everything but preflights.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or let the app answer and say that its answer may be read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = header(scope, b"origin")
        if scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            asked = headers.get("access-control-request-method")
            if asked is not None:
                await _preflight(headers, origin, asked)(scope, receive, send)
                return

        if origin is None:
            await self._app(scope, receive, send)
            return

        async def allowing(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["Access-Control-Allow-Origin"] = origin
                answer["Access-Control-Allow-Credentials"] = "true"
                answer.add_vary_header("Origin")
            await send(message)

        await self._app(scope, receive, allowing)


def _preflight(headers: Headers, origin: str | None, asked: str) -> Response:
    """Answer 204, whatever is asked; only what is allowed is said to be."""
    answer = {"Vary": _VARIES}
    if origin is not None and asked.upper() in _METHODS:
        answer |= {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": asked.upper(),
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
        }
        wanted = headers.get("access-control-request-headers")
        if wanted:
            answer["Access-Control-Allow-Headers"] = wanted
    return Response(status_code=204, headers=answer)
