"""router.toml → typed records, with every error at once and the key that each one is about."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from destination_router.model import Json
from destination_router.settings import Problem, SettingsError, load_settings
from destination_router.units import DURATION, SIZE, seconds, size_in_bytes


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[gateway]`: where events come in.

    Attributes:
        listen: `host:port`; loopback unless the configuration says otherwise.
        write_keys: what senders authenticate with.
    """

    listen: str = "127.0.0.1:8080"
    write_keys: tuple[str, ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class EventLogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[eventlog]`: where accepted events wait. Durations in seconds, sizes in bytes.

    Attributes:
        url: `sqlite:///router.db` is a path relative to where the router starts,
            `sqlite:////var/lib/router.db` an absolute one.
        keep_delivered: how long events stay that every connection has delivered.
        max_age: after how long an undelivered event becomes a dead letter; None: never.
        max_size: how large the log may grow; beyond it, new events are refused with 503.
        min_free: how much of its disk must be free; below it, new events are refused with 503.
        new_connections: where a connection begins that the log does not know: at the `end`, or
            at the `start` of what the log still holds.
    """

    url: str = "sqlite:///router.db"
    keep_delivered: float = 0.0
    max_age: float | None = None
    max_size: int = 10 * 2**30
    min_free: int = 64 * 2**20
    new_connections: Literal["end", "start"] = "end"

    @property
    def path(self) -> Path:
        """The file of a SQLite log."""
        return Path(self.url.removeprefix(SQLITE_URL))


class DeliveryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[delivery]`: how requests leave. Durations in seconds.

    Attributes:
        origins: which vendor's origin is sent elsewhere, and where; `*`: every other.
        settings: whatever else the table says, by the names of `DeliverySettings`.
    """

    origins: dict[str, str] = {}
    settings: dict[str, Any] = {}


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
        client_side: `clientSide`: browsers are told to load the destination by themselves.
    """

    name: str
    plugin: str
    settings: dict[str, Any] = {}
    subscription: str | None = None
    mapping: dict[str, dict[str, Any]] = {}
    subscriptions: tuple[SubscriptionConfig, ...] = ()
    client_side: bool = msgspec.field(default=False, name="clientSide")


class RouterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A whole router.toml."""

    gateway: GatewayConfig = GatewayConfig()
    eventlog: EventLogConfig = EventLogConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    connections: tuple[ConnectionConfig, ...] = ()


SQLITE_URL = "sqlite:///"

_ORIGIN = r"^https?://[^/?#\s]+/?(?![\s\S])"
_ORIGIN_MEANING = "Write an origin: https://host or http://host:port."
_LAST_PORT = 65535

_TEXT = {"type": "string", "minLength": 1}
_MAPPING = {"type": "object", "additionalProperties": {"type": "object"}}
_COUNT = {"type": "integer", "minimum": 1}
_GATEWAY: dict[str, Json] = {
    "listen": {
        "type": "string",
        "pattern": "^.+:[0-9]+$",
        "description": "Write host:port, such as 127.0.0.1:8080.",
    },
    "write_keys": {"type": "array", "items": _TEXT},
}
_EVENTLOG: dict[str, Json] = {
    "url": {
        "type": "string",
        "pattern": f"^{SQLITE_URL}.+",
        "description": "Write sqlite:///router.db, or sqlite:////var/lib/router.db.",
    },
    "keep_delivered": DURATION,
    "max_age": DURATION,
    "max_size": SIZE,
    "min_free": SIZE,
    "new_connections": {"enum": ["end", "start"]},
}
_DELIVERY: dict[str, Json] = {
    "origins": {
        "type": "object",
        "propertyNames": {"pattern": f"^[*]$|{_ORIGIN}", "description": _ORIGIN_MEANING},
        "additionalProperties": {
            "type": "string",
            "pattern": _ORIGIN,
            "description": _ORIGIN_MEANING,
        },
    },
    "window": {"type": "integer", "minimum": 1, "maximum": 10_000},
    "linger": DURATION,
    "concurrency": _COUNT,
    "timeout": DURATION,
    "first_wait": DURATION,
    "longest_wait": DURATION,
    "max_attempts": _COUNT,
    "max_age": DURATION,
    "circuit_failures": _COUNT,
    "parked_messages": _COUNT,
    "skip_repeats": {"type": "boolean"},
    "remembered_states": {"type": "integer", "minimum": 0},
}


def _table(properties: dict[str, Json], *required: str) -> dict[str, Json]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


_SUBSCRIPTION: dict[str, Json] = {
    "name": {"type": "string"},
    "subscription": _TEXT,
    "mapping": _MAPPING,
}
_CONNECTION: dict[str, Json] = {
    "name": _TEXT,
    "plugin": _TEXT,
    "settings": {"type": "object"},
    "clientSide": {"type": "boolean"},
    "subscription": _TEXT,
    "mapping": _MAPPING,
    "subscriptions": {
        "type": "array",
        "minItems": 1,
        "items": _table(_SUBSCRIPTION, "subscription"),
    },
}


_SCHEMA: dict[str, Json] = _table(
    {
        "gateway": _table(_GATEWAY),
        "eventlog": _table(_EVENTLOG),
        "delivery": _table(_DELIVERY),
        "connections": {
            "type": "array",
            "minItems": 1,
            "items": _table(_CONNECTION, "name", "plugin"),
        },
    },
    "connections",
)


def load_config(path: Path) -> RouterConfig:
    """Read a router.toml.

    References (`{env = NAME}`) are resolved everywhere but in a connection's settings: those
    follow the plugin's schema, when the connection is made.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or holds what it should not.
    """
    return parse_config(read_config(path))


def is_origin(text: str) -> bool:
    """Whether a text is an origin: `https://vendor.example`, `http://127.0.0.1:9100`."""
    return re.match(_ORIGIN, text) is not None


def read_config(path: Path) -> dict[str, Json]:
    """Read the content of a router.toml, whatever it says.

    Raises:
        SettingsError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            [Problem("", f"cannot read {path} ({type(error).__name__})")]
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([Problem("", f"{path} is not TOML: {error}")]) from error


def parse_config(content: Mapping[str, Json]) -> RouterConfig:
    """Check the content of a router.toml and type it.

    Raises:
        SettingsError: with every problem.
    """
    connections = content.get("connections")
    settings = [_settings_of(connection) for connection in _listed(connections)]
    problems = [
        Problem("connections", f"the name {name!r} is given twice")
        for name in _given_twice(connections)
    ]
    problems += [
        Problem(f"connections.{index}.subscriptions", "stands beside subscription or mapping")
        for index, connection in enumerate(_listed(connections))
        if _says_it_twice(connection)
    ]
    problems += _port_problems(content.get("gateway"))
    try:
        checked = load_settings(_SCHEMA, {**content, **_without_settings(connections)})
    except SettingsError as error:
        raise SettingsError([*error.problems, *problems]) from None
    if problems:
        raise SettingsError(problems)
    for connection, own in zip(checked["connections"], settings, strict=True):
        connection["settings"] = own
    delivery = _in_units(checked.get("delivery", {}), _DELIVERY)
    origins = delivery.pop("origins", {})
    return msgspec.convert(
        {
            **checked,
            "eventlog": _in_units(checked.get("eventlog", {}), _EVENTLOG),
            "delivery": {"origins": origins, "settings": delivery},
        },
        RouterConfig,
    )


def _in_units(table: dict[str, Json], schema: dict[str, Json]) -> dict[str, Json]:
    """Turn durations into seconds and sizes into bytes."""
    readers = {id(DURATION): seconds, id(SIZE): size_in_bytes}
    return {key: readers.get(id(schema[key]), _as_is)(value) for key, value in table.items()}


def _as_is(value: Json) -> Json:
    return value


def _given_twice(connections: Json) -> list[str]:
    names = [c.get("name") for c in _listed(connections) if isinstance(c, dict)]
    texts = [name for name in names if isinstance(name, str)]
    return sorted({name for name in texts if texts.count(name) > 1})


def _says_it_twice(connection: Json) -> bool:
    return isinstance(connection, dict) and (
        "subscriptions" in connection and bool({"subscription", "mapping"} & set(connection))
    )


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


def _port_problems(gateway: Json) -> list[Problem]:
    listen = gateway.get("listen") if isinstance(gateway, dict) else None
    port = listen.rpartition(":")[2] if isinstance(listen, str) else ""
    if port.isdecimal() and int(port[:6]) > _LAST_PORT:
        return [Problem("gateway.listen", f"its port is greater than {_LAST_PORT}")]
    return []
