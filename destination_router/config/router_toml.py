"""router.toml → typed records, with every error at once and the key that each one is about."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec

from destination_router.config.origins import plain_origins
from destination_router.config.problems import ConfigError, config_error, connection_names
from destination_router.config.schema import (
    ALERTS,
    ALSO_EMPTY,
    DELIVERY,
    EVENTLOG,
    GATEWAY,
    KAFKA_URL,
    LAST_PORT,
    PROGRAM,
    QUARANTINE,
    SCHEMA,
    SQLITE_URL,
)
from destination_router.contract.records import Json
from destination_router.faults import file_problem
from destination_router.settings.documents import (
    DocumentError,
    number_problems,
    out_of_bounds,
    parse_toml,
)
from destination_router.settings.errors import Problem, SettingsError
from destination_router.settings.validation import load_settings
from destination_router.units import DURATION, SIZE, seconds, size_in_bytes


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[gateway]`: where events come in, and how much of it at once.

    Attributes:
        listen: `host:port`, where SDKs send to, and where `/health`, `/ready` and `/metrics` are;
            loopback unless the configuration says otherwise.
        write_keys: what senders authenticate with: the source `default`. Blanks and line ends
            around a key do not count.
        max_events: how many events a request may hold: a hundred times what SDKs send. The gateway
            answers 413 beyond it.
        max_bodies: how many bytes of bodies may be in memory at once, beside the first 64 KiB of
            each. The gateway answers 503 with `Retry-After` beyond it.
        max_headers: how many bytes a request may have beside its body: its path, headers and
            trailers. The gateway answers 431 beyond it.
        max_connections: how many connections may be open. The gateway answers 503 with
            `Retry-After` beyond it. There are fewer if the process may open fewer files (`ulimit
            -Hn`): 128 of these stay for the log and for vendors.
        arrival_timeout: how long a request may take to come in; its headers may take at most 10 s
            of it. The gateway answers 408 beyond it.
    """

    listen: str = "127.0.0.1:8080"
    write_keys: tuple[str, ...] = ()
    max_events: int = 10_000
    max_bodies: int = 64 * 2**20
    max_headers: int = 64 * 2**10
    max_connections: int = 1000
    arrival_timeout: float = 60.0

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class SourceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One of `[[sources]]`: whoever sends with one of its write keys.

    Attributes:
        name: what the source is called, in the log, in metrics and in `sources` of connections. It
            has at most 64 letters, digits, blanks, dots and dashes.
        write_keys: what it authenticates with; several, so that you can rotate keys.
        enabled: whether it may send; otherwise its requests are answered 404 `source is disabled`,
            as rudder-server does.
    """

    name: str
    write_keys: tuple[str, ...] = ()
    enabled: bool = True


DEFAULT_SOURCE = "default"
"""The name of the source that `[gateway] write_keys` is."""

LEAST_FREE = 16 * 2**20
"""SQLite's journal holds 4 MB and what is appended at once; then the file grows by as much."""


class KafkaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[eventlog.kafka]`: how to connect, and how the topic of events is made.

    Attributes:
        tls: whether connections are encrypted.
        ca_file: a PEM file of the authorities that vouch for the brokers; None: those that the
            system trusts.
        certificate_file: a PEM file that tells the brokers who this is; None: none is shown.
        key_file: the PEM file of the certificate's key.
        key_password: what the key is encrypted with.
        sasl: how `username` and `password` are told; None: they are not.
        username: who this is. It needs `sasl`.
        password: the secret that proves it. It needs `sasl`.
        partitions: how many partitions the topic of events has. More than 1 weakens promises:
            docs/kafka.md.
        replication: how many brokers hold each topic.
    """

    tls: bool = False
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    key_password: str | None = None
    sasl: Literal["plain", "scram-sha-256", "scram-sha-512"] | None = None
    username: str | None = None
    password: str | None = None
    partitions: int = 1
    replication: int = 3


class EventLogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[eventlog]`: where accepted events wait. Durations in seconds, sizes in bytes.

    Attributes:
        url: `sqlite:///router.db` is a path that counts from the folder of the router.toml,
            `sqlite:////var/lib/router.db` an absolute one. It has to be on a local disk: a network
            file system keeps no locks. `kafka://host:9092,host2:9092/prefix` is a Kafka; the names
            of its topics begin with the prefix.
        keep_delivered: how long events stay that every connection has delivered.
        max_age: after how long an undelivered event becomes a dead letter with the code `expired`,
            with a line in the log; None: never.
        max_size: how much room events may take; beyond it, new ones are refused with 503. From 80 %
            on, delivered events go at once.
        max_dead_letters_size: how much room dead letters may take, beside `max_size`; beyond it,
            the oldest of the connection and code that hold most are deleted; None: a tenth of
            `max_size`.
        min_free: how much of its disk must be free; below it, new events are refused with 503, so
            that there is always room to note what was delivered. At least `16MB`: less would not
            hold the log's own journal. A Kafka has no such bound.
        new_connections: where a connection begins that the log does not know: at the `end`, or at
            the `start` of what the log still holds.
        keep_dead_letters: after how long a dead letter is deleted, with a line in the log; None: it
            stays while there is room.
        kafka: the table `[eventlog.kafka]`: how to connect to a Kafka.
    """

    url: str = "sqlite:///router.db"
    keep_delivered: float = 0.0
    max_age: float | None = None
    max_size: int = 10 * 2**30
    max_dead_letters_size: int | None = None
    min_free: int = 64 * 2**20
    new_connections: Literal["end", "start"] = "end"
    keep_dead_letters: float | None = None
    kafka: KafkaConfig = KafkaConfig()

    @property
    def is_kafka(self) -> bool:
        """Whether the log is a Kafka."""
        return self.url.startswith(KAFKA_URL)

    @property
    def path(self) -> Path:
        """The file of a SQLite log."""
        return Path(self.url.removeprefix(SQLITE_URL))

    @property
    def told(self) -> str:
        """The log as people are told of it."""
        return self.url if self.is_kafka else str(self.path)


class DeliveryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[delivery]`: how requests leave. Durations in seconds.

    Attributes:
        origins: which vendor's origin is sent elsewhere, and where; `*`: every other.
        workers: how many processes deliver, beside the one that takes events; None: one process
            does both. `run --workers` comes before it, and a change needs a restart.
        settings: whatever else the table says, by the names of `DeliverySettings`.
    """

    origins: dict[str, str] = {}
    workers: int | None = None
    settings: dict[str, Any] = {}


LEAST_PASSWORD = 8
"""Whoever has the console's password can delete dead letters: so many characters at least."""


class ConsoleConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[console]`: a web page for those who run the router.

    Attributes:
        listen: `host:port`, where the console answers, never the gateway's address; loopback unless
            the configuration says otherwise.
        password: the operator's password, of 8 characters or more: whoever knows it may act. Empty:
            the console does not start.
        viewer_password: the password of those who only look, of 8 characters or more; empty: nobody
            has one.
        url: under which people reach it through a proxy: `https://console.example.com`; empty:
            there is no proxy.
        keep: how many messages of each connection are kept with all that became of them.
        content: whether values of messages are kept and shown; otherwise ids, codes and paths of
            fields are.
    """

    listen: str = "127.0.0.1:8081"
    password: str = ""
    viewer_password: str = ""
    url: str = ""
    keep: int = 500
    content: bool = True

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    def at(self, host: str, port: int) -> ConsoleConfig:
        """Give the same on another address."""
        shown = f"[{host}]" if ":" in host else host
        return msgspec.structs.replace(self, listen=f"{shown}:{port}")


class QuarantineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[quarantine]`: when an identity is held back that too many carry.

    Attributes:
        enabled: whether identities are watched.
        anonymous_ids: how many different anonymousIds may carry one identity within the period.
        changed_traits: how many values of the trait `email`, or of `name`, may come with one
            identity within the period.
        period: over how long they are counted.
        allow: identities that any number may carry, as the messages have them: `["kiosk-7"]`.
    """

    enabled: bool = True
    anonymous_ids: int = 50
    changed_traits: int = 50
    period: float = 3600.0
    allow: tuple[str, ...] = ()


class AlertsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The table `[alerts]`: who is told when something is wrong. Durations in seconds.

    Attributes:
        url: where alerts are posted to. It is a secret, as whoever knows it can post there: write
            `{ env = "ALERT_URL" }` or `{ file = "PATH" }`.
        format: how they are written: JSON, or what Slack's incoming webhooks take.
        circuit_open: for how long a vendor may be silent before that is an alert.
        dead_letters: how many dead letters of a connection within `period` are an alert.
        period: over how long dead letters, failures and expired events are counted; such an alert
            ends when they are over for as long. At least `1s`.
        interval: how long after an alert of a kind for a connection the next may follow.
    """

    url: str
    format: Literal["json", "slack"] = "json"
    circuit_open: float = 300.0
    dead_letters: int = 100
    period: float = 600.0
    interval: float = 60.0


class SubscriptionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One of several subscriptions of a connection, with its own mapping.

    Attributes:
        subscription: which messages it takes, in FQL; the plugin's own if None.
        mapping: for each call, the fields that it overrides.
        name: what people call it.
    """

    subscription: str | None = None
    mapping: dict[str, dict[str, Any]] = {}
    name: str = ""


class ConsentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What people must allow before a connection takes their messages: one of its `consent`.

    Attributes:
        provider: whose categories they are, spelt as messages spell it: `oneTrust`, `ketch`,
            `iubenda`, `custom`, or one of your own.
        categories: the ids of what a person must allow.
        resolution: `and`: a person must allow each of them; `or`: one of them. A message's own
            `resolutionStrategy` comes first, except for the provider `custom`.
        when_absent: what becomes of a message that says nothing of consent: it goes out (`pass`),
            or it does not (`filter`).
        legacy: an older setting of RudderStack: it speaks of messages that name no provider, too;
            its own resolution holds.
    """

    provider: str
    categories: tuple[str, ...]
    resolution: Literal["and", "or"] = "and"
    when_absent: Literal["pass", "filter"] = "pass"
    legacy: bool = False


class SharedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a router.toml says for all of its connections; references are not resolved yet.

    Attributes:
        privacy: what any connection may pass on, and the masking keys of those that have none of
            their own.
        transformations: what is done to every message, in order.
    """

    privacy: dict[str, Any] = {}
    transformations: tuple[dict[str, Any], ...] = ()


class ProgramConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A destination that is a program.

    Attributes:
        command: the program and its arguments.
        folder: where it runs; None: in the folder of router.toml.
        timeout: how long each of its answers may take, in seconds.
    """

    command: tuple[str, ...]
    folder: str | None = None
    timeout: float = 10.0


class ConnectionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One destination in use; references in `settings` and `privacy` are not resolved yet.

    Attributes:
        name: what the connection is called, and what senders may call it in `integrations`.
            Renaming it makes a new connection.
        plugin: which destination: the name of an installed one; of a program, its command.
        program: `plugin = { command = [...] }`; None: the plugin is installed.
        settings: the plugin's settings. `destination-router schema NAME` lists them.
        subscription: the messages that it takes, in FQL; the plugin's own if None.
        mapping: for each call, the fields that it overrides.
        subscriptions: in place of the two: several, each with its own mapping.
        client_side: whether browsers are told to load the destination by themselves.
        transformations: what it does to messages, in order.
        privacy: what it may pass on, and under which keys it masks.
        sources: the names of the sources whose messages it takes; None: all. A message without a
            source, of a file or an older log, passes.
        consent: what people must allow.
        shared: what holds for every connection.
    """

    name: str
    plugin: str
    program: ProgramConfig | None = None
    settings: dict[str, Any] = {}
    subscription: str | None = None
    mapping: dict[str, dict[str, Any]] = {}
    subscriptions: tuple[SubscriptionConfig, ...] = ()
    client_side: bool = msgspec.field(default=False, name="clientSide")
    transformations: tuple[dict[str, Any], ...] = ()
    privacy: dict[str, Any] = {}
    sources: tuple[str, ...] | None = None
    consent: tuple[ConsentConfig, ...] = ()
    shared: SharedConfig = SharedConfig()


class RouterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A whole router.toml.

    Attributes:
        gateway: where events come in, and how much of it at once.
        sources: who sends, each with write keys of its own.
        eventlog: where accepted events wait.
        delivery: how requests leave.
        quarantine: when an identity is held back that too many carry.
        alerts: who is told when something is wrong; None: nobody.
        console: a web page for those who run the router; None: there is none.
        connections: the destinations in use.
    """

    gateway: GatewayConfig = GatewayConfig()
    sources: tuple[SourceConfig, ...] = ()
    eventlog: EventLogConfig = EventLogConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    quarantine: QuarantineConfig = QuarantineConfig()
    alerts: AlertsConfig | None = None
    console: ConsoleConfig | None = None
    connections: tuple[ConnectionConfig, ...] = ()

    @property
    def all_sources(self) -> tuple[SourceConfig, ...]:
        """`[[sources]]`, after the one that `[gateway] write_keys` is, if there are such keys."""
        keys = self.gateway.write_keys
        default = (SourceConfig(name=DEFAULT_SOURCE, write_keys=keys),) if keys else ()
        return (*default, *self.sources)


_LATER = frozenset({"settings", "privacy", "transformations"})
_LATER_FOR_ALL = frozenset({"privacy", "transformations"})
"""Tables that are checked when a connection is made, each where its meaning is known."""


def load_config(path: Path, *, may_be_empty: bool = False) -> RouterConfig:
    """Read a router.toml for what needs neither senders nor people to tell.

    Write keys, `[alerts]` and the console's passwords are left out.

    References (`{env = NAME}`) are resolved everywhere but in a connection's settings, which
    follow the plugin's schema, and in privacy's tables: both wait until the connection is made.
    So a command that only looks into the log wants no secret in its environment.

    Args:
        path: of the file.
        may_be_empty: whether it may be without connections, where no table speaks of them.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or holds what it should not.
    """
    content = without_alerts(read_config(path))
    # What is said of all connections protects: it must not go unheeded for want of one.
    bare = may_be_empty and not content.keys() & _LATER_FOR_ALL
    try:
        return parse_config(content, gateway=False, may_be_empty=bare)
    except SettingsError as error:
        raise config_error(error.problems, connection_names(content), path) from None


def without_alerts(content: Mapping[str, Json]) -> dict[str, Json]:
    """Leave out `[alerts]`, for who sends none: its address is a secret that they may not have."""
    return {name: table for name, table in content.items() if name != "alerts"}


def read_config(path: Path) -> dict[str, Json]:
    """Read the content of a router.toml, whatever it says; paths in it count from its folder.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or is nested too deeply.
    """
    try:
        content = parse_toml(path.read_text(encoding="utf-8-sig"))
    except DocumentError as error:
        raise ConfigError([Problem("", f"{path} {error}")]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem("", file_problem(path, error))]) from error
    eventlog = content.setdefault("eventlog", {})
    if isinstance(eventlog, dict):
        url = eventlog.get("url", EventLogConfig().url)
        if isinstance(url, str) and url.startswith(SQLITE_URL):
            eventlog["url"] = f"{SQLITE_URL}{path.parent / url.removeprefix(SQLITE_URL)}"
    _run_in(path.parent, content)
    return {key: _anchored(value, path.parent) for key, value in content.items()}


def _run_in(folder: Path, content: dict[str, Json]) -> None:
    """Let programs run in a folder, or in one whose path counts from it."""
    for connection in _listed(content.get("connections")):
        program = connection.get("plugin") if isinstance(connection, dict) else None
        if isinstance(program, dict) and isinstance(program.get("folder", ""), str):
            program["folder"] = str(folder / program.get("folder", ""))


def _anchored(value: Json, folder: Path) -> Json:
    """Let the paths of references (`{file = PATH}`) count from a folder."""
    if isinstance(value, list):
        return [_anchored(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"file"} and isinstance(value["file"], str):
        return {"file": str(folder / value["file"])}
    return {key: _anchored(item, folder) for key, item in value.items()}


def parse_config(
    content: Mapping[str, Json],
    *,
    gateway: bool = True,
    console: bool = False,
    may_be_empty: bool = False,
) -> RouterConfig:
    """Check the content of a router.toml and type it.

    Args:
        content: of the file.
        gateway: whether events shall come in; otherwise the write keys are left unread.
        console: whether people shall look at it; otherwise the console's passwords are left unread.
        may_be_empty: whether it may be without connections.

    Raises:
        SettingsError: with every problem.
    """
    beyond = out_of_bounds(dict(content))
    if beyond is not None:
        raise SettingsError([beyond])
    if not gateway:
        content = _without_write_keys(content)
    if not console:
        content = _without_passwords(content)
    connections = content.get("connections")
    problems = [
        Problem("connections", f"the name {name!r} is given twice")
        for name in _given_twice(connections)
    ]
    problems += [
        Problem(f"connections.{index}.subscriptions", "stands beside subscription or mapping")
        for index, connection in enumerate(_listed(connections))
        if _says_it_twice(connection)
    ]
    problems += _source_problems(content)
    problems += _consent_problems(content)
    problems += _port_problems(content, "gateway")
    problems += _port_problems(content, "console")
    problems += _room_problems(content.get("eventlog"))
    problems += _kafka_problems(content.get("eventlog"))
    problems += _alert_problems(content.get("alerts"))
    problems += _lists_for_nobody(content)
    problems += number_problems(content)
    try:
        schema = ALSO_EMPTY if may_be_empty else SCHEMA
        checked = load_settings(schema, _without_later_tables(content))
    except SettingsError as error:
        raise SettingsError([*error.problems, *problems]) from None
    if problems:
        raise SettingsError(problems)
    delivery = _in_units(checked.get("delivery", {}), DELIVERY)
    origins = plain_origins(delivery.pop("origins", {}))
    workers = delivery.pop("workers", None)
    config = msgspec.convert(
        {
            **checked,
            "connections": [_with_program(each) for each in checked.get("connections", [])],
            "gateway": _in_units(checked.get("gateway", {}), GATEWAY),
            "eventlog": _in_units(checked.get("eventlog", {}), EVENTLOG),
            "quarantine": _in_units(checked.get("quarantine", {}), QUARANTINE),
            "delivery": {"origins": origins, "workers": workers, "settings": delivery},
            "alerts": _alerts(checked.get("alerts")),
        },
        RouterConfig,
    )
    config = _with_trimmed_secrets(config)
    if wrong := [*_key_problems(config), *_password_problems(config.console)]:
        raise SettingsError(wrong)
    whole = tuple(connection_config(content, raw) for raw in _listed(connections))
    return msgspec.structs.replace(config, connections=whole)


def connection_config(content: Mapping[str, Json], connection: Json) -> ConnectionConfig:
    """Type one connection of a router.toml, with what the file says for all of them.

    Args:
        content: of the whole file, whatever else it says.
        connection: as it stands there.

    Raises:
        msgspec.ValidationError: it cannot be typed.
    """
    typed = msgspec.convert(_with_program(connection), ConnectionConfig)
    shared = {name: content[name] for name in _LATER_FOR_ALL if name in content}
    return msgspec.structs.replace(typed, shared=msgspec.convert(shared, SharedConfig))


def _with_program(connection: Json) -> Json:
    """Part the table of a program from the name of a plugin, which stand in one place."""
    if not isinstance(connection, dict) or not isinstance(connection.get("plugin"), dict):
        return connection
    table = connection["plugin"]
    try:
        known = _in_units({key: table[key] for key in table if key in PROGRAM}, PROGRAM)
    except (ValueError, TypeError) as error:
        raise msgspec.ValidationError(str(error)) from None
    typed = msgspec.convert(known, ProgramConfig)
    if not typed.command:
        raise msgspec.ValidationError("command names no program")
    return {**connection, "plugin": shlex.join(typed.command), "program": typed}


def _in_units(table: dict[str, Json], schema: dict[str, Json]) -> dict[str, Json]:
    """Turn durations into seconds and sizes into bytes."""
    readers = {id(DURATION): seconds, id(SIZE): size_in_bytes}
    return {key: readers.get(id(schema[key]), _as_is)(value) for key, value in table.items()}


def _alerts(table: Json) -> Json:
    """Turn `[alerts]` into units; a variable or file often ends with a newline."""
    if table is None:
        return None
    return _in_units({**table, "url": table["url"].strip()}, ALERTS)


def _as_is(value: Json) -> Json:
    return value


def _given_twice(connections: Json) -> list[str]:
    names = [c.get("name") for c in _listed(connections) if isinstance(c, dict)]
    texts = [name for name in names if isinstance(name, str)]
    return sorted(name for name, times in Counter(texts).items() if times > 1)


def _says_it_twice(connection: Json) -> bool:
    return isinstance(connection, dict) and (
        "subscriptions" in connection and bool({"subscription", "mapping"} & set(connection))
    )


def _listed(connections: Json) -> list[Json]:
    return connections if isinstance(connections, list) else []


def _without_later_tables(content: Mapping[str, Json]) -> dict[str, Json]:
    """Keep what is checked when a connection is made, with its references, from being read here."""
    connections = content.get("connections")
    if isinstance(connections, list):
        bare = [_emptied(c, _LATER) if isinstance(c, dict) else c for c in connections]
        content = {**content, "connections": bare}
    return _emptied(content, _LATER_FOR_ALL)


def _emptied(table: Mapping[str, Json], names: Collection[str]) -> dict[str, Json]:
    """Empty some tables; what is none stays, for the schema to tell."""
    return {name: _bare(value) if name in names else value for name, value in table.items()}


def _bare(value: Json) -> Json:
    if isinstance(value, list):
        return [{} if isinstance(item, dict) else item for item in value]
    return {} if isinstance(value, dict) else value


def _without_write_keys(content: Mapping[str, Json]) -> dict[str, Json]:
    without = dict(content)
    if isinstance(table := content.get("gateway"), dict):
        without["gateway"] = {k: v for k, v in table.items() if k != "write_keys"}
    if isinstance(sources := content.get("sources"), list):
        without["sources"] = [
            {**source, "write_keys": []} if isinstance(source, dict) else source
            for source in sources
        ]
    return without


def _without_passwords(content: Mapping[str, Json]) -> dict[str, Json]:
    without = dict(content)
    if isinstance(table := content.get("console"), dict):
        secret = {"password", "viewer_password"}
        without["console"] = {k: v for k, v in table.items() if k not in secret}
    return without


def _password_problems(console: ConsoleConfig | None) -> list[Problem]:
    """Tell of passwords that are easily guessed, and of one that two roles would share."""
    if console is None:
        return []
    words = f"has fewer than {LEAST_PASSWORD} characters: take a longer one"
    problems = [
        Problem(f"console.{name}", words)
        for name in ("password", "viewer_password")
        if 0 < len(getattr(console, name)) < LEAST_PASSWORD
    ]
    if console.viewer_password and not console.password:
        problems.append(Problem("console.password", "is required beside viewer_password"))
    elif console.password and console.password == console.viewer_password:
        detail = "is the operator's password: viewers need another one"
        problems.append(Problem("console.viewer_password", detail))
    return problems


def _source_problems(content: Mapping[str, Json]) -> list[Problem]:
    """Tell of names that are given twice, and of sources that a connection names in vain."""
    sources = [s for s in _listed(content.get("sources")) if isinstance(s, dict)]
    problems = [
        Problem("sources", f"the name {name!r} is given twice") for name in _given_twice(sources)
    ]
    names = {s["name"] for s in sources if isinstance(s.get("name"), str)}
    if DEFAULT_SOURCE in names:
        detail = "is the name of the source that [gateway] write_keys is: give it another"
        problems.append(Problem("sources.name", f"{DEFAULT_SOURCE!r} {detail}"))
    known = names | {DEFAULT_SOURCE}
    for index, connection in enumerate(_listed(content.get("connections"))):
        wanted = connection.get("sources") if isinstance(connection, dict) else None
        problems += [
            Problem(
                f"connections.{index}.sources",
                f"there is no source {name!r}; there are {', '.join(sorted(known))}",
            )
            for name in _listed(wanted)
            if isinstance(name, str) and name not in known
        ]
    return problems


def _with_trimmed_secrets(config: RouterConfig) -> RouterConfig:
    """Trim write keys and passwords: a variable or file often ends with a newline."""
    replace = msgspec.structs.replace
    gateway = replace(config.gateway, write_keys=_trimmed(config.gateway.write_keys))
    sources = tuple(replace(s, write_keys=_trimmed(s.write_keys)) for s in config.sources)
    console = config.console
    if console is not None:
        password, viewer = _trimmed((console.password, console.viewer_password))
        console = replace(console, password=password, viewer_password=viewer)
    return replace(config, gateway=gateway, sources=sources, console=console)


def _trimmed(keys: Collection[str]) -> tuple[str, ...]:
    return tuple(key.strip() for key in keys)


def _key_problems(config: RouterConfig) -> list[Problem]:
    """Tell of write keys that nobody could send with, or that two sources would share."""
    places = [("gateway.write_keys", config.gateway.write_keys)]
    places += [(f"sources.{i}.write_keys", s.write_keys) for i, s in enumerate(config.sources)]
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for place, keys in places:
        for number, key in enumerate(keys):
            path = f"{place}.{number}"
            if not key:
                problems.append(Problem(path, "is blank: give senders a key"))
            elif not key.isprintable():
                problems.append(Problem(path, "holds a control character, which no sender sends"))
            elif seen.setdefault(key, place) != place:
                problems.append(Problem(path, f"is in {seen[key]} too: a key says who sent"))
    return problems


def _lists_for_nobody(content: Mapping[str, Json]) -> list[Problem]:
    """Tell of allowlists that no connection is held to: whoever wrote them believes otherwise."""
    shared = content.get("privacy")
    if not isinstance(shared, dict) or not {"allow", "identifiers"} & shared.keys():
        return []
    own = [c.get("privacy") for c in _listed(content.get("connections")) if isinstance(c, dict)]
    if any("mode" in table for table in (shared, *own) if isinstance(table, dict)):
        return []
    detail = (
        'is required, here or in a connection: without mode = "hipaa" the lists protect nothing'
    )
    return [Problem("privacy.mode", detail)]


_CONSENT_PROVIDERS = ("oneTrust", "ketch", "iubenda", "custom")
"""As RudderStack's SDKs spell them in messages."""


