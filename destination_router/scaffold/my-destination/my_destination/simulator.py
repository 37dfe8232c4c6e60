"""A stand-in for the vendor: it keeps what the vendor would keep, and refuses what it would refuse.

It shares no code with the plugin: a mistake there must not hide behind the same mistake here.
"""

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def create_simulator(api_key: str) -> Starlette:
    """Make the vendor's API as an ASGI app; what it holds is served under `/_simulator`."""
    users: dict[str, Any] = {}
    events: dict[str, Any] = {}

    async def take_user(request: Request) -> JSONResponse:
        body = await _read(request, api_key, ("user", "traits"))
        users[body["user"]] = {**users.get(body["user"], {}), **body["traits"]}
        return JSONResponse({})

    async def take_event(request: Request) -> JSONResponse:
        body = await _read(request, api_key, ("id", "user", "event", "properties"))
        events.setdefault(body["id"], body)
        return JSONResponse({})

    async def held_users(_: Request) -> JSONResponse:
        rows = [{"user": user, "traits": traits} for user, traits in users.items()]
        return JSONResponse({"users": rows})

    async def held_events(_: Request) -> JSONResponse:
        return JSONResponse({"events": list(events.values())})

    return Starlette(
        routes=[
            Route("/users", take_user, methods=["POST"]),
            Route("/events", take_event, methods=["POST"]),
            Route("/_simulator/users", held_users),
            Route("/_simulator/events", held_events),
        ]
    )


async def _read(request: Request, api_key: str, required: tuple[str, ...]) -> dict[str, Any]:
    if request.headers.get("authorization") != f"Bearer {api_key}":
        raise HTTPException(401, "the API key is wrong")
    body = await request.json()
    missing = [name for name in required if body.get(name) is None]
    if missing:
        raise HTTPException(400, f"missing: {', '.join(missing)}")
    return dict(body)
