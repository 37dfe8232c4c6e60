"""`run`: gateway → event log → one worker per connection, until told to stop.

However it ends, it never loses an event: an answer of 200 means that the events are on disk, and
the next start delivers what was not delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from destination_router.config.router_toml import RouterConfig
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.opening import claimed, open_log
from destination_router.eventlog.router_log import RouterLog
from destination_router.eventlog.trace import TraceSink
from destination_router.faults import PASSED_ON, whereabouts
from destination_router.gateway.app import create_gateway
from destination_router.gateway.source_config import device_destinations
from destination_router.gateway.sources import Sources
from destination_router.pipeline.connection import Connection
from destination_router.service.alert_messages import Origin
from destination_router.service.alert_rules import Sight, sight
from destination_router.service.alerts import Alerts
from destination_router.service.changes import changes, fingerprints
from destination_router.service.checking import Checked
from destination_router.service.configured import Beside, Configured
from destination_router.service.health import CountedLog, Operations
from destination_router.service.metrics import Intake
from destination_router.service.protocol import HttpBounds
from destination_router.service.serving import Asgi, serving
from destination_router.service.signals import told_to_reload, told_to_stop
from destination_router.service.supervisor import Supervisor
from destination_router.service.tracing import Tracing
from destination_router.service.workers import Workers, delivery_settings

_log = logging.getLogger(__name__)


class RouterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a process.

    Attributes:
        config: the router.toml.
        connections: those of it, ready.
        gateway: whether to take events.
        workers: whether to deliver them.
        processes: how many processes deliver, beside this one; None: this one does.
        address: where to listen; None: nowhere, which needs a process without a gateway.
        reread: reads and checks router.toml again; None: it cannot be reloaded.
        traces: the store of traces for the console; None: there is no console.
        beside: what else is open while it works, such as the console. It gets the current
        configuration.
        path: of the router.toml, for people; None if there is none.
    """

    config: RouterConfig
    connections: Sequence[Connection]
    gateway: bool = True
    workers: bool = True
    processes: int | None = None
    address: tuple[str, int] | None = None
    reread: Callable[[], Checked] | None = None
    traces: TraceSink | None = None
    beside: Beside | None = None
    path: Path | None = None

    @property
    def command(self) -> str:
        """The command line that makes this plan."""
        if not self.workers:
            return "run --gateway-only"
        what = "run" if self.gateway else "run --workers-only"
        return what if self.processes is None else f"{what} --workers {self.processes}"


