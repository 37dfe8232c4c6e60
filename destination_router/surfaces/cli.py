"""The `destination-router` command.

Data goes to standard output, talk to standard error. Exit status: 0 all well, 1 some messages were
rejected or failed, 2 wrong usage or configuration. Each command parses here and works elsewhere;
an installed distribution may add commands through the entry-point group
`destination_router.commands`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from destination_router.config import DeliveryConfig, QuarantineConfig
from destination_router.delivery.quarantine import Watch
from destination_router.delivery.settings import DeliverySettings
from destination_router.delivery.worker import Delivery
from destination_router.eventlog.on_demand import LogOnDemand
from destination_router.eventlog.pairings import PairingsFile
from destination_router.eventlog.quarantine import QuarantineFile
from destination_router.pipeline.connection import Connection
from destination_router.plugins import (
    Broken,
    LoadedPlugin,
    load_plugin,
    survey_plugins,
)
from destination_router.surfaces import field_tables
from destination_router.surfaces.choosing import (
    UsageError,
    choose_from_config,
    choose_plugin,
    read_origins,
    sample_connection,
)
from destination_router.surfaces.comparing import diff
from destination_router.surfaces.connecting import connect, connect_of_file
from destination_router.surfaces.crew import delivery_settings
from destination_router.surfaces.deletion_command import delete_user
from destination_router.surfaces.demo import WRITE_KEY, Stage, play, stage
from destination_router.surfaces.letter_commands import commands as letter_commands
from destination_router.surfaces.log_commands import commands as log_commands
from destination_router.surfaces.migrating import import_
from destination_router.surfaces.other_commands import WithOtherCommands
from destination_router.surfaces.privacy_commands import commands as privacy_commands
from destination_router.surfaces.reading import STANDARD_INPUT, read_lines
from destination_router.surfaces.resuming import state_directory, state_of
from destination_router.surfaces.rudderstack.command import transformer
from destination_router.surfaces.run_commands import check, run
from destination_router.surfaces.scaffolding import new
from destination_router.surfaces.send_progress import SendProgress, answers_told
from destination_router.surfaces.sending import MOST_ATTEMPTS, Summary, complaint, send_lines
from destination_router.surfaces.serving import told_to_stop
from destination_router.surfaces.showing import (
    Tally,
    counted,
    decision_json,
    delivery_json,
    print_decision,
    print_delivery,
    print_json,
    print_steps,
    steps_json,
)
from destination_router.surfaces.simulating import simulate
from destination_router.surfaces.telling import (
    FAILED,
    complain,
    out,
    print_line,
    problems_told,
    summed_up,
    talk,
)

DISTRIBUTION = "heap-destination"

app = typer.Typer(
    cls=WithOtherCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PLUGIN] [FILE]",
        help="The plugin, unless --config names it; and a file of messages, one JSON object a "
        "line, plain or gzipped, or - for standard input.",
        show_default=False,
    ),
]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="A file of settings, JSON or TOML.")
]
Pairs = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One setting.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A router.toml, in place of plugin and settings.")
]
ConnectionName = Annotated[
    str | None, typer.Option("--connection", help="Which connection of the router.toml.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        metavar="FROM=TO",
        help="Send a vendor's origin elsewhere: https://vendor.example=http://127.0.0.1:9100.",
    ),
]


class _Choice(msgspec.Struct):
    """What a command line chose: a connection, a file and how requests go.

    `identity` is what makes it the same choice another time: the plugin and its settings.
    `kept` is the event log of a router.toml, or a file of the user's own; `quarantine` is held in
    the former, and without one in memory.
    """

    connection: Connection
    source: str
    delivery: DeliverySettings
    identity: tuple[str, dict[str, Any]]
    kept: LogOnDemand
    quarantine: Watch


@app.command("try")
def try_(
    arguments: Arguments = None,
    settings: SettingsFile = None,
    pairs: Pairs = None,
    config: ConfigFile = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show what would be sent for each message, and every note. Sends nothing."""
    with problems_told():
        choice = _choose(arguments or [], settings, pairs or [], config, connection)
        tally = Tally()
        with summed_up(lambda: None if as_json else talk.print(str(tally))):
            for line in read_lines(choice.source):
                decision = choice.connection.decide(line.raw, message_id=line.message_id)
                steps = choice.connection.steps(line.raw, message_id=line.message_id)
                tally.count(decision)
                if as_json:
                    told = {"line": line.number, **decision_json(decision, choice.connection)}
                    print_line(told | ({"steps": steps_json(steps)} if steps else {}))
                else:
                    print_decision(out, decision, choice.connection, line=line.number)
                    print_steps(out, steps)
    raise typer.Exit(FAILED if tally.results["rejected"] else 0)


