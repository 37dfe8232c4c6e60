"""router.toml → typed records, with every error at once and the key that each one is about."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from destination_router.model import Json
from destination_router.settings import Problem, SettingsError, load_settings


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where events come in.

    Attributes:
        listen: `host:port`; loopback unless the configuration says otherwise.
        write_keys: what senders authenticate with.
    """

    listen: str = "127.0.0.1:8080"
    write_keys: tuple[str, ...] = ()


class DeliveryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How requests leave.

    Attributes:
        origins: which vendor's origin is sent elsewhere, and where.
    """

    origins: dict[str, str] = {}


class SubscriptionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One of several subscriptions of a connection, with its own mapping.

    Attributes:
        subscription: FQL; the plugin's own if None.
        mapping: for each call, the fields that it overrides.
        name: for people.
    """

    subscription: str | None = None
    mapping: dict[str, dict[str, Any]] = {}
    name: str = ""


class ConnectionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One destination in use.

    Attributes:
        name: what senders may call it in `integrations`.
        plugin: which destination.
        settings: the plugin's, references unresolved.
        subscription: which messages it takes, in FQL; the plugin's own if None.
        mapping: for each call, the fields that it overrides.
        subscriptions: in place of the two: several, each with its own mapping.
    """

    name: str
    plugin: str
    settings: dict[str, Any] = {}
    subscription: str | None = None
    mapping: dict[str, dict[str, Any]] = {}
    subscriptions: tuple[SubscriptionConfig, ...] = ()


class RouterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A whole router.toml."""

    gateway: GatewayConfig = GatewayConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    connections: tuple[ConnectionConfig, ...] = ()


_TEXT = {"type": "string", "minLength": 1}
_MAPPING = {"type": "object", "additionalProperties": {"type": "object"}}
_SCHEMA: dict[str, Json] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["connections"],
    "properties": {
        "gateway": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "listen": {
                    "type": "string",
                    "pattern": "^.+:[0-9]+$",
                    "description": "Write host:port, such as 127.0.0.1:8080.",
                },
                "write_keys": {"type": "array", "items": _TEXT},
            },
        },
        "delivery": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"origins": {"type": "object", "additionalProperties": _TEXT}},
        },
        "connections": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "plugin"],
                "properties": {
                    "name": _TEXT,
                    "plugin": _TEXT,
                    "settings": {"type": "object"},
                    "subscription": _TEXT,
                    "mapping": _MAPPING,
                    "subscriptions": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["subscription"],
                            "properties": {
                                "name": {"type": "string"},
                                "subscription": _TEXT,
                                "mapping": _MAPPING,
                            },
                        },
                    },
                },
            },
        },
    },
}


def load_config(path: Path) -> RouterConfig:
    """Read a router.toml.

    References (`{env = NAME}`) are resolved everywhere but in a connection's settings: those
    follow the plugin's schema, when the connection is made.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or holds what it should not.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            [Problem("", f"cannot read {path} ({type(error).__name__})")]
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([Problem("", f"{path} is not TOML: {error}")]) from error
    return parse_config(content)


def parse_config(content: Mapping[str, Json]) -> RouterConfig:
    """Check the content of a router.toml and type it.

    Raises:
        SettingsError: with every problem.
    """
    connections = content.get("connections")
    settings = [_settings_of(connection) for connection in _listed(connections)]
    checked = load_settings(_SCHEMA, {**content, **_without_settings(connections)})
    for connection, own in zip(checked["connections"], settings, strict=True):
        connection["settings"] = own
    config = msgspec.convert(checked, RouterConfig)
    names = [connection.name for connection in config.connections]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [Problem("connections", f"the name {name!r} is given twice") for name in twice]
    for index, connection in enumerate(config.connections):
        if connection.subscriptions and (connection.subscription or connection.mapping):
            detail = "stands beside subscription or mapping; put them into its entries"
            problems.append(Problem(f"connections.{index}.subscriptions", detail))
    if problems:
        raise SettingsError(problems)
    return config


def _listed(connections: Json) -> list[Json]:
    return connections if isinstance(connections, list) else []


def _settings_of(connection: Json) -> Json:
    return connection.get("settings", {}) if isinstance(connection, dict) else {}


def _without_settings(connections: Json) -> dict[str, Json]:
    """Keep references in a connection's settings from being resolved too early."""
    if not isinstance(connections, list):
        return {}
    bare = [
        {**c, "settings": {}} if isinstance(c, dict) and isinstance(c.get("settings"), dict) else c
        for c in connections
    ]
    return {"connections": bare}
