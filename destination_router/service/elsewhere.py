"""Compares `origins`, which are sent elsewhere, with the origins that connections send to.

If no connection sends to an origin there, it is a costly mistake: events that were meant for a
simulator go to the vendor.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from destination_router.config.origins import ANY_ORIGIN, is_loopback, plain_origin, strange_origin
from destination_router.config.router_toml import ConnectionConfig
from destination_router.faults import UsageError
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import PluginError
from destination_router.service.connections import connect
from destination_router.settings.errors import SettingsError


class Elsewhere(msgspec.Struct, frozen=True):
    """The result: sentences by origin.

    Attributes:
        problems: origins to which no connection sends.
        warnings: origins to which perhaps none sends, because a plugin does not name its own.
    """

    problems: dict[str, str] = {}
    warnings: dict[str, str] = {}


def look_over(sources: Collection[str], connections: Sequence[Connection | None]) -> Elsewhere:
    """Compare origins that are sent elsewhere with those of connections.

    Args:
        sources: the origins, or `*`.
        connections: all that they apply to; None for one that cannot be made ready.
    """
    told = [None if connection is None else connection.origins for connection in connections]
    known = [origin for origins in told if origins is not None for origin in origins]
    strange = {source: strange_origin(source, known) for source in sources}
    found = {source: words for source, words in strange.items() if words is not None}
    if None not in told:
        return Elsewhere(problems=found)
    unsure = "a connection's plugin does not name its origins: compare this one with its requests"
    return Elsewhere(warnings=dict.fromkeys(found, unsure))


def live_beside(sources: Collection[str], connections: Sequence[Connection]) -> dict[str, str]:
    """Find connections that still send to their vendor while others are sent elsewhere.

    A test with a simulator rarely means one connection only. If you do, name the other origins as
    their own targets.

    Args:
        sources: the origins that are sent elsewhere, or `*`.
        connections: all of the file. One whose plugin does not name its origins is passed over.

    Returns:
        A sentence for each connection, by its name.
    """
    if not sources or ANY_ORIGIN in sources:
        return {}
    elsewhere = {plain_origin(source) for source in sources}
    live = {
        each.name: [
            origin
            for origin in each.origins or ()
            if plain_origin(origin) not in elsewhere and not is_loopback(origin)
        ]
        for each in connections
    }
    words = 'while delivery.origins sends others elsewhere; "*" there covers every origin'
    return {
        name: f"still sends to {', '.join(origins)}, {words}"
        for name, origins in live.items()
        if origins
    }


def refuse_strange(option: Collection[str], connection: Connection) -> list[str]:
    """Refuse an `--origin` to which the connection does not send.

    Returns:
        Warnings.

    Raises:
        UsageError: the connection never sends to one.
    """
    found = look_over(option, [connection])
    for words in found.problems.values():
        raise UsageError(f"--origin: {words}")
    return [f"--origin {source}: {words}" for source, words in found.warnings.items()]


def refuse_strange_of_file(
    sources: Collection[str], chosen: Connection, others: Sequence[ConnectionConfig]
) -> list[str]:
    """Refuse an origin of a router.toml to which none of its connections sends.

    It makes the other connections ready only if the chosen one does not send to all of them.

    Returns, raises:
        As `refuse_strange`.
    """
    found = look_over(sources, [chosen])
    if others and (found.problems or found.warnings):
        found = look_over(sources, [chosen, *map(_ready, others)])
    for words in found.problems.values():
        raise UsageError(f"delivery.origins: {words}")
    return [f"delivery.origins.{source}: {words}" for source, words in found.warnings.items()]


def _ready(config: ConnectionConfig) -> Connection | None:
    try:
        return connect(config)
    except (SettingsError, PluginError):
        return None
