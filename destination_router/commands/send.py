"""`send`: a file of messages to the vendor, and what became of each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

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
from destination_router.delivery.worker import Delivery
from destination_router.eventlog.sqlite.pairing_book import PairingsFile
from destination_router.files.line_sources import line_source
from destination_router.files.reading import plain_size
from destination_router.files.resuming import SendState, state_of
from destination_router.files.sending import Summary, View, complaint, held_words, send_lines
from destination_router.service.elsewhere import refuse_strange, refuse_strange_of_file
from destination_router.service.event_loop import run_in_loop


@taking(chosen)
def send(
    choice: FileChoice, origin: Origins = None, wait: Wait = "5m", as_json: AsJson = False
) -> None:
    """Send a file of messages to the vendor.

    What was not sent is told by its line. A vendor that takes nothing for as long as --wait ends
    the run. After that, or an interruption, the same command sends the rest.

    Example: destination-router send --config router.toml messages.jsonl.gz
    """
    with problems_told():
        patience = read_wait(wait)
        own = read_origins(origin or [])
        for words in (
            *refuse_strange(own, choice.connection),
            *refuse_strange_of_file(choice.delivery.origins, choice.connection, choice.others),
        ):
            warn(words)
        origins = choice.delivery.origins | own
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
            quarantine=choice.quarantine,
            report=report,
            watch=progress.show,
            patience=patience,
        )
        try:
            return run_in_loop(sending)
        finally:
            choice.kept.close()


def _why_left(summary: Summary, wait: str) -> str:
    if summary.interrupted:
        return "interrupted"
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


class SendProgress:
    """A bar on a terminal; anywhere, a word when the vendor stops and starts to answer.

    Args:
        console: where.
        name: the connection's.
        source: the file. How far a packed one or standard input is, is not known beforehand.
        wait: for how long a vendor may take nothing: `5m`.
    """

    def __init__(self, console: Console, name: str, source: str, wait: str) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=plain_size(source), words="")
        self._console = console
        self._wait = wait
        self._begun = time.monotonic()
        self._dead = False

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, view: View) -> None:
        """Show how it stands."""
        self._bar.update(
            self._task,
            completed=view.bytes_done,
            words=words(view, time.monotonic() - self._begun),
        )
        held = held_words(view.stats)
        dead = view.stats.circuit != "closed" or bool(held)
        if dead and not self._dead:
            told = held or answers_told(view.stats.requests, view.stats.last_failure)
            self._tell(f"The vendor does not take anything ({told}). Trying for {self._wait}.")
        elif self._dead and not dead:
            self._tell("The vendor is back.")
        self._dead = dead

    def _tell(self, text: str) -> None:
        self._console.print(text, markup=False)


def words(view: View, seconds: float) -> str:
    """Say how it stands: `1200/s  36000 delivered  2 rejected  40 retrying`."""
    summary, stats = view.summary, view.stats
    told = [
        f"{summary.messages / seconds if seconds else 0:.0f}/s",
        f"{summary.delivered} delivered",
        f"{summary.rejected.total()} rejected",
        f"{stats.parked} retrying",
    ]
    if held := held_words(stats):
        told.append(f"held, {held}")
    elif stats.circuit != "closed":
        told.append("vendor down")
    return "  ".join(told)


def answers_told(answers: Mapping[str, int], failure: str = "") -> str:
    """Say what came back that was no success, the most frequent first.

    Args:
        answers: how many there were of each.
        failure: why there was none the last time.

    Returns:
        `503 7, network 5: https://vendor.example: the connection was refused`.
    """
    failures = Counter({name: n for name, n in answers.items() if not name.startswith("2")})
    told = ", ".join(f"{name} {count}" for name, count in failures.most_common())
    return f"{told}: {failure}" if failure else told
