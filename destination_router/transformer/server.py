"""`destination-router transformer`: the app on a socket, in one process or in several."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx
import msgspec
import uvicorn
from starlette.applications import Starlette

from destination_router.config.router_toml import (
    QuarantineConfig,
    RouterConfig,
    load_config,
    read_config,
)
from destination_router.faults import UsageError
from destination_router.garbage import seldom
from destination_router.pipeline.privacy.config import all_private
from destination_router.plugins.loading import LoadedPlugin, survey_plugins
from destination_router.service.event_loop import run_in_loop
from destination_router.service.logs import log_as_json
from destination_router.service.possible_origins import refuse_impossible
from destination_router.service.protocol import HttpBounds
from destination_router.service.serving import BoundedServer, listen, url_of
from destination_router.transformer.app import create_transformer
from destination_router.transformer.counts import Counts
from destination_router.transformer.processes import run_workers

_log = logging.getLogger(__name__)

_BACKLOG = 2048
_GRACE_SECONDS = 10

_BOUNDS = HttpBounds(
    arrival=600.0,
    fetching=600.0,
    connections=5000,
    read_bytes=256 * 1024,
    most_read_bytes=512 * 1024,
)
"""rudder-server sends up to 200 MiB in a request, and gives up after 600 seconds."""

# A request and its answer are some hundred kilobytes each. glibc gives such a block back to the
# system as soon as it is free and asks anew for the next one, whose pages are then made one by one:
# 4 % of all CPU. Others than glibc do not know these names [mallopt(3)].
_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(4 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 1024 * 1024),
}


class TransformerOptions(msgspec.Struct, frozen=True):
    """What the command line said; each process builds its app from it.

    Attributes:
        config: a router.toml.
        upstream: the base URL of the transformer behind this one.
    """

    config: Path | None = None
    upstream: str | None = None


def build_transformer(options: TransformerOptions, folder: Path | None = None) -> Starlette:
    """Make the app.

    Args:
        options: what to serve.
        folder: where its processes leave their counts; None: it is one process.

    Raises:
        SettingsError: the router.toml cannot be used.
        UsageError: all is in HIPAA mode, and an upstream would get events as they came; or what
            stands for the upstream is no URL.
    """
    if options.upstream is not None and not _is_base_url(options.upstream):
        raise UsageError("--upstream: write a URL, as http://127.0.0.1:9091")
    config = RouterConfig() if options.config is None else _read(options.config)
    private = any(all_private(connection.shared) for connection in config.connections)
    if private and options.upstream is not None:
        raise UsageError(
            '--upstream gets events unmasked, and [privacy] mode = "hipaa" is for all of them: '
            "drop one, or write the mode into the connections that need it"
        )
    return create_transformer(
        overlays=config.connections,
        origins=config.delivery.origins,
        upstream=options.upstream,
        counts=Counts(folder),
    )


def _read(path: Path) -> RouterConfig:
    """Read a router.toml; one that only says where requests go (`origins`) has no connections."""
    return load_config(path, may_be_empty=True)


def _is_base_url(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError):
        return False
    return url.scheme in {"http", "https"} and bool(url.host) and not url.query


class Service(msgspec.Struct, frozen=True):
    """What a serving process is told by the one that read the command line.

    Attributes:
        options: what to serve.
        descriptor: the file descriptor of the socket to serve it on, which listens.
        address: how others reach it.
        workers: how many processes answer.
        warnings: what to warn of, once it can be logged.
    """

    options: TransformerOptions
    descriptor: int
    address: str
    workers: int
    warnings: list[str] = []


def serve_transformer(
    options: TransformerOptions, host: str, port: int, *, workers: int = 1
) -> NoReturn:
    """Become a process that serves until a signal stops it. `serve_until_stopped` goes on there.

    The code that reads command lines and reports problems is done by then. It would be a quarter
    of the memory that the server holds for good, so a process that never loads it takes over.

    Args:
        options: what to serve.
        host: loopback, unless someone else is to reach it.
        port: 0 takes a free one.
        workers: how many processes answer on the one port; one that dies is started again.

    Raises:
        SettingsError, UsageError: as `build_transformer`; the address cannot be had; or the
            router.toml sends an origin elsewhere that no installed destination sends to.
    """
    build_transformer(options)  # so that what is wrong is told here
    warnings = _look_over_origins(options)
    listener = listen(host, port, backlog=_BACKLOG)
    listener.set_inheritable(True)
    address = url_of(host, listener)
    service = Service(options, listener.fileno(), address, workers, warnings)
    told = msgspec.json.encode(service, enc_hook=str).decode()
    # -P: as for a command, what lies in the working directory is no module.
    command = [sys.executable, "-P", "-m", __package__, told]
    os.execve(sys.executable, command, {**_MEMORY, **os.environ})  # noqa: S606


def serve_until_stopped(service: Service) -> None:
    """Serve until a signal stops it. Write the address to standard error once it answers."""
    _stop_without_failure()
    log_as_json()
    options, address = service.options, service.address
    listener = socket.socket(fileno=service.descriptor)
    listener.set_inheritable(False)
    _tell_unused(options)
    for words in service.warnings:
        _log.warning("origin_unknown", extra={"detail": words})
    sys.stderr.write(f"Transformer at {address}: set DEST_TRANSFORM_URL={address}\n")
    sys.stderr.flush()
    if service.workers == 1:
        _serve_app(build_transformer(options), listener)
    else:
        with tempfile.TemporaryDirectory(prefix="destination-router-") as folder:
            run_workers(partial(_serve, options, Path(folder)), listener, service.workers)


def _look_over_origins(options: TransformerOptions) -> list[str]:
    """Refuse what is sent elsewhere and can be no destination's origin; gives what to warn of."""
    if options.config is None:
        return []
    plugins = [one for one in survey_plugins() if isinstance(one, LoadedPlugin)]
    return refuse_impossible(_read(options.config).delivery.origins, plugins)


def _tell_unused(options: TransformerOptions) -> None:
    """Say what the router.toml asks for that only `run` does."""
    if options.config is None:
        return
    config = _read(options.config)
    tables = [f"delivery.{name}" for name in config.delivery.settings]
    if config.quarantine != QuarantineConfig():
        tables.append("quarantine")
    tables += [name for name in ("alerts", "console") if name in read_config(options.config)]
    if tables:
        _log.warning("config_not_used", extra={"keys": tables})


def _serve(options: TransformerOptions, folder: Path, listener: socket.socket) -> None:
    _stop_without_failure()
    log_as_json()
    # An open connection would stay with one worker, however busy: one worker may hold most of a
    # few that are kept alive. With a new connection, each request goes to an idle worker.
    _serve_app(build_transformer(options, folder), listener, headers=[("Connection", "close")])


def _serve_app(
    app: Starlette, listener: socket.socket, headers: list[tuple[str, str]] | None = None
) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
        headers=headers,
    )
    with seldom():
        run_in_loop(BoundedServer(config, _BOUNDS).serve(sockets=[listener]))


def _stop_without_failure() -> None:
    """Let a signal end the process with status 0, before it serves and after.

    A server stops gracefully when it gets one, and then raises it anew.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(_: int, __: FrameType | None) -> NoReturn:
    os._exit(0)  # nothing is under way; an exception would be taken for a plugin's that loads
