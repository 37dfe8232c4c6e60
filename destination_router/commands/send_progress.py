"""Shows the progress of `send`: a bar on a terminal, and what it waits for."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from destination_router.delivery.stats import DeliveryStats
from destination_router.files.reading import plain_size
from destination_router.files.sending import View, held_words


class SendProgress:
    """A bar on a terminal; anywhere, a word when the vendor stops and starts to answer.

    Args:
        console: where.
        name: the connection's.
        source: the file. The size of a compressed one or of standard input is unknown.
        wait: the longest time that a vendor may take nothing: `5m`.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        console: Console,
        name: str,
        source: str,
        wait: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = plain_size(source)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", style="progress.remaining"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=self._size, words="", left="")
        self._name = name
        self._console = console
        self._wait = wait
        self._clock = clock
        self._begun = self._looked = clock()
        self._working = 0.0
        self._dead = self._paused = False
        self._quotas_told: set[str] = set()

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
        """Show the state of the run."""
        now = self._clock()
        if not is_waiting(view.stats):
            self._working += now - self._looked
        self._looked = now
        left = seconds_left(view, self._size, self._working)
        self._bar.update(
            self._task,
            completed=view.bytes_done,
            words=words(view, now - self._begun),
            left="-:--:--" if left is None else str(timedelta(seconds=math.ceil(left))),
        )
        held = held_words(view.stats)
        dead = view.stats.circuit != "closed" or bool(held)
        if dead and not self._dead:
            told = held or answers_told(view.stats.requests, view.stats.last_failure)
            self._tell(f"The vendor does not take anything ({told}). Trying for {self._wait}.")
        elif self._dead and not dead:
            self._tell("The vendor is back.")
        self._dead = dead
        self._tell_of_pause(paused=view.stats.paused)
        self._tell_of_quotas(view.stats, left)

    def _tell_of_pause(self, *, paused: bool) -> None:
        if paused and not self._paused:
            self._tell(f"{self._name} is paused: waiting for {self._wait} that it is resumed.")
        elif self._paused and not paused:
            self._tell(f"{self._name} is resumed.")
        self._paused = paused

    def _tell_of_quotas(self, stats: DeliveryStats, left: float | None) -> None:
        """Report each quota once when the run waits for it. A bar shows it all the time."""
        waits = quota_words(stats)
        new = stats.awaited_quotas.keys() - self._quotas_told
        if self._console.is_terminal or not waits or not new or not is_waiting(stats):
            return
        self._quotas_told |= new
        rest = "" if left is None else f", {timedelta(seconds=math.ceil(left))} for the rest"
        self._tell(f"The vendor takes no more for now: {waits}{rest}.")

    def _tell(self, text: str) -> None:
        self._console.print(text, markup=False)


def is_waiting(stats: DeliveryStats) -> bool:
    """Tell whether nothing is under way because of a limit, a pause or the vendor."""
    forbidden = bool(stats.awaited_quotas) or stats.paused or stats.circuit != "closed"
    return stats.in_flight == 0 and (forbidden or bool(held_words(stats)))


def seconds_left(view: View, size: int | None, working: float) -> float | None:
    """Estimate how long the rest takes, by the pace so far and the vendor's limits.

    Args:
        view: how the run stands.
        size: of the file, in bytes; None if it is unknown.
        working: the seconds that this run has sent, without waits.

    Returns:
        Seconds; None if nothing is sent yet, or the vendor takes nothing.
    """
    stats = view.stats
    sent = view.bytes_done - view.bytes_passed_over
    if size is None or sent <= 0 or held_words(stats) or stats.paused or stats.circuit != "closed":
        return None
    share = max(0, size - view.bytes_done) / sent
    awaited = [seconds for seconds in stats.awaited_quotas.values() if math.isfinite(seconds)]
    return max(share * working, view.seconds_for(share), *awaited, 0.0)


def words(view: View, seconds: float) -> str:
    """Write the state of the run: `1200/s  36000 delivered  waiting for events_per_app (12 s)`."""
    summary, stats = view.summary, view.stats
    told = [
        f"{summary.messages / seconds if seconds else 0:.0f}/s",
        f"{summary.delivered} delivered",
    ]
    if rejected := summary.rejected.total():
        told.append(f"{rejected} rejected")
    if retrying := stats.parked - stats.at_quotas:
        told.append(f"{retrying} retrying")
    if stats.paused:
        told.append("paused")
    elif held := held_words(stats):
        told.append(f"held, {held}")
    elif stats.circuit != "closed":
        told.append("vendor down")
    elif waits := quota_words(stats):
        told.append(waits)
    return "  ".join(told)


def quota_words(stats: DeliveryStats) -> str:
    """Name the vendor's limits that keep messages back, and until when.

    It leaves out a limit that the next answer may free, which changes with each request.
    """
    waits = [
        f"{quota} ({math.ceil(seconds)} s)"
        for quota, seconds in stats.awaited_quotas.items()
        if math.isfinite(seconds)
    ]
    return f"waiting for {', '.join(waits)}" if waits else ""


def answers_told(answers: Mapping[str, int], failure: str = "") -> str:
    """List unsuccessful answers, the most frequent first.

    Args:
        answers: the count of each answer.
        failure: the reason for the last missing answer.

    Returns:
        `503 7, network 5: https://vendor.example: the connection was refused`.
    """
    failures = Counter({name: n for name, n in answers.items() if not name.startswith("2")})
    told = ", ".join(f"{name} {count}" for name, count in failures.most_common())
    return f"{told}: {failure}" if failure else told
