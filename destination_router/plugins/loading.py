"""Find destinations by entry point, load them, and refuse what pluggy would let pass.

A plugin that is broken never hurts its neighbours: it becomes a `Broken` record. Only the plugins
that are asked for are imported.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import msgspec
import pluggy

from destination_router.contract.hookspecs import PROJECT, REQUIRED_HOOKS, Destination
from destination_router.settings.validation import check_schema

HOOKS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)[1:]
    for name, function in inspect.getmembers(Destination, inspect.isfunction)
}
"""Each hook of the contract with the arguments that it offers."""


_FAILURES = (Exception, SystemExit)
"""What a plugin's code may raise without taking its host along; Ctrl-C is the user's."""


class PluginError(Exception):
    """A plugin that cannot be used. The text names its distribution and quotes what is wrong."""


class InstalledPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that an installed distribution offers; not imported yet."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    @property
    def origin(self) -> str:
        """Where it comes from, for messages: `heap-destination 0.1.0`."""
        return f"{self.distribution} {self.version}".strip()


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that was found and cannot be used, and why."""

    name: str
    origin: str
    error: str


class LoadedPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin, checked, with a plugin manager of its own.

    Attributes:
        name: what a configuration calls it.
        origin: its distribution and version.
        hook: call its hooks here; no other plugin can answer.
        capabilities: the hooks that it implements, in the contract's order.
    """

    name: str
    origin: str
    hook: Any
    capabilities: tuple[str, ...]

    @property
    def display_names(self) -> tuple[str, ...]:
        """What senders may call it in `integrations`, its own name first."""
        names = self.hook.display_names() if "display_names" in self.capabilities else []
        return (self.name, *(name for name in names if name.casefold() != self.name.casefold()))


def installed_plugins(found: Iterable[EntryPoint] | None = None) -> list[InstalledPlugin]:
    """List the plugins on offer, by name, without importing any.

    Args:
        found: the entry points to look at; those of the running environment if None.
    """
    points = entry_points(group=PROJECT) if found is None else found
    # One distribution seen twice (an editable install and its build, say) is no conflict.
    unique = {(p.name, p.value, p.dist.name if p.dist else ""): p for p in points}
    return sorted(map(_installed, unique.values()), key=lambda p: (p.name, p.distribution))


def load_plugin(name: str, found: Iterable[EntryPoint] | None = None) -> LoadedPlugin:
    """Import one plugin and check it against the contract.

    Each call gives a plugin manager of its own: load once per connection.

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
    """Try every installed plugin; what cannot be used becomes a `Broken` record."""
    plugins = installed_plugins(found)
    return [_try(name, plugins) for name in dict.fromkeys(plugin.name for plugin in plugins)]


def check_destination(plugin: object, name: str, origin: str) -> LoadedPlugin:
    """Check an object against the contract and register it with a plugin manager of its own.

    Args:
        plugin: a module, or an instance of a class with hooks.
        name: what a configuration calls it.
        origin: its distribution and version, for messages.

    Raises:
        PluginError: every breach of the contract at once, each with the definition quoted.
    """
    breaches = list(_breaches(plugin))
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
        capabilities=tuple(
            n for n in vars(Destination) if n in HOOKS and _hook_function(plugin, n)
        ),
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


# -- the contract, as checks --------------------------------------------------------------------


def _breaches(plugin: object) -> Iterator[str]:
    if inspect.isclass(plugin):
        yield (
            f"`class {plugin.__qualname__}` is a class: hooks of a class have no `self` to run "
            "with; point the entry point at a module or an instance"
        )
        return
    for name in _names(plugin):
        function = _hook_function(plugin, name)
        if function is not None:
            yield from _function_breaches(name, function)
        elif name in HOOKS and _is_defined_by(plugin, name):
            yield f"{_quote(getattr(plugin, name))} has a hook's name but no @hookimpl above it"
    missing = [name for name in REQUIRED_HOOKS if _hook_function(plugin, name) is None]
    for name in missing:
        if not _is_defined_by(plugin, name):
            yield f"`def {name}({', '.join(HOOKS[name])})` is required and missing"


def _function_breaches(name: str, function: Any) -> Iterator[str]:
    quoted = _quote(function)
    if name not in HOOKS:
        close = difflib.get_close_matches(name, HOOKS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(HOOKS)}"
        yield f"{quoted} is not a hook of this contract; {hint}"
        return
    if getattr(function, f"{PROJECT}_impl")["specname"] not in (None, name):
        yield f"{quoted} has a specname; a hook is known by the name of its function"
        return
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"{quoted} is a coroutine; hooks are synchronous, the host does all I/O"
        return
    if inspect.isgeneratorfunction(function):
        yield f"{quoted} is a generator; return a list"
        return
    for parameter in inspect.signature(function).parameters.values():
        yield from _parameter_breaches(name, quoted, parameter)


def _parameter_breaches(name: str, quoted: str, parameter: inspect.Parameter) -> Iterator[str]:
    offered = ", ".join(HOOKS[name]) or "nothing"
    if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        yield f"{quoted} takes {parameter}; name plain arguments ({name} offers: {offered})"
    elif parameter.name not in HOOKS[name]:
        yield f"{quoted} asks for {parameter.name!r}, which {name} does not offer ({offered})"
    elif parameter.default is not inspect.Parameter.empty:
        # pluggy calls a hook without the arguments that have a default.
        yield f"{quoted} gives {parameter.name!r} a default, so it would never be passed; drop it"


def _check_answers(plugin: LoadedPlugin) -> None:
    """Ask the hooks that take nothing, since everything else depends on their answers."""
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


def _names(plugin: object) -> list[str]:
    return [name for name in dir(plugin) if not name.startswith("__")]


def _hook_function(plugin: object, name: str) -> Any | None:
    """The function at a name, if it is marked as an implementation of a hook."""
    try:
        value = inspect.getattr_static(plugin, name)
    except AttributeError:
        return None
    value = getattr(value, "__func__", value)
    if not inspect.isroutine(value) or not hasattr(value, f"{PROJECT}_impl"):
        return None
    return getattr(plugin, name)


def _is_defined_by(plugin: object, name: str) -> bool:
    """Whether a name is a function of the plugin's own, not one that it only imports."""
    value = getattr(plugin, name, None)
    if not inspect.isroutine(value):
        return False
    return not isinstance(plugin, ModuleType) or value.__module__ == plugin.__name__


def _quote(function: Any) -> str:
    """Quote a definition: ``def on_track(message) [my_plugin.py:12]``."""
    asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    keyword = "async def" if asynchronous else "def"
    quoted = f"`{keyword} {function.__name__}{inspect.signature(function)}`"
    code = getattr(function, "__code__", None)
    return f"{quoted} ({code.co_filename}:{code.co_firstlineno})" if code else quoted
