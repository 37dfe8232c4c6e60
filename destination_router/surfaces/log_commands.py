"""`eventlog status|forget`: how far each connection is, and the end of one that is no more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer

from destination_router.config import RouterConfig, load_config
from destination_router.eventlog.file import open_file
from destination_router.eventlog.sqlite import SqliteEventLog
from destination_router.surfaces.choosing import UsageError
from destination_router.surfaces.run_commands import ROUTER_TOML, ConfigFile
from destination_router.surfaces.showing import counted
from destination_router.surfaces.telling import out, problems_told, talk

commands = typer.Typer(no_args_is_help=True, help="Where accepted events wait.")


@commands.command()
def status(config: ConfigFile = ROUTER_TOML) -> None:
    """Tell how far each connection is behind."""
    with problems_told():
        router = load_config(config)
        configured = {connection.name for connection in router.connections}
        with _log(router) as log:
            lags = asyncio.run(log.lags())
            for name, lag in sorted(lags.items()):
                words = f"{name}  {counted(lag.messages, 'message')}  {lag.seconds:.0f} s"
                unknown = "" if name in configured else "  not in the configuration"
                out.print(words + unknown, markup=False)
            if not lags:
                talk.print("No connection has begun to read the log: start the router once.")


@commands.command()
def forget(
    connection: Annotated[str, typer.Argument(help="A connection that is no more.")],
    config: ConfigFile = ROUTER_TOML,
) -> None:
    """Give up what a connection has not delivered, so that the log no longer keeps it."""
    with problems_told():
        router = load_config(config)
        if connection in {configured.name for configured in router.connections}:
            raise UsageError(f"{connection!r} is in {config}: take it out first")
        with _log(router) as log:
            lag = asyncio.run(log.forget(connection))
        if lag is None:
            raise UsageError(f"the log knows no connection {connection!r}")
        talk.print(f"{connection}: {lag.messages} undelivered messages given up", markup=False)


@contextlib.contextmanager
def _log(router: RouterConfig) -> Iterator[SqliteEventLog]:
    open_file(router.eventlog.path, create=False)
    log = SqliteEventLog(router.eventlog.path, [])
    try:
        yield log
    finally:
        log.close()
