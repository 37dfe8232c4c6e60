"""Turns a destination's configuration in a request into a `Connection`, which is cached.

RudderStack's configuration is translated by the plugin's `settings_from`; keys that the plugin
does not know (every destination has those of RudderStack's own interface) are left out, with one
line in the log for each connection. What cannot be used becomes a problem that each of its events
is answered with.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import EntryPoint
from typing import Any, Final

import msgspec

from destination_router.config.router_toml import ConnectionConfig, SharedConfig
from destination_router.contract.records import Json
from destination_router.faults import PASSED_ON, whereabouts
from destination_router.pipeline.connection import Connection, configured
from destination_router.pipeline.privacy.config import is_private
from destination_router.plugins.loading import (
    LoadedPlugin,
    PluginError,
    installed_plugins,
    load_plugin,
)
from destination_router.settings.errors import SettingsError, TableError
from destination_router.settings.references import holds_reference
from destination_router.transformer import dynamic_config
from destination_router.transformer.jobs import Beside, DecodedJob, Job
from destination_router.transformer.overlays import ready_overlays

SYSTEM = "rudderstack"
"""The system's name for a plugin's `settings_from`."""

KEPT_CONNECTIONS = 256
KEPT_DESTINATIONS = 256
_KEPT_BYTES = 64 * 1024

_PROXIED = ConnectionConfig(name="", plugin="")

_log = logging.getLogger(__name__)


class Prepared(msgspec.Struct, frozen=True):
    """A destination that is ready, or why it is not.

    Attributes:
        connection: what to map with.
        problem: what is wrong with the configuration or the plugin; quotes no value.
        fault: the plugin's fault (`transformation`) or the configuration's (`configuration`).
        message: the event as it is to be mapped, where the configuration took something out of it.
        overlay: the connection of a router.toml that stands for it; empty: none.
    """

    connection: Connection | None
    problem: str = ""
    fault: str = ""
    message: bytes | None = None
    overlay: str = ""


class _Destination(msgspec.Struct):
    """The fields of rudder-server's destination record that are read."""

    id: Any = msgspec.field(default="", name="ID")
    name: Any = msgspec.field(default="", name="Name")
    config: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"{}"), name="Config")
    is_dynamic: Any = msgspec.field(default=True, name="hasDynamicConfig")


