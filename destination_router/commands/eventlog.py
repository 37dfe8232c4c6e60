"""`eventlog status|forget|create|move`: show how far connections are, and move to a Kafka."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from msgspec.structs import replace

from destination_router.commands.dead_letters import opened_log
from destination_router.commands.decision_output import counted
from destination_router.commands.once import OnceCommand
from destination_router.commands.options import ROUTER_TOML, RouterToml
from destination_router.commands.output import (
    FAILED,
    complain,
    out,
    problems_told,
    talk,
    warn,
)
from destination_router.commands.pausing import standing_words
from destination_router.config.router_toml import EventLogConfig, load_config
from destination_router.config.schema import SQLITE_URL
from destination_router.eventlog.moving import move
from destination_router.eventlog.opening import make_topics
from destination_router.faults import UsageError

commands = typer.Typer(
    no_args_is_help=True,
    help="See how far each connection is, give up a former one, and make topics on Kafka.",
)


@commands.command(cls=OnceCommand)
def status(config: RouterToml = ROUTER_TOML) -> None:
    """Show how far each connection is behind, and which do not send.

    A connection is held if its vendor takes nothing of it, for example because its key was revoked.
    Nothing is lost meanwhile.

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
        str,
        typer.Argument(metavar="NAME", help="A connection that is no longer in the router.toml."),
    ],
    config: RouterToml = ROUTER_TOML,
) -> None:
    """Give up what a former connection has not delivered.

    The log keeps these events in case the connection comes back. This command deletes them.

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


@commands.command(cls=OnceCommand)
def create(
    config: RouterToml = ROUTER_TOML,
    yes: Annotated[
        bool, typer.Option("--yes", help="Make what is missing. Without this, it is only shown.")
    ] = False,
) -> None:
    """Make the topics of a log on Kafka, and check those that are there.

    It changes nothing that is there. A log in a file does not need it: `run` makes the file.

    Example: destination-router eventlog create --config router.toml --yes
    """
    with problems_told():
        eventlog = load_config(config).eventlog
        if not eventlog.is_kafka:
            raise UsageError(f"{eventlog.told} is a file, which `run` makes")
        found = make_topics(eventlog, make=yes)
        for line in found.missing:
            out.print(f"{'made' if yes else 'would be made'}: {line}", markup=False)
        for line in found.warnings:
            warn(line)
        for line in found.wrong:
            complain(line)
        if not found.missing and not found.wrong:
            talk.print("All topics are there.")
        elif found.missing and not yes:
            talk.print("Nothing was made: --yes makes them.")
    raise typer.Exit(FAILED if found.wrong else 0)


@commands.command("move", cls=OnceCommand)
def move_(
    target: Annotated[
        str, typer.Option("--to", metavar="URL", help="The Kafka: kafka://host:9092/prefix.")
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="URL", help="The file in which the events wait.")
    ] = EventLogConfig().url,
    config: RouterToml = ROUTER_TOML,
) -> None:
    r"""Move what waits in a file to a Kafka: once, and in order.

    End gateways and workers first, and make the topics. If it breaks off, run it again, and it goes
    on where it was. It connects as \[eventlog.kafka] of the router.toml says, if there is one.

    Example: destination-router eventlog move --to kafka://host:9092/prefix
    """
    with problems_told():
        file, kafka = EventLogConfig(url=source), EventLogConfig(url=target)
        if file.is_kafka or not source.startswith(SQLITE_URL) or not kafka.is_kafka:
            raise UsageError("it moves --from sqlite:///FILE --to kafka://HOST:PORT/PREFIX")
        if config.exists():
            kafka = replace(kafka, kafka=load_config(config).eventlog.kafka)
        done = move(file, kafka, lambda count: talk.print(f"{count} moved ..."))
        told = f"{counted(done.events, 'event')} and {counted(done.letters, 'dead letter')} moved"
        again = f"; {done.before} had been moved before" if done.before else ""
        talk.print(f"{told}{again}. Start routers with url = {target!r} now.", markup=False)
