"""Handles signals: SIGTERM and Ctrl-C end the process, SIGHUP reloads."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable


def told_to_reload() -> asyncio.Event:
    """Set an event at SIGHUP. The code that waits for it clears it."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told.set)
    return told


def told_to_stop(again: Callable[[], None] | None = None) -> asyncio.Event:
    """Set an event at SIGINT and SIGTERM, even if a shell ignores SIGINT.

    Shells start background jobs with SIGINT ignored, and Python leaves it so.

    Args:
        again: is called at the second signal, which then ends the process. None: a second signal
        changes nothing.
    """
    told = asyncio.Event()

    def stop(number: int) -> None:
        if told.is_set() and again is not None:
            again()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return told
