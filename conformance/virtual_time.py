"""An event loop whose clock moves only when everybody waits: an hour passes in no time.

Everything that waits on the loop (`asyncio.sleep`, timeouts, an HTTP client's deadlines) waits on
this clock. It is for programs that wait for nothing but time: no threads, no other process.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_TICK = 1e-9
"""Seconds that every turn of the loop takes: a program that is busy must not stop the clock."""


class _Selector(selectors.DefaultSelector):
    """Passes the time instead of waiting for it."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        found: list[Any] = super().select(0)
        if timeout is None and not found:
            raise RuntimeError("everybody waits, and nobody for a time: a deadlock")
        self.loop.now += _TICK if found or not timeout else max(timeout, _TICK)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own; `now` is in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Tell the time; asyncio asks here."""
        return self.now


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a program to its end, as `asyncio.run` does, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
