"""The options that `try` and `send` share: connection, file and delivery settings."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer

from destination_router.commands.options import (
    ConfigFile,
    ConnectionName,
    Pairs,
    SettingsFile,
)
from destination_router.config.router_toml import (
    ConnectionConfig,
    DeliveryConfig,
    EventLogConfig,
    QuarantineConfig,
)
from destination_router.config.schema import SQLITE_URL
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.quarantine import Watch
from destination_router.eventlog.on_demand import LogOnDemand
from destination_router.eventlog.opening import books_on_demand
from destination_router.eventlog.sqlite.quarantine_book import QuarantineFile
from destination_router.faults import UsageError
from destination_router.files.reading import STANDARD_INPUT
from destination_router.files.resuming import state_directory
from destination_router.files.sending import MOST_ATTEMPTS
from destination_router.pipeline.connection import Connection
from destination_router.service.connections import (
    choose_from_config,
    choose_plugin,
    connect,
    connect_of_file,
)
from destination_router.service.workers import delivery_settings

Plugin = Annotated[
    str | None,
    typer.Argument(
        metavar="PLUGIN", help="The destination, unless --config names it.", show_default=False
    ),
]
File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="Messages in JSON, plain or gzipped; - is standard input.",
        show_default=False,
    ),
]


class FileChoice(msgspec.Struct):
    """The choice of a command line: connection, file and delivery settings.

    `identity` identifies the choice in later runs: the plugin and its settings.
    `others` are the other connections of a router.toml.
    `kept` is the event log of a router.toml, or a file of the user's own; `quarantine` is held in
    the former, and without one in memory. `log` is where the former is.
    """

    connection: Connection
    source: str
    delivery: DeliverySettings
    identity: tuple[str, dict[str, Any]]
    kept: LogOnDemand
    quarantine: Watch
    others: tuple[ConnectionConfig, ...] = ()
    log: EventLogConfig | None = None


def chosen(
    plugin: Plugin = None,
    file: File = None,
    settings: SettingsFile = None,
    pairs: Pairs = None,
    config: ConfigFile = None,
    connection: ConnectionName = None,
) -> FileChoice:
    """Read a command line: a plugin with its settings or a router.toml, and a file.

    Raises:
        UsageError: it does not say what to do.
    """
    if config is not None:
        if settings is not None or pairs:
            raise UsageError("settings stand in the router.toml: drop --settings and --set")
        if file is not None:
            raise UsageError(
                f"the router.toml names the plugin: give the file alone, without {plugin!r}"
            )
        chosen, router = choose_from_config(config, connection)
        ready = connect_of_file(config, router, chosen)
        source = _source(plugin)  # the one argument that is left
        delivery, kept = router.delivery, books_on_demand(router.eventlog)
        quarantine = Watch(chosen.name, router.quarantine, QuarantineFile(kept))
        others = tuple(each for each in router.connections if each is not chosen)
        log: EventLogConfig | None = router.eventlog
    else:
        others, log = (), None
        chosen, _ = choose_plugin(plugin, connection, settings, pairs or [])
        ready = connect(chosen)
        source = _source(file)
        own = EventLogConfig(url=f"{SQLITE_URL}{state_directory() / 'pairings.db'}")
        delivery, kept = DeliveryConfig(), books_on_demand(own)
        quarantine = Watch(chosen.name, QuarantineConfig())
    delivery = msgspec.structs.replace(
        delivery, settings={"max_attempts": MOST_ATTEMPTS, **delivery.settings}
    )
    return FileChoice(
        ready,
        source,
        delivery_settings(delivery),
        (chosen.plugin, chosen.settings),
        kept,
        quarantine,
        others,
        log,
    )


def _source(file: str | None) -> str:
    if file is not None:
        return file
    if sys.stdin.isatty():
        raise UsageError("name a file of messages, or - for standard input")
    return STANDARD_INPUT
