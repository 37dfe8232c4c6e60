"""`run`: gateway → event log → one worker per connection, until told to stop.

Ending it never loses an event, however it ends: an answer of 200 means that the events are on
disk, and what was not delivered is delivered after the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

import msgspec

from destination_router.config.router_toml import RouterConfig
from destination_router.delivery.stats import DeliveryStats
from destination_router.eventlog.sqlite.claim import claim
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.retention import Retention
from destination_router.gateway.app import create_gateway
from destination_router.gateway.source_config import device_destinations
from destination_router.gateway.sources import Sources
from destination_router.pipeline.connection import Connection
from destination_router.service.health import CountedLog, Operations
from destination_router.service.metrics import Intake
from destination_router.service.protocol import HttpBounds
from destination_router.service.serving import Asgi, serving, told_to_stop
from destination_router.service.workers import Workers, delivery_settings

_log = logging.getLogger(__name__)


class RouterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a process shall do.

    Attributes:
        config: the router.toml.
        connections: those of it, ready.
        gateway: whether to take events.
        workers: whether to deliver them.
        address: where to answer; None: nowhere, which only a process without a gateway can do.
    """

    config: RouterConfig
    connections: Sequence[Connection]
    gateway: bool = True
    workers: bool = True
    address: tuple[str, int] | None = None


async def run_router(plan: RouterPlan, started: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        plan: what to do.
        started: is told the URL once it answers; empty if it answers nowhere.

    Raises:
        LogFileError: the log cannot be used, or another process delivers from it.
        UsageError: the address cannot be had.
    """
    told = told_to_stop()
    with contextlib.ExitStack() as held:
        if plan.workers:
            held.enter_context(claim(plan.config.eventlog.path))
        log = held.enter_context(_open_log(plan))
        await _warn_of_strangers(plan, log)
        settings = delivery_settings(plan.config.delivery)
        crew = Workers(
            plan.connections if plan.workers else (), log, settings, plan.config.quarantine
        )
        operations = _operations(plan, log, crew.stats)
        working = asyncio.create_task(crew.work())
        try:
            async with _answering(operations, plan) as url:
                operations.ready = True
                _log.info("started", extra={"url": url})
                started(url)
                await asyncio.wait(
                    {working, asyncio.create_task(told.wait())},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                operations.ready = False
                _log.info("stopping")
                # The gateway closes meanwhile: both have their few seconds at the same time.
                stopping = asyncio.create_task(crew.stop())
            await stopping
        finally:
            await crew.stop()
            await working
    _log.info("stopped")


@contextlib.contextmanager
def _open_log(plan: RouterPlan) -> Iterator[SqliteEventLog]:
    settings = plan.config.eventlog
    log = SqliteEventLog(
        settings.path,
        [connection.name for connection in plan.connections],
        start=settings.new_connections,
        kept={connection.name: connection.kept for connection in plan.connections},
        retention=Retention(
            keep_delivered=settings.keep_delivered,
            max_age=settings.max_age,
            max_bytes=settings.max_size,
            min_free_bytes=settings.min_free,
            keep_dead_letters=settings.keep_dead_letters,
        ),
    )
    try:
        yield log
    finally:
        log.close()


async def _warn_of_strangers(plan: RouterPlan, log: SqliteEventLog) -> None:
    """Tell of connections that the log knows and nobody reads: their events are never deleted."""
    known = {connection.name for connection in plan.connections}
    for name, lag in (await log.lags()).items():
        if name not in known:
            _log.warning(
                "connection_not_configured", extra={"connection": name, "messages": lag.messages}
            )


def _operations(
    plan: RouterPlan, log: SqliteEventLog, deliveries: Callable[[], Mapping[str, DeliveryStats]]
) -> Operations:
    intake = Intake()
    gateway = None
    if plan.gateway:
        gateway = create_gateway(
            CountedLog(log, intake),
            Sources(plan.config.all_sources),
            max_events=plan.config.gateway.max_events,
            max_bodies_bytes=plan.config.gateway.max_bodies,
            destinations=lambda source: device_destinations(
                each for each in plan.connections if each.takes_source(source)
            ),
            refused=intake.count_refusal,
        )
    return Operations(log, gateway, intake, deliveries)


@contextlib.asynccontextmanager
async def _answering(app: Asgi, plan: RouterPlan) -> AsyncIterator[str]:
    if plan.address is None:
        yield ""
        return
    gateway = plan.config.gateway
    bounds = HttpBounds(
        header_bytes=gateway.max_headers,
        arrival=gateway.arrival_timeout,
        connections=gateway.max_connections,
    )
    async with serving(app, *plan.address, bounds) as url:
        yield url
