"""The event loop of commands that speak to vendors. The lookup of a name never delays their end.

asyncio looks up names in a pool of threads, and waits for them when the loop closes. With a name
server that never answers, SIGTERM would take some 25 seconds.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from destination_router.threads import in_thread

T = TypeVar("T")


class EventLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, with another way to look up names."""

    def __init__(self) -> None:
        super().__init__()
        self._look_ups: dict[tuple[Any, ...], asyncio.Task[Any]] = {}

    async def getaddrinfo(  # noqa: PLR0913 -- as asyncio calls it
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Look up a name. Simultaneous questions for the same name share one answer."""
        asked = (host, port, family, type, proto, flags)
        looking = self._look_ups.get(asked)
        if looking is None:
            look_up = partial(socket.getaddrinfo, *asked)
            looking = self._look_ups[asked] = self.create_task(in_thread(look_up, "look-up"))
            looking.add_done_callback(partial(self._looked_up, asked))
        return await asyncio.shield(looking)

    def _looked_up(self, asked: tuple[Any, ...], looking: asyncio.Task[Any]) -> None:
        del self._look_ups[asked]
        if not looking.cancelled():
            looking.exception()  # whoever asked has been told, or is gone


def run_in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, in an `EventLoop`."""
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        return runner.run(work)
