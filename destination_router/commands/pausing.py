"""`connections list|pause|resume`: what an operator sees of a connection's sending, and decides.

What is said is kept in the log; a router at work hears it within a second, and after its
next start as well.
"""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from destination_router.commands.dead_letters import opened_log
from destination_router.commands.decision_output import counted
from destination_router.commands.once import OnceCommand
from destination_router.commands.options import ROUTER_TOML, JsonLines, RouterToml
from destination_router.commands.output import out, print_line, problems_told, talk
from destination_router.config.router_toml import EventLogConfig, load_config
from destination_router.contract.times import format_time
from destination_router.eventlog.interface import Held, Lag, Order
from destination_router.eventlog.opening import is_delivered, is_there, open_admin
from destination_router.eventlog.sqlite.standing_book import all_held, all_orders, give_order
from destination_router.faults import UsageError

commands = typer.Typer(
    no_args_is_help=True, help="See whether connections send. Pause and resume them."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A connection of the router.toml.")]


@commands.command("list", cls=OnceCommand)
def list_(config: RouterToml = ROUTER_TOML, as_json: JsonLines = False) -> None:
    """List the connections: what waits, and whether they send.

    No connection sends unless a router runs that delivers. If you have changed router.toml and not
    reloaded it, the list already shows the change.

    Example: destination-router connections list
    """
    with problems_told():
        router = load_config(config)
        with opened_log(router) as log:
            behind = log.lags(time.time())
            orders, holds = all_orders(log.books), all_held(log.books)
        for connection in router.connections:
            name = connection.name
            listed = Listed(
                connection=name,
                plugin=connection.plugin,
                lag=behind.get(name, Lag(0, 0.0)),
                order=orders.get(name),
                held=holds.get(name),
                running=is_delivered(router.eventlog, name),
            )
            if as_json:
                print_line(listed.as_json())
            else:
                out.print(listed.words(), markup=False)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A connection, and how it stands.

    Attributes:
        connection: its name.
        plugin: its destination's name.
        lag: how far it is behind.
        order: what a person said of it last.
        held: why the vendor takes nothing of it.
        running: whether a router runs that delivers.
    """

    connection: str
    plugin: str
    lag: Lag
    order: Order | None
    held: Held | None
    running: bool

    @property
    def state(self) -> str:
        """`paused`, `held`, `sending`, or `stopped`: it would send, but no router runs."""
        if self.order is not None and self.order.paused:
            return "paused"
        if not self.running:
            return "stopped"
        return "sending" if self.held is None else "held"

    def words(self) -> str:
        """Say it in a line."""
        told = [self.connection, self.plugin, f"{counted(self.lag.messages, 'message')} behind"]
        told += _standing_words(self.order, self.held)
        if not self.running:
            told.append("not sending: no router runs")
        elif self.state == "sending":
            told.append("sending")
        return "  ".join(told)

    def as_json(self) -> dict[str, Any]:
        """Turn it into what `connections list --json` prints."""
        paused = self.order is not None and self.order.paused
        return {
            "connection": self.connection,
            "plugin": self.plugin,
            "state": self.state,
            "messages": self.lag.messages,
            "seconds": round(self.lag.seconds, 3),
            "pausedSince": _known(self.order.at) if self.order is not None and paused else None,
            "heldSince": None if self.held is None else _known(self.held.since),
            "heldCode": None if self.held is None else self.held.code,
            "routerRuns": self.running,
        }


@commands.command(cls=OnceCommand)
def pause(connection: Name, config: RouterToml = ROUTER_TOML) -> None:
    """Send nothing for a connection until `resume`. Its events wait.

    A running router obeys within a second. Nothing is lost, and other connections are not affected.
    A pause lasts over restarts.

    Example: destination-router connections pause heap-production
    """
    _say(connection, config, paused=True)
    talk.print(f"{connection}: paused; what comes in waits in the log", markup=False)


@commands.command(cls=OnceCommand)
def resume(connection: Name, config: RouterToml = ROUTER_TOML) -> None:
    """Go on sending. A held connection asks its vendor at once.

    Example: destination-router connections resume heap-production
    """
    _say(connection, config, paused=False)
    talk.print(f"{connection}: goes on", markup=False)


def standing_words(database: sqlite3.Connection) -> dict[str, str]:
    """Say of each connection that is paused or held since when, and why; of others nothing."""
    orders, holds = all_orders(database), all_held(database)
    return {
        name: "  ".join(words)
        for name in {**orders, **holds}
        if (words := _standing_words(orders.get(name), holds.get(name)))
    }


def _standing_words(order: Order | None, held: Held | None) -> list[str]:
    words = [paused_words(order)] if order is not None and order.paused else []
    return words if held is None else [*words, f"held {_since(held.since)} ({held.code})"]


def order_of(eventlog: EventLogConfig, connection: str) -> Order | None:
    """Tell what a person said of a connection last; nothing where there is no log.

    Raises:
        LogFileError: what is there cannot be used.
    """
    if not is_there(eventlog):
        return None
    with open_admin(eventlog) as log, log.reading():
        return all_orders(log.books).get(connection)


def paused_words(order: Order) -> str:
    """Say since when a connection is paused."""
    return f"paused {_since(order.at)}"


def _since(moment: float | None) -> str:
    return f"since {_known(moment) or 'a time that is not as it was written'}"


def _known(moment: float | None) -> str | None:
    return None if moment is None else _time(moment)


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
