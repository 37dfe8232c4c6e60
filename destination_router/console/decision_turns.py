"""Asks connections for decisions that pages show, one at a time and with a deadline.

A destination that is a program may hang. Then only one thread waits for it, however often its pages
are loaded.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from destination_router.pipeline.connection import Connection
from destination_router.threads import in_thread

T = TypeVar("T")

PATIENCE = 10.0
"""How long a page waits, in seconds."""


class DecisionTurns:
    """Asks connections."""

    def __init__(self) -> None:
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ask(self, connection: Connection, work: Callable[[], T]) -> T:
        """Run work that asks a connection, in a thread.

        Raises:
            TimeoutError: it did not answer in time, or still owes an earlier page its answer.
        """
        if connection.plugin.elsewhere is None:
            return await in_thread(work, "console-decision")
        turn = self._turns[connection.name]
        async with asyncio.timeout(PATIENCE):
            await turn.acquire()
            asking = asyncio.ensure_future(in_thread(work, "console-decision"))

            def over(asked: asyncio.Future[T]) -> None:
                turn.release()
                if not asked.cancelled():
                    asked.exception()  # perhaps nobody waits for it any more

            asking.add_done_callback(over)
            return await asyncio.shield(asking)
