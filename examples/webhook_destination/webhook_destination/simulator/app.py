"""The receiver's side of HTTP: methods, credentials, signatures, sizes, and what it answers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from webhook_destination.simulator.bodies import BodyError, events_of, unpacked
from webhook_destination.simulator.faults import Fault, Faults
from webhook_destination.simulator.promise import Promise
from webhook_destination.simulator.store import Store

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
WITHOUT_BODY = frozenset({"GET", "DELETE"})


def create_simulator(promise: Promise) -> Starlette:
    """Make a simulated receiver, as an ASGI app: every path of it takes events.

    What it has stands at `GET /_simulator/{kind}`: `events`, `users`, `accounts`, `everything`,
    `requests`, `stats`. `PUT /_simulator/faults` makes it fail.
    """
    server = _Server(promise)
    routes = [
        Route("/_simulator/faults", server.put_faults, methods=["PUT"]),
        Route("/_simulator/{kind:str}", server.held, methods=["GET"]),
        Route("/{path:path}", server.receive, methods=METHODS),
    ]
    return Starlette(routes=routes)


class _Server:
    def __init__(self, promise: Promise) -> None:
        self._promise = promise
        self._store = Store()
        self._requests: list[dict[str, Any]] = []
        self._faults = Faults(random.Random(7))  # noqa: S311 -- the same every time

    async def receive(self, request: Request) -> Response:
        """Take what was promised."""
        body = await request.body()
        path = request.url.path
        fault = self._faults.take(path, body)
        if fault is None or fault.after:
            answer = self._taken(request, body)
        if fault is not None:
            answer = Response(fault.body or "a fault on demand", fault.status)
        told = {"method": request.method, "path": path, "query": request.url.query}
        self._requests.append({**told, "bytes": len(body), "status": answer.status_code})
        return answer

    async def held(self, request: Request) -> Response:
        """What the receiver has."""
        kind = request.path_params["kind"]
        kinds: dict[str, Callable[[], Any]] = {
            "events": self._store.events,
            "users": self._store.users,
            "accounts": self._store.accounts,
            "everything": self._store.everything,
            "requests": lambda: self._requests,
            "stats": lambda: dict(self._store.counts),
        }
        if kind not in kinds:
            return PlainTextResponse("Not Found", 404)
        return JSONResponse({kind: kinds[kind]()})

    async def put_faults(self, request: Request) -> Response:
        """Put faults in force, in place of those that are: a list of `Fault`."""
        try:
            self._faults.put(msgspec.json.decode(await request.body(), type=list[Fault]))
        except msgspec.MsgspecError as error:
            return PlainTextResponse(str(error), 400)
        return JSONResponse({})

    def _taken(self, request: Request, body: bytes) -> Response:
        promise = self._promise
        if request.method != promise.method:
            return _error(405, f"send by {promise.method}")
        if not self._knows(request):
            return _error(401, "the credentials are wrong")
        if promise.method in WITHOUT_BODY:
            if body:
                return _error(400, "there is a body")
            return JSONResponse({"taken": 1})
        try:
            content = unpacked(body, request.headers.get("content-encoding", ""))
            if not self._is_signed(request, content):
                return _error(401, "the signature is wrong")
            if promise.max_bytes is not None and len(content) > promise.max_bytes:
                return _error(413, f"send at most {promise.max_bytes} bytes")
            events = events_of(content, request.headers.get("content-type", ""), promise)
        except BodyError as error:
            return _error(400, str(error))
        for event in events:
            self._store.keep(event)
        return JSONResponse({"taken": len(events)})

    def _knows(self, request: Request) -> bool:
        promise = self._promise
        given = request.headers.get("authorization", "")
        if promise.basic is not None:
            user = ":".join(promise.basic).encode()
            if given != f"Basic {base64.b64encode(user).decode()}":
                return False
        if promise.bearer is not None and given != f"Bearer {promise.bearer}":
            return False
        return all(request.headers.get(name) == value for name, value in promise.headers.items())

    def _is_signed(self, request: Request, content: bytes) -> bool:
        promise = self._promise
        if promise.secret is None:
            return True
        made = hmac.new(promise.secret.encode(), content, getattr(hashlib, promise.algorithm))
        text = made.hexdigest()
        if promise.encoding == "base64":
            text = base64.b64encode(made.digest()).decode()
        given = request.headers.get(promise.signature_header, "")
        return hmac.compare_digest(given.encode(), (promise.prefix + text).encode())


def _error(status: int, words: str) -> Response:
    return JSONResponse({"error": words}, status)
