"""`send`: a file of messages to the vendor, window by window, with progress and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from destination_router.delivery.sender import Sender
from destination_router.delivery.settings import DeliverySettings
from destination_router.delivery.worker import WINDOW, Delivery, deliver_in_order
from destination_router.pipeline.connection import Connection
from destination_router.surfaces.reading import Line


class Summary(msgspec.Struct):
    """What became of a file.

    Attributes:
        messages: how many there were.
        delivered: how many the vendor took.
        filtered: how many were not for this destination.
        failed: how many were rejected or could not be sent, by code.
        notes: how often each code was noted.
    """

    messages: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: Counter[str] = msgspec.field(default_factory=Counter)
    notes: Counter[str] = msgspec.field(default_factory=Counter)

    def count(self, delivery: Delivery) -> None:
        """Add one message."""
        self.messages += 1
        self.notes.update(note.code for note in delivery.decision.notes)
        if delivery.failed:
            self.failed[failure(delivery)[0]] += 1
        elif delivery.outcome is None:
            self.filtered += 1
        else:
            self.delivered += 1

    def as_json(self) -> dict[str, Any]:
        """Turn it into what `send --json` prints."""
        return {
            "messages": self.messages,
            "delivered": self.delivered,
            "filtered": self.filtered,
            "failed": dict(self.failed),
            "notes": dict(self.notes),
        }


def failure(delivery: Delivery) -> tuple[str, str]:
    """Say why a message failed: a code, and a sentence."""
    if delivery.outcome is not None:
        code = delivery.outcome.code or delivery.outcome.result
        return code, delivery.outcome.detail
    reject = delivery.decision.reject
    return ("", "") if reject is None else (reject.code, reject.detail)


async def send_lines(
    connection: Connection,
    lines: Iterable[Line],
    *,
    origins: Mapping[str, str],
    report: Callable[[Line, Delivery], None],
) -> Summary:
    """Send messages in order of their users; each is reported when it is done.

    Args:
        connection: where to.
        lines: the messages, read as they are needed.
        origins: which vendor's origin is sent elsewhere.
        report: is told about every message, in the file's order.
    """
    summary = Summary()
    async with Sender(connection, DeliverySettings(origins=dict(origins))) as sender:
        for window in _windows(lines):
            decisions = [connection.decide(line.raw, message_id=line.message_id) for line in window]
            deliveries = await deliver_in_order(decisions, sender)
            for line, delivery in zip(window, deliveries, strict=True):
                summary.count(delivery)
                report(line, delivery)
    return summary


def _windows(lines: Iterable[Line]) -> Iterator[list[Line]]:
    stream = iter(lines)
    while window := list(islice(stream, WINDOW)):
        yield window
