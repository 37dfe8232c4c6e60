"""`check`: a router.toml looked over, and its connections tried."""

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
from destination_router.eventlog.opening import whole_log_problems
from destination_router.service.checking import check_config, probe
from destination_router.service.event_loop import run_in_loop


def check(
    config: RouterToml = ROUTER_TOML,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Send the test messages to the vendors themselves, where they stay."
        ),
    ] = False,
    log: Annotated[
        bool, typer.Option("--log", help="Read the whole event log too, for damage.")
    ] = False,
) -> None:
    """Tell every error of a router.toml, and test its connections.

    Where there is none, a test user and a test event go to each destination's simulator, within
    this process.

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
        failed = False
        for connection in found.connections:
            for result in run_in_loop(probe(connection, found.config.delivery, live=live)):
                failed |= result.result not in {"delivered", "filtered", "not asked"}
                words = (result.connection, result.call, result.result, result.detail)
                out.print("  ".join(word for word in words if word), markup=False)
        if log:
            for text in whole_log_problems(found.config.eventlog):
                failed = True
                complain(f"{found.config.eventlog.told}: {text}")
        told = counted(len(found.connections), "connection")
        talk.print(f"{config}: {told}, no errors")
    raise typer.Exit(FAILED if failed else 0)
