"""`connect`: a destination with its settings, as an object of any host. Pure.

heap = connect("heap", {"appId": "1234567890"})
decision = heap.decide({"type": "track", "userId": "ada", "event": "Program Published"})
for request in heap.pack(decision.requests):
    sent = heap.rendered(request)
    ...  # send it with the HTTP client of your choice
    outcomes = heap.outcomes(request, HttpResponse(status=200))
"""

from __future__ import annotations

import hashlib
import importlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast
from urllib.parse import urlencode

import msgspec

from destination_router.config.router_toml import ConnectionConfig, parse_config
from destination_router.contract.bodies import body_of, gzipped
from destination_router.contract.headers import headers_of
from destination_router.contract.messages import Message
from destination_router.contract.records import (
    HttpRequest,
    HttpResponse,
    Json,
    Outcome,
)
from destination_router.hosting.configuration import ConfigurationError
from destination_router.hosting.wire_message import wire_message
from destination_router.pipeline.connection import Connection, compile_treatment, configured
from destination_router.pipeline.decisions import Decision
from destination_router.pipeline.packing import packed
from destination_router.pipeline.subscriptions.subscriptions import (
    check_subscriptions,
    subscription_sources,
)
from destination_router.plugins.loading import (
    LoadedPlugin,
    PluginError,
    check_destination,
    installed_plugins,
    load_plugin,
)
from destination_router.settings.errors import Problem, SettingsError

_DIGEST_BYTES = 16


class RenderedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it goes over the wire: with its query, credentials, type and gzip.

    Attributes:
        method: in capitals.
        url: with the query.
        headers: all but those that an HTTP client adds by itself (`Host`, `Content-Length`).
        content: the body; None where there is none.
    """

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None = None

    def __repr__(self) -> str:  # a header or the query may hold a secret
        url = self.url.partition("?")[0]
        return f"RenderedRequest({self.method} {url}, {len(self.content or b'')} bytes)"


class HostedConnection:
    """A destination with valid settings, as `connect` makes it.

    It does not send, read files or wait, so any program can use it, with an event loop or without.
    Threads may share it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def name(self) -> str:
        """The name that senders may use in `integrations`, beside the destination's own names."""
        return self._connection.name

    @property
    def window(self) -> int | None:
        """The most messages that `pack` wants at once. None if the destination does not say."""
        return self._connection.window

    def decide(self, message: Message | Mapping[str, Json] | bytes | str) -> Decision:
        """Decide what becomes of one message. It never raises, whatever the message holds.

        Args:
            message: JSON, the object that the JSON stands for, or a typed message. A message
                without a `messageId` gets one made of its content, which is the same every time.

        Returns:
            `result` is `requests` (with what to send, in order), `rejected` (`reject` says why) or
            `filtered` (`reason` says why); `notes` say what was changed or left out.
        """
        raw = wire_message(message)
        return self._connection.decide(raw, message_id=_id_of(raw))

    def pack(self, requests: Iterable[HttpRequest]) -> list[HttpRequest]:
        """Make bulk requests of the requests of many messages: as few as the vendor allows.

        Args:
            requests: the requests of decisions, in the messages' order.

        Returns:
            What to send, in order. Each says which messages it carries: `message_ids`.
        """
        singles = list(requests)
        return packed(self._connection, singles) if len(singles) > 1 else singles

    def rendered(self, request: HttpRequest) -> RenderedRequest:
        """Write a request as it goes over the wire, for any HTTP client.

        Do not log it: it holds the credentials.
        """
        body = body_of(request)
        content, content_type = (None, "") if body is None else body
        if request.gzip and content is not None:
            content = gzipped(content)
        query = urlencode(request.params, doseq=True)
        return RenderedRequest(
            method=request.method,
            url=f"{request.url}?{query}" if query else request.url,
            headers=headers_of(request, {}, content_type),
            content=content,
        )

    def outcomes(self, request: HttpRequest, response: HttpResponse) -> dict[str, Outcome]:
        """Read what a vendor's answer means for each message of a request.

        Args:
            request: the request that was sent, as `pack` made it.
            response: the answer, with header names in lower case.

        Returns:
            By message id: `delivered`; `retry` (`after` so many seconds); `rejected` for good;
            `suspect` (one of them is at fault: send them apart); `held` (the vendor takes nothing
            of this connection now).
        """
        # Here, for an HTTP client comes with it, and not every host asks.
        from destination_router.delivery.sender import read_answer  # noqa: PLC0415

        return read_answer(self._connection, request, response)

    def shown(self, request: HttpRequest) -> dict[str, Json]:
        """Write a request for a person or a log: without secrets."""
        return self._connection.shown(request)


