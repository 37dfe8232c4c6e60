"""One request → the vendor → an outcome for each message that it carries.

The only place that speaks HTTP to a vendor. TLS is always verified; a vendor's origin can be sent
elsewhere (a proxy, a simulator) by configuration.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from importlib.metadata import version
from urllib.parse import urlsplit

import httpx
import msgspec

from destination_router.model import (
    BasicAuth,
    BearerAuth,
    HttpRequest,
    HttpResponse,
    Outcome,
    default_outcome,
)
from destination_router.pipeline.connection import Connection

ANY_ORIGIN = "*"
"""In `origins`: every origin that is not named."""

USER_AGENT = f"destination-router/{version('heap-destination')}"

_log = logging.getLogger(__name__)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how patiently a request is tried again.

    Attributes:
        attempts: in all, the first one included.
        first_wait: the most to wait before the second attempt, in seconds; it doubles.
        longest_wait: the most to wait before any attempt, in seconds.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 30.0

    def wait(self, attempt: int, asked: float | None, chance: float) -> float:
        """Say how long to wait after a failed attempt, in seconds.

        Args:
            attempt: the one that failed, from 1.
            asked: what the vendor asked for, if it did: never less than that.
            chance: from 0 to 1; spreads senders that failed together ("full jitter").
        """
        ceiling = min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))
        return max(asked or 0.0, ceiling * chance)


class Sender:
    """Sends one connection's requests.

    Args:
        connection: whose requests they are; its plugin reads the answers.
        client: shared by all that send to the same vendor.
        origins: `{"https://vendor.example": "http://127.0.0.1:9100"}`; `*` stands for the rest.
        retries: when to give up.
    """

    def __init__(
        self,
        connection: Connection,
        client: httpx.AsyncClient,
        *,
        origins: Mapping[str, str] | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._connection = connection
        self._client = client
        self._origins = origins or {}
        self._retries = retries or RetryPolicy()

    async def deliver(self, request: HttpRequest) -> dict[str, Outcome]:
        """Send a request until the vendor has taken or refused it, or patience ends.

        Returns:
            An outcome for each of its message ids. `retry` means that patience ended.
        """
        attempt = 1
        while True:
            outcomes = await self._attempt(request)
            waits = [o.after or 0.0 for o in outcomes.values() if o.result == "retry"]
            if not waits or attempt >= self._retries.attempts:
                return outcomes
            await asyncio.sleep(self._retries.wait(attempt, max(waits), random.random()))  # noqa: S311
            attempt += 1

    async def _attempt(self, request: HttpRequest) -> dict[str, Outcome]:
        try:
            answer = await self._client.send(
                render(request, self._client, self._origins), auth=_basic(request)
            )
        except httpx.TransportError as error:
            outcome = Outcome.retry(code="network", detail=type(error).__name__)
            return dict.fromkeys(request.message_ids, outcome)
        response = HttpResponse(
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=answer.content,
        )
        return read_answer(self._connection, request, response)


def render(
    request: HttpRequest, client: httpx.AsyncClient, origins: Mapping[str, str]
) -> httpx.Request:
    """Turn a request from data into what goes over the wire, but for Basic authentication."""
    headers = {"User-Agent": USER_AGENT, **request.headers}
    content: bytes | None = None
    if isinstance(request.auth, BearerAuth):
        headers["Authorization"] = f"Bearer {request.auth.token}"
    if request.json is not None:
        content = msgspec.json.encode(request.json)
        headers.setdefault("Content-Type", "application/json")
    return client.build_request(
        request.method,
        redirected(request.url, origins),
        params=dict(request.params) or None,
        headers=headers,
        content=content,
        data=None if request.form is None else dict(request.form),
    )


def _basic(request: HttpRequest) -> httpx.BasicAuth | None:
    match request.auth:
        case BasicAuth(username, password):
            return httpx.BasicAuth(username, password)
        case _:
            return None


def redirected(url: str, origins: Mapping[str, str]) -> str:
    """Replace the origin of a URL if the configuration sends it elsewhere."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    target = origins.get(origin, origins.get(ANY_ORIGIN))
    return url if target is None else target.rstrip("/") + url[len(origin) :]


def read_answer(
    connection: Connection, request: HttpRequest, response: HttpResponse
) -> dict[str, Outcome]:
    """Say what an answer means for each message; the plugin knows best, if it has a say."""
    default = default_outcome(response)
    outcomes = dict.fromkeys(request.message_ids, default)
    if "on_response" not in connection.plugin.capabilities:
        return outcomes
    try:
        answer = connection.plugin.hook.on_response(
            request=request, response=response, settings=connection.settings
        )
    except Exception as error:  # noqa: BLE001 -- a plugin's bug must not lose the answer
        _log.error("on_response of %s failed: %s", connection.plugin.origin, type(error).__name__)
        return outcomes
    if isinstance(answer, Outcome):
        return dict.fromkeys(request.message_ids, answer)
    if isinstance(answer, dict):
        return outcomes | {key: value for key, value in answer.items() if key in outcomes}
    _log.error(
        "on_response of %s returned %s; return an Outcome, or one per message id",
        connection.plugin.origin,
        type(answer).__name__,
    )
    return outcomes