@app.command()
def send(
    arguments: Arguments = None,
    settings: SettingsFile = None,
    pairs: Pairs = None,
    config: ConfigFile = None,
    connection: ConnectionName = None,
    origin: Origins = None,
    as_json: AsJson = False,
) -> None:
    """Send a file of messages to the vendor."""
    with problems_told():
        choice = _choose(arguments or [], settings, pairs or [], config, connection, origin or [])
        state = state_of(
            choice.source, choice.connection.name, choice.identity, choice.delivery.origins
        )
        if state.resumed:
            talk.print("Going on where the last run ended.")
        with SendProgress(talk, choice.connection.name, choice.source) as progress:

            def report(number: int, delivery: Delivery) -> None:
                if (told := complaint(number, delivery)) is not None:
                    talk.print(told, markup=False)

            sending = send_lines(
                choice.connection,
                read_lines(choice.source),
                settings=choice.delivery,
                state=state,
                pairings=PairingsFile(choice.kept),
                quarantine=choice.quarantine,
                report=report,
                watch=progress.show,
            )
            try:
                summary = asyncio.run(sending)
            finally:
                choice.kept.close()
        if as_json:
            print_line(summary.as_json())
        else:
            _print_summary(summary)
        if summary.left:
            told = "interrupted" if summary.interrupted else answers_told(summary.answers)
            cause = f" ({told})" if told else ""
            rest = "The same command sends the rest." if state.kept else "Streams are not resumed."
            talk.print(f"{counted(summary.left, 'message')} left{cause}. {rest}")
        if summary.broken is not None:
            complain(summary.broken)
    raise typer.Exit(0 if summary.all_well else FAILED)


