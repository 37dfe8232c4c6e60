"""An event loop whose clock moves only while everything waits: an hour passes in no time.

`asyncio.sleep`, timeouts and an HTTP client's deadlines use this clock. Use it for programs that
wait only for time, and not for threads or other processes.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_TICK = 1e-9
"""Seconds that each turn of the loop takes, so that a busy program does not stop the clock."""


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
        """Return the virtual time, for asyncio."""
        return self.now


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a program to its end, as `asyncio.run` does, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
