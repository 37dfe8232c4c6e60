"""Another system's export → the text of a router.toml, and a sentence for each thing it lacks.

It compiles every connection that it writes, so that all of them work.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.records import Imported, Json
from destination_router.faults import PASSED_ON, UsageError, whereabouts
from destination_router.migration.exports import read_export
from destination_router.migration.toml_writing import without_nulls, write_router
from destination_router.pipeline.subscriptions import fql
from destination_router.pipeline.subscriptions.conditions import possible_calls
from destination_router.plugins.loading import (
    LoadedPlugin,
    PluginError,
    load_plugin,
    survey_plugins,
)
from destination_router.service.connections import connect
from destination_router.settings.errors import SettingsError
from destination_router.settings.validation import is_secret

_NO_WRITE_KEYS = (
    "write keys, which are not in the export; set the environment variable WRITE_KEY to one that "
    "senders use"
)


def imported(system: str, content: Json, plugin: str | None = None) -> tuple[str, list[str]]:
    """Translate an export.

    Args:
        system: the system that exported it.
        content: the export.
        plugin: the plugin whose destinations are wanted; None asks every installed plugin.

    Returns:
        A router.toml, and a sentence for everything that it lacks.

    Raises:
        UsageError: no installed plugin can use anything in it.
        PluginError: a plugin's `import_settings` fails.
    """
    export = read_export(system, content)
    plugins = _importers(plugin)
    lost = [] if export.write_keys else [_NO_WRITE_KEYS]
    lost += export.lost
    connections: list[dict[str, Any]] = []
    for number, destination in enumerate(export.destinations):
        label = str(destination.get("name") or f"destination {len(connections) + 1}")
        translated = _translated(plugins, system, destination)
        if translated is None:
            lost.append(f"{label}: left out: no installed destination knows its settings")
            continue
        loaded, result = translated
        lost += [f"{label}: {sentence}" for sentence in result.lost]
        connection: dict[str, Any] = {
            "name": _unique(label, [c["name"] for c in connections]),
            "plugin": loaded.name,
            "settings": result.settings,
        }
        if number in export.consent:
            connection["consent"] = list(export.consent[number])
        own_lost: list[str] = []
        if number in export.client_side:
            if "client_side" in loaded.capabilities:
                connection["clientSide"] = True
            else:
                own_lost.append(f"device mode: no browser can load {loaded.name} by itself")
        if result.subscriptions is not None:
            read = fql.segment_meaning if system == "segment" else fql.parse
            connection["subscriptions"] = _subscriptions(result.subscriptions, read, own_lost)
        if connection.get("subscriptions") == []:
            own_lost.append("left out: it has no subscription that could be carried over")
        else:
            _make_it_work(connection, own_lost)
            _move_secrets(connection, loaded, own_lost)
            connections.append(connection)
        lost += [f"{label}: {sentence}" for sentence in own_lost]
    if not connections:
        raise UsageError("\n".join(["nothing in it can be used here:", *lost]))
    keys: list[Json] = [*export.write_keys] or [{"env": "WRITE_KEY"}]
    return write_router({"write_keys": keys}, connections), lost


def _importers(name: str | None) -> list[LoadedPlugin]:
    found = survey_plugins() if name is None else [load_plugin(name)]
    loaded = [one for one in found if isinstance(one, LoadedPlugin)]
    able = [one for one in loaded if "import_settings" in one.capabilities]
    if not able:
        raise UsageError("no installed destination can read other systems' settings")
    return able


def _translated(
    plugins: list[LoadedPlugin], system: str, destination: dict[str, Any]
) -> tuple[LoadedPlugin, Imported] | None:
    for plugin in plugins:
        try:
            result: Imported = plugin.hook.import_settings(
                system=system, config=copy.deepcopy(destination)
            )
        except ValueError:
            continue
        except PASSED_ON:
            raise
        except BaseException as error:
            broken = f"plugin {plugin.name!r} of {plugin.origin}: import_settings failed"
            raise PluginError(f"{broken}: {whereabouts(error)}") from error
        return plugin, result
    return None


def _subscriptions(
    subscriptions: Sequence[dict[str, Any]],
    read: Callable[[str], fql.Expression],
    lost: list[str],
) -> list[dict[str, Any]]:
    kept = []
    for taken in subscriptions:
        about = f"subscription {taken.get('name') or taken['subscription']}"
        text = str(taken["subscription"])
        try:
            meant = str(read(text))
        except fql.FqlError as error:
            lost.append(f"{about}: left out: its trigger cannot be read: {error}")
            continue
        if meant != str(fql.parse(text)):
            lost.append(f"{about}: its trigger is written as it is meant there: {meant}")
            text = meant
        calls = possible_calls(text)
        wanted = [call for call in taken["mapping"] if call in calls]
        others = ", ".join(sorted(calls - set(wanted)))
        if not wanted:
            only = f"only {others} calls" if others else "no call that there is"
            lost.append(f"{about}: left out: it takes {only}, and its action maps others")
            continue
        if others:
            lost.append(f"{about}: without its {others} calls, which its action does not map")
            only = " or ".join(f'type = "{call}"' for call in wanted)
            text = f"({text}) and ({only})"
        mapping = {call: taken["mapping"][call] for call in wanted if taken["mapping"][call]}
        name = str(taken.get("name") or taken["subscription"])
        kept.append({"name": name, "subscription": text, "mapping": mapping})
    return kept


def _make_it_work(connection: dict[str, Any], lost: list[str]) -> None:
    """Remove fields of mappings that do not compile, with a sentence for each."""
    for taken in connection.get("subscriptions", []):
        taken["mapping"] = {
            call: {name: without_nulls(field) for name, field in fields.items()}
            for call, fields in taken["mapping"].items()
        }
    while True:
        try:
            connect(msgspec.convert(connection, ConnectionConfig))
        except SettingsError as error:
            faults = [p for p in error.problems if ".mapping." in p.path]
            if not faults:
                raise
            for fault in faults:
                _, index, _, call, field, *_ = fault.path.split(".")
                taken = connection["subscriptions"][int(index)]
                if taken["mapping"][call].pop(field, None) is not None:
                    lost.append(
                        f"subscription {taken['name']}: {call} {field}: the default in place of "
                        f"its mapping ({fault.detail})"
                    )
        else:
            return


def _move_secrets(connection: dict[str, Any], plugin: LoadedPlugin, lost: list[str]) -> None:
    """Replace secrets by references to the environment, with a sentence for each."""
    schema = plugin.hook.settings_schema()
    for setting, value in connection["settings"].items():
        if is_secret(schema, setting) and isinstance(value, str):
            words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", f"{connection['name']} {setting}")
            variable = "_".join(words).upper()
            connection["settings"][setting] = {"env": variable}
            lost.append(f"{setting}: a secret; set the environment variable {variable} to it")


def _unique(name: str, taken: list[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name} {number}"
    return unique
