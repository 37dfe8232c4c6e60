"""The interface through which the console's traces watch delivery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from destination_router.contract.records import HttpRequest
from destination_router.delivery.item import Answer, Item
from destination_router.eventlog.interface import Event
from destination_router.pipeline.connection import Decision


class Observer(Protocol):
    """Watches a worker. It must do little, because its cost is added to every message."""

    def decided(self, event: Event, decision: Decision) -> None:
        """A message was read and decided."""

    def answered(
        self,
        request: HttpRequest,
        carries: Sequence[tuple[Item, int | None]],
        answer: Answer,
    ) -> None:
        """A request went out, and this came of it; beside each message, which of its own it is."""
