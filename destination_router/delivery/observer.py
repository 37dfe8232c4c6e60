"""Who looks on while messages are delivered: the console's traces. Nobody else needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from destination_router.contract.records import HttpRequest
from destination_router.delivery.item import Answer, Item
from destination_router.eventlog.interface import Event
from destination_router.pipeline.connection import Decision


class Observer(Protocol):
    """Is told while a worker works; what it does costs every message, so it does little."""

    def decided(self, event: Event, decision: Decision) -> None:
        """A message was read and decided."""

    def answered(
        self,
        request: HttpRequest,
        carries: Sequence[tuple[Item, int | None]],
        answer: Answer,
    ) -> None:
        """A request went out, and this came of it; beside each message, which of its own it is."""