@app.command()
def demo(
    plugin: Annotated[str, typer.Argument(help="The destination to show.")],
    settings: SettingsFile = None,
    pairs: Pairs = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running, for your own SDK to send to.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send real SDK traffic through a router into a simulated vendor, and explain all of it."""
    with problems_told():
        shown = sample_connection(plugin, settings, pairs or [])
        with contextlib.suppress(KeyboardInterrupt):
            raise typer.Exit(asyncio.run(_demo(shown, keep=keep, as_json=as_json)))


@app.command()
def plugins(as_json: AsJson = False) -> None:
    """List the installed destinations, the broken ones too, and what each can do."""
    found = survey_plugins()
    if as_json:
        print_line([_plugin_json(plugin) for plugin in found])
        return
    if not found:
        talk.print("No destination is installed. Try: pip install heap-destination")
    for plugin in found:
        match plugin:
            case LoadedPlugin():
                out.print(f"[bold]{plugin.name}[/]  {plugin.origin}")
                out.print(f"  {', '.join(plugin.capabilities)}")
            case Broken():
                out.print(f"[bold]{plugin.name}[/]  [red]broken[/]")
                out.print(f"  {plugin.error}", markup=False)


@app.command()
def schema(
    plugin: Annotated[str, typer.Argument(help="The destination.")],
    fields: Annotated[
        bool, typer.Option("--fields", help="Print the fields that a mapping may override.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a destination's settings schema, or the fields that a mapping may override."""
    with problems_told():
        loaded = load_plugin(plugin)
        if not fields:
            print_json(out, loaded.hook.settings_schema())
        elif as_json:
            print_line(field_tables.as_json(field_tables.fields_of(loaded)))
        else:
            table = field_tables.as_markdown(field_tables.fields_of(loaded))
            out.print(table, markup=False)


app.command("run")(run)
app.command("transformer")(transformer)
app.command("check")(check)
app.command("import")(import_)
app.command("delete-user")(delete_user)
app.command("diff")(diff)
app.command("new")(new)
app.command("simulate")(simulate)
app.add_typer(letter_commands, name="dead-letters")
app.add_typer(log_commands, name="eventlog")
app.add_typer(privacy_commands, name="privacy")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 -- typer calls it so
    if wanted:
        out.print(f"destination-router {version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version_: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Send customer events to vendors, through destinations that anyone can write."""


def main() -> None:
    """Run the command."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(FAILED) from None


# -- choosing -----------------------------------------------------------------------------------


def _choose(
    arguments: Sequence[str],
    settings: Path | None,
    pairs: Sequence[str],
    config: Path | None,
    connection: str | None,
    origins: Sequence[str] = (),
) -> _Choice:
    elsewhere = read_origins(origins)
    if config is not None:
        if settings is not None or pairs:
            raise UsageError("settings stand in the router.toml: drop --settings and --set")
        if len(arguments) > 1:
            raise UsageError(
                f"the router.toml names the plugin: give the file alone, without {arguments[0]!r}"
            )
        chosen, router = choose_from_config(config, connection)
        ready = connect_of_file(config, router, chosen)
        source = _source(arguments, 0)
        delivery, kept = router.delivery, LogOnDemand(router.eventlog.path)
        quarantine = Watch(chosen.name, router.quarantine, QuarantineFile(kept))
    else:
        plugin = arguments[0] if arguments else None
        chosen, _ = choose_plugin(plugin, connection, settings, pairs)
        ready = connect(chosen)
        source = _source(arguments, 1)
        delivery, kept = DeliveryConfig(), LogOnDemand(state_directory() / "pairings.db")
        quarantine = Watch(chosen.name, QuarantineConfig())
    delivery = msgspec.structs.replace(
        delivery,
        origins=delivery.origins | elsewhere,
        settings={"max_attempts": MOST_ATTEMPTS, **delivery.settings},
    )
    return _Choice(
        ready,
        source,
        delivery_settings(delivery),
        (chosen.plugin, chosen.settings),
        kept,
        quarantine,
    )


def _source(arguments: Sequence[str], position: int) -> str:
    if len(arguments) > position + 1:
        raise UsageError(f"one file at a time; {arguments[position + 1]!r} is one too many")
    if len(arguments) > position:
        return arguments[position]
    if sys.stdin.isatty():
        raise UsageError("name a file of messages, or - for standard input")
    return STANDARD_INPUT


# -- printing -----------------------------------------------------------------------------------


def _print_summary(summary: Summary) -> None:
    out.print(
        f"{counted(summary.messages, 'message')}: {summary.delivered} delivered, "
        f"{summary.filtered} filtered, {summary.rejected.total()} rejected"
    )
    for title, counts in (("rejected", summary.rejected), ("notes", summary.notes)):
        for code, count in counts.most_common():
            out.print(f"  {title}  {code}  {count}", markup=False)


def _plugin_json(plugin: LoadedPlugin | Broken) -> dict[str, Any]:
    match plugin:
        case LoadedPlugin():
            return {
                "name": plugin.name,
                "origin": plugin.origin,
                "capabilities": list(plugin.capabilities),
                "error": None,
            }
        case Broken():
            return {
                "name": plugin.name,
                "origin": plugin.origin,
                "capabilities": [],
                "error": plugin.error,
            }


# -- the demo -----------------------------------------------------------------------------------


async def _demo(connection: Connection, *, keep: bool, as_json: bool) -> int:
    deliveries: list[Delivery] = []

    def report(window: Sequence[Delivery]) -> None:
        deliveries.extend(window)
        if not as_json:
            for delivery in window:
                print_delivery(out, delivery, connection)

    async with stage(connection, report) as running:
        if not as_json:
            _introduce(connection, running)
        held = await play(running)
        if as_json:
            deliveries.sort(key=lambda delivery: delivery.offset)
            messages = [delivery_json(delivery, connection) for delivery in deliveries]
            print_line({"messages": messages, "held": held})
        else:
            _print_held(connection, held)
        if keep:
            talk.print(f"Still running: write key {WRITE_KEY}, data plane {running.gateway_url}")
            talk.print(f"The vendor's stand-in: {running.vendor_url}/_simulator/requests")
            told = told_to_stop()
            talk.print("Ctrl-C ends it.")
            await told.wait()
    undelivered = [d for d in deliveries if d.outcome and d.outcome.result != "delivered"]
    return FAILED if undelivered or not deliveries else 0


def _introduce(connection: Connection, running: Stage) -> None:
    out.print(
        f"[bold]rudder-sdk-python[/] → gateway {running.gateway_url} → "
        f"[bold]{connection.plugin.name}[/] → simulated vendor {running.vendor_url}\n",
    )


def _print_held(connection: Connection, held: dict[str, list[Any]]) -> None:
    out.rule(f"What the simulated {connection.plugin.name} now holds")
    for kind, rows in held.items():
        out.print(f"[bold]{kind}[/]: {len(rows)}")
        for row in rows:
            print_json(out, _without_nulls(row))


def _without_nulls(row: Any) -> Any:
    if isinstance(row, dict):
        return {key: value for key, value in row.items() if value is not None}
    return row


if __name__ == "__main__":
    main()