_decode_destination = msgspec.json.Decoder(_Destination).decode
_TYPE = re.compile(r"\w+", re.ASCII)
"""The names that rudder-server may use for a destination."""
_STRANGER = (
    "router.toml: in HIPAA mode a destination goes out through a connection of its own, and none "
    "has this one's id or name: add a connection that has, with its allowlists"
)
"""The reason to refuse a destination that somebody may have meant to protect."""
_NOBODYS = (
    "router.toml: in HIPAA mode a destination goes out through a connection of its own, and none "
    "has settings that fit this configuration: add one, or use destination-router delete-user"
)
"""The same for deletions, for which rudder-server gives neither id nor name."""
_TWOFOLD = (
    "router.toml: one connection has this destination's id, and another one its name: rename one"
)
"""The reason to refuse a destination that matches two connections."""
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class Destinations:
    """The destinations of one installed plugin, as rudder-server configures them.

    Args:
        plugin: whose; or the text of why it cannot be used.
        overlays: connections of a router.toml for this plugin, ready: one that has the id or the
            name of a destination gives it settings that its configuration does not have, and says
            which messages it takes and what is done to them.
        shared: what the router.toml says for all connections.
    """

    def __init__(
        self,
        plugin: LoadedPlugin | str,
        overlays: Iterable[ConnectionConfig],
        shared: SharedConfig | None = None,
    ) -> None:
        self._plugin = plugin
        self._bare = ConnectionConfig(name="", plugin="", shared=shared or SharedConfig())
        self._overlays = {overlay.name: overlay for overlay in overlays}
        self.some_private: Final = any(map(is_private, (self._bare, *self._overlays.values())))
        """Whether any may be in HIPAA mode. A request to the proxy does not say which."""
        self._connections: OrderedDict[bytes, Prepared] = OrderedDict()
        self._last = msgspec.Raw(b"")
        self._last_prepared = Prepared(None)
        self._read_kept = lru_cache(KEPT_DESTINATIONS)(self._read)

    @property
    def packs(self) -> bool:
        """Whether the plugin turns many requests into few."""
        return isinstance(self._plugin, LoadedPlugin) and "pack" in self._plugin.capabilities

    @property
    def deletes(self) -> bool:
        """Whether users can be deleted at the plugin's vendor."""
        return isinstance(self._plugin, LoadedPlugin) and "user_deletion" in (
            self._plugin.capabilities
        )

    def prepare_deletion(self, config: dict[str, Json]) -> tuple[Prepared, ConnectionConfig]:
        """Prepare the deletion of users. Never raises.

        rudder-server says neither the id nor the name of the destination: what a router.toml adds
        is that of the one connection whose settings do not contradict the configuration.

        Args:
            config: the destination's configuration.
        """
        try:
            given = {} if isinstance(self._plugin, str) else _settings(self._plugin, config)
        except PluginError as error:
            return Prepared(None, str(error), "transformation"), self._bare
        meant = [
            overlay
            for overlay in self._overlays.values()
            if all(given.get(key, value) == value for key, value in overlay.settings.items())
        ]
        if len(meant) > 1:
            problem = "router.toml: several connections may be meant; give each its settings whole"
            return Prepared(None, problem, "configuration"), self._bare
        if not meant and self.some_private:
            return Prepared(None, _NOBODYS, "configuration"), self._bare
        overlay = meant[0] if meant else self._bare
        if self.some_private and not is_private(overlay):
            problem = (
                "router.toml: a connection of this plugin is in HIPAA mode, and the one that is "
                "meant is not: use destination-router delete-user"
            )
            return Prepared(None, problem, "configuration"), self._bare
        return self._compiled(config, overlay), overlay

    def prepare_alike(self, jobs: Sequence[Job | DecodedJob]) -> Prepared | None:
        """Prepare several jobs at once.

        Returns:
            What `prepare` returns for each; None: they have several destinations, or one that
            depends on the message.
        """
        first = jobs[0].destination
        beside: Beside
        for beside in jobs:
            destination = beside.destination
            if destination is not first and destination != first:
                return None
        prepared = self.prepare(jobs[0])
        return prepared if first == self._last else None

    def prepare(self, job: Job | DecodedJob) -> Prepared:
        """Prepare a job's destination for its event, which may change it. Never raises."""
        destination = job.destination
        if destination == self._last:  # in most requests every event has the same
            return self._last_prepared
        prepared, is_constant = self._prepared(bytes(destination), job.text)
        if is_constant:
            # A copy, since what is read of a request holds on to all of it.
            self._last, self._last_prepared = destination.copy(), prepared
        return prepared

    def _prepared(self, destination: bytes, text: Callable[[], bytes]) -> tuple[Prepared, bool]:
        """Look up a destination. One that does not depend on the message is cached."""
        read = self._read_kept if len(destination) <= _KEPT_BYTES else self._read
        prepared, config, overlay = read(destination)
        if prepared is not None:
            return prepared, len(destination) <= _KEPT_BYTES
        message = text()
        resolved, left = dynamic_config.resolve(config, message)
        prepared = self._compiled(resolved, overlay)
        if left is not message:
            prepared = msgspec.structs.replace(prepared, message=left)
        return prepared, False

    def prepare_config(self, config: bytes, overlay: str = "") -> Prepared:
        """Make ready what has a configuration alone, as in a request to the proxy.

        What comes to the proxy was transformed, and masked, before.

        Args:
            config: as wire JSON.
            overlay: what `Prepared.overlay` said when it was transformed.
        """
        try:
            resolved, _ = dynamic_config.resolve(msgspec.json.decode(config or b"{}"), b"null")
        except _UNDECODABLE:
            return Prepared(None, "the destination cannot be read", "configuration")
        return self._compiled(resolved, self._overlays.get(overlay, _PROXIED))

    def _read(self, destination: bytes) -> tuple[Prepared | None, Json, ConnectionConfig]:
        """Read a record; of one that depends on the message there is only the configuration."""
        try:
            record = _decode_destination(destination)
            config = msgspec.json.decode(record.config)
        except _UNDECODABLE:
            problem = "the destination cannot be read"
            return Prepared(None, problem, "configuration"), None, self._bare
        meant = self._meant(record)
        if len(meant) > 1:
            return Prepared(None, _TWOFOLD, "configuration"), None, self._bare
        if not meant and self.some_private:
            return Prepared(None, _STRANGER, "configuration"), None, self._bare
        overlay = meant[0] if meant else self._bare
        if dynamic_config.MARK in bytes(record.config) and record.is_dynamic is not False:
            if is_private(overlay):
                problem = "Config: in HIPAA mode it may not take values out of messages"
                return Prepared(None, problem, "configuration"), None, overlay
            return None, config, overlay
        return self._compiled(config, overlay), None, overlay

    def _meant(self, record: _Destination) -> list[ConnectionConfig]:
        """Find the connections that match a destination by its id or name.

        Neither goes first: one of them could be without the protection that the other has.
        """
        names = dict.fromkeys(one for one in (record.id, record.name) if isinstance(one, str))
        return [self._overlays[name] for name in names if name in self._overlays]

    def _compiled(self, config: Json, overlay: ConnectionConfig) -> Prepared:
        digest = blake2b(msgspec.json.encode([config, overlay]), digest_size=16).digest()
        prepared = self._connections.get(digest)
        if prepared is None:
            prepared = self._compile(config, overlay)
            if len(self._connections) >= KEPT_CONNECTIONS:
                self._connections.popitem(last=False)
            self._connections[digest] = prepared
        else:
            self._connections.move_to_end(digest)
        return prepared

    def _compile(self, config: Json, overlay: ConnectionConfig) -> Prepared:
        plugin = self._plugin
        if isinstance(plugin, str):
            return Prepared(None, plugin, "transformation")
        if not isinstance(config, dict):
            return Prepared(None, "Config: must be an object", "configuration")
        try:
            if holds_reference(config):
                problem = "Config: env and file references are for router.toml alone"
                return Prepared(None, problem, "configuration")
            settings = {**overlay.settings, **_settings(plugin, config)}
            connection = configured(_described(overlay, plugin.name, settings), plugin)
            return Prepared(connection, overlay=overlay.name)
        except TableError as error:
            # They compiled at the start. Where keys and lists are is not rudder-server's to know.
            paths = ", ".join(dict.fromkeys(problem.path for problem in error.problems))
            return Prepared(None, f"router.toml: cannot be used: {paths}", "configuration")
        except SettingsError as error:
            problem = "; ".join(f"Config.{problem}" for problem in error.problems)
            return Prepared(None, problem, "configuration")
        except PluginError as error:
            return Prepared(None, str(error), "transformation")
        except RecursionError:
            return Prepared(None, "Config: it is nested too deep", "configuration")
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- a plugin's bug must not fail the batch
            problem = f"plugin {plugin.name!r} failed: {whereabouts(error)}"
            return Prepared(None, problem, "transformation")


