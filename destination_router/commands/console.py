"""`console`: the web page of a router, in a process of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from destination_router.commands.options import ROUTER_TOML, RouterToml, read_address
from destination_router.commands.output import problems_told, refuse, talk
from destination_router.config.router_toml import ConsoleConfig
from destination_router.faults import UsageError
from destination_router.service.checking import check_config
from destination_router.service.event_loop import run_in_loop
from destination_router.service.logs import log_as_json


def console(
    config: RouterToml = ROUTER_TOML,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen", metavar="HOST:PORT", help=r"Where to answer, in place of \[console] listen."
        ),
    ] = None,
) -> None:
    """Show what comes in and what goes out on a web page.

    It serves until Ctrl-C, for a router that runs in other processes on this machine. It reads the
    same event log, and what their workers tell. `run` serves the same page, unless you give it
    --no-console.

    Example: destination-router console --config router.toml
    """
    # Here, for what draws pages would stay in the memory of every other command.
    from destination_router.console.start import console_alone  # noqa: PLC0415
    from destination_router.service.configured import Configured, ConfiguredFile  # noqa: PLC0415

    with problems_told():
        log_as_json()
        found = check_config(config, gateway=False, alerts=False)
        if found.problems or found.config is None:
            refuse("\n".join(found.problems))
            return
        log_as_json()
        table = found.config.console
        if table is None or not table.password:
            raise UsageError(
                f'{config} has no password for it: write [console] and password = {{ env = "..." }}'
            )
        first = Configured(found.config, found.connections, config.resolve())
        run_in_loop(
            console_alone(
                _on(table, listen), ConfiguredFile(config.resolve(), first), started=_say_where
            )
        )


def _on(table: ConsoleConfig, listen: str | None) -> ConsoleConfig:
    if listen is None:
        return table
    host, port = read_address(listen)
    return table.at(host, port)


def _say_where(url: str) -> None:
    if talk.is_terminal:
        talk.print(f"Console on {url}")
