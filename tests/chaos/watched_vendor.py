"""A door before the simulated vendor, one for each worker: who sent what, when, and how it went."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_KEYS = re.compile(rb'"idempotency_key":"([^"]+)"')
_OK = 300


class Watch:
    """What all doors saw.

    Attributes:
        requests: the worker and the time of each request, in their order.
        taken: how often each event was taken by the vendor, and its sender told so.
        delay: how long each request waits at the door, in seconds.
        holds_next: whether the next request waits while all others pass; then it is `held`.
        held: whose request waits, and what ends that: the vendor never gets it.
        taken_at: when the vendor took requests; `time.monotonic`, ascending.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[int, float]] = []
        self.taken: Counter[bytes] = Counter()
        self.delay = 0.0
        self.holds_next = False
        self.held: tuple[int, asyncio.Event] | None = None
        self.taken_at: list[float] = []

    @property
    def pauses(self) -> Iterator[tuple[float, float]]:
        """From when to when the vendor took nothing: between each two requests that it took."""
        return pairwise(self.taken_at)

    @property
    def redelivered(self) -> int:
        """How many events were sent again that had been taken."""
        return sum(count - 1 for count in self.taken.values())

    def note(self, body: bytes) -> None:
        """Note that the vendor took a request."""
        self.taken_at.append(time.monotonic())
        self.taken.update(_KEYS.findall(body))


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
        self._watch.requests.append((self._worker, begun))
        if self._watch.holds_next:
            is_over = asyncio.Event()
            self._watch.holds_next, self._watch.held = False, (self._worker, is_over)
            await is_over.wait()
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
            self._watch.note(body)
        kept = {name: answer.headers[name] for name in ("retry-after",) if name in answer.headers}
        await Response(answer.content, answer.status_code, kept)(scope, receive, send)
