"""`BlockingRouter`: a `Router` for a host without an event loop: a script, a batch job, Django.

    with BlockingRouter.from_config("router.toml") as router:
        router.append([{"type": "track", "userId": "ada", "event": "Program Published"}])
        router.drain(timeout=60)

Its event loop runs in one thread, which ends with the block.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from destination_router.contract.messages import Message
from destination_router.contract.records import Json
from destination_router.hosting.connection_stats import ConnectionStats
from destination_router.hosting.host_router import Router
from destination_router.service.event_loop import run_in_loop

T = TypeVar("T")


class BlockingRouter:
    """A router in a thread of its own. Any thread may call its methods.

    Make it with `from_config`. After a fork, the child has no router: make one there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop: asyncio.AbstractEventLoop | None = None
        self._router: Router | None = None
        self._thread: threading.Thread | None = None
        self._end: asyncio.Event | None = None
        self._leaving = False
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()

    @classmethod
    def from_config(cls, path: str | Path) -> Self:
        """Name the router.toml. The router reads it when you enter it."""
        return cls(Path(path))

    def __enter__(self) -> Self:
        """Start; as `Router.__aenter__`."""
        if self._thread is not None:
            raise RuntimeError("a BlockingRouter is entered once: make another with from_config")
        self._thread = threading.Thread(target=self._run, name="destination-router", daemon=True)
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End, as `Router.__aexit__`; the thread and its event loop are gone when this returns."""
        self._leave()
        self._ended.result()

    def append(
        self,
        messages: Iterable[Message | Mapping[str, Json] | bytes | str],
        *,
        source: str | None = None,
    ) -> int:
        """Accept messages, all or none, as `Router.append`."""
        given = list(messages)  # in this thread: they may come from a database's cursor
        return self._do(lambda router: router.append(given, source=source))

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until every connection is done with all that was taken, as `Router.drain`."""
        return self._do(lambda router: router.drain(timeout))

    def behind(self) -> dict[str, int]:
        """Count the messages that each connection is not done with."""
        return self._do(lambda router: router.behind())

    def stats(self) -> dict[str, ConnectionStats]:
        """Return each connection's counts since the router started, and its state."""

        async def told(router: Router) -> dict[str, ConnectionStats]:
            return router.stats()

        return self._do(told)

    def pause(self, connection: str) -> None:
        """Send nothing for a connection from now on, as `Router.pause`."""
        self._do(lambda router: router.pause(connection))

    def resume(self, connection: str) -> None:
        """Go on sending, as `Router.resume`."""
        self._do(lambda router: router.resume(connection))

    def _do(self, work: Callable[[Router], Awaitable[T]]) -> T:
        loop, router = self._loop, self._router
        if loop is None or router is None:
            raise RuntimeError("the router is not at work: use it inside `with`")

        async def done() -> T:
            return await work(router)

        future = asyncio.run_coroutine_threadsafe(done(), loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C while it waits: nobody waits any more
            raise

    def _run(self) -> None:
        try:
            run_in_loop(self._serve())
        except BaseException as error:  # noqa: BLE001 -- told where the block begins, or ends
            self._ended.set_exception(error)
            if not self._started.done():
                self._started.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self) -> None:
        end = asyncio.Event()
        async with Router.from_config(self._path) as router:
            self._loop, self._router, self._end = asyncio.get_running_loop(), router, end
            self._started.set_result(None)
            if not self._leaving:  # else nobody waited for the start
                await end.wait()
            self._router = None

    def _leave(self) -> None:
        self._leaving = True
        loop, end, thread = self._loop, self._end, self._thread
        if loop is not None and end is not None and not self._ended.done():
            loop.call_soon_threadsafe(end.set)
        if thread is not None:
            thread.join()
        self._loop = self._router = None
