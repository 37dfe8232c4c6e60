"""Find destinations by entry point, load them, and refuse breaches that pluggy lets pass.

A broken plugin never affects others: it becomes a `Broken` record. Only plugins that somebody asks
for are imported.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec
import pluggy

from destination_router.contract.hookspecs import PROJECT, Destination
from destination_router.plugins.breaches import HOOKS, breaches_of, hook_function
from destination_router.settings.validation import check_schema

_FAILURES = (Exception, SystemExit)
"""Exceptions of a plugin's code that the host survives. Ctrl-C is the user's."""


class PluginError(Exception):
    """A plugin is unusable. The text names its distribution and quotes what is wrong."""


class InstalledPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that an installed distribution offers; not imported yet."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    @property
    def origin(self) -> str:
        """Its distribution and version, for messages: `heap-destination 0.1.0`."""
        return f"{self.distribution} {self.version}".strip()


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """An unusable plugin, and the reason."""

    name: str
    origin: str
    error: str


class LoadedPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """A checked plugin with its own plugin manager.

    Attributes:
        name: its name in a configuration.
        origin: its distribution and version.
        hook: call its hooks here; no other plugin can answer.
        capabilities: the hooks that it implements, in the contract's order.
        elsewhere: calls its hooks, if they run in another process (`programs/`); None: they run in
        this one.
    """

    name: str
    origin: str
    hook: Any
    capabilities: tuple[str, ...]
    elsewhere: object = None

    @property
    def display_names(self) -> tuple[str, ...]:
        """Its names in senders' `integrations`, its own name first."""
        names = self.hook.display_names() if "display_names" in self.capabilities else []
        return (self.name, *(name for name in names if name.casefold() != self.name.casefold()))


def installed_plugins(found: Iterable[EntryPoint] | None = None) -> list[InstalledPlugin]:
    """List the installed plugins by name, without importing any.

    Args:
        found: the entry points to look at; those of the running environment if None.
    """
    points = entry_points(group=PROJECT) if found is None else found
    # One distribution seen twice (an editable install and its build, say) is no conflict.
    unique = {(p.name, p.value, p.dist.name if p.dist else ""): p for p in points}
    return sorted(map(_installed, unique.values()), key=lambda p: (p.name, p.distribution))


def load_plugin(name: str, found: Iterable[EntryPoint] | None = None) -> LoadedPlugin:
    """Import one plugin and check it against the contract.

    Each call makes a plugin manager: load a plugin once for each connection.

    Raises:
        PluginError: no such plugin; two distributions offer it; it does not import; or it breaks
            the contract.
    """
    plugins = installed_plugins(found)
    offers = [plugin for plugin in plugins if plugin.name == name]
    if not offers:
        known = sorted({plugin.name for plugin in plugins})
        close = difflib.get_close_matches(name, known, n=1)
        hint = (
            f"did you mean {close[0]!r}?" if close else f"installed: {', '.join(known) or 'none'}"
        )
        raise PluginError(f"no plugin called {name!r} is installed; {hint}")
    if len(offers) > 1:
        raise PluginError(_conflict(offers))
    return _load(offers[0])


def survey_plugins(found: Iterable[EntryPoint] | None = None) -> list[LoadedPlugin | Broken]:
    """Try every installed plugin. An unusable one becomes a `Broken` record."""
    plugins = installed_plugins(found)
    return [_try(name, plugins) for name in dict.fromkeys(plugin.name for plugin in plugins)]


def check_destination(plugin: object, name: str, origin: str) -> LoadedPlugin:
    """Check an object against the contract and register it with a new plugin manager.

    Args:
        plugin: a module, or an instance of a class with hooks.
        name: what a configuration calls it.
        origin: its distribution and version, for messages.

    Raises:
        PluginError: every breach of the contract at once, each with the definition quoted.
    """
    breaches = list(breaches_of(plugin))
    if breaches:
        listed = "\n".join(f"  - {breach}" for breach in breaches)
        raise PluginError(f"plugin {name!r} of {origin} breaks the contract:\n{listed}")
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Destination)
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"plugin {name!r} of {origin} breaks the contract: {error}") from error
    loaded = LoadedPlugin(
        name=name,
        origin=origin,
        hook=manager.hook,
        capabilities=tuple(n for n in vars(Destination) if n in HOOKS and hook_function(plugin, n)),
    )
    _check_answers(loaded)
    return loaded


def _installed(point: EntryPoint) -> InstalledPlugin:
    distribution = point.dist
    return InstalledPlugin(
        name=point.name,
        distribution=(distribution and distribution.name) or "an unknown distribution",
        version=(distribution and distribution.version) or "",
        entry_point=point,
    )


def _conflict(offers: list[InstalledPlugin]) -> str:
    origins = " and ".join(f"{offer.origin} ({offer.entry_point.value})" for offer in offers)
    return f"plugin {offers[0].name!r} is offered by {origins}: uninstall all but one of them"


def _load(plugin: InstalledPlugin) -> LoadedPlugin:
    try:
        loaded = plugin.entry_point.load()
    except _FAILURES as error:
        raise PluginError(
            f"plugin {plugin.name!r} of {plugin.origin} does not import: "
            f"{plugin.entry_point.value}: {type(error).__name__}: {error}"
        ) from error
    return check_destination(loaded, plugin.name, plugin.origin)


def _try(name: str, plugins: list[InstalledPlugin]) -> LoadedPlugin | Broken:
    try:
        return load_plugin(name, [plugin.entry_point for plugin in plugins])
    except PluginError as error:
        origins = " and ".join(plugin.origin for plugin in plugins if plugin.name == name)
        return Broken(name=name, origin=origins, error=str(error))


def _check_answers(plugin: LoadedPlugin) -> None:
    """Call the hooks without arguments, because everything else depends on their answers."""
    try:
        schema = plugin.hook.settings_schema()
        names = plugin.hook.display_names() if "display_names" in plugin.capabilities else []
    except _FAILURES as error:
        raise PluginError(
            f"plugin {plugin.name!r} of {plugin.origin} fails when asked for its settings schema "
            f"or display names: {type(error).__name__}: {error}"
        ) from error
    if problem := check_schema(schema):
        raise PluginError(
            f"plugin {plugin.name!r} of {plugin.origin} has no usable settings_schema: {problem}"
        )
    # Text is a sequence of text too: a name would be known by each of its letters.
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise PluginError(
            f"plugin {plugin.name!r} of {plugin.origin}: display_names did not return a list of "
            "text"
        )