def _described(overlay: ConnectionConfig, name: str, settings: dict[str, Json]) -> ConnectionConfig:
    """Describe a destination as the connection that its overlay is, with settings of its own."""
    return msgspec.structs.replace(
        overlay, name=overlay.name or name, plugin=name, settings=settings
    )


def _settings(plugin: LoadedPlugin, config: dict[str, Json]) -> dict[str, Json]:
    """Translate a configuration, and leave out unknown keys."""
    if "settings_from" in plugin.capabilities:
        try:
            config = dict(plugin.hook.settings_from(system=SYSTEM, config=config))
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- a plugin's bug must not fail the batch
            # Not its words: they may quote a secret.
            text = f"plugin {plugin.name!r}: settings_from failed: {type(error).__name__}"
            raise PluginError(text) from None
    schema = plugin.hook.settings_schema()
    if schema.get("additionalProperties") is not False or "patternProperties" in schema:
        return config
    known = {name: value for name, value in config.items() if name in schema["properties"]}
    if unknown := sorted(config.keys() - known.keys()):
        _log.info("config_keys_left_out", extra={"plugin": plugin.name, "keys": unknown})
    return known


def find_destinations(
    overlays: Sequence[ConnectionConfig] = (), found: Iterable[EntryPoint] | None = None
) -> dict[str, Destinations]:
    """Load every installed plugin, by its name in lower case. A broken one answers with the reason.

    rudder-server calls some destinations otherwise than people do: a plugin is found by its display
    names too, unless another plugin has that name for its own.

    Raises:
        SettingsError: an overlay cannot be used.

    Args:
        overlays: the connections of a router.toml, if there is one.
        found: the entry points to look at; those of the running environment if None.
    """
    points = [plugin.entry_point for plugin in installed_plugins(found)]
    names = dict.fromkeys(point.name for point in points)
    overlays = ready_overlays(overlays, points)
    shared = overlays[0].shared if overlays else None
    loaded = {name: _loaded(name, points) for name in names}
    own = {
        name.casefold(): Destinations(
            plugin, [overlay for overlay in overlays if overlay.plugin == name], shared
        )
        for name, plugin in loaded.items()
    }
    also = {
        other.casefold(): own[name.casefold()]
        for name, plugin in loaded.items()
        if isinstance(plugin, LoadedPlugin)
        for other in plugin.display_names
        if _TYPE.fullmatch(other)
    }
    return {**also, **own}


def _loaded(name: str, points: Sequence[EntryPoint]) -> LoadedPlugin | str:
    try:
        return load_plugin(name, points)
    except PluginError as error:
        _log.error("plugin_broken", extra={"plugin": name, "detail": str(error)})
        return str(error)
