"""Mixpanel's side of HTTP: credentials, sizes and rates, and each endpoint's way of answering."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import random
import time
import zlib
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mixpanel_destination.simulator.faults import Fault, Faults
from mixpanel_destination.simulator.project import Project
from mixpanel_destination.simulator.rules import (
    Problem,
    event_problem,
    group_problem,
    profile_problem,
)

MOST_EVENTS = 2000
MOST_UPDATES = 2000
MOST_REQUEST_BYTES = 2_097_152
BYTES_PER_MINUTE = 2 * 10**9
MINUTE = 60.0
VERBOSE = "1"

_RATE = "Project exceeded rate limits. Please retry the request with exponential backoff."

_Judge = Callable[[Any], Problem | None]
_Keep = Callable[[dict[str, Any]], None]


def create_simulator(  # noqa: PLR0913 -- each is a setting of the project, by keyword
    token: str,
    *,
    service_account: tuple[str, str, str] | None = None,
    group_keys: Collection[str] = (),
    id_merge: str = "simplified",
    bytes_per_minute: int = BYTES_PER_MINUTE,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """Make a simulated Mixpanel with one project, as an ASGI app.

    Args:
        token: the project's.
        service_account: user name, secret and project id, where there is one.
        group_keys: those in the project's settings.
        id_merge: how it joins ids: `simplified`, `original` or `legacy`.
        bytes_per_minute: of `/import`, uncompressed, in any 60 seconds.
        clock: Unix time in seconds.
    """
    server = _Server(token, service_account, group_keys, id_merge, bytes_per_minute, clock)
    routes = [
        Route("/import", server.imports, methods=["POST"]),
        Route("/engage", server.engage, methods=["POST"]),
        Route("/groups", server.groups, methods=["POST"]),
        Route("/_simulator/faults", server.put_faults, methods=["PUT"]),
        Route("/_simulator/{kind:str}", server.held, methods=["GET"]),
    ]
    return Starlette(routes=routes)


class _Server:
    def __init__(  # noqa: PLR0913, PLR0917 -- as `create_simulator`
        self,
        token: str,
        service_account: tuple[str, str, str] | None,
        group_keys: Collection[str],
        id_merge: str,
        bytes_per_minute: int,
        clock: Callable[[], float],
    ) -> None:
        self._token = token
        self._service_account = service_account
        self._group_keys = group_keys
        self._id_merge = id_merge
        self._bytes_per_minute = bytes_per_minute
        self._clock = clock
        self._taken: deque[tuple[float, int]] = deque()
        self._requests: list[dict[str, Any]] = []
        self._faults = Faults(random.Random(7))  # noqa: S311 -- the same every time
        self._project = Project(id_merge)

    # -- Mixpanel's own paths --------------------------------------------------------------------

    async def imports(self, request: Request) -> Response:
        """Take events, and name those that are refused [reference, Import Events]."""
        return await self._answer(request, self._import)

    async def engage(self, request: Request) -> Response:
        """Take updates of user profiles; 200 whatever comes [reference, User Profiles]."""
        return await self._answer(
            request, lambda r, b: self._update(r, b, profile_problem, self._project.set_profile)
        )

    async def groups(self, request: Request) -> Response:
        """Take updates of group profiles; 200 whatever comes [reference, Group Profiles]."""

        def judge(record: Any) -> Problem | None:
            return group_problem(record, self._group_keys)

        return await self._answer(
            request, lambda r, b: self._update(r, b, judge, self._project.set_group)
        )

    # -- the read side ---------------------------------------------------------------------------

    async def held(self, request: Request) -> Response:
        """What the project holds: `users`, `events`, `accounts` (groups), `requests`, `stats`."""
        kind = request.path_params["kind"]
        kinds: dict[str, Callable[[], Any]] = {
            "users": self._project.users,
            "events": self._project.events,
            "accounts": self._project.groups,
            "requests": lambda: self._requests,
            "stats": self._project.stats,
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

    # -- inside ----------------------------------------------------------------------------------

    async def _answer(
        self, request: Request, act: Callable[[Request, bytes], Response]
    ) -> Response:
        body = await request.body()
        path = request.url.path
        fault = self._faults.take(path, body)
        if fault is None or fault.after:
            answer = act(request, body)
        if fault is not None:
            answer = _faulty(fault)
        self._requests.append({"path": path, "bytes": len(body), "status": answer.status_code})
        return answer

    def _import(self, request: Request, body: bytes) -> Response:
        if not self._is_allowed(request):
            return _error(401, "Invalid credentials")
        if request.query_params.get("strict") != "1":
            return _error(400, "this simulator knows strict=1 only")
        content = _unzipped(request, body)
        records = None if content is None else _records(request, content)
        if content is not None and len(content) > MOST_REQUEST_BYTES:
            return _error(413, f"request exceeds max limit of {MOST_REQUEST_BYTES} bytes")
        if content is None or not records or len(records) > MOST_EVENTS:
            return _error(400, f"the body must be a list of 1 to {MOST_EVENTS} events")
        now = self._clock()
        if not self._has_room(len(content), now):
            return _error(429, _RATE)
        failed = []
        for index, record in enumerate(records):
            problem = event_problem(record, now, self._token, self._id_merge)
            if problem is None:
                self._project.store_event(record, now)
            else:
                failed.append(
                    {"index": index, "insert_id": _insert_id(record), **problem._asdict()}
                )
        told = {"code": 200, "num_records_imported": len(records) - len(failed), "status": "OK"}
        if not failed:
            return JSONResponse(told)
        error = "some data points in the request failed validation"
        told |= {"code": 400, "error": error, "status": "Bad Request", "failed_records": failed}
        return JSONResponse(told, 400)

    def _update(self, request: Request, body: bytes, judge: _Judge, keep: _Keep) -> Response:
        records = _json(body)
        if request.headers.get("content-encoding") or not isinstance(records, list):
            return _verdict(request, "the body must be a JSON list, not compressed")
        if not 1 <= len(records) <= MOST_UPDATES:
            return _verdict(request, f"the list must have 1 to {MOST_UPDATES} updates")
        problems = [judge(record) for record in records]
        for record, problem in zip(records, problems, strict=True):
            if problem is None and record["$token"] == self._token:
                keep(record)
            elif problem is None:
                self._project.counts["foreign"] += 1  # answered with 1 all the same
        found = [problem.message for problem in problems if problem is not None]
        return _verdict(request, found[0] if found else None)

    def _is_allowed(self, request: Request) -> bool:
        """A service account with its project, or the token with an empty password and none."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        project = request.query_params.get("project_id")
        allowed = [(self._token, "", None), self._service_account]
        return scheme == "Basic" and (user, password, project) in allowed

    def _has_room(self, size: int, now: float) -> bool:
        while self._taken and self._taken[0][0] <= now - MINUTE:
            self._taken.popleft()
        if size + sum(taken for _, taken in self._taken) > self._bytes_per_minute:
            return False
        self._taken.append((now, size))
        return True


def _faulty(fault: Fault) -> Response:
    if fault.body is not None:
        return Response(fault.body, fault.status)
    return _error(fault.status, "a fault on demand")


def _error(status: int, error: str) -> Response:
    return JSONResponse({"code": status, "error": error, "status": "Error"}, status)


def _verdict(request: Request, error: str | None) -> Response:
    status = 0 if error else 1
    if request.query_params.get("verbose") == VERBOSE:
        return JSONResponse({"status": status, "error": error})
    return PlainTextResponse(str(status))


def _unzipped(request: Request, body: bytes) -> bytes | None:
    if request.headers.get("content-encoding") != "gzip":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return None


def _records(request: Request, content: bytes) -> list[Any] | None:
    if request.headers.get("content-type") == "application/x-ndjson":
        lines = [_json(line) for line in content.splitlines() if line.strip()]
        return None if None in lines else lines
    found = _json(content)
    return found if isinstance(found, list) else None


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _insert_id(record: Any) -> Any:
    properties = record.get("properties") if isinstance(record, dict) else None
    return properties.get("$insert_id") if isinstance(properties, dict) else None
