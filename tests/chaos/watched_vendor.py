"""A door before the simulated vendor, one for each worker: who sent what, when, and how it went."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import httpx
from starlette.datastructures import Address
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_KEYS = re.compile(rb'"idempotency_key":"([^"]+)"')
_OK = 300


class Hold:
    """A request that waits at the door while all others pass. The vendor never gets it.

    Whatever has one of its events waits, too: the worker that gives the request up sends them
    again, and they shall stay undone.

    Args:
        worker: whose request it is.
        keys: its events.
    """

    def __init__(self, worker: int, keys: frozenset[bytes]) -> None:
        self.worker = worker
        self._keys = keys
        self._is_over = asyncio.Event()

    def has(self, keys: frozenset[bytes]) -> bool:
        """Say whether a request has to wait."""
        return not self._is_over.is_set() and not self._keys.isdisjoint(keys)

    def end(self) -> None:
        """Let what waits end."""
        self._is_over.set()

    async def over(self) -> None:
        """Wait until the end."""
        await self._is_over.wait()


class Watch:
    """What all doors saw.

    Attributes:
        requests: the worker and the time of each request, in their order.
        taken: how often each event was taken by the vendor, and its sender told so.
        heard: the events of answers that their senders have read for sure, as the next request came
            through the same connection; and when their own request came, Unix time.
        committed: events that a commit of the group held; who looks at the group adds them.
        again: those of them that a later request had.
        woken: a worker that was stopped and may be late: its requests add nothing to `again`.
        delay: how long each request waits at the door, in seconds.
        holds_next: whether the next request with events waits while all others pass.
        held: that request.
        taken_at: when the vendor took requests; `time.monotonic`, ascending.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[int, float]] = []
        self.taken: Counter[bytes] = Counter()
        self.heard: dict[bytes, float] = {}
        self.committed: set[bytes] = set()
        self.again: set[bytes] = set()
        self.woken: int | None = None
        self.delay = 0.0
        self.holds_next = False
        self.held: Hold | None = None
        self.taken_at: list[float] = []

    @property
    def pauses(self) -> Iterator[tuple[float, float]]:
        """From when to when the vendor took nothing: between each two requests that it took."""
        return pairwise(self.taken_at)

    @property
    def latest_worker(self) -> int:
        """Whose the latest request was; the first worker, if none has come."""
        return self.requests[-1][0] if self.requests else 0

    def arrived(self, worker: int, keys: frozenset[bytes]) -> Hold | None:
        """Note a request of a worker with events; what it has to wait for, if it has to."""
        self.requests.append((worker, time.monotonic()))
        if worker != self.woken:
            self.again |= self.committed & keys
        if self.holds_next and keys:
            self.holds_next, self.held = False, Hold(worker, keys)
        return self.held if self.held is not None and self.held.has(keys) else None

    def took(self, keys: frozenset[bytes]) -> None:
        """Note that the vendor took a request with events."""
        self.taken_at.append(time.monotonic())
        self.taken.update(keys)


class VendorDoor:
    """One worker's: an ASGI app.

    Args:
        worker: its number.
        vendor: the simulator's URL.
        client: asks it.
        watch: sees what passes.
        patience: how long a sender waits for an answer, in seconds: a later one tells it nothing.
    """

    def __init__(
        self,
        worker: int,
        vendor: str,
        client: httpx.AsyncClient,
        watch: Watch,
        patience: float = 2.0,
    ) -> None:
        self._patience = patience
        self._worker = worker
        self._watch = watch
        self._vendor = vendor
        self._client = client
        self._answered: dict[Address | None, dict[bytes, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:  # the worker was killed
            return
        begun = time.monotonic()
        keys = frozenset(_KEYS.findall(body))
        asked_at = dict.fromkeys(keys, time.time())
        self._watch.heard |= self._answered.pop(request.client, {})
        if (hold := self._watch.arrived(self._worker, keys)) is not None:
            await hold.over()
            await Response(status_code=503)(scope, receive, send)
            return
        await asyncio.sleep(self._watch.delay)
        headers = {"content-type": request.headers.get("content-type", "application/json")}
        try:
            answer = await self._client.request(
                request.method, f"{self._vendor}{request.url.path}", content=body, headers=headers
            )
        except httpx.TransportError:  # the vendor hung up: as good as a failure
            await Response(status_code=502)(scope, receive, send)
            return
        if answer.status_code < _OK and time.monotonic() - begun < self._patience:
            self._watch.took(keys)
            self._answered[request.client] = asked_at
        kept = {name: answer.headers[name] for name in ("retry-after",) if name in answer.headers}
        await Response(answer.content, answer.status_code, kept)(scope, receive, send)
