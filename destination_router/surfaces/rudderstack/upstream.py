"""What is not ours goes to the transformer behind us, and its answer comes back as it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Sequence
from typing import Any

import httpx
import msgspec
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

_log = logging.getLogger(__name__)

_SOON = 5.0
"""Seconds for features: rudder-server does not start without, and asks again."""

_OF_ONE_CONNECTION = frozenset(
    {
        b"connection",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that a proxy never passes on (RFC 9110, 7.6.1)."""

_OF_THE_BODY = frozenset({b"content-encoding", b"content-length"})
"""Headers that do not speak of a body any more once it is unpacked."""


class Upstream:
    """Another transformer.

    Args:
        url: its base URL.
        client: sends to it.
    """

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url.rstrip("/")
        self._client = client

    async def features(self) -> dict[str, Any] | None:
        """Ask for its features; None if it does not answer with an object."""
        try:
            # The whole of it: the client's own timeout begins anew with each byte that comes.
            async with asyncio.timeout(_SOON):
                answer = await self._client.get(f"{self._url}/features")
            found = answer.json() if answer.status_code == httpx.codes.OK else None
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            _log.error("upstream_unreachable", extra={"error": type(error).__name__})
            found = None
        return found if isinstance(found, dict) else None

    async def delete(self, jobs: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
        """Let it delete the users of some of a request's jobs.

        Returns:
            Its answer to each; none if it cannot be reached or answers with no list.
        """
        try:
            answer = await self._client.post(
                f"{self._url}/deleteUsers",
                content=msgspec.json.encode(jobs),
                headers={"Content-Type": "application/json; charset=utf-8"},
            )
            return msgspec.json.decode(answer.content, type=list[msgspec.Raw])
        except (httpx.HTTPError, msgspec.MsgspecError, ValueError) as error:
            _log.error("upstream_deletion_failed", extra={"error": type(error).__name__})
            return []

    async def forward(self, request: Request, body: bytes | None = None) -> Response:
        """Pass a request on, and its answer back.

        Args:
            request: as it came.
            body: its body, if it has been read already, and unpacked.
        """
        content: bytes | AsyncIterable[bytes] = request.stream() if body is None else body
        query = f"?{request.url.query}" if request.url.query else ""
        raw_path = request.scope.get("raw_path", request.url.path.encode()).decode("ascii")
        left_out = _OF_ONE_CONNECTION if body is None else _OF_ONE_CONNECTION | _OF_THE_BODY
        headers = [item for item in request.headers.raw if item[0] not in left_out]
        sent = httpx.Request(
            request.method, f"{self._url}{raw_path}{query}", headers=headers, content=content
        )
        try:
            answer = await self._client.send(sent, stream=True)
        except httpx.HTTPError as error:
            _log.error("upstream_unreachable", extra={"error": type(error).__name__})
            return _unavailable()
        response = StreamingResponse(
            answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose)
        )
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.lower() not in _OF_ONE_CONNECTION
        ]
        return response


def _unavailable() -> Response:
    """Ask rudder-server to come back for as long as it takes: it would give up on a bare 5xx."""
    return PlainTextResponse(
        "the upstream transformer does not answer\n",
        503,
        headers={"X-Rudder-Should-Retry": "true", "apiVersion": "2"},
    )