def _consent_problems(content: Mapping[str, Json]) -> list[Problem]:
    """Tell of a provider that is one of the known ones, mistyped: no message would name it.

    So a person who denies would not be heeded.
    """
    problems = []
    for index, connection in enumerate(_listed(content.get("connections"))):
        rules = connection.get("consent") if isinstance(connection, dict) else None
        for number, rule in enumerate(_listed(rules)):
            provider = rule.get("provider") if isinstance(rule, dict) else None
            if not isinstance(provider, str) or provider in _CONSENT_PROVIDERS:
                continue
            meant = {known.casefold(): known for known in _CONSENT_PROVIDERS}
            if close := get_close_matches(provider.casefold(), meant, n=1, cutoff=0.75):
                path = f"connections.{index}.consent.{number}.provider"
                detail = f"is {provider!r}, which no message names; did you mean {meant[close[0]]}?"
                problems.append(Problem(path, detail))
    return problems


def _port_problems(content: Mapping[str, Json], name: str) -> list[Problem]:
    table = content.get(name)
    listen = table.get("listen") if isinstance(table, dict) else None
    port = listen.rpartition(":")[2] if isinstance(listen, str) else ""
    if port.isdecimal() and int(port[:6]) > LAST_PORT:
        return [Problem(f"{name}.listen", f"its port is greater than {LAST_PORT}")]
    return []


