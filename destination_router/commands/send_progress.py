"""The progress bar of `send`: rate, delivered, rejected, retrying, time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from destination_router.files.reading import plain_size
from destination_router.files.sending import View


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
        dead = view.stats.circuit != "closed"
        if dead and not self._dead:
            self._tell(
                f"The vendor does not take anything ({answers_told(view.stats.requests)}). Trying "
                f"for {self._wait}."
            )
        elif self._dead and not dead:
            self._tell("The vendor is back.")
        self._dead = dead

    def _tell(self, text: str) -> None:
        self._console.print(text)


def words(view: View, seconds: float) -> str:
    """Say how it stands: `1200/s  36000 delivered  2 rejected  40 retrying`."""
    summary, stats = view.summary, view.stats
    told = [
        f"{summary.messages / seconds if seconds else 0:.0f}/s",
        f"{summary.delivered} delivered",
        f"{summary.rejected.total()} rejected",
        f"{stats.parked} retrying",
    ]
    if stats.circuit != "closed":
        told.append("vendor down")
    return "  ".join(told)


def answers_told(answers: Mapping[str, int]) -> str:
    """Say what came back that was no success, the most frequent first: `network 5, 503 2`."""
    failures = Counter({name: n for name, n in answers.items() if not name.startswith("2")})
    return ", ".join(f"{name} {count}" for name, count in failures.most_common())
