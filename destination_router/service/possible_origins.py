"""Finds the origins that a plugin may send to, before its settings are known.

rudder-server gives a destination's settings only with each request. So this calls the hook
`origins` for every choice that the schema offers, and for sample texts. If a setting that changes
the origins may be any text (your own host), the origins stay open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import msgspec

from destination_router.config.origins import strange_origin
from destination_router.faults import PASSED_ON, UsageError
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import LoadedPlugin
from destination_router.service.connections import sample_settings
from destination_router.settings.schema import followed, property_schema

_TRIED = ("https://tried.example", "tried.example", "tried", "eu", "7", "7" * 20, 7, ["tried"], 0.5)
"""Sample values for a setting without choices. If the schema takes none, the origins stay open."""
_MOST_COMBINATIONS = 256


class PossibleOrigins(msgspec.Struct, frozen=True):
    """The origins that a plugin may send to.

    Attributes:
        known: all that were found, each once.
        complete: whether no settings can lead to another.
    """

    known: tuple[str, ...]
    complete: bool


def possible_origins(plugin: LoadedPlugin) -> PossibleOrigins:
    """Find the origins that a plugin may send to.

    Args:
        plugin: with or without the hook `origins`.
    """
    schema = plugin.hook.settings_schema()
    usual = sample_settings(schema)
    usually = _origins(plugin, usual)
    if usually is None:
        return PossibleOrigins((), complete=False)
    complete = schema.get("additionalProperties") is False and "patternProperties" not in schema
    choices: dict[str, Sequence[Any]] = {}
    for name in schema.get("properties", {}):
        values, are_all = _values(followed(schema, property_schema(schema, name)))
        told = [_origins(plugin, {**usual, name: value}) for value in values]
        if all(origins in (None, usually) for origins in told):
            # What refuses all that was tried may yet move them with what it takes.
            complete = complete and (are_all or any(origins is not None for origins in told))
        elif are_all:
            choices[name] = values
        else:
            complete = False
    combined = list(_combined(choices))
    found = [_origins(plugin, {**usual, **chosen}) for chosen in combined[:_MOST_COMBINATIONS]]
    known = dict.fromkeys(origin for origins in (usually, *found) for origin in origins or ())
    return PossibleOrigins(tuple(known), complete and len(combined) <= _MOST_COMBINATIONS)


def refuse_impossible(sources: Iterable[str], plugins: Iterable[LoadedPlugin]) -> list[str]:
    """Refuse an origin in `[delivery] origins` to which no destination can send.

    Args:
        sources: the origins of `[delivery]`, or `*`.
        plugins: all plugins that may send.

    Returns:
        A sentence for each origin to which perhaps none sends.

    Raises:
        UsageError: no plugin can send to one.
    """
    named = list(sources)
    if not named:
        return []
    possible = {plugin.name: possible_origins(plugin) for plugin in plugins}
    known = [origin for one in possible.values() for origin in one.known]
    strange = {source: words for source in named if (words := strange_origin(source, known))}
    unsure = ", ".join(name for name, one in possible.items() if not one.complete)
    for words in strange.values():
        if not unsure:
            raise UsageError(f"delivery.origins: {words}")
    return [
        f"{source}: only a destination's settings could say that it is sent to ({unsure}); "
        "compare it with the requests"
        for source in strange
    ]


def _values(field: Mapping[str, Any]) -> tuple[Sequence[Any], bool]:
    """List values to try, and tell whether these are all possible values."""
    if "const" in field:
        return [field["const"]], True
    if "enum" in field:
        return field["enum"], True
    if field.get("type") == "boolean":
        return [False, True], True
    return [*field.get("examples", ()), *_TRIED], False


def _combined(choices: Mapping[str, Sequence[Any]]) -> Iterable[dict[str, Any]]:
    """Combine choices that each change the origins, up to one more than will be tried."""
    for number, values in enumerate(product(*choices.values())):
        if number > _MOST_COMBINATIONS:
            return
        yield dict(zip(choices, values, strict=True))


def _origins(plugin: LoadedPlugin, settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Call the hook; None if it is missing or refuses these settings."""
    try:
        return Connection(plugin.name, plugin, settings).origins
    except PASSED_ON:
        raise
    except BaseException:  # noqa: BLE001 -- settings that nobody gave: what they break says nothing
        return None
