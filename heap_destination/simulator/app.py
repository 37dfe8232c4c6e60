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
    """Make a simulated Heap as an ASGI app. `app.state.heap` is the `SimulatedHeap` behind it.

    Args:
        rate_limits: Whether it enforces Heap's rate limits, with 429.
        clock: Returns Unix time in seconds, for rate limits, the month of merges, and the times of
            events that have none.
        sleep: Waits for a fault's `delay`, in seconds.
        chance: Draws a fault's `share`.
        keep_requests: How many of the latest requests `/_simulator/requests` shows.
        keep_request_bytes: How many bytes of their bodies it keeps.
        api_key: The key that gets a token for the deletion of users.
        deletion_seconds: How long a deletion is pending.
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
