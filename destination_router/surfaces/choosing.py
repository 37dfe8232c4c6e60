"""From what a person typed to connections that are ready: plugin and settings, or router.toml."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from destination_router.config import (
    ConnectionConfig,
    RouterConfig,
    load_config,
)
from destination_router.config_schema import LAST_PORT, is_origin
from destination_router.delivery.sender import ANY_ORIGIN
from destination_router.faults import file_problem
from destination_router.model import Json
from destination_router.pipeline.connection import Connection
from destination_router.plugins import LoadedPlugin, load_plugin
from destination_router.settings import Problem, SettingsError, read_text_setting
from destination_router.units import seconds


class UsageError(Exception):
    """What was typed does not say what to do; the text says what to type."""


def choose_from_config(path: Path, name: str | None) -> tuple[ConnectionConfig, RouterConfig]:
    """Pick one connection of a router.toml.

    Raises:
        UsageError: it has several and none was named, or none of that name.
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
        connection: what the connection is called; as the plugin, if None.
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
    """Put settings together from a file (JSON, or TOML by its ending) and `name=value` pairs.

    Raises:
        UsageError: a pair is not `name=value`.
        SettingsError: the file cannot be read.
    """
    settings = {} if path is None else _read_file(path)
    schema = plugin.hook.settings_schema()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set takes name=value, such as --set appId=11, not {name!r}")
        settings[name] = read_text_setting(schema, name, text)
    return settings


def sample_connection(name: str, path: Path | None, pairs: Sequence[str]) -> Connection:
    """Make a connection for a demo, with sample settings for what is not given.

    Raises:
        PluginError: the plugin cannot be used.
        UsageError, SettingsError: as `read_settings`, or the settings cannot be used.
    """
    plugin = load_plugin(name)
    chosen = sample_settings(plugin.hook.settings_schema()) | read_settings(plugin, path, pairs)
    return Connection(name, plugin, chosen)


def sample_settings(schema: Mapping[str, Json]) -> dict[str, Json]:
    """Make settings for a demo: the schema's own `examples` for what it requires.

    A required field without an example is left out, and reported when the settings are checked.
    """
    fields = schema.get("properties", {})
    examples = {name: fields.get(name, {}).get("examples") for name in schema.get("required", [])}
    return {name: values[0] for name, values in examples.items() if values}


def read_address(text: str) -> tuple[str, int]:
    """Read the `host:port` of --listen.

    Raises:
        UsageError: it is no such thing.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > LAST_PORT:
        raise UsageError(f"--listen takes HOST:PORT, such as 127.0.0.1:9090, not {text!r}")
    return host.strip("[]"), int(port)


def read_wait(text: str) -> float:
    """Read the duration of --wait, in seconds.

    Raises:
        UsageError: it is none.
    """
    try:
        return seconds(text)
    except ValueError as error:
        raise UsageError(f"--wait: {error}") from None


def read_origins(pairs: Sequence[str]) -> dict[str, str]:
    """Read `from=to` pairs of origins.

    Raises:
        UsageError: one is no such pair.
    """
    return dict(map(_origin, pairs))


def _origin(pair: str) -> tuple[str, str]:
    source, equals, target = pair.partition("=")
    if not equals or not source or not target:
        raise UsageError(f"--origin takes FROM=TO, not {pair!r}")
    for origin in (source, target):
        if origin != ANY_ORIGIN and not is_origin(origin):
            raise UsageError(f"--origin takes http(s)://host[:port] on both sides, not {origin!r}")
    return source, target


def _read_file(path: Path) -> dict[str, Json]:
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([Problem("", file_problem(path, error))]) from error
    except ValueError as error:  # of either format; the text quotes no values
        raise SettingsError([Problem("", f"{path}: {error}")]) from error
    if not isinstance(content, dict):
        raise SettingsError([Problem("", f"{path} does not hold an object of settings")])
    return content
