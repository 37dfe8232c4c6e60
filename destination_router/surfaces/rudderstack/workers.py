"""Several processes that answer on one socket; one that dies is started again."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType

_RESTART_SECONDS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Serve = Callable[[socket.socket], None]

_log = logging.getLogger(__name__)


def run_workers(serve: Serve, listener: socket.socket, count: int) -> None:
    """Keep a number of processes running until SIGINT or SIGTERM; then stop them gracefully.

    Args:
        serve: what each of them does until SIGTERM; can be pickled.
        listener: what they all accept connections from.
        count: how many.
    """
    stopping = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()
        for worker in workers:
            _terminate(worker)

    workers = [_started(serve, listener) for _ in range(count)]
    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        while not stopping.is_set():
            wait([worker.sentinel for worker in workers], _RESTART_SECONDS)
            for at, worker in enumerate(workers):
                if not stopping.is_set() and not worker.is_alive():
                    _log.error("worker_ended", extra={"status": worker.exitcode})
                    stopping.wait(_RESTART_SECONDS)
                    workers[at] = _started(serve, listener)
    finally:
        for worker in workers:
            _terminate(worker)
            worker.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _started(serve: Serve, listener: socket.socket) -> SpawnProcess:
    worker = multiprocessing.get_context("spawn").Process(target=serve, args=(listener,))
    worker.start()
    return worker


def _terminate(worker: SpawnProcess) -> None:
    if worker.is_alive():
        worker.terminate()
