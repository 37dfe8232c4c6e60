"""How the proxy sends: once, by a connection's sender; rudder-server does the retrying."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.pipeline.connection import Connection

# As many as rudder-server asks for at a time, which bounds them: where they were fewer, one vendor
# that hangs would take them all. Those that stay open, idle, are bounded.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=100)


class Transmission:
    """Sends requests for any connection, over sockets that all connections share.

    Args:
        origins: which vendor's origin is sent elsewhere.
    """

    def __init__(self, origins: Mapping[str, str]) -> None:
        self._settings = DeliverySettings(origins=dict(origins))
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def send(self, connection: Connection, request: HttpRequest) -> dict[str, Outcome]:
        """Send a request once."""
        if self._transport is None:
            verified = httpx.create_ssl_context()
            self._transport = httpx.AsyncHTTPTransport(verify=verified, limits=_LIMITS)
        # The sender itself is cheap, and closing it would close the shared sockets.
        sender = Sender(connection, self._settings, transport=self._transport)
        return (await sender.attempt(request)).outcomes

    async def close(self) -> None:
        """Close every socket."""
        if self._transport is not None:
            await self._transport.aclose()
