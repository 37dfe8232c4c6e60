"""Reads other systems' exports, as far as all destinations have them in common.

Segment: a destination of its public API (docs.segmentapis.com), one or a list of them. RudderStack:
a workspace configuration (`rudderlabs/rudder-server`, backend-config/types.go). A destination's
plugin translates the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from destination_router.contract.records import Json
from destination_router.faults import UsageError
from destination_router.migration.rudderstack_options import read_options

_SEGMENT_KEYS = frozenset(
    {"id", "name", "enabled", "metadata", "settings", "subscriptions", "sourceId", "sourceIds"}
)
"""Fields of a destination in Segment's public API that are read, or only identify it."""

_WITHOUT_MEANING: tuple[Json, ...] = (None, "", [], {}, False)


class Export(msgspec.Struct, frozen=True):
    """The content of one export.

    Attributes:
        destinations: as in the export, each once, without disabled ones.
        write_keys: the keys of senders.
        lost: a sentence for each thing that cannot be carried over.
        client_side: the numbers, from 0, of destinations that browsers load.
        consent: what people must allow, by the number of the destination, from 0.
    """

    destinations: list[dict[str, Any]]
    write_keys: list[str]
    lost: list[str]
    client_side: frozenset[int] = frozenset()
    consent: Mapping[int, Sequence[Json]] = {}


def read_export(system: str, content: Json) -> Export:
    """Read an export of a system.

    Raises:
        UsageError: the system is unknown, or this is not one of its exports.
    """
    if system not in SYSTEMS:
        raise UsageError(f"exports of {', '.join(SYSTEMS)} can be read, not of {system!r}")
    return SYSTEMS[system](content)


def _segment(content: Json) -> Export:
    lost: list[str] = []
    found = _objects(_segment_destinations(content), "destination", lost)
    if not found:
        raise UsageError("there is no destination here: an object with settings, or a list of them")
    lost.extend(
        f"{_name(destination)}: its {key}, which means nothing here"
        for destination in found
        for key, value in destination.items()
        if key not in _SEGMENT_KEYS and value not in _WITHOUT_MEANING
    )
    return Export(list(_enabled(found, lost)), [], lost)


def _segment_destinations(content: Json) -> list[Json]:
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        return []
    for key in ("data", "destinations", "destination"):
        if key in content:
            return _with_subscriptions(_segment_destinations(content[key]), content)
    return [content] if "settings" in content else []


def _with_subscriptions(destinations: list[Json], beside: dict[str, Any]) -> list[Json]:
    """Put subscriptions into their destination. The API lists them separately."""
    match destinations:
        case [dict(destination)] if "subscriptions" in beside:
            return [{"subscriptions": beside["subscriptions"], **destination}]
        case _:
            return destinations


def _rudderstack(content: Json) -> Export:
    sources = content.get("sources") if isinstance(content, dict) else None
    if not isinstance(sources, list):
        raise UsageError("this is no workspace configuration: it has no list of sources")
    lost: list[str] = []
    live = list(_enabled(_objects(sources, "source", lost), lost, "source"))
    by_id: dict[str, dict[str, Any]] = {}
    sets = []
    for source in live:
        own = _objects(source.get("destinations") or [], "destination", lost)
        sets.append({str(d.get("id", d.get("name"))) for d in own})
        by_id.update({str(d.get("id", d.get("name"))): d for d in own})
    if any(one != sets[0] for one in sets):
        lost.append(
            "the sources do not all feed the same destinations; here every connection gets the "
            "events of every write key"
        )
    destinations = list(_enabled(list(by_id.values()), lost))
    lost.extend(
        f"{_name(destination)}: its transformations; write them anew"
        for destination in destinations
        if destination.get("transformations")
    )
    options = [read_options(_config(destination)) for destination in destinations]
    for destination, read in zip(destinations, options, strict=True):
        lost.extend(f"{_name(destination)}: {sentence}" for sentence in read.lost)
    keys = [str(s["writeKey"]) for s in live if s.get("writeKey")]
    return Export(
        [{**d, "config": read.config} for d, read in zip(destinations, options, strict=True)],
        list(dict.fromkeys(keys)),
        lost,
        frozenset(number for number, read in enumerate(options) if read.client_side),
        {number: read.consent for number, read in enumerate(options) if read.consent},
    )


def _config(destination: dict[str, Any]) -> dict[str, Any]:
    config = destination.get("config")
    return config if isinstance(config, dict) else {}


SYSTEMS: dict[str, Callable[[Json], Export]] = {"segment": _segment, "rudderstack": _rudderstack}


def _objects(found: list[Json], what: str, lost: list[str]) -> list[dict[str, Any]]:
    """Get the objects of a list, and skip anything else."""
    objects = [one for one in found if isinstance(one, dict)]
    if len(objects) < len(found):
        lost.append(
            f"{len(found) - len(objects)} of the list: left out: not the object of a {what}"
        )
    return objects


def _enabled(
    found: list[dict[str, Any]], lost: list[str], what: str = "destination"
) -> Iterator[dict[str, Any]]:
    for one in found:
        if one.get("enabled", True) is False:
            lost.append(f"{_name(one)}: left out: the {what} is switched off")
        else:
            yield one


def _name(one: dict[str, Any]) -> str:
    return str(one.get("name") or one.get("id") or "a nameless one")