def connect(  # noqa: PLR0913 -- as a connection of a router.toml
    destination: object,
    settings: Mapping[str, Json],
    *,
    name: str | None = None,
    subscription: str | None = None,
    mapping: Mapping[str, Json] | None = None,
    subscriptions: Sequence[Json] | None = None,
    transformations: Sequence[Json] | None = None,
    privacy: Mapping[str, Json] | None = None,
    consent: Sequence[Json] | None = None,
) -> HostedConnection:
    """Make a connection of a destination and its settings.

    Args:
        destination: the name of its entry point (`heap`), the name of its module
            (`heap_destination.plugin`), or the module itself.
        settings: the settings, as in a router.toml: `{env = NAME}` and `{file = PATH}` are looked
            up, and defaults are filled in.
        name: the name that senders use in `integrations`. None is the destination's name.
        subscription: the messages that it takes, in FQL (`type = "track"`). None is the
            destination's own subscription.
        mapping: for each call, the fields that it overrides.
        subscriptions: in place of the two: several, each with its own mapping.
        transformations: what it does to messages before it maps them, in order.
        privacy: HIPAA mode: what it may pass on, and the keys it masks with. There is one `allow`:
            no router.toml has another one for all connections.
        consent: what people must allow.

    The last five hold what a router.toml says under `[[connections]]`, as Python objects.

    Raises:
        ConfigurationError: The destination, its settings or what stands beside them cannot be
            used. It lists all mistakes, in words, without a value.
    """
    try:
        plugin = _loaded(destination)
    except PluginError as error:
        raise ConfigurationError([error]) from error
    try:
        config = _described(
            subscription=subscription,
            mapping=mapping,
            subscriptions=subscriptions,
            transformations=transformations,
            privacy=privacy,
            consent=consent,
        )
    except SettingsError as error:
        raise ConfigurationError(error.problems) from None
    config = msgspec.structs.replace(
        config, name=name or plugin.name, plugin=plugin.name, settings=dict(settings)
    )
    try:
        return HostedConnection(configured(config, plugin))
    except (PluginError, SettingsError) as error:
        raise ConfigurationError(_everything_wrong(config, plugin, error)) from None


_FIRST = "connections.0."
"""What a router.toml's problems begin with, where it has one connection."""


def _described(**tables: Mapping[str, Json] | Sequence[Json] | None) -> ConnectionConfig:
    """Read what stands beside a connection's settings, as a router.toml is read.

    Raises:
        SettingsError: with every problem, by its path.
    """
    table = {name: _as_parsed(value) for name, value in tables.items() if value is not None}
    connection = {"name": "connection", "plugin": "plugin", **table}
    content: dict[str, Json] = {"connections": [connection]}
    if "privacy" in table:  # two allowlists have to name a field: here they are one
        content["privacy"] = table["privacy"]
    try:
        (config,) = parse_config(content, gateway=False).connections
    except SettingsError as error:
        told = [Problem(each.path.removeprefix(_FIRST), each.detail) for each in error.problems]
        raise SettingsError(list(dict.fromkeys(told))) from None
    return config


def _as_parsed(value: Mapping[str, Json] | Sequence[Json]) -> Json:
    """Make a table or a list of what a program may hold as another kind of either."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else cast("Json", value)


def _everything_wrong(
    config: ConnectionConfig, plugin: LoadedPlugin, error: PluginError | SettingsError
) -> list[object]:
    """List all that is wrong: settings hide what is wrong with what stands beside them."""
    checks: tuple[Callable[[], object], ...] = (
        lambda: Connection(config.name, plugin, config.settings),
        lambda: check_subscriptions(subscription_sources(config), plugin),
        lambda: compile_treatment(config, plugin),
    )
    problems: list[object] = []
    for check in checks:
        try:
            check()
        except SettingsError as other:
            problems += other.problems
        except PluginError as other:
            problems.append(other)
    problems += error.problems if isinstance(error, SettingsError) else [error]
    # Its privacy stands for the table `[privacy]`, too.
    return list(dict.fromkeys(str(each).replace("[privacy] ", "privacy.") for each in problems))


def _loaded(destination: object) -> LoadedPlugin:
    if not isinstance(destination, str):
        name = str(getattr(destination, "__name__", type(destination).__name__))
        return check_destination(destination, _short(name), name)
    is_module = "." in destination and destination not in {p.name for p in installed_plugins()}
    if not is_module:
        return load_plugin(destination)
    try:
        module = importlib.import_module(destination)
    except Exception as error:
        detail = f"module {destination!r} does not import: {type(error).__name__}: {error}"
        raise PluginError(detail) from error
    return check_destination(module, _short(destination), destination)


def _short(module: str) -> str:
    """Call a destination by its module as it would be called by its entry point."""
    names = {point.entry_point.value: point.name for point in installed_plugins()}
    return names.get(module, module)


def _id_of(raw: bytes) -> str:
    digest = hashlib.blake2b(raw, digest_size=_DIGEST_BYTES).digest()
    return str(uuid.UUID(bytes=digest, version=4))
