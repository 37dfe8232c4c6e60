"""What a process is told from outside: to end (SIGTERM, Ctrl-C), or to reload (SIGHUP)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable


def told_to_reload() -> asyncio.Event:
    """Watch for SIGHUP, which sets the event; whoever waits for it clears it."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told.set)
    return told


def told_to_stop(again: Callable[[], None] | None = None) -> asyncio.Event:
    """Watch for SIGINT and SIGTERM, which set the event; also where a shell ignores SIGINT.

    Shells start what runs in the background with SIGINT ignored, and Python leaves it so.

    Args:
        again: is called where one of them comes once more: then the process ends by the signal.
            None: it changes nothing.
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
