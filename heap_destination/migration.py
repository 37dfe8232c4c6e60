"""Translates other systems' exports of their Heap destinations into settings of this one.

Segment: the public API's form of a destination, with its subscriptions and their mappings.
RudderStack: a destination of a workspace configuration, type HEAP (`rudderlabs/
rudder-integrations-config`, src/configurations/destinations/heap).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from destination_router import Field, Imported
from heap_destination.fields import FIELDS

_ACTIONS = {"trackEvent": ("track", "page", "screen"), "identifyUser": ("identify",)}
"""Segment's actions for Heap, and the calls that they map."""

_ACTION_FIELDS = {
    "trackEvent": (
        "message_id",
        "identity",
        "anonymous_id",
        "event",
        "properties",
        "timestamp",
        "type",
        "name",
        "traits",
    ),
    "identifyUser": ("user_id", "anonymous_id", "traits"),
}
_MAPPING_KEYS = ("mapping", "mappings", "settings")
"""The names of a subscription's mapping: in presets, old exports and the public API."""

_KEPT_BY_RUDDERSTACK = ("appId", "dataResidency")
_WITHOUT_MEANING: tuple[Any, ...] = (None, "", [], {}, False)
"""RudderStack's app saves these for an unused option."""

_NOTHING = {"@if": {"blank": ""}}
"""A mapping that never gives a value, so that the field is left out."""

_ROOT_DIRECTIVE = "__segment_internal_directive"


def import_from(system: str, config: dict[str, Any]) -> Imported:
    """Translate what a system exported.

    Raises:
        ValueError: it is not for Heap, has no App ID, or cannot be read.
    """
    if system not in _SYSTEMS:
        raise ValueError(f"{system} is not known here")
    return _SYSTEMS[system](config)


def _from_segment(config: dict[str, Any]) -> Imported:
    given = config.get("settings") or {}
    known = (config.get("metadata") or {}).get("slug") or (config.get("metadata") or {}).get("name")
    if known is not None and "heap" not in str(known).casefold():
        raise ValueError("it is not Heap's")
    lost = [f"setting {name}: unknown here" for name in given if name not in ("appId", "region")]
    settings = {"appId": _app_id(given.get("appId")), "dialect": "segment"}
    if given.get("region"):
        settings["region"] = str(given["region"]).upper()
    saved = config.get("subscriptions")
    if saved is None:
        lost.append("the default subscriptions: its own are not in the export")
    if saved is not None and not isinstance(saved, list):
        raise ValueError("its subscriptions are no list")
    subscriptions = None if saved is None else tuple(_segment_subscriptions(saved, lost))
    return Imported(settings=settings, subscriptions=subscriptions, lost=tuple(lost))


def _segment_subscriptions(subscriptions: list[Any], lost: list[str]) -> Iterator[dict[str, Any]]:
    for number, given in enumerate(subscriptions):
        if not isinstance(given, dict):
            lost.append(f"subscriptions.{number}: left out: not the object of a subscription")
            continue
        name = str(given.get("name") or given.get("trigger") or "a nameless one")
        action = given.get("actionSlug") or given.get("partnerAction")
        if given.get("enabled", True) is False:
            lost.append(f"subscription {name}: left out: it is switched off")
        elif action not in _ACTIONS:
            lost.append(f"subscription {name}: left out: its action {action} is not known here")
        else:
            trigger = given.get("trigger") or given.get("subscribe") or ""
            mapping = next((given[key] for key in _MAPPING_KEYS if key in given), None)
            told: list[str] = []
            calls = {call: _fields(call, action, mapping, name, told) for call in _ACTIONS[action]}
            lost += dict.fromkeys(told)  # what holds for several calls is said once
            yield {"name": name, "subscription": trigger, "mapping": calls}


def _fields(
    call: str, action: str, mapping: dict[str, Any] | None, name: str, lost: list[str]
) -> dict[str, Any]:
    """List what a saved mapping overrides. In Segment, a field that it lacks is not sent."""
    if mapping is None:
        return {}
    by_name = {field.name: field for field in FIELDS[call]}
    overrides: dict[str, Any] = {}
    for field_name in _ACTION_FIELDS[action]:
        field = by_name.get(field_name)
        if field is None:
            continue
        if field_name in mapping and mapping[field_name] is not None:
            saved = _cleaned(mapping[field_name])
            if saved != field.default:
                overrides[field_name] = saved
        elif field.default is not None:
            overrides.update(_unmapped(field, name, lost))
    first = call == _ACTIONS[action][0]
    for other in mapping if first else ():
        if other == _ROOT_DIRECTIVE:
            lost.append(f"subscription {name}: the directive around its whole mapping")
        elif other not in _ACTION_FIELDS[action]:
            lost.append(f"subscription {name}: field {other}, which {action} does not have")
    return overrides


def _unmapped(field: Field, name: str, lost: list[str]) -> dict[str, Any]:
    if field.required or field.name == "type":
        lost.append(f"subscription {name}: {field.name}: the default, where it maps nothing to it")
        return {}
    return {field.name: _NOTHING}


def _cleaned(mapping: Any) -> Any:
    """Remove what Segment's app keeps for itself, and any `else` that Segment never reads."""
    if isinstance(mapping, list):
        return [_cleaned(item) for item in mapping]
    if not isinstance(mapping, dict):
        return mapping
    cleaned = {key: _cleaned(item) for key, item in mapping.items() if key != "_metadata"}
    branch = cleaned.get("@if")
    if isinstance(branch, dict) and "else" in branch and not branch["else"]:
        cleaned["@if"] = {key: item for key, item in branch.items() if key != "else"}
    return cleaned


def _from_rudderstack(config: dict[str, Any]) -> Imported:
    definition = config.get("destinationDefinition") or {}
    if str(definition.get("name", "")).casefold() != "heap":
        raise ValueError("it is not Heap's")
    given = config.get("config") or {}
    lost = [
        f"config {name}: unknown here"
        for name, value in given.items()
        if name not in _KEPT_BY_RUDDERSTACK and value not in _WITHOUT_MEANING
    ]
    settings = {"appId": _app_id(given.get("appId")), "dialect": "rudderstack"}
    if str(given.get("dataResidency", "")).casefold() == "eu":
        settings["region"] = "EU"
    types = (definition.get("config") or {}).get("supportedMessageTypes")
    if not isinstance(types, list):  # rudder-server filters by a list only
        return Imported(settings=settings, lost=tuple(lost))
    wanted = [str(kind) for kind in types if kind in FIELDS]
    if given.get("enableServerSideIdentify") is False:
        wanted = [kind for kind in wanted if kind != "identify"]
    trigger = " or ".join(f'type = "{kind}"' for kind in wanted)
    subscription = {
        "name": "supported message types",
        "subscription": trigger,
        "mapping": {kind: {} for kind in wanted},
    }
    return Imported(settings=settings, subscriptions=(subscription,), lost=tuple(lost))


def _app_id(value: Any) -> str:
    text = str(value).strip() if isinstance(value, (str, int)) else ""
    if not text:
        raise ValueError("it has no appId")
    return text


_SYSTEMS: dict[str, Callable[[dict[str, Any]], Imported]] = {
    "segment": _from_segment,
    "rudderstack": _from_rudderstack,
}
