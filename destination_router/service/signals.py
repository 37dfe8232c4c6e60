"""What a process is told from outside: to end (SIGTERM, Ctrl-C), or to reload (SIGHUP)."""

from __future__ import annotations

import asyncio
import signal


def told_to_reload() -> asyncio.Event:
    """Watch for SIGHUP, which sets the event; whoever waits for it clears it."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told.set)
    return told


def told_to_stop() -> asyncio.Event:
    """Watch for SIGINT and SIGTERM, which set the event; also where a shell ignores SIGINT.

    Shells start what runs in the background with SIGINT ignored, and Python leaves it so.
    """
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told
