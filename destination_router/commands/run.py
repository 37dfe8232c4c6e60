"""`run`: run the router of a router.toml."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from destination_router.commands.options import ROUTER_TOML, RouterToml, read_address
from destination_router.commands.output import (
    problems_told,
    refuse,
    talk,
)
from destination_router.config.router_toml import ConsoleConfig, RouterConfig
from destination_router.config.schema import MOST_WORKERS
from destination_router.eventlog.interface import LogFileError
from destination_router.eventlog.trace import TraceSink
from destination_router.faults import UsageError
from destination_router.garbage import seldom
from destination_router.service.checking import check_config
from destination_router.service.configured import Beside
from destination_router.service.event_loop import run_in_loop
from destination_router.service.logs import log_as_json

_log = logging.getLogger(__name__)


def run(
    config: RouterToml = ROUTER_TOML,
    gateway_only: Annotated[
        bool, typer.Option("--gateway-only", help="Only take events. Do not deliver.")
    ] = False,
    workers_only: Annotated[
        bool, typer.Option("--workers-only", help="Only deliver events. Take none.")
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help=r"Replaces \[gateway] listen. With --workers-only, where /metrics answers.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            max=MOST_WORKERS,
            help=r"How many processes deliver, beside this one. In place of \[delivery] workers.",
        ),
    ] = None,
    no_console: Annotated[
        bool,
        typer.Option(
            "--no-console",
            help="Do not serve the console. The command `console` serves it elsewhere.",
        ),
    ] = False,
) -> None:
    """Take events and deliver them, until SIGTERM or Ctrl-C.

    It runs a gateway for RudderStack's SDKs, an event log on disk, and workers that deliver to
    every connection of the router.toml. It logs one JSON object a line, on standard error. After
    SIGHUP, or the command `reload`, it reads the router.toml again.

    Example: destination-router run --config router.toml
    """
    # Here, for the metrics that it brings would stay in the memory of every other command.
    from destination_router.service.router import RouterPlan, run_router  # noqa: PLC0415

    with problems_told():
        if gateway_only and workers_only:
            raise UsageError("--gateway-only and --workers-only leave nothing to do: drop one")
        if gateway_only and workers is not None:
            raise UsageError("--gateway-only delivers nothing: drop it, or --workers")
        log_as_json()
        shows = not (no_console or gateway_only)
        found = check_config(config, gateway=not workers_only, console=shows)
        if found.problems or found.config is None:
            refuse("\n".join(found.problems))
            return
        log_as_json()
        for words in found.warnings:
            _log.warning("configuration", extra={"detail": words})
        address = _address(found.config, listen, workers_only=workers_only)
        table = found.config.console
        if shows and table is not None and not table.password:
            table, detail = None, "[console] has no password: it does not start"
            _log.warning("configuration", extra={"detail": detail})
        with _console(found.config, table, config.parent, shows=shows) as (traces, beside):
            plan = RouterPlan(
                config=found.config,
                connections=found.connections,
                gateway=not workers_only,
                workers=not gateway_only,
                processes=None if gateway_only else _processes(found.config, workers),
                address=address,
                reread=partial(check_config, config, gateway=not workers_only, console=shows),
                traces=traces,
                beside=beside,
                path=config.resolve(),
            )
            with seldom():
                run_in_loop(run_router(plan, _say_where))


@contextlib.contextmanager
def _console(
    config: RouterConfig, table: ConsoleConfig | None, folder: Path, *, shows: bool
) -> Iterator[tuple[TraceSink | None, Beside | None]]:
    """Open the console's traces, if there is a console. Workers then write traces."""
    if table is None:
        yield None, None
        return
    # Here, for what draws pages would stay in the memory of every other command.
    from destination_router.console.start import console_serving, traces_of  # noqa: PLC0415

    try:
        opened = traces_of(config, folder)
    except LogFileError as error:  # worth less than a router at work
        _log.warning("configuration", extra={"detail": f"there is no console: {error}"})
        yield None, None
        return
    with contextlib.closing(opened) as traces:
        yield traces, partial(console_serving, table, traces=traces) if shows else None


def _processes(config: RouterConfig, typed: int | None) -> int | None:
    """Count the processes that deliver; None: this one does.

    Raises:
        UsageError: the log cannot be shared so.
    """
    count = config.delivery.workers if typed is None else typed
    if count is not None and config.eventlog.is_kafka:
        where = "[delivery] workers" if typed is None else "--workers"
        raise UsageError(
            f"{where} is for a log in a file: on Kafka, start `run --workers-only` several times, "
            "here or elsewhere; each connection is delivered by one of them"
        )
    return count


def _address(
    config: RouterConfig, listen: str | None, *, workers_only: bool
) -> tuple[str, int] | None:
    if listen is None:
        return None if workers_only else config.gateway.address
    return read_address(listen)


def _say_where(url: str) -> None:
    if not talk.is_terminal:
        return  # what reads the logs reads one JSON object a line
    talk.print(f"Router on {url}" if url else "Delivering")
