"""A process that delivers a share of the connections. `run --workers` starts it.

It reads no router.toml. The process that started it tells it what to deliver (`share_channel`). It
holds that process's claim to the log, and ends with it.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import destination_router.lean_httpx  # noqa: F401 -- before whatever imports httpx

import asyncio
import contextlib
import logging
import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from destination_router.config.router_toml import RouterConfig
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.opening import open_log
from destination_router.eventlog.router_log import RouterLog
from destination_router.eventlog.sqlite.trace_file import TraceFile, trace_path
from destination_router.garbage import seldom
from destination_router.plugins.loading import PluginError
from destination_router.service.connections import connect
from destination_router.service.event_loop import run_in_loop
from destination_router.service.logs import log_as_json
from destination_router.service.share_channel import (
    TO_SHARE,
    Arrived,
    Broken,
    Deliver,
    Delivering,
    Look,
    Seen,
    Stop,
    put,
    received,
)
from destination_router.service.tracing import Tracing
from destination_router.service.workers import GRACE, Workers, delivery_settings
from destination_router.settings.errors import SettingsError

FAILED, REFUSED = 1, 2
"""Its exit statuses if it cannot begin, and if the log cannot be used."""

_ORPHANED = GRACE + 4.0
"""The most seconds that it outlives the process that started it."""

_PAGE_BYTES = resource.getpagesize()

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Deliver until told to stop, and return the exit status.

    Args:
        arguments: the descriptor of the socket to the process that started this one.
    """
    channel = socket.socket(fileno=int(arguments[0]))
    for number in (signal.SIGINT, signal.SIGHUP):
        # Ctrl-C goes to all processes of a terminal; who started this one tells it what to do.
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.dup(channel.fileno()),), daemon=True).start()
    log_as_json()
    return run_in_loop(_deliver(channel))


def _end_with(channel: int) -> None:
    """Exit a while after the process that started this one, whatever is under way."""
    poll = select.poll()
    poll.register(channel, 0)  # only that the other end is gone
    poll.poll()
    time.sleep(_ORPHANED)
    os._exit(FAILED)


