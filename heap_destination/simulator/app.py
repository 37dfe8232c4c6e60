"""Puts the simulator together: Heap's own paths, and beside them the read side."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.routing import Mount

from heap_destination.simulator.deletions import API_KEY
from heap_destination.simulator.heap import SimulatedHeap
from heap_destination.simulator.inspection import Inspection
from heap_destination.simulator.server import HeapServer

KEEP_REQUESTS = 10_000
KEEP_REQUEST_BYTES = 64 * 2**20
DELETION_SECONDS = 1.0


def create_simulator(  # noqa: PLR0913 (each is a setting, by keyword)
    *,
    rate_limits: bool = True,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    chance: random.Random | None = None,
    keep_requests: int = KEEP_REQUESTS,
    keep_request_bytes: int = KEEP_REQUEST_BYTES,
    api_key: str = API_KEY,
    deletion_seconds: float = DELETION_SECONDS,
) -> Starlette:
    """Make a simulated Heap as an ASGI app; its `state.heap` is the `SimulatedHeap` behind it.

    Args:
        rate_limits: Whether to enforce Heap's rate limits, with 429.
        clock: Unix time in seconds, for rate limits, the month of merges and default timestamps.
        sleep: How a fault's `delay` (seconds) is waited for.
        chance: Where a fault's `share` is drawn from.
        keep_requests: How many of the latest requests to keep for the read side.
        keep_request_bytes: How many bytes of their bodies to keep.
        api_key: What gets a token for the deletion of users.
        deletion_seconds: How long a deletion stays pending.
    """
    heap = SimulatedHeap(
        rate_limits=rate_limits,
        clock=clock,
        chance=chance or random.Random(),  # noqa: S311 (faults need no cryptography)
        keep_requests=keep_requests,
        keep_request_bytes=keep_request_bytes,
        api_key=api_key,
        deletion_seconds=deletion_seconds,
    )
    app = Starlette(
        routes=[
            Mount("/_simulator", routes=Inspection(heap).routes()),
            Mount("/", app=HeapServer(heap, sleep)),
        ]
    )
    app.state.heap = heap
    return app
