"""How the proxy sends: once, by a connection's sender; rudder-server does the retrying."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from destination_router.delivery.sender import RetryPolicy, Sender
from destination_router.model import HttpRequest, Outcome
from destination_router.pipeline.connection import Connection

_ONCE = RetryPolicy(attempts=1)


class Transmission:
    """Sends requests for any connection.

    Args:
        origins: which vendor's origin is sent elsewhere.
    """

    def __init__(self, origins: Mapping[str, str]) -> None:
        self._origins = origins
        self._client: httpx.AsyncClient | None = None

    async def send(self, connection: Connection, request: HttpRequest) -> dict[str, Outcome]:
        """Send a request once."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=30)
        sender = Sender(connection, self._client, origins=self._origins, retries=_ONCE)
        return await sender.deliver(request)

    async def close(self) -> None:
        """Close every connection to a vendor."""
        if self._client is not None:
            await self._client.aclose()
