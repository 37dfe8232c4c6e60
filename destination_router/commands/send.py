"""`send`: send a file of messages to the vendor, and report each failure."""

from __future__ import annotations

import msgspec
import typer

from destination_router.commands.decision_output import (
    counted,
)
from destination_router.commands.from_file import FileChoice, chosen
from destination_router.commands.options import (
    AsJson,
    Origins,
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
    talk,
    warn,
)
from destination_router.commands.pausing import order_of, paused_words
from destination_router.commands.send_progress import SendProgress, answers_told
from destination_router.delivery.worker import Delivery
from destination_router.eventlog.sqlite.pairing_book import PairingsFile
from destination_router.eventlog.sqlite.standing_book import StandingFile
from destination_router.faults import UsageError
from destination_router.files.line_sources import line_source
from destination_router.files.resuming import SendStanding, SendState, claimed_state
from destination_router.files.sending import Summary, complaint, send_lines
from destination_router.garbage import seldom
from destination_router.service.elsewhere import refuse_strange, refuse_strange_of_file
from destination_router.service.event_loop import run_in_loop


@taking(chosen)
def send(
    choice: FileChoice, origin: Origins = None, wait: Wait = "5m", as_json: AsJson = False
) -> None:
    """Send a file of messages to the vendor.

    It names the line of each message that was not sent. It ends if the vendor takes nothing, or the
    connection is paused, for as long as --wait. It refuses a connection that is already paused. If
    it ends early, the same command sends the rest.

    Example: destination-router send --config router.toml messages.jsonl.gz
    """
    with problems_told():
        patience = read_wait(wait)
        _refuse_paused(choice)
        own = read_origins(origin or [])
        for words in (
            *refuse_strange(own, choice.connection),
            *refuse_strange_of_file(choice.delivery.origins, choice.connection, choice.others),
        ):
            warn(words)
        origins = choice.delivery.origins | own
        choice.delivery = msgspec.structs.replace(choice.delivery, origins=origins)
        of_choice = (choice.connection.name, choice.identity, choice.delivery.origins)
        with claimed_state(choice.source, *of_choice) as state:
            if state.unreadable:
                warn("what is remembered of this file cannot be read: it is sent from its start")
            if state.resumed:
                talk.print("Going on where the last run ended.")
            progress = SendProgress(talk.console, choice.connection.name, choice.source, wait)
            summary = _send(choice, state, progress, patience)
        if as_json:
            print_line(summary.as_json())
        else:
            _print_summary(summary)
        if summary.left:
            told = _why_left(summary, wait)
            cause = f" ({told})" if told else ""
            rest = "The same command sends the rest." if state.kept else "Streams are not resumed."
            talk.print(f"{counted(summary.left, 'message')} left{cause}. {rest}", markup=False)
        if summary.broken is not None:
            complain(summary.broken)
    raise typer.Exit(0 if summary.all_well else FAILED)


def _send(choice: FileChoice, state: SendState, progress: SendProgress, patience: float) -> Summary:
    with progress:

        def report(place: str, delivery: Delivery) -> None:
            if (told := complaint(place, delivery)) is not None:
                talk.print(told, markup=False)

        sending = send_lines(
            choice.connection,
            line_source(choice.source),
            settings=choice.delivery,
            state=state,
            pairings=PairingsFile(choice.kept),
            standing=SendStanding(state, None if choice.log is None else StandingFile(choice.kept)),
            quarantine=choice.quarantine,
            report=report,
            watch=progress.show,
            patience=patience,
        )
        try:
            with seldom():
                return run_in_loop(sending)
        finally:
            choice.kept.close()


def _refuse_paused(choice: FileChoice) -> None:
    name = choice.connection.name
    order = None if choice.log is None else order_of(choice.log, name)
    if order is not None and order.paused:
        raise UsageError(
            f"{name} is {paused_words(order)}: nothing was sent. Let it go on first: "
            f"`destination-router connections resume {name}`"
        )


def _why_left(summary: Summary, wait: str) -> str:
    if summary.interrupted:
        return "interrupted"
    if summary.paused:
        return f"the connection was paused for {wait}" if summary.timed_out else "paused"
    silence = f"the vendor took nothing for {wait}" if summary.timed_out else ""
    held = f"held, {summary.held}" if summary.held else ""
    answers = answers_told(summary.answers, summary.failure)
    return ": ".join(filter(None, (silence, held or answers)))


def _print_summary(summary: Summary) -> None:
    out.print(
        f"{counted(summary.messages, 'message')}: {summary.delivered} delivered, "
        f"{summary.filtered} filtered, {summary.rejected.total()} rejected"
    )
    for title, counts in (("rejected", summary.rejected), ("notes", summary.notes)):
        for code, count in counts.most_common():
            out.print(f"  {title}  {code}  {count}", markup=False)
