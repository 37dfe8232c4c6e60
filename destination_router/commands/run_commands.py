"""`run` and `check`: a router.toml at work, and a router.toml looked over."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from destination_router.commands.options import ROUTER_TOML, RouterToml, read_address
from destination_router.commands.output import (
    FAILED,
    WRONG_USAGE,
    complain,
    out,
    problems_told,
    refuse,
    talk,
)
from destination_router.commands.showing import counted
from destination_router.config.router_toml import RouterConfig
from destination_router.eventlog.sqlite.file import integrity_problems
from destination_router.faults import UsageError
from destination_router.service.checking import check_config, probe
from destination_router.service.logs import log_as_json


def run(
    config: RouterToml = ROUTER_TOML,
    gateway_only: Annotated[
        bool, typer.Option("--gateway-only", help="Take events, deliver none.")
    ] = False,
    workers_only: Annotated[
        bool, typer.Option("--workers-only", help="Deliver events, take none.")
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help=r"In place of \[gateway] listen. With --workers-only: where /metrics answers.",
        ),
    ] = None,
) -> None:
    """Take events and deliver them, until SIGTERM or Ctrl-C.

    A gateway for RudderStack's SDKs, an event log on disk, and workers that deliver to every
    connection of the router.toml. It logs one JSON object a line, on standard error.

    Example: destination-router run --config router.toml
    """
    # Here, for the metrics that it brings would stay in the memory of every other command.
    from destination_router.service.router import Plan, run_router  # noqa: PLC0415

    with problems_told():
        if gateway_only and workers_only:
            raise UsageError("--gateway-only and --workers-only leave nothing to do: drop one")
        found = check_config(config, gateway=not workers_only)
        if found.problems or found.config is None:
            refuse("\n".join(found.problems))
            return
        address = _address(found.config, listen, workers_only=workers_only)
        plan = Plan(
            config=found.config,
            connections=found.connections,
            gateway=not workers_only,
            workers=not gateway_only,
            address=address,
        )
        log_as_json()
        asyncio.run(run_router(plan, _say_where))


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
        failed = False
        for connection in found.connections:
            for result in asyncio.run(probe(connection, found.config.delivery, live=live)):
                failed |= result.result not in {"delivered", "filtered", "not asked"}
                words = (result.connection, result.call, result.result, result.detail)
                out.print("  ".join(word for word in words if word), markup=False)
        if log:
            for text in integrity_problems(found.config.eventlog.path):
                failed = True
                complain(f"{found.config.eventlog.path}: {text}")
        told = counted(len(found.connections), "connection")
        talk.print(f"{config}: {told}, no errors")
    raise typer.Exit(FAILED if failed else 0)


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
