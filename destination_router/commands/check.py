"""`check`: find the errors of a router.toml, and test its connections."""

from __future__ import annotations

from typing import Annotated

import typer

from destination_router.commands.decision_output import counted
from destination_router.commands.options import ROUTER_TOML, RouterToml
from destination_router.commands.output import (
    FAILED,
    WRONG_USAGE,
    complain,
    out,
    problems_told,
    talk,
    warn,
)
from destination_router.commands.pausing import order_of, paused_words
from destination_router.config.router_toml import RouterConfig
from destination_router.eventlog.opening import whole_log_problems
from destination_router.pipeline.connection import Connection
from destination_router.service.checking import ProbeResult, check_config, probe
from destination_router.service.event_loop import run_in_loop


def check(
    config: RouterToml = ROUTER_TOML,
    live: Annotated[
        bool,
        typer.Option("--live", help="Send the test messages to the vendors, where they stay."),
    ] = False,
    log: Annotated[
        bool, typer.Option("--log", help="Also read the whole event log, to find damage.")
    ] = False,
) -> None:
    """Show every error of a router.toml, and test its connections.

    If there is no error, it sends a test user and a test event to each destination's simulator,
    within this process. With --live, it sends them to the vendors, except for paused connections.

    Example: destination-router check --config router.toml
    """
    with problems_told():
        found = check_config(config)
        for problem in found.problems:
            complain(problem)
        if found.problems or found.config is None:
            raise typer.Exit(WRONG_USAGE)
        for warning in found.warnings:
            warn(warning)
        failed = simulated = False
        for connection in found.connections:
            for result in _probed(connection, found.config, live=live):
                failed |= result.result not in {"delivered", "filtered", "not asked"}
                simulated |= not live and result.result == "delivered"
                words = (result.connection, result.call, result.result, result.detail)
                out.print("  ".join(word for word in words if word), markup=False)
        if log:
            for text in whole_log_problems(found.config.eventlog):
                failed = True
                complain(f"{found.config.eventlog.told}: {text}")
        told = counted(len(found.connections), "connection")
        talk.print(f"{config}: {told}, no errors")
        if simulated:
            talk.print("The test messages went to simulators in this process, and to no vendor.")
    raise typer.Exit(FAILED if failed else 0)


def _probed(connection: Connection, config: RouterConfig, *, live: bool) -> list[ProbeResult]:
    """Send the test messages, except to the vendor of a paused connection."""
    order = order_of(config.eventlog, connection.name) if live else None
    if order is not None and order.paused:
        detail = f"{paused_words(order)}: `connections resume {connection.name}` first"
        return [ProbeResult(connection.name, "", "not asked", detail)]
    return run_in_loop(probe(connection, config.delivery, live=live))