def _kafka_problems(eventlog: Json) -> list[Problem]:
    """Tell of what a Kafka cannot keep, and of a table that only a Kafka heeds."""
    if not isinstance(eventlog, dict):
        return []
    if not str(eventlog.get("url", "")).startswith(KAFKA_URL):
        if "kafka" not in eventlog:
            return []
        detail = 'is for url = "kafka://host:9092/prefix"; take it out, or change the url'
        return [Problem("eventlog.kafka", detail)]
    problems = []
    if "min_free" in eventlog:
        detail = "cannot be kept on Kafka, whose disks the router does not see: take it out"
        problems.append(Problem("eventlog.min_free", detail))
    table = eventlog.get("kafka")
    if isinstance(table, dict):
        for first, second in (("username", "sasl"), ("password", "sasl"), ("sasl", "username")):
            if first in table and second not in table:
                problems.append(Problem(f"eventlog.kafka.{first}", f"needs {second}, too"))
    return problems


def _alert_problems(alerts: Json) -> list[Problem]:
    """Tell of a period in which nothing could be counted."""
    value = alerts.get("period") if isinstance(alerts, dict) else None
    if type(value) not in (str, int, float):  # else the schema tells
        return []
    try:
        too_short = seconds(value) < 1
    except ValueError:
        return []
    detail = "is less than 1s: nothing could be counted in it"
    return [Problem("alerts.period", detail)] if too_short else []


def _room_problems(eventlog: Json) -> list[Problem]:
    """Tell of too little room: a log that filled its disk could not even note what is delivered."""
    value = eventlog.get("min_free") if isinstance(eventlog, dict) else None
    if type(value) not in (str, int):  # else the schema tells
        return []
    try:
        too_little = size_in_bytes(value) < LEAST_FREE
    except ValueError:
        return []
    if not too_little:
        return []
    detail = "is less than 16MB, which the log's own journal may need to note what was delivered"
    return [Problem("eventlog.min_free", detail)]
