"""Decides whether a connection may send now, and remembers it from one run to the next.

It combines a hold (`hold.py`), the book that keeps it, the proven origins, a person's orders
(pause, resume), and log lines about all of these.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from destination_router.contract.records import HttpRequest
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.hold import Hold
from destination_router.delivery.item import Answer
from destination_router.delivery.ledger import patiently
from destination_router.delivery.outcomes import as_proven, took_something
from destination_router.delivery.sender import redirected
from destination_router.eventlog.interface import (
    Held,
    LogUnavailableError,
    Order,
    Standing,
    StandingBook,
)

_LOOK_PAUSE = 0.5
"""The seconds between two looks for a person's order."""

_log = logging.getLogger(__name__)


class Permission:
    """The permission of one connection.

    Args:
        connection: the connection's name.
        settings: how long a hold waits; where origins are sent.
        book: where it is kept how the connection stands; None: nowhere.
        clock: seconds that never go back.
        wall_clock: Unix time in seconds.
    """

    def __init__(
        self,
        connection: str,
        settings: DeliverySettings,
        book: StandingBook | None,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._origins = settings.origins
        self._book = book
        self._clock = clock
        self._wall_clock = wall_clock
        self._hold = Hold(settings.hold_wait, settings.longest_hold)
        self._standing = Standing()
        self._order: Order | None = None
        self._changed = asyncio.Event()
        self._opened = asyncio.Event()
        self.heard: Callable[[], None] = _tell_nobody
        """Called when a person gives another order."""

    async def open(self) -> None:
        """Read the connection's standing. If it was held, ask its vendor at once."""
        if (book := self._book) is not None:
            self._order = await patiently(lambda: book.order(self._connection))
            self._standing = await patiently(lambda: book.standing(self._connection))
        self._opened.set()
        if self._standing.held is not None:
            self._hold.go_on(self._standing.held.code, self._clock())

    async def run(self) -> None:
        """Keep changes, and obey a person's orders, for ever."""
        await self._opened.wait()
        while self._book is not None:
            await self.keep()
            with contextlib.suppress(LogUnavailableError):
                self._hear(await self._book.order(self._connection))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_PAUSE):
                    await self._changed.wait()
        await asyncio.get_running_loop().create_future()

    async def keep(self) -> None:
        """Keep what has changed."""
        if self._changed.is_set() and (book := self._book) is not None:
            self._changed.clear()
            await patiently(lambda: book.keep(self._connection, self._standing))

    @property
    def paused(self) -> bool:
        """Whether a person has paused the connection."""
        return self._order is not None and self._order.paused

    @property
    def held(self) -> Held | None:
        """Why the connection is held; None: it is not."""
        return self._standing.held

    @property
    def asking(self) -> bool:
        """Whether the one request is under way that asks a vendor that holds."""
        return self._hold.asking

    def opens_at(self, now: float) -> float | None:
        """Say when requests may go out: `now`, later, or None (after the answer to the one)."""
        return None if self.paused else self._hold.opens_at(now)

    def may_send(self) -> bool:
        """Say whether what has set off may go on."""
        return self._hold.may_send() and not self.paused

    def begin(self) -> None:
        """Note that requests go out."""
        self._hold.begin()

    def cease(self) -> None:
        """Note that they have ended."""
        self._hold.cease(self._clock())

    def read(self, request: HttpRequest, answer: Answer) -> Answer:
        """Interpret an answer by what the vendor took before, and learn what it takes."""
        if answer.response is None:
            return answer
        origin = origin_of(redirected(request.url, self._origins))
        if origin in self._standing.origins:
            answer = as_proven(request, answer)
        if took_something(answer):
            self._take(origin)
        return answer

    def refuse(self, code: str, answer: Answer) -> None:
        """Note that the vendor takes nothing of this connection."""
        if not self._hold.refuse(code, self._clock()):
            return
        self._stand(Held(code, self._wall_clock()), self._standing.origins)
        status = None if answer.response is None else answer.response.status
        about = {"connection": self._connection, "code": code, "status": status}
        _log.warning("connection_held", extra=about)

    def _hear(self, order: Order | None) -> None:
        """Obey a person's order. A pause comes before all else, and a resume asks at once."""
        if order is None or order == self._order:
            return
        was_paused, self._order = self.paused, order
        if not order.paused:
            self._hold.ask(self._clock())
        if order.paused != was_paused:
            word = "connection_paused" if order.paused else "connection_resumed"
            _log.warning(word, extra={"connection": self._connection})
        self.heard()

    def _take(self, origin: str) -> None:
        held, origins = self._standing.held, self._standing.origins
        if self._hold.take() and held is not None:
            seconds = held.seconds(self._wall_clock())
            about = {"connection": self._connection, "code": held.code, "seconds": seconds}
            _log.warning("connection_goes_on", extra=about)
            self._stand(None, origins | {origin})
        elif origin not in origins:
            self._stand(held, origins | {origin})

    def _stand(self, held: Held | None, origins: frozenset[str]) -> None:
        self._standing = Standing(held=held, origins=origins)
        self._changed.set()


def _tell_nobody() -> None:
    pass


def origin_of(url: str) -> str:
    """Get the scheme and host of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
