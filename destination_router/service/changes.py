"""What a changed router.toml changes in a process that is at work. Pure but for reading references.

A connection goes on untouched where neither its tables nor what they refer to has changed: a key
that was rotated in the file of `{ file = PATH }` is a change, though router.toml is the same.
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
    """What is different, by the names of connections and sources.

    Attributes:
        added: those that are new.
        removed: those that are gone; what they have not delivered stays in the log.
        changed: those that start anew, with what is under way sent first.
        sources: those that came, went, were switched, or have other keys.
        alerts: whether who is told of trouble, or when, is different.
        needs_restart: the keys of router.toml that only a restart changes.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    alerts: bool = False
    needs_restart: tuple[str, ...] = ()


def fingerprints(config: RouterConfig) -> dict[str, bytes]:
    """Digest each connection with everything that it refers to: to compare, never to show."""
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
        old: what the process goes by.
        new: what router.toml says now.
        before: `fingerprints` of the old one, as they were when it was read.
        after: `fingerprints` of the new one.
        started_with: what router.toml said when the process began: some of it stays.
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
    """Give what every worker goes by; how many processes there are is not for workers."""
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
