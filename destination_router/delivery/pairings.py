"""Keeps a vendor's limits on ties, by asking the book before a request goes out."""

from __future__ import annotations

from collections.abc import Callable

from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.item import Answer
from destination_router.delivery.ledger import patiently
from destination_router.eventlog.interface import PairingBook
from destination_router.faults import plain_code


class Pairings:
    """One connection's view of the book.

    Args:
        plugin: whose rules they are. Connections of one plugin share them: the keys say which
            account of the vendor is meant.
        book: where ties are kept.
        wall_clock: Unix time in seconds.
    """

    def __init__(self, plugin: str, book: PairingBook, wall_clock: Callable[[], float]) -> None:
        self._plugin = plugin
        self._book = book
        self._wall_clock = wall_clock

    async def before(self, request: HttpRequest) -> Answer | None:
        """Enter a request's ties. Return an answer if the request need not or may not go out.

        While the book cannot be written, it waits.
        """
        if not request.pairings:
            return None
        entry = await patiently(
            lambda: self._book.enter(self._plugin, request.pairings, self._wall_clock())
        )
        if entry.made:
            return _told(request, Outcome.delivered())
        if entry.beyond is not None:
            rule, detail = plain_code(entry.beyond.rule), entry.beyond.detail
            return _told(request, Outcome.rejected(rule, detail))
        return None

    async def after(self, request: HttpRequest, answer: Answer) -> None:
        """Note that ties are made, if the vendor took the request."""
        if not request.pairings:
            return
        if all(outcome.result == "delivered" for outcome in answer.each()):
            await patiently(
                lambda: self._book.confirm(self._plugin, request.pairings, self._wall_clock())
            )


def _told(request: HttpRequest, outcome: Outcome) -> Answer:
    return Answer(outcomes=dict.fromkeys(request.message_ids, outcome), response=None)
