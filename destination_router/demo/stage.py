"""`demo`: real SDK → gateway → pipeline → simulated vendor, in one process, and what it holds then.

Any destination can be shown: one without a simulator sends to a stand-in that takes everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import msgspec

from destination_router.config.origins import ANY_ORIGIN
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Delivery, Worker
from destination_router.demo.recorder import create_recorder
from destination_router.demo.traffic import send_traffic
from destination_router.eventlog.dead_letter import DroppedDeadLetters
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.gateway.app import create_gateway
from destination_router.gateway.sources import Sources
from destination_router.pipeline.connection import Connection
from destination_router.service.serving import Asgi, serving

WRITE_KEY = "demo-write-key"
HELD = ("users", "events", "accounts", "requests")

Report = Callable[[Sequence[Delivery]], None]


class Stage(msgspec.Struct, frozen=True):
    """A demo that is running: where its parts answer."""

    gateway_url: str
    vendor_url: str
    log: MemoryEventLog


@contextlib.asynccontextmanager
async def stage(connection: Connection, report: Report) -> AsyncIterator[Stage]:
    """Start the vendor's stand-in, a gateway, and a worker between them.

    Args:
        connection: the destination to show.
        report: is told what became of each window of messages.
    """
    log = MemoryEventLog([connection.name])
    gateway = create_gateway(log, Sources.of_keys([WRITE_KEY]))
    async with (
        serving(vendor_of(connection)) as vendor_url,
        serving(gateway) as gateway_url,
        Sender(connection, DeliverySettings(origins={ANY_ORIGIN: vendor_url})) as sender,
    ):
        worker = Worker(connection, log, sender, dead_letters=DroppedDeadLetters(), report=report)
        working = asyncio.create_task(worker.run())
        try:
            yield Stage(gateway_url, vendor_url, log)
        finally:
            await worker.stop(0.0)
            await working


async def play(running: Stage) -> dict[str, list[Any]]:
    """Send the demo's traffic, wait until it is delivered, and ask the vendor what it holds.

    Returns:
        `{"users": [...], "events": [...], "accounts": [...]}` as far as the stand-in tells, or
        `{"requests": [...]}` if it keeps no more than that.
    """
    # The SDK's HTTP client logs what it sends; a demo's terminal is no place for it.
    logging.getLogger("rudder").setLevel(logging.CRITICAL)
    await asyncio.to_thread(send_traffic, running.gateway_url, WRITE_KEY)
    await running.log.wait_until_done()
    async with httpx.AsyncClient(base_url=running.vendor_url, trust_env=False) as client:
        held = {kind: await _ask(client, kind) for kind in HELD}
    told = {kind: rows for kind, rows in held.items() if rows is not None}
    return {kind: rows for kind, rows in told.items() if kind != "requests" or len(told) == 1}


def vendor_of(connection: Connection) -> Asgi:
    """Build the stand-in for a connection's vendor; one that takes everything if it has none."""
    if "simulator" not in connection.plugin.capabilities:
        return create_recorder()
    app: Asgi = connection.plugin.hook.simulator(settings=connection.settings)
    return app


async def _ask(client: httpx.AsyncClient, kind: str) -> list[Any] | None:
    answer = await client.get(f"/_simulator/{kind}")
    if answer.status_code != httpx.codes.OK:
        return None
    rows = answer.json().get(kind)
    return rows if isinstance(rows, list) else None
