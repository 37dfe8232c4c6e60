"""A door before the simulated vendor, one for each worker: who sent what, when, and how it went."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter

import httpx
from starlette.requests import Request
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
        longest_pause: the longest time between two requests that were taken, in seconds.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[int, float]] = []
        self.taken: Counter[bytes] = Counter()
        self.delay = 0.0
        self.longest_pause = 0.0
        self._taken_at: float | None = None

    @property
    def redelivered(self) -> int:
        """How many events were sent again that had been taken."""
        return sum(count - 1 for count in self.taken.values())

    def note(self, body: bytes) -> None:
        """Note that the vendor took a request."""
        now = time.monotonic()
        if self._taken_at is not None:
            self.longest_pause = max(self.longest_pause, now - self._taken_at)
        self._taken_at = now
        self.taken.update(_KEYS.findall(body))


class VendorDoor:
    """One worker's: an ASGI app.

    Args:
        worker: its number.
        vendor: the simulator's URL.
        watch: sees what passes.
        patience: how long a sender waits for an answer, in seconds: a later one tells it nothing.
    """

    def __init__(self, worker: int, vendor: str, watch: Watch, patience: float = 2.0) -> None:
        self._patience = patience
        self._worker = worker
        self._watch = watch
        self._client = httpx.AsyncClient(base_url=vendor, timeout=30)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        begun = time.monotonic()
        self._watch.requests.append((self._worker, begun))
        await asyncio.sleep(self._watch.delay)
        headers = {"content-type": request.headers.get("content-type", "application/json")}
        try:
            answer = await self._client.request(
                request.method, request.url.path, content=body, headers=headers
            )
        except httpx.TransportError:  # the vendor hung up: as good as a failure
            await Response(status_code=502)(scope, receive, send)
            return
        if answer.status_code < _OK and time.monotonic() - begun < self._patience:
            self._watch.note(body)
        kept = {name: answer.headers[name] for name in ("retry-after",) if name in answer.headers}
        await Response(answer.content, answer.status_code, kept)(scope, receive, send)
