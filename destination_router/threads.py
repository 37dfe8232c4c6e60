"""Runs work beside the event loop, in a thread that does not delay the end of the process.

At its end, a process waits for the threads of asyncio's own pool. The lookup of a name that no
server answers, or a body that takes seconds to read, would delay it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_IDLE_SECONDS = 10.0

_Job: TypeAlias = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


async def in_thread(work: Callable[[], T], name: str) -> T:
    """Run blocking work while the event loop goes on.

    If the caller is cancelled, it stops waiting. The work runs to its end, and its result is
    dropped.

    Args:
        work: the blocking function.
        name: the thread's.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    threading.Thread(target=_run, args=(work, loop, done), name=name, daemon=True).start()
    try:
        return await done
    finally:
        # What was raised holds this frame, and the frame would hold it: a circle, and with it all
        # that the work had in hand, until somebody looks for circles.
        del done, work


class OneThread:
    """A thread for work that comes again and again, one after the other.

    To start a thread each time takes as much as to write a few traces. This one starts with the
    first work, and ends when none has come for a while.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_there = False

    async def run(self, work: Callable[[], T]) -> T:
        """Do what `in_thread` does, in this thread."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        with self._lock:
            if not self._is_there:
                # If the system refuses a thread, the next work tries again.
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                self._is_there = True
            self._jobs.put((work, loop, done))
        try:
            return await done
        finally:
            del done, work  # as in `in_thread`

    def _work(self) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                _run(*self._jobs.get(timeout=_IDLE_SECONDS))
                continue
            with self._lock:
                if self._jobs.empty():
                    self._is_there = False
                    return


def _run(work: Callable[[], T], loop: asyncio.AbstractEventLoop, done: asyncio.Future[T]) -> None:
    result: T | None = None
    error: BaseException | None = None
    try:
        result = work()
    except BaseException as raised:  # noqa: BLE001 -- whoever waits is told, whatever it is
        error = raised
    try:
        loop.call_soon_threadsafe(_tell, done, result, error)
    except RuntimeError:  # the loop is closed: nobody waits
        pass
    finally:
        del done, error  # as above


def _tell(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():  # cancelled
        return
    if error is None:
        done.set_result(result)
    elif isinstance(error, StopIteration):  # no future takes one
        done.set_exception(RuntimeError("the work raised StopIteration"))
    else:
        done.set_exception(error)
