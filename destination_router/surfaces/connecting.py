"""From the configuration of a connection to one that is ready, or to all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from destination_router.config import ConnectionConfig, RouterConfig
from destination_router.config_problems import config_error, connection_problems
from destination_router.pipeline.connection import Connection, compile_treatment, configured
from destination_router.pipeline.takers import check_takes, takes_of
from destination_router.plugins import PluginError, load_plugin
from destination_router.settings import Problem, SettingsError
from destination_router.surfaces.source_config import device_destinations


def connect(config: ConnectionConfig) -> Connection:
    """Load a connection's plugin and give it its settings.

    Raises:
        PluginError: the plugin cannot be used, or not in the way that is asked for.
        SettingsError: its settings cannot, or what stands beside them.
    """
    connection = configured(config, load_plugin(config.plugin))
    device_destinations([connection])  # what browsers could not load is told now
    return connection


def connect_of_file(path: Path, router: RouterConfig, config: ConnectionConfig) -> Connection:
    """Make one connection of a router.toml ready.

    Raises:
        ConfigError: it cannot be used; with everything that is wrong with it.
    """
    try:
        return connect(config)
    except (SettingsError, PluginError) as error:
        number = router.connections.index(config)
        names = [each.name for each in router.connections]
        raise config_error(every_problem(number, config, error), names, path) from None


def every_problem(
    number: int, config: ConnectionConfig, error: SettingsError | PluginError
) -> list[Problem]:
    """List all that is wrong with a connection, by paths from the root of the file.

    Its parts are made one after the other, and what is wrong with one hides the next: here each is
    looked at by itself.

    Args:
        number: of the connection, from 0.
        config: the connection's.
        error: what came of making it.
    """
    found = connection_problems(number, error)
    for other in _errors_of_parts(config):
        found += connection_problems(number, other)
    return list(dict.fromkeys(found))


def _errors_of_parts(config: ConnectionConfig) -> Iterator[SettingsError | PluginError]:
    try:
        plugin = load_plugin(config.plugin)
    except PluginError as error:
        yield error
        return
    try:
        Connection(config.name, plugin, config.settings)
    except (SettingsError, PluginError) as error:
        yield error
    try:
        compile_treatment(config, plugin)
    except SettingsError as error:
        yield error
    try:
        check_takes(takes_of(config), plugin)
    except SettingsError as error:
        yield error
