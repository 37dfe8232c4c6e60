"""Serves the console beside a router or in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from destination_router.config.router_toml import ConsoleConfig, RouterConfig
from destination_router.console.app import Console
from destination_router.console.desk import Desk
from destination_router.eventlog.opening import traces_path
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.service.configured import Configured
from destination_router.service.protocol import HttpBounds
from destination_router.service.serving import serving
from destination_router.service.signals import told_to_stop
from destination_router.threads import in_thread

BOUNDS = HttpBounds(header_bytes=32 * 1024, arrival=20.0, connections=256)
"""People, each with a few tabs: fewer connections than senders have."""

_CLOSING = 2.0

_log = logging.getLogger(__name__)


async def console_alone(
    config: ConsoleConfig,
    configured: Callable[[], Configured],
    *,
    started: Callable[[str], None],
) -> None:
    """Serve the console until SIGTERM or SIGINT.

    Raises:
        LogFileError: the workers' traces cannot be read.
        UsageError: it cannot listen on its address.
    """
    told = told_to_stop()
    now = configured()
    folder = Path() if now.path is None else now.path.parent
    with contextlib.closing(traces_of(now.config, folder)) as traces:
        async with console_serving(config, configured, traces, started=started):
            await told.wait()


def traces_of(config: RouterConfig, folder: Path) -> TraceFile:
    """Open the traces of a router's workers.

    Args:
        config: the router.toml.
        folder: the router.toml's folder, for the traces if the log is not a file.

    Raises:
        LogFileError: it cannot be used.
    """
    console = config.console or ConsoleConfig()
    return TraceFile(traces_path(config.eventlog, folder), console.keep)


@contextlib.asynccontextmanager
async def console_serving(
    config: ConsoleConfig,
    configured: Callable[[], Configured],
    traces: TraceFile,
    *,
    started: Callable[[str], None] | None = None,
) -> AsyncIterator[str]:
    """Serve the console during a block.

    Args:
        config: the table `[console]`, with a password.
        configured: returns the router's current configuration.
        traces: the workers' traces.
        started: called with the URL once it answers.

    Raises:
        UsageError: it cannot listen on its address.
    """
    desk = Desk(configured, traces, content=config.content)
    console = Console(config, desk)
    try:
        async with serving(console.app, *config.address, BOUNDS) as url:
            _log.info("console_started", extra={"url": url})
            if started is not None:
                started(url)
            try:
                yield url
            finally:
                console.over.set()
    finally:
        with contextlib.suppress(TimeoutError):  # a page may still wait for brokers
            async with asyncio.timeout(_CLOSING):
                await in_thread(desk.close, "console-log")
