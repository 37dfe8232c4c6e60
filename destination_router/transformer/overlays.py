"""Checks at the start the connections of a router.toml that add to rudder-server's destinations.

Its author relies on it. So an overlay that cannot be used, or that can never apply to a
destination, must stop the start rather than leave events unprotected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint

import msgspec

from destination_router.config.problems import config_error, connection_problems
from destination_router.config.router_toml import ConnectionConfig
from destination_router.pipeline.connection import compile_treatment
from destination_router.pipeline.subscriptions.subscriptions import (
    check_subscriptions,
    subscription_sources,
)
from destination_router.plugins.loading import LoadedPlugin, PluginError, load_plugin
from destination_router.settings.errors import Problem, SettingsError, TableError
from destination_router.settings.validation import load_some_settings


def ready_overlays(
    overlays: Sequence[ConnectionConfig], found: Iterable[EntryPoint] | None = None
) -> list[ConnectionConfig]:
    """Check connections, and resolve the references of their settings.

    Settings may be incomplete: a destination's own configuration is added to them.

    Args:
        overlays: the connections of a router.toml.
        found: the entry points to look at; those of the running environment if None.

    Raises:
        ConfigError: with every plugin that is not installed or broken, every subscription,
            mapping and treatment that does not compile, every setting that is wrong by itself, and
            what means nothing here.
    """
    points = None if found is None else list(found)
    problems: list[Problem] = []
    ready: list[ConnectionConfig] = []
    for number, overlay in enumerate(overlays):
        try:
            ready.append(_ready(overlay, points))
        except (SettingsError, PluginError) as error:
            problems += connection_problems(number, error)
    if problems:
        raise config_error(problems, [overlay.name for overlay in overlays])
    return ready


def _ready(overlay: ConnectionConfig, found: Iterable[EntryPoint] | None) -> ConnectionConfig:
    if overlay.program is not None:
        # Its processes are forked, and each asks one event at a time: a program would stop them.
        detail = "a program is asked by `run`, not by the transformer: name an installed plugin"
        raise TableError([Problem("plugin", detail)])
    plugin = load_plugin(overlay.plugin, found)
    _check_tables(overlay, plugin)
    settings = load_some_settings(plugin.hook.settings_schema(), overlay.settings)
    return msgspec.structs.replace(overlay, settings=settings)


def _check_tables(overlay: ConnectionConfig, plugin: LoadedPlugin) -> None:
    problems: list[Problem] = []
    if overlay.client_side:
        # Half of it, leaving out what happens in browsers, would lose what no browser sends.
        detail = "RudderStack tells browsers what to load, not the transformer: drop it"
        problems.append(Problem("clientSide", detail))
    try:
        check_subscriptions(subscription_sources(overlay), plugin)
    except TableError as error:
        problems += error.problems
    try:
        compile_treatment(overlay, plugin)
    except TableError as error:
        problems += error.problems
    if problems:
        raise TableError(problems)
