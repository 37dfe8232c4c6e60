"""`try` and `send`: a file of messages, shown as it would be sent, and sent."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import msgspec
import typer

from destination_router.commands.options import (
    AsJson,
    ConfigFile,
    ConnectionName,
    JsonLines,
    Origins,
    Pairs,
    SettingsFile,
    Wait,
    read_origins,
    read_wait,
    taking,
)
from destination_router.commands.output import (
    FAILED,
    complain,
    out,
    print_line,
    problems_told,
    summed_up,
    talk,
)
from destination_router.commands.send_progress import SendProgress, answers_told
from destination_router.commands.showing import (
    Tally,
    counted,
    decision_json,
    print_decision,
    print_steps,
    steps_json,
)
from destination_router.config.router_toml import DeliveryConfig, QuarantineConfig
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.quarantine import Watch
from destination_router.delivery.worker import Delivery
from destination_router.eventlog.sqlite.on_demand import LogOnDemand
from destination_router.eventlog.sqlite.pairing_book import PairingsFile
from destination_router.eventlog.sqlite.quarantine_book import QuarantineFile
from destination_router.faults import UsageError
from destination_router.files.line_sources import line_source
from destination_router.files.reading import STANDARD_INPUT, read_lines
from destination_router.files.resuming import SendState, state_directory, state_of
from destination_router.files.sending import MOST_ATTEMPTS, Summary, complaint, send_lines
from destination_router.pipeline.connection import Connection
from destination_router.service.connections import (
    choose_from_config,
    choose_plugin,
    connect,
    connect_of_file,
)
from destination_router.service.workers import delivery_settings

Plugin = Annotated[
    str | None,
    typer.Argument(
        metavar="PLUGIN", help="The destination, unless --config names it.", show_default=False
    ),
]
File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="Messages, one JSON object a line, plain or gzipped; - is standard input.",
        show_default=False,
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


def _choose(
    plugin: Plugin = None,
    file: File = None,
    settings: SettingsFile = None,
    pairs: Pairs = None,
    config: ConfigFile = None,
    connection: ConnectionName = None,
) -> _Choice:
    if config is not None:
        if settings is not None or pairs:
            raise UsageError("settings stand in the router.toml: drop --settings and --set")
        if file is not None:
            raise UsageError(
                f"the router.toml names the plugin: give the file alone, without {plugin!r}"
            )
        chosen, router = choose_from_config(config, connection)
        ready = connect_of_file(config, router, chosen)
        source = _source(plugin)  # the one argument that is left
        delivery, kept = router.delivery, LogOnDemand(router.eventlog.path)
        quarantine = Watch(chosen.name, router.quarantine, QuarantineFile(kept))
    else:
        chosen, _ = choose_plugin(plugin, connection, settings, pairs or [])
        ready = connect(chosen)
        source = _source(file)
        delivery, kept = DeliveryConfig(), LogOnDemand(state_directory() / "pairings.db")
        quarantine = Watch(chosen.name, QuarantineConfig())
    delivery = msgspec.structs.replace(
        delivery, settings={"max_attempts": MOST_ATTEMPTS, **delivery.settings}
    )
    return _Choice(
        ready,
        source,
        delivery_settings(delivery),
        (chosen.plugin, chosen.settings),
        kept,
        quarantine,
    )


def _source(file: str | None) -> str:
    if file is not None:
        return file
    if sys.stdin.isatty():
        raise UsageError("name a file of messages, or - for standard input")
    return STANDARD_INPUT


@taking(_choose)
def try_(choice: _Choice, as_json: JsonLines = False) -> None:
    """Show what would be sent for each message; sends nothing.

    Every request, every note of what was changed or left out, and why a message is filtered or
    rejected.

    Example: destination-router try heap --set appId=1234567890 messages.jsonl
    """
    with problems_told():
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


@taking(_choose)
def send(
    choice: _Choice, origin: Origins = None, wait: Wait = "5m", as_json: AsJson = False
) -> None:
    """Send a file of messages to the vendor.

    What was not sent is told by its line. A vendor that takes nothing for as long as --wait ends
    the run. After that, or an interruption, the same command sends the rest.

    Example: destination-router send --config router.toml messages.jsonl.gz
    """
    with problems_told():
        patience = read_wait(wait)
        origins = choice.delivery.origins | read_origins(origin or [])
        choice.delivery = msgspec.structs.replace(choice.delivery, origins=origins)
        state = state_of(
            choice.source, choice.connection.name, choice.identity, choice.delivery.origins
        )
        if state.resumed:
            talk.print("Going on where the last run ended.")
        progress = SendProgress(talk, choice.connection.name, choice.source, wait)
        summary = _send(choice, state, progress, patience)
        if as_json:
            print_line(summary.as_json())
        else:
            _print_summary(summary)
        if summary.left:
            told = _why_left(summary, wait)
            cause = f" ({told})" if told else ""
            rest = "The same command sends the rest." if state.kept else "Streams are not resumed."
            talk.print(f"{counted(summary.left, 'message')} left{cause}. {rest}")
        if summary.broken is not None:
            complain(summary.broken)
    raise typer.Exit(0 if summary.all_well else FAILED)


def _send(choice: _Choice, state: SendState, progress: SendProgress, patience: float) -> Summary:
    with progress:

        def report(number: int, delivery: Delivery) -> None:
            if (told := complaint(number, delivery)) is not None:
                talk.print(told, markup=False)

        sending = send_lines(
            choice.connection,
            line_source(choice.source),
            settings=choice.delivery,
            state=state,
            pairings=PairingsFile(choice.kept),
            quarantine=choice.quarantine,
            report=report,
            watch=progress.show,
            patience=patience,
        )
        try:
            return asyncio.run(sending)
        finally:
            choice.kept.close()


def _why_left(summary: Summary, wait: str) -> str:
    if summary.interrupted:
        return "interrupted"
    silence = f"the vendor took nothing for {wait}" if summary.timed_out else ""
    return ": ".join(filter(None, (silence, answers_told(summary.answers))))


def _print_summary(summary: Summary) -> None:
    out.print(
        f"{counted(summary.messages, 'message')}: {summary.delivered} delivered, "
        f"{summary.filtered} filtered, {summary.rejected.total()} rejected"
    )
    for title, counts in (("rejected", summary.rejected), ("notes", summary.notes)):
        for code, count in counts.most_common():
            out.print(f"  {title}  {code}  {count}", markup=False)
