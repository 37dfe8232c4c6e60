"""Compares a changed router.toml with the running one. Pure, except that it reads references.

A connection is not touched if neither its tables nor the files that they refer to have changed. A
rotated key in the file of `{ file = PATH }` is a change, although router.toml is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import msgspec

from destination_router.config.router_toml import (
    ConnectionConfig,
    DeliveryConfig,
    QuarantineConfig,
    RouterConfig,
)
from destination_router.settings.errors import Problem
from destination_router.settings.references import resolved_in


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The differences, by the names of connections and sources.

    Attributes:
        added: new connections.
        removed: connections that are gone. What they have not delivered stays in the log.
        changed: connections that start again, after what they have under way.
        sources: sources that are new, gone, switched on or off, or have other keys.
        alerts: whether the table `[alerts]` differs.
        needs_restart: changed keys of router.toml that need a restart.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    alerts: bool = False
    needs_restart: tuple[str, ...] = ()


def fingerprints(config: RouterConfig) -> dict[str, bytes]:
    """Digest each connection with everything that it refers to, for comparison only."""
    return {each.name: _fingerprint(each) for each in config.connections}


def changes(
    old: RouterConfig,
    new: RouterConfig,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    *,
    started_with: RouterConfig,
) -> Changes:
    """Compare two configurations.

    Args:
        old: the running configuration.
        new: the configuration in router.toml now.
        before: `fingerprints` of the old one, as they were when it was read.
        after: `fingerprints` of the new one.
        started_with: the configuration at the start of the process, of which some parts stay.
    """
    for_all = _for_all(old) != _for_all(new)
    return Changes(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(
            name for name in after if name in before and (for_all or before[name] != after[name])
        ),
        sources=tuple(_sources(old, new)),
        alerts=old.alerts != new.alerts,
        needs_restart=tuple(_fixed(started_with, new)),
    )


def _sources(old: RouterConfig, new: RouterConfig) -> Iterator[str]:
    before = {source.name: source for source in old.all_sources}
    after = {source.name: source for source in new.all_sources}
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield name


def _for_all(config: RouterConfig) -> tuple[DeliveryConfig, QuarantineConfig]:
    """Select the settings for all workers. The number of processes is not one of them."""
    return msgspec.structs.replace(config.delivery, workers=None), config.quarantine


def _fixed(old: RouterConfig, new: RouterConfig) -> Iterator[str]:
    for name in old.gateway.__struct_fields__:
        if name != "write_keys" and getattr(old.gateway, name) != getattr(new.gateway, name):
            yield f"gateway.{name}"
    for name in old.eventlog.__struct_fields__:
        if getattr(old.eventlog, name) != getattr(new.eventlog, name):
            yield f"eventlog.{name}"
    if old.delivery.workers != new.delivery.workers:
        yield "delivery.workers"
    if old.console != new.console:
        yield "console"


def _fingerprint(config: ConnectionConfig) -> bytes:
    problems: list[Problem] = []  # were told when the file was checked
    resolved = resolved_in({}, msgspec.to_builtins(config), {}, "", problems)
    return hashlib.sha256(msgspec.json.encode(resolved, order="sorted")).digest()
