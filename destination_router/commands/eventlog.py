"""`eventlog status|forget`: how far each connection is, and the end of one that is no more."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from destination_router.commands.dead_letters import opened_log
from destination_router.commands.decision_output import counted
from destination_router.commands.once import OnceCommand
from destination_router.commands.options import ROUTER_TOML, RouterToml
from destination_router.commands.output import out, problems_told, talk
from destination_router.commands.pausing import standing_words
from destination_router.config.router_toml import load_config
from destination_router.faults import UsageError

commands = typer.Typer(
    no_args_is_help=True, help="See how far each connection is, and give up a former one."
)


@commands.command(cls=OnceCommand)
def status(config: RouterToml = ROUTER_TOML) -> None:
    """Tell how far each connection is behind, and which do not send.

    A vendor takes nothing of a connection that is held: its key was revoked, say. Nothing is lost
    meanwhile.

    Example: destination-router eventlog status
    """
    with problems_told():
        router = load_config(config)
        configured = {connection.name for connection in router.connections}
        with opened_log(router) as log:
            lags = log.lags(time.time())
            states = standing_words(log.books)
            for name, lag in sorted(lags.items()):
                words = f"{name}  {counted(lag.messages, 'message')}  {lag.seconds:.0f} s"
                if name in states:
                    words += f"  {states[name]}"
                unknown = "" if name in configured else "  not in the configuration"
                out.print(words + unknown, markup=False)
            if not lags:
                talk.print("No connection has begun to read the log: start the router once.")


@commands.command(cls=OnceCommand)
def forget(
    connection: Annotated[
        str, typer.Argument(metavar="NAME", help="A connection that is no more.")
    ],
    config: RouterToml = ROUTER_TOML,
) -> None:
    """Give up what a former connection has not delivered.

    The log keeps it for the day that the connection comes back, until this says that it will not.

    Example: destination-router eventlog forget heap-staging
    """
    with problems_told():
        router = load_config(config)
        if connection in {configured.name for configured in router.connections}:
            raise UsageError(f"{connection!r} is in {config}: take it out first")
        with opened_log(router, to_write=True) as log:
            lag = log.lags(time.time()).get(connection)
            log.forget(connection)
        if lag is None:
            raise UsageError(f"the log knows no connection {connection!r}")
        talk.print(f"{connection}: {lag.messages} undelivered messages given up", markup=False)
