"""A vendor that takes everything, for a demo of a destination without a simulator."""

from __future__ import annotations

from collections import deque

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_KEPT = 1000


def create_recorder() -> Starlette:
    """Make an app that answers every request with 200 `{}`.

    The last requests are at `GET /_simulator/requests`, as `{"requests": [{method, path,
    body}]}`; a body that is not JSON is shown as text.
    """
    kept: deque[dict[str, object]] = deque(maxlen=_KEPT)

    async def requests(_: Request) -> JSONResponse:
        return JSONResponse({"requests": list(kept)})

    async def unknown(_: Request) -> Response:
        return Response(status_code=404)

    async def take(request: Request) -> JSONResponse:
        body = await request.body()
        kept.append({"method": request.method, "path": request.url.path, "body": _shown(body)})
        return JSONResponse({})

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return Starlette(
        routes=[
            Route("/_simulator/requests", requests),
            Route("/_simulator/{kind}", unknown),
            Route("/{path:path}", take, methods=methods),
        ]
    )


def _shown(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")
