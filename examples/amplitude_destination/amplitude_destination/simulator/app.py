"""The simulator as an ASGI app: Amplitude's paths and, under `/_simulator`, what came of it."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amplitude_destination.simulator.amplitude import SimulatedAmplitude
from amplitude_destination.simulator.faults import Fault, Faults

_KEPT_REQUESTS = 1000


class _Flags(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom Amplitude takes for spam."""

    silenced: set[str] = set()
    over_quota: set[str] = set()


def create_simulator(
    api_key: str,
    *,
    clock: Callable[[], float] = time.time,
    chance: random.Random | None = None,
) -> Starlette:
    """Make a simulated Amplitude.

    Its `state.amplitude` is the project, `state.faults` the faults, and `state.answers` counts the
    answers of each path and status.

    Args:
        api_key: the project's; every other is refused.
        clock: Unix time in seconds.
        chance: where a fault's `share` is drawn from.
    """
    server = _Server(api_key, clock, chance or random.Random())  # noqa: S311 -- no cryptography
    app = Starlette(
        routes=[
            Route("/_simulator/users", server.users),
            Route("/_simulator/events", server.events),
            Route("/_simulator/accounts", server.accounts),
            Route("/_simulator/mappings", server.mappings),
            Route("/_simulator/requests", server.requests),
            Route("/_simulator/stats", server.stats),
            Route("/_simulator/flags", server.flag, methods=["POST"]),
            Route("/_simulator/faults", server.add_faults, methods=["POST"]),
            Route("/_simulator/faults", server.clear_faults, methods=["DELETE"]),
            Route("/{path:path}", server.ingest, methods=["POST"]),
        ]
    )
    app.state.amplitude = server.amplitude
    app.state.faults = server.faults
    app.state.answers = server.answers
    return app


class _Server:
    """The endpoints."""

    def __init__(self, api_key: str, clock: Callable[[], float], chance: random.Random) -> None:
        self.amplitude = SimulatedAmplitude(api_key, clock)
        self.faults = Faults(chance)
        self._requests: deque[dict[str, Any]] = deque(maxlen=_KEPT_REQUESTS)
        self.answers: Counter[str] = Counter()

    async def ingest(self, request: Request) -> Response:
        """Answer as Amplitude would, or as a fault says."""
        path, body = request.url.path, await request.body()
        kind = request.headers.get("content-type", "")
        fault = self.faults.take(path, body)
        if fault is None or fault.after:
            answer = self.amplitude.answer(path, kind, body)
        if fault is not None:
            response = Response(fault.body, fault.status, fault.headers)
        elif isinstance(answer.body, str):
            response = Response(answer.body, answer.status)
        else:
            response = _json(answer.body, answer.status)
        self._requests.append({"path": path, "bytes": len(body), "status": response.status_code})
        self.answers[f"{path} {response.status_code}"] += 1
        return response

    async def users(self, _: Request) -> Response:
        """`{"users": [...]}`."""
        return _rows("users", self.amplitude.store.users())

    async def events(self, _: Request) -> Response:
        """`{"events": [...]}`, in the order in which they came."""
        return _rows("events", self.amplitude.store.events())

    async def accounts(self, _: Request) -> Response:
        """`{"accounts": [...]}`: the groups."""
        return _rows("accounts", self.amplitude.store.accounts())

    async def mappings(self, _: Request) -> Response:
        """`{"mappings": {user_id: global_user_id}}`."""
        return _json({"mappings": self.amplitude.store.mappings})

    async def requests(self, _: Request) -> Response:
        """`{"requests": [...]}`: path, size and status of the latest."""
        return _rows("requests", self._requests)

    async def stats(self, _: Request) -> Response:
        """How many answers there were of each kind, repeats by insert_id, and texts to be cut."""
        store = self.amplitude.store
        counts = {"duplicates": store.duplicates, "truncated": store.truncated}
        return _json({"answers": self.answers, "events": len(list(store.events())), **counts})

    async def flag(self, request: Request) -> Response:
        """Take `{"silenced": [devices], "over_quota": [ids]}` for spam from now on."""
        flags = _read(await request.body(), _Flags)
        self.amplitude.silenced = set(flags.silenced)
        self.amplitude.over_quota = set(flags.over_quota)
        return _json({})

    async def add_faults(self, request: Request) -> Response:
        """Put an array of faults in force."""
        self.faults.rules += _read(await request.body(), list[Fault])
        return _json({"faults": self.faults.rules})

    async def clear_faults(self, _: Request) -> Response:
        """Let everything work again."""
        self.faults.rules.clear()
        return _json({})


def _read(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise HTTPException(400, str(error)) from None


def _rows(name: str, rows: Iterable[Any]) -> Response:
    return _json({name: list(rows)})


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
