"""Turns a command line or a configuration into a ready connection, or into all its problems.

A command line names a plugin with its settings, or a connection of a router.toml. The gateway, the
workers and the commands all make their connections here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from destination_router.config.problems import config_error, connection_problems
from destination_router.config.router_toml import ConnectionConfig, RouterConfig, load_config
from destination_router.contract.records import Json
from destination_router.faults import UsageError, file_problem
from destination_router.gateway.source_config import device_destinations
from destination_router.pipeline.connection import Connection, compile_treatment, configured
from destination_router.pipeline.subscriptions.subscriptions import (
    check_subscriptions,
    subscription_sources,
)
from destination_router.plugins.loading import LoadedPlugin, PluginError, load_plugin
from destination_router.programs.destination import Limits, ProgramHooks, load_program
from destination_router.settings.documents import DocumentError, read_document
from destination_router.settings.errors import Problem, SettingsError
from destination_router.settings.references import read_text_setting


def choose_from_config(path: Path, name: str | None) -> tuple[ConnectionConfig, RouterConfig]:
    """Pick one connection of a router.toml.

    Raises:
        UsageError: it has several and none was named, or it has none of that name.
        ConfigError: the file cannot be used.
    """
    config = load_config(path)
    names = [connection.name for connection in config.connections]
    if name is None and len(names) > 1:
        raise UsageError(
            f"{path} has several connections; add --connection, one of {', '.join(names)}"
        )
    for connection in config.connections:
        if name in (None, connection.name):
            return connection, config
    raise UsageError(f"{path} has no connection {name!r}; it has {', '.join(names)}")


def choose_plugin(
    name: str | None,
    connection: str | None,
    path: Path | None,
    pairs: Sequence[str],
) -> tuple[ConnectionConfig, LoadedPlugin]:
    """Describe the connection of a command line that names a plugin and its settings.

    Args:
        name: the plugin's.
        connection: the connection's name; None is the plugin's.
        path: a file of settings.
        pairs: of `name=value`.

    Raises:
        PluginError: the plugin cannot be used.
        UsageError: no plugin is named, or as `read_settings`.
        SettingsError: as `read_settings`.
    """
    if name is None:
        raise UsageError("name a plugin (`plugins` lists them), or give --config router.toml")
    plugin = load_plugin(name)
    settings = read_settings(plugin, path, pairs)
    return ConnectionConfig(name=connection or name, plugin=name, settings=settings), plugin


def read_settings(plugin: LoadedPlugin, path: Path | None, pairs: Sequence[str]) -> dict[str, Json]:
    """Combine settings from a file (JSON, or TOML by its ending) and `name=value` pairs.

    Raises:
        UsageError: a pair is not `name=value`.
        SettingsError: the file cannot be read.
    """
    settings = {} if path is None else _read_file(path)
    given: set[str] = set()
    schema = plugin.hook.settings_schema()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set takes name=value, such as --set appId=11, not {name!r}")
        if name in given:
            raise UsageError(f"--set names {name} twice; give it once")
        given.add(name)
        settings[name] = read_text_setting(schema, name, text)
    return settings


def sample_connection(name: str, path: Path | None, pairs: Sequence[str]) -> Connection:
    """Make a connection for a demo, with samples for missing settings.

    Raises:
        PluginError: the plugin cannot be used.
        UsageError, SettingsError: as `read_settings`, or the settings cannot be used.
    """
    plugin = load_plugin(name)
    chosen = sample_settings(plugin.hook.settings_schema()) | read_settings(plugin, path, pairs)
    return Connection(name, plugin, chosen)


def sample_settings(schema: Mapping[str, Json]) -> dict[str, Json]:
    """Make settings for a demo from the schema's `examples` for required fields.

    A required field without an example is left out, and reported when the settings are checked.
    """
    fields = schema.get("properties", {})
    examples = {name: fields.get(name, {}).get("examples") for name in schema.get("required", [])}
    return {name: values[0] for name, values in examples.items() if values}


def _read_file(path: Path) -> dict[str, Json]:
    try:
        content = read_document(path, toml=path.suffix == ".toml")
    except DocumentError as error:
        raise SettingsError([Problem("", f"{path} {error}")]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([Problem("", file_problem(path, error))]) from error
    if not isinstance(content, dict):
        raise SettingsError([Problem("", f"{path} does not hold an object of settings")])
    return content


def connect(config: ConnectionConfig) -> Connection:
    """Load a connection's plugin and give it its settings.

    Raises:
        PluginError: the plugin cannot be used, or not with this configuration.
        SettingsError: its settings or other tables are invalid.
    """
    plugin = load(config)
    try:
        connection = configured(config, plugin)
        if isinstance(plugin.elsewhere, ProgramHooks):
            plugin.elsewhere.settle(connection.settings)
        device_destinations([connection])  # what browsers could not load is told now
    finally:
        let_end(plugin)
    return connection


def let_end(plugin: LoadedPlugin) -> None:
    """End the process of a plugin that is a program. The next question starts another one."""
    if isinstance(plugin.elsewhere, ProgramHooks):
        plugin.elsewhere.program.stop()


def load(config: ConnectionConfig) -> LoadedPlugin:
    """Load a connection's plugin: one that is installed, or a program.

    Raises:
        PluginError: it cannot be used.
    """
    program = config.program
    if program is None:
        return load_plugin(config.plugin)
    return load_program(program.command, program.folder, Limits(call=program.timeout))


def connect_of_file(path: Path, router: RouterConfig, config: ConnectionConfig) -> Connection:
    """Make one connection of a router.toml ready.

    Raises:
        ConfigError: it is invalid. Lists everything that is wrong.
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
    """List all problems of a connection, by paths from the root of the file.

    Parts of a connection are made one after the other, so a problem of one hides the next. This
    checks each part by itself.

    Args:
        number: of the connection, from 0.
        config: the connection's.
        error: the error of making it.
    """
    found = connection_problems(number, error)
    for other in _errors_of_parts(config):
        found += connection_problems(number, other)
    return list(dict.fromkeys(found))


def _errors_of_parts(config: ConnectionConfig) -> Iterator[SettingsError | PluginError]:
    try:
        plugin = load(config)
    except PluginError as error:
        yield error
        return
    try:
        yield from _errors_with(config, plugin)
    finally:
        let_end(plugin)


def _errors_with(
    config: ConnectionConfig, plugin: LoadedPlugin
) -> Iterator[SettingsError | PluginError]:
    try:
        Connection(config.name, plugin, config.settings)
    except (SettingsError, PluginError) as error:
        yield error
    try:
        compile_treatment(config, plugin)
    except SettingsError as error:
        yield error
    try:
        check_subscriptions(subscription_sources(config), plugin)
    except SettingsError as error:
        yield error
