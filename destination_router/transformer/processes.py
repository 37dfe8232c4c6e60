"""Runs several processes that answer on one socket, and restarts one that dies.

None outlives the process that started it, however that ends, because it would keep the port.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

_RESTART_SECONDS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Serve = Callable[[socket.socket], None]

_log = logging.getLogger(__name__)


def run_workers(serve: Serve, listener: socket.socket, count: int) -> None:
    """Keep a number of processes running until SIGINT or SIGTERM; then stop them gracefully.

    Args:
        serve: what each of them does until SIGTERM; can be pickled.
        listener: what they all accept connections from; closed when this ends.
        count: how many.
    """
    stopping = threading.Event()
    workers: list[SpawnProcess] = []

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()
        for worker in workers:
            _terminate(worker)

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        workers.extend(_started(serve, listener) for _ in range(count))
        while not stopping.is_set():
            wait([worker.sentinel for worker in workers], _RESTART_SECONDS)
            for at, worker in enumerate(workers):
                if not stopping.is_set() and not worker.is_alive():
                    _log.error("worker_ended", extra={"status": worker.exitcode})
                    stopping.wait(_RESTART_SECONDS)
                    workers[at] = _started(serve, listener)
    finally:
        listener.close()  # otherwise a client that connects now would wait for ever
        for worker in workers:
            _terminate(worker)
        for worker in workers:
            worker.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _started(serve: Serve, listener: socket.socket) -> SpawnProcess:
    worker = multiprocessing.get_context("spawn").Process(target=_work, args=(serve, listener))
    # Ctrl-C goes to all of them. One that is only starting relies on this one to stop it, and
    # this one is deaf only for a moment.
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        worker.start()
    finally:
        signal.signal(signal.SIGINT, ours)
    return worker


def _work(serve: Serve, listener: socket.socket) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(SharedListener(fileno=listener.detach()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 -- a worker has been started by one
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


class SharedListener(socket.socket):
    """A listening socket that several processes accept from, one connection at a time.

    An event loop that is told of a connection accepts all that wait. The first loop to look would
    take them all and leave its neighbours nothing to do. So this socket says that no more wait, and
    the loop looks again after it has handled the first.
    """

    _has_given = False

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection, every other time.

        Raises:
            BlockingIOError: none waits, or one was accepted just now.
        """
        self._has_given = not self._has_given
        if not self._has_given:
            raise BlockingIOError
        try:
            return super().accept()
        except OSError:
            self._has_given = False
            raise


def _terminate(worker: SpawnProcess) -> None:
    if worker.is_alive():
        worker.terminate()
