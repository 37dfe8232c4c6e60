"""The read side, under `/_simulator`: what Heap holds, what came in, and which faults are in force.

Lists take `?limit=N`, the latest N, and where they have such fields `?app_id=` and `?identity=`.
A query or a fault that makes no sense is answered 400 with the reason as text.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heap_destination.simulator.faults import Fault
from heap_destination.simulator.heap import SimulatedHeap


class Inspection:
    """The endpoints of the read side, for one simulated Heap."""

    def __init__(self, heap: SimulatedHeap) -> None:
        self._heap = heap

    def routes(self) -> list[Route]:
        """One line per endpoint."""
        return [
            Route("/users", self.users, methods=["GET"]),
            Route("/events", self.events, methods=["GET"]),
            Route("/accounts", self.accounts, methods=["GET"]),
            Route("/ignored", self.ignored, methods=["GET"]),
            Route("/requests", self.requests, methods=["GET"]),
            Route("/stats", self.stats, methods=["GET"]),
            Route("/state", self.reset, methods=["DELETE"]),
            Route("/faults", self.faults, methods=["GET"]),
            Route("/faults", self.add_faults, methods=["POST"]),
            Route("/faults", self.replace_faults, methods=["PUT"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
        ]

    async def users(self, request: Request) -> Response:
        """`{"users": [...]}`."""
        query = request.query_params
        rows = self._heap.users(query.get("app_id"), query.get("identity"))
        return _json({"users": _latest(rows, request)})

    async def events(self, request: Request) -> Response:
        """`{"events": [...]}`, in the order they arrived."""
        query = request.query_params
        rows = self._heap.events(query.get("app_id"), query.get("identity"))
        return _json({"events": _latest(rows, request)})

    async def accounts(self, request: Request) -> Response:
        """`{"accounts": [...]}`."""
        rows = self._heap.accounts(request.query_params.get("app_id"))
        return _json({"accounts": _latest(rows, request)})

    async def ignored(self, request: Request) -> Response:
        """`{"ignored": [...]}`: merges that Heap drops in silence, oldest first."""
        return _json({"ignored": _latest(self._heap.ignored(), request)})

    async def requests(self, request: Request) -> Response:
        """`{"requests": [...]}`, oldest first."""
        return _json({"requests": _latest(self._heap.requests(), request)})

    async def stats(self, _: Request) -> Response:
        """The counts of `SimulatedHeap.stats`."""
        return _json(self._heap.stats())

    async def reset(self, _: Request) -> Response:
        """Forget all data, requests and counts; faults stay in force."""
        self._heap.reset()
        return _json({})

    async def faults(self, _: Request) -> Response:
        """`{"faults": [...]}`, those in force."""
        return _json({"faults": list(self._heap.faults)})

    async def add_faults(self, request: Request) -> Response:
        """Put one fault, or an array of them, in force; answers all that now are."""
        for fault in await _faults(request):
            self._heap.faults.add(fault)
        return await self.faults(request)

    async def replace_faults(self, request: Request) -> Response:
        """Put one fault, or an array of them, in force in place of all others, at one moment."""
        faults = await _faults(request)
        self._heap.faults.clear()
        for fault in faults:
            self._heap.faults.add(fault)
        return await self.faults(request)

    async def clear_faults(self, _: Request) -> Response:
        """Let everything work again."""
        self._heap.faults.clear()
        return _json({})


async def _faults(request: Request) -> list[Fault]:
    try:
        sent = msgspec.json.decode(await request.body(), type=Fault | list[Fault])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HTTPException(400, str(error)) from None
    return [sent] if isinstance(sent, Fault) else sent


def _latest(rows: Iterable[Any], request: Request) -> list[Any]:
    limit = request.query_params.get("limit")
    if limit is None:
        return list(rows)
    try:
        latest = deque(rows, maxlen=int(limit))
    except (ValueError, OverflowError):
        raise HTTPException(400, "limit should be a whole number, not negative") from None
    return list(latest)


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
