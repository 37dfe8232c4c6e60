"""How the proxy sends: once, by a connection's sender; rudder-server does the retrying."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from destination_router.delivery.sender import Sender
from destination_router.delivery.settings import DeliverySettings
from destination_router.model import HttpRequest, Outcome
from destination_router.pipeline.connection import Connection

_KEPT_SENDERS = 64


class Transmission:
    """Sends requests for any connection.

    Args:
        origins: which vendor's origin is sent elsewhere.
    """

    def __init__(self, origins: Mapping[str, str]) -> None:
        self._settings = DeliverySettings(origins=dict(origins), concurrency=32)
        self._senders: OrderedDict[int, tuple[Connection, Sender]] = OrderedDict()

    async def send(self, connection: Connection, request: HttpRequest) -> dict[str, Outcome]:
        """Send a request once."""
        return (await self._sender(connection).attempt(request)).outcomes

    async def close(self) -> None:
        """Close every connection to a vendor."""
        while self._senders:
            _, (_, sender) = self._senders.popitem()
            await sender.close()

    def _sender(self, connection: Connection) -> Sender:
        """Find the sender of a connection, whose HTTP connections are used again."""
        kept = self._senders.get(id(connection))
        if kept is None:
            if len(self._senders) >= _KEPT_SENDERS:
                # Not closed: a request may be under way. Its sockets close when it is collected.
                self._senders.popitem(last=False)
            kept = self._senders[id(connection)] = (connection, Sender(connection, self._settings))
        return kept[1]
