"""One thread that writes. Simultaneous writes go to disk in one transaction.

An fsync costs milliseconds and serves any number of writes. So under load, each transaction carries
all writes that came in during the previous one.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], T]

_MOST_TOGETHER = 256


class RefusedError(Exception):
    """Raised by a write that has changed nothing. The others of its transaction go on."""


class _Job(msgspec.Struct, eq=False):
    write: Write[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Runs writes in the order of their calls.

    Args:
        connection: the writer's own from now on; closed by `close`.
        check: is asked before each transaction; what it raises refuses all writes in it.
    """

    def __init__(
        self, connection: sqlite3.Connection, check: Callable[[], None] = lambda: None
    ) -> None:
        self._connection = connection
        self._check = check
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="event-log-writer", daemon=True)
        self._thread.start()

    async def run(self, write: Write[T]) -> T:
        """Run a write in a transaction. It is on disk when this returns.

        It may run more than once: if the transaction fails, its writes are tried one by one.

        Raises:
            sqlite3.Error: none of it was written.
            RefusedError: the write raised it, or `check` did.
        """
        if self._closed:
            raise RefusedError("the log is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(write, loop, future))
        return await future

    def close(self) -> None:
        """Finish the writes that wait, and close the connection."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._connection):
            going_on = True
            while going_on:
                jobs, going_on = self._next()
                if jobs:
                    self._write(jobs)
                    _answer(jobs)

    def _next(self) -> tuple[list[_Job], bool]:
        """Wait for a job, and take those that wait after it."""
        job = self._jobs.get()
        jobs: list[_Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == _MOST_TOGETHER:
                return jobs, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, True
        return jobs, False

    def _write(self, jobs: Sequence[_Job]) -> None:
        try:
            self._check()
            self._connection.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, RefusedError) as error:  # for each job and for all
            for job in jobs:
                job.error = error
            return
        try:
            self._transact(jobs)
        except Exception as error:  # noqa: BLE001 -- the caller is told; the thread goes on
            if len(jobs) == 1:
                jobs[0].error = error
                return
            for job in jobs:
                self._write([job])

    def _transact(self, jobs: Sequence[_Job]) -> None:
        connection = self._connection
        try:
            for job in jobs:
                job.error = None
                try:
                    job.result = job.write(connection)
                except RefusedError as error:
                    job.error = error
            connection.execute("COMMIT")
        except BaseException:
            # After a full disk SQLite may have rolled back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _answer(jobs: Sequence[_Job]) -> None:
    for loop in {job.loop for job in jobs}:
        # An event loop that has ended waits for nothing.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, [job for job in jobs if job.loop is loop])


def _settle(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # the caller was cancelled
            continue
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.error)
