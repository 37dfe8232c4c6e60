"""`demo`: real SDK → gateway → pipeline → simulated vendor, in one process.

It works for any destination. One without a simulator sends to a stand-in that takes everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import httpx
import msgspec

from destination_router.config.origins import ANY_ORIGIN
from destination_router.config.router_toml import EventLogConfig
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Delivery, Worker
from destination_router.demo.recorder import create_recorder
from destination_router.demo.traffic import send_traffic
from destination_router.eventlog.dead_letter import DroppedDeadLetters
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.eventlog.opening import open_log
from destination_router.eventlog.router_log import RouterLog
from destination_router.eventlog.sqlite.standing_book import LoggedStanding
from destination_router.gateway.app import create_gateway
from destination_router.gateway.sources import Sources
from destination_router.pipeline.connection import Connection
from destination_router.service.health import CountedLog
from destination_router.service.metrics import Intake
from destination_router.service.serving import Asgi, serving
from destination_router.service.tracing import Tracing
from destination_router.service.workers import LoggedLetters

WRITE_KEY = "demo-write-key"
_POLL = 0.05
HELD = ("users", "events", "accounts", "requests")

Report = Callable[[Sequence[Delivery]], None]


class Stage(msgspec.Struct, frozen=True):
    """A running demo, with the URLs of its parts."""

    gateway_url: str
    vendor_url: str
    done: Callable[[], Awaitable[None]]


class Watched(msgspec.Struct, frozen=True):
    """What a demo with a console needs: a log on disk, and a tracer."""

    log: EventLogConfig
    tracing: Tracing


@contextlib.asynccontextmanager
async def stage(
    connection: Connection, report: Report, watched: Watched | None = None
) -> AsyncIterator[Stage]:
    """Start the vendor's stand-in, a gateway, and a worker between them.

    Args:
        connection: the destination to show.
        report: gets the results of each window of messages.
        watched: for a demo with a console; None: without.
    """
    if watched is not None:
        async with _watched_stage(connection, report, watched) as running:
            yield running
        return
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
            yield Stage(gateway_url, vendor_url, log.wait_until_done)
        finally:
            await worker.stop(0.0)
            await working


@contextlib.asynccontextmanager
async def _watched_stage(
    connection: Connection, report: Report, watched: Watched
) -> AsyncIterator[Stage]:
    intake, name = Intake(), connection.name
    with contextlib.closing(open_log(watched.log, [name], {name: connection.kept})) as log:
        gateway = create_gateway(CountedLog(log, intake), Sources.of_keys([WRITE_KEY]))
        tracer = watched.tracing.tracer(connection)

        def told(deliveries: Sequence[Delivery]) -> None:
            tracer.ended(deliveries)
            report(deliveries)

        async with (
            serving(vendor_of(connection)) as vendor_url,
            serving(gateway) as gateway_url,
            Sender(connection, DeliverySettings(origins={ANY_ORIGIN: vendor_url})) as sender,
        ):
            worker = Worker(
                connection,
                log,
                sender,
                dead_letters=LoggedLetters(log),
                standing=LoggedStanding(log),
                report=told,
                observer=tracer,
            )
            working = asyncio.create_task(worker.run())
            telling = asyncio.create_task(
                watched.tracing.run(
                    lambda: {name: worker.stats}, lambda: {name: worker.quota_use()}, intake
                )
            )
            try:
                yield Stage(gateway_url, vendor_url, lambda: _all_done(log, name))
            finally:
                await worker.stop(0.0)
                await working
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)


async def _all_done(log: RouterLog, name: str) -> None:
    while (await log.lags())[name].messages:  # noqa: ASYNC110 -- another thread commits
        await asyncio.sleep(_POLL)


async def play(running: Stage) -> dict[str, list[Any]]:
    """Send the demo's traffic, wait until it is delivered, and ask the vendor what it holds.

    Returns:
        `{"users": [...], "events": [...], "accounts": [...]}` as far as the stand-in tells, or
        `{"requests": [...]}` if it keeps no more than that.
    """
    # The SDK says what it could not send, as after Ctrl-C; a demo's terminal is no place for it.
    logging.getLogger("rudderstack").setLevel(logging.CRITICAL)
    await asyncio.to_thread(send_traffic, running.gateway_url, WRITE_KEY)
    await running.done()
    async with httpx.AsyncClient(base_url=running.vendor_url, trust_env=False) as client:
        held = {kind: await _ask(client, kind) for kind in HELD}
    told = {kind: rows for kind, rows in held.items() if rows is not None}
    return {kind: rows for kind, rows in told.items() if kind != "requests" or len(told) == 1}


def vendor_of(connection: Connection) -> Asgi:
    """Build the stand-in for a connection's vendor. Without a simulator, it takes everything."""
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
