"""`connections list|pause|resume`: what an operator sees of a connection's sending, and decides.

What is said is kept in the log; a router at work hears it within a second, and after its
next start as well.
"""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from destination_router.commands.dead_letters import opened_log
from destination_router.commands.decision_output import counted
from destination_router.commands.once import OnceCommand
from destination_router.commands.options import ROUTER_TOML, RouterToml
from destination_router.commands.output import out, problems_told, talk
from destination_router.config.router_toml import load_config
from destination_router.contract.times import format_time
from destination_router.eventlog.interface import Order
from destination_router.eventlog.sqlite.standing_book import all_held, all_orders, give_order
from destination_router.faults import UsageError

commands = typer.Typer(
    no_args_is_help=True, help="See whether connections send; pause and resume them."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A connection of the router.toml.")]


@commands.command("list", cls=OnceCommand)
def list_(config: RouterToml = ROUTER_TOML) -> None:
    """List the connections: what waits, and whether they send.

    Example: destination-router connections list
    """
    with problems_told():
        router = load_config(config)
        with opened_log(router) as log:
            behind = log.lags(time.time())
            states = standing_words(log.books)
        for connection in router.connections:
            lag = behind.get(connection.name)
            waits = counted(0 if lag is None else lag.messages, "message")
            words = [connection.name, connection.plugin, f"{waits} behind"]
            words.append(states.get(connection.name, "sending"))
            out.print("  ".join(words), markup=False)


@commands.command(cls=OnceCommand)
def pause(connection: Name, config: RouterToml = ROUTER_TOML) -> None:
    """Send nothing for a connection from now on; what comes in waits.

    Nothing is lost, and other connections are not touched. It lasts over restarts, until `resume`.

    Example: destination-router connections pause heap-production
    """
    _say(connection, config, paused=True)
    talk.print(f"{connection}: paused; what comes in waits in the log", markup=False)


@commands.command(cls=OnceCommand)
def resume(connection: Name, config: RouterToml = ROUTER_TOML) -> None:
    """Go on sending; a connection that is held asks its vendor at once.

    Example: destination-router connections resume heap-production
    """
    _say(connection, config, paused=False)
    talk.print(f"{connection}: goes on", markup=False)


def standing_words(database: sqlite3.Connection) -> dict[str, str]:
    """Say of each connection that is paused or held since when, and why; of others nothing."""
    words: dict[str, list[str]] = {}
    for name, order in all_orders(database).items():
        if order.paused:
            words.setdefault(name, []).append(f"paused since {_time(order.at)}")
    for name, held in all_held(database).items():
        words.setdefault(name, []).append(f"held since {_time(held.since)} ({held.code})")
    return {name: "  ".join(parts) for name, parts in words.items()}


def _say(connection: str, path: Path, *, paused: bool) -> None:
    with problems_told():
        router = load_config(path)
        names = [configured.name for configured in router.connections]
        if connection not in names:
            raise UsageError(f"{path} has no connection {connection!r}; it has {', '.join(names)}")
        with opened_log(router, to_write=True) as log:
            give_order(log.books, connection, Order(paused, time.time()))


def _time(moment: float) -> str:
    return format_time(datetime.fromtimestamp(moment, UTC))
