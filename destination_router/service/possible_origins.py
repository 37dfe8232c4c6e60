"""Where a plugin may send to, whatever its settings are: what is known before any are there.

rudder-server names a destination's settings with each request alone. So the hook `origins` is asked
for every choice that the schema offers, and tried with texts: a setting that moves the origins and
may be any text (a host of one's own) leaves them open.
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
"""Values of a setting that is no choice; a schema takes some of them, or nothing is known."""
_MOST_COMBINATIONS = 256


class PossibleOrigins(msgspec.Struct, frozen=True):
    """The origins that a plugin may send to.

    Attributes:
        known: those that were found, each once.
        complete: whether no settings lead elsewhere.
    """

    known: tuple[str, ...]
    complete: bool


def possible_origins(plugin: LoadedPlugin) -> PossibleOrigins:
    """Find out where a plugin may send to.

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
    """Refuse origins that are sent elsewhere and that no destination can send to.

    Args:
        sources: the origins of `[delivery]`, or `*`.
        plugins: all that may be asked to send.

    Returns:
        A sentence for each that perhaps none sends to.

    Raises:
        UsageError: one is never sent to.
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
    """Give values to try, and whether they are all that there are."""
    if "const" in field:
        return [field["const"]], True
    if "enum" in field:
        return field["enum"], True
    if field.get("type") == "boolean":
        return [False, True], True
    return [*field.get("examples", ()), *_TRIED], False


def _combined(choices: Mapping[str, Sequence[Any]]) -> Iterable[dict[str, Any]]:
    """Combine the choices that each move the origins; one more than is looked at, at the most."""
    for number, values in enumerate(product(*choices.values())):
        if number > _MOST_COMBINATIONS:
            return
        yield dict(zip(choices, values, strict=True))


def _origins(plugin: LoadedPlugin, settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Ask the hook; None where it is missing, or refuses these settings."""
    try:
        return Connection(plugin.name, plugin, settings).origins
    except PASSED_ON:
        raise
    except BaseException:  # noqa: BLE001 -- settings that nobody gave: what they break says nothing
        return None