async def run_router(plan: RouterPlan, started: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT; at SIGHUP, read router.toml again.

    Args:
        plan: what to do.
        started: gets the URL once the process answers; empty if it listens nowhere.

    Raises:
        LogFileError: the log cannot be used, or another process delivers from it.
        UsageError: the address cannot be had.
    """
    delivering: list[Workers | Supervisor] = []

    def end_at_once() -> None:
        for each in delivering:
            each.end_at_once()

    # First of all, for a signal that comes before would end the process in the midst of its start.
    told, reload = told_to_stop(end_at_once), told_to_reload()
    with contextlib.ExitStack() as held:
        claim = held.enter_context(claimed(plan.config.eventlog)) if plan.workers else None
        log = held.enter_context(contextlib.closing(_open_log(plan)))
        await _warn_of_strangers(plan.connections, log)
        if plan.workers:
            await log.note_attempts_left([connection.name for connection in plan.connections])
        tracing = _tracing(plan)
        workers = _workers(plan, log, claim, tracing)
        delivering.append(workers)
        router = _Router(plan, log, workers)
        intake = Intake()
        operations = router.operations(intake)
        alerting = asyncio.create_task(router.alerts.work())
        working = asyncio.create_task(workers.work())
        beside = [asyncio.create_task(router.reload_whenever(reload))]
        if tracing is not None:
            told_of = intake if plan.gateway else None
            # Other processes tell of their workers themselves.
            own = (workers.stats, workers.quotas) if isinstance(workers, Workers) else (dict, dict)
            beside.append(asyncio.create_task(tracing.run(*own, told_of)))
        try:
            async with _answering(operations, plan) as url, _open_beside(plan, router):
                operations.ready = True
                _log.info("started", extra={"url": url})
                started(url)
                await asyncio.wait(
                    {working, asyncio.create_task(told.wait())},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                operations.ready = False
                alerting.cancel()
                _log.info("stopping")
                # The gateway closes meanwhile: both have their few seconds at the same time.
                stopping = asyncio.create_task(workers.stop())
            await stopping
        finally:
            for task in (beside[0], alerting):
                task.cancel()
            await asyncio.gather(beside[0], alerting, return_exceptions=True)
            await workers.stop()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await working
    _log.info("stopped")


class _Router:
    """The parts of a router that a changed router.toml changes: sources, connections, workers."""

    def __init__(self, plan: RouterPlan, log: RouterLog, workers: Workers | Supervisor) -> None:
        self._plan = plan
        self._log = log
        self._workers = workers
        self._config = plan.config
        self._connections = list(plan.connections)
        self._fingerprints = fingerprints(plan.config)
        self._sources = Sources(plan.config.all_sources)
        self.alerts = Alerts(
            plan.config.alerts, Origin(socket.gethostname(), plan.command), self._see, log.check
        )

    def configured(self) -> Configured:
        """Return the current configuration. The log is the one of the start."""
        config = msgspec.structs.replace(self._config, eventlog=self._plan.config.eventlog)
        return Configured(config, tuple(self._connections), self._plan.path)

    def operations(self, intake: Intake) -> Operations:
        """Make the app: the operators' paths, and the gateway behind them."""
        gateway = None
        if self._plan.gateway:
            gateway = create_gateway(
                CountedLog(self._log, intake, self._workers.announce),
                self._sources,
                max_events=self._config.gateway.max_events,
                max_bodies_bytes=self._config.gateway.max_bodies,
                destinations=lambda source: device_destinations(
                    each for each in self._connections if each.takes_source(source)
                ),
                refused=intake.count_refusal,
            )
        return Operations(self._log, gateway, intake, self._workers, self.alerts.posts)

    def _see(self) -> Sight:
        return sight(
            self._workers.stats(),
            letters=self._workers.letters,
            lost_letters=self._workers.lost_letters,
            expired=self._workers.expired_events,
            failures=self._workers.failures,
        )

    async def reload_whenever(self, told: asyncio.Event) -> None:
        """Read router.toml again when the event is set. A file with an error changes nothing."""
        while True:
            await told.wait()
            told.clear()
            try:
                await self._reload()
            except LogUnavailableError as error:
                _log.error("reload_failed", extra={"detail": str(error)})
            except (LogFileError, *PASSED_ON):
                raise
            except BaseException as error:  # noqa: BLE001 -- the next reload may succeed
                _log.error("reload_failed", extra={"detail": whereabouts(error)})

    async def _reload(self) -> None:
        if self._plan.reread is None:
            return
        found = await asyncio.to_thread(self._plan.reread)
        if found.problems or found.config is None:
            _log.error("reload_refused", extra={"problems": found.problems})
            return
        after = fingerprints(found.config)
        what = changes(
            self._config,
            found.config,
            self._fingerprints,
            after,
            started_with=self._plan.config,
        )
        anew = {*what.added, *what.changed}
        by_name = {connection.name: connection for connection in self._connections}
        connections = [
            each if each.name in anew else by_name[each.name] for each in found.connections
        ]
        if self._plan.workers:
            settings = delivery_settings(found.config.delivery)
            await self._log.admit(
                [connection.name for connection in connections],
                start=self._config.eventlog.new_connections,
                kept={connection.name: connection.kept for connection in connections},
                request_seconds=settings.timeout,
            )
            # The log and the console stay those that the process started with.
            config = msgspec.structs.replace(
                found.config, eventlog=self._plan.config.eventlog, console=self._plan.config.console
            )
            if isinstance(self._workers, Supervisor):
                await self._workers.change(connections, anew, config)
            else:
                await self._workers.change(connections, anew, settings, config.quarantine)
        self._sources.replace(found.config.all_sources)
        self.alerts.change(found.config.alerts)
        self._config, self._connections, self._fingerprints = found.config, connections, after
        if what.needs_restart:
            _log.warning("reload_needs_restart", extra={"keys": what.needs_restart})
        _log.info(
            "reloaded",
            extra={
                "added": what.added,
                "removed": what.removed,
                "changed": what.changed,
                "sources": what.sources,
                "alerts": what.alerts,
            },
        )
        await _warn_of_strangers(connections, self._log)


def _workers(
    plan: RouterPlan, log: RouterLog, claim: int | None, tracing: Tracing | None
) -> Workers | Supervisor:
    if plan.workers and plan.processes is not None:
        return Supervisor(
            plan.config,
            plan.connections,
            count=plan.processes,
            claim=claim,
            traced=tracing is not None,
        )
    connections = plan.connections if plan.workers else ()
    settings = delivery_settings(plan.config.delivery)
    return Workers(connections, log, settings, plan.config.quarantine, tracing)


def _tracing(plan: RouterPlan) -> Tracing | None:
    console = plan.config.console
    if plan.traces is None or console is None:
        return None
    return Tracing(plan.traces, keep=console.keep, content=console.content)


def _open_beside(plan: RouterPlan, router: _Router) -> AbstractAsyncContextManager[object]:
    return contextlib.nullcontext() if plan.beside is None else plan.beside(router.configured)


def _open_log(plan: RouterPlan) -> RouterLog:
    kept = {connection.name: connection.kept for connection in plan.connections}
    return open_log(
        plan.config.eventlog,
        list(kept),
        kept,
        delivers=plan.workers,
        request_seconds=delivery_settings(plan.config.delivery).timeout,
    )


async def _warn_of_strangers(connections: Sequence[Connection], log: RouterLog) -> None:
    """Log connections that only the log knows, because their events are never deleted."""
    known = {connection.name for connection in connections}
    for name, lag in (await log.lags()).items():
        if name not in known:
            _log.warning(
                "connection_not_configured", extra={"connection": name, "messages": lag.messages}
            )


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
