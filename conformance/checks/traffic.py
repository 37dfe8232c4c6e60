"""The messages that checks send: those of the cases, hostile ones, and generated ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from conformance.checks.check import Bed
from conformance.checks.generated import generated_messages
from conformance.checks.hostile import HOSTILE
from conformance.subject import wire
from destination_router.pipeline.connection import Connection, Decision
from destination_router.settings.errors import SettingsError


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way in.

    Attributes:
        path: what to call it in a finding: a case's id, or `hostile.12`.
        connection: where it goes.
        raw: the message as wire JSON.
        mapped: whether the connection has mappings of its own, which may replace anything.
    """

    path: str
    connection: Connection
    raw: bytes
    mapped: bool = False

    def decide(self) -> Decision:
        """Run it."""
        return self.connection.decide(self.raw, message_id=self.path)


def case_traffic(bed: Bed) -> Iterator[Sent]:
    """The messages of all cases, each with its case's connection."""
    for case in bed.bench.case_set.cases:
        if case.expect.settings is not None:
            continue
        try:
            connection = bed.subject.connection_of(case)
        except SettingsError:
            continue  # the case itself fails, and says why
        mapped = not {"mapping", "subscriptions"}.isdisjoint(case.connection)
        # A long case says nothing new after its first messages.
        for message in case.sent[:5]:
            yield Sent(path=case.id, connection=connection, raw=wire(message), mapped=mapped)


def plain_traffic(bed: Bed) -> Iterator[Sent]:
    """One ordinary message of each call, for destinations without cases."""
    connection = bed.subject.connection(bed.settings)
    for message in PLAIN:
        path = f"plain.{message['type']}"
        yield Sent(path=path, connection=connection, raw=wire(message))


def hostile_traffic(bed: Bed) -> Iterator[Sent]:
    """Yield messages that no sender should send, but some sender does."""
    connection = bed.subject.connection(bed.settings)
    for name, raw in HOSTILE.items():
        yield Sent(path=f"hostile.{name}", connection=connection, raw=raw)


def generated_traffic(bed: Bed) -> Iterator[Sent]:
    """Well-formed messages full of odd values; the same ones every time."""
    connection = bed.subject.connection(bed.settings)
    for index, message in enumerate(generated_messages()):
        yield Sent(path=f"generated.{index}", connection=connection, raw=wire(message))


def all_traffic(bed: Bed) -> Iterator[Sent]:
    """Everything."""
    yield from plain_traffic(bed)
    yield from case_traffic(bed)
    yield from hostile_traffic(bed)
    yield from generated_traffic(bed)


_IDS: dict[str, Any] = {"userId": "user-1", "anonymousId": "anonymous-1"}
_TIME = "2026-11-22T10:00:00.000Z"

PLAIN: tuple[dict[str, Any], ...] = (
    {
        "type": "identify",
        "messageId": "plain-identify",
        **_IDS,
        "timestamp": _TIME,
        "traits": {"email": "ada@example.com", "plan": "pro", "seats": 12},
    },
    {
        "type": "track",
        "messageId": "plain-track",
        **_IDS,
        "timestamp": _TIME,
        "event": "Order Completed",
        "properties": {"total": 9.5, "coupon": "SPRING", "items": [{"sku": "a"}, {"sku": "b"}]},
        "context": {"ip": "203.0.113.7", "traits": {"plan": "pro"}},
    },
    {
        "type": "page",
        "messageId": "plain-page",
        **_IDS,
        "timestamp": _TIME,
        "name": "Pricing",
        "category": "Docs",
        "properties": {"url": "https://example.com/pricing"},
    },
    {
        "type": "screen",
        "messageId": "plain-screen",
        **_IDS,
        "timestamp": _TIME,
        "name": "Cart",
        "properties": {"items": 2},
    },
    {
        "type": "group",
        "messageId": "plain-group",
        **_IDS,
        "timestamp": _TIME,
        "groupId": "group-1",
        "traits": {"name": "Acme", "employees": 42},
    },
    {
        "type": "alias",
        "messageId": "plain-alias",
        **_IDS,
        "timestamp": _TIME,
        "previousId": "user-0",
    },
)
"""One ordinary message of each call."""