async def _deliver(channel: socket.socket) -> int:
    reader, writer = await asyncio.open_connection(sock=channel)
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    messages = received(reader)
    try:
        first = await anext(messages, None)
        if first is None:
            return 0
        order = TO_SHARE.decode(first)
        assert isinstance(order, Deliver)  # noqa: S101 -- nothing else is sent first
        with contextlib.ExitStack() as held:
            share = _Share(order, writer, held)
            with seldom():
                return await share.work(messages, told)
    except LogFileError as error:
        put(writer, Broken(str(error)))
        return REFUSED
    except (SettingsError, PluginError, LogUnavailableError) as error:
        # It was well when the file was checked: a file that it names may have changed since.
        _log.error("worker_not_started", extra={"detail": str(error)})
        return FAILED
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class _Share:
    """The workers of a share, and the log and traces that they use.

    Args:
        order: the first one.
        writer: to the process that started this one.
        held: closes, at the end, what is opened.
    """

    def __init__(
        self, order: Deliver, writer: asyncio.StreamWriter, held: contextlib.ExitStack
    ) -> None:
        self._writer = writer
        self._connections = {each.name: connect(each) for each in order.config.connections}
        self._log = held.enter_context(contextlib.closing(self._open(order.config)))
        self._tracing = _tracing(order.config, held)
        self._workers = Workers(
            list(self._connections.values()),
            self._log,
            delivery_settings(order.config.delivery),
            order.config.quarantine,
            self._tracing,
            share=order.share,
        )
        self._first = order.number
        self._orders: asyncio.Queue[Deliver] = asyncio.Queue()
        self._changing = asyncio.Lock()

    def _open(self, config: RouterConfig) -> RouterLog:
        kept = {name: connection.kept for name, connection in self._connections.items()}
        seconds = delivery_settings(config.delivery).timeout
        return open_log(config.eventlog, list(kept), kept, request_seconds=seconds)

    async def work(self, messages: AsyncIterator[bytes], told: asyncio.Event) -> int:
        """Work until told to stop, or until the other process is gone. Return the exit status.

        Raises:
            LogFileError: the log is damaged.
        """
        working = asyncio.create_task(self._workers.work())
        listening = asyncio.create_task(self._listen(messages))
        obeying = asyncio.create_task(self._obey())
        stopping = asyncio.create_task(told.wait())
        ends = {working, listening, obeying, stopping}
        beside: list[asyncio.Task[Any]] = [stopping, listening]
        if self._tracing is not None:
            tracing = self._tracing.run(self._workers.stats, self._workers.quotas, None)
            beside.append(asyncio.create_task(tracing))
        put(self._writer, Delivering(self._first))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._workers.stop()
            async with self._changing:
                obeying.cancel()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, obeying, return_exceptions=True)
            await working
        put(self._writer, self._seen())  # the last that is counted
        done = (task for task in (obeying, listening) if not task.cancelled())
        return max((task.result() for task in done), default=0)

    async def _listen(self, messages: AsyncIterator[bytes]) -> int:
        """Read messages of the process that started this one. Return the exit status."""
        async for content in messages:
            message = TO_SHARE.decode(content)
            if isinstance(message, Look):
                put(self._writer, self._seen())
            elif isinstance(message, Arrived):
                self._log.announce()
            elif isinstance(message, Stop):
                return 0
            else:
                self._orders.put_nowait(message)
        return 0

    async def _obey(self) -> int:
        """Carry out orders one after the other. Return the exit status.

        It may wait for a log that cannot be written. Meanwhile, `_listen` still hears `Stop`.
        """
        while True:
            order = await self._orders.get()
            try:
                async with self._changing:
                    gone = await self._change(order)
            except (SettingsError, PluginError, LogUnavailableError) as error:
                # Started again, it begins with what it shall deliver now.
                _log.error("worker_not_started", extra={"detail": str(error)})
                return FAILED
            await self._log.release(gone)
            put(self._writer, Delivering(order.number))

    async def _change(self, order: Deliver) -> list[str]:
        """Deliver to other connections, and return the names of those that it gives up."""
        before = self._connections
        config = order.config
        names = [each.name for each in config.connections]
        anew = {*order.anew, *(name for name in names if name not in before)}
        made = {each.name: connect(each) for each in config.connections if each.name in anew}
        self._connections = {name: made.get(name) or before[name] for name in names}
        connections = list(self._connections.values())
        await self._log.admit(
            names,
            start=config.eventlog.new_connections,
            kept={connection.name: connection.kept for connection in connections},
        )
        settings = delivery_settings(config.delivery)
        await self._workers.change(connections, anew, settings, config.quarantine)
        return [name for name in before if name not in self._connections]

    def _seen(self) -> Seen:
        used = resource.getrusage(resource.RUSAGE_SELF)
        workers = self._workers
        return Seen(
            stats=workers.stats(),
            letters=dict(workers.letters),
            lost_letters=dict(workers.lost_letters),
            expired={name: workers.expired_events.get(name, 0) for name in self._connections},
            failures=dict(workers.failures),
            cpu=used.ru_utime + used.ru_stime,
            resident=_resident(),
        )


def _tracing(config: RouterConfig, held: contextlib.ExitStack) -> Tracing | None:
    console = config.console
    if console is None:
        return None
    try:
        traces = TraceFile(trace_path(config.eventlog.path), console.keep)
    except LogFileError as error:  # worth less than a router at work
        _log.warning("configuration", extra={"detail": f"the console sees nothing: {error}"})
        return None
    held.enter_context(contextlib.closing(traces))
    return Tracing(traces, keep=console.keep, content=console.content)


def _resident() -> int:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * _PAGE_BYTES


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
