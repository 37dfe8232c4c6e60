"""One request → the vendor → an outcome for each message that it carries.

The only place that speaks HTTP to a vendor. TLS is always verified; a vendor's origin can be sent
elsewhere (a proxy, a simulator) by configuration.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import random
import ssl
from collections.abc import AsyncIterable, Callable, Mapping
from email.utils import formatdate
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from types import TracebackType
from typing import Self, TypeGuard, cast, get_args
from urllib.parse import urlsplit

import httpx
import msgspec

from destination_router.config.origins import ANY_ORIGIN, is_loopback, plain_origin
from destination_router.contract.bodies import body_of, gzipped, request_bytes
from destination_router.contract.records import (
    BasicAuth,
    BearerAuth,
    HttpRequest,
    HttpResponse,
    Outcome,
    Result,
    default_outcome,
)
from destination_router.delivery.answer_body import AnswerBody, read_answer_body
from destination_router.delivery.asking import Asking
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.http_transport import RenewedTransport
from destination_router.delivery.item import Answer
from destination_router.delivery.network import proxy_for, told_failure
from destination_router.delivery.outcomes import for_each, for_each_of_cut
from destination_router.faults import PASSED_ON
from destination_router.pipeline.connection import Connection
from destination_router.settings.redaction import hide
from destination_router.threads import in_thread

USER_AGENT = f"destination-router/{version('heap-destination')}"

_RESULTS = frozenset(get_args(Result))
_PACKED_AT_ONCE = 64 * 1024
"""Bytes that are packed in about a millisecond: what is more is packed beside the event loop."""

_log = logging.getLogger(__name__)


class Sender:
    """Sends one connection's requests: one HTTP client per origin, connections reused.

    Args:
        connection: whose requests they are; its plugin reads the answers.
        settings: origins, timeout, concurrency and how patient `deliver` is.
        transport: in place of the network: for tests.
        client: sends everything, and is shared with others: it is not closed here.
        chance: from 0 to 1, evenly; spreads what would happen at once.
    """

    def __init__(
        self,
        connection: Connection,
        settings: DeliverySettings | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        client: httpx.AsyncClient | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.asking: Asking | None = None
        """Asks a plugin that runs in another process, for a worker; None: it is asked by itself."""
        self._shared = client
        self._connection = connection
        self._settings = settings or DeliverySettings()
        self._transport = transport
        self._chance = chance
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._proxies: dict[httpx.AsyncClient, str | None] = {}
        self._slots = asyncio.Semaphore(self._settings.concurrency)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection to a vendor."""
        clients, self._clients = self._clients, {}
        self._proxies.clear()
        for client in clients.values():
            await client.aclose()

    async def attempt(self, request: HttpRequest) -> Answer:
        """Send a request once, as soon as one of the connection's slots is free.

        A vendor that does not answer, or not in time, makes a `retry` with the code `network`. Of
        an answer that is too long, or too slow to come to its end, the status is heeded alone. A
        request that cannot even be written is rejected as `unsendable`.
        """
        async with self._slots:
            return await self._send(request)

    async def _send(self, request: HttpRequest) -> Answer:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            url = redirected(request.url, self._settings.origins)
            client = self._client(url)
            prepared = await _prepared(request, client, url)
        except _NoClientError as error:
            return _unanswered(request, str(error), clock() - started)
        except (httpx.InvalidURL, ValueError, TypeError, OverflowError, RecursionError) as error:
            outcome = Outcome.rejected("unsendable", type(error).__name__)
            outcomes = for_each(request, outcome, None)
            return Answer(outcomes=outcomes, response=None, seconds=0.0)
        timeout = self._settings.timeout
        deadline = started + timeout
        try:
            # The whole of it: the client's own timeout begins anew with each byte that comes.
            async with asyncio.timeout_at(deadline):
                answer = await client.send(prepared, auth=_basic(request), stream=True)
        except (httpx.TransportError, TimeoutError) as error:
            failure = told_failure(error, url, self._proxies.get(client), timeout)
            failure = str(hide(failure, self._connection.secrets))
            return _unanswered(request, failure, clock() - started)
        try:
            body = await self._read_body(answer, deadline)
        finally:
            await answer.aclose()
        headers = {name.lower(): value for name, value in answer.headers.items()}
        headers.setdefault("date", formatdate(usegmt=True))
        response = HttpResponse(status=answer.status_code, headers=headers, body=body.content)
        read = read_answer if body.is_whole else read_cut_answer
        work = functools.partial(read, self._connection, request, response)
        return Answer(
            outcomes=await self._read_by_plugin(work),
            response=response,
            seconds=clock() - started,
            is_cut=not body.is_whole,
        )

    async def _read_by_plugin(self, work: Callable[[], dict[str, Outcome]]) -> dict[str, Outcome]:
        if self.asking is not None:
            return await self.asking.done(work)
        if self._connection.plugin.elsewhere is not None:
            return await in_thread(work, "program")
        return work()

    async def _read_body(self, answer: httpx.Response, deadline: float) -> AnswerBody:
        stream = cast("AsyncIterable[bytes]", answer.stream)
        encoding = answer.headers.get("content-encoding", "")
        return await read_answer_body(stream, encoding, self._settings.max_answer, deadline)

    def _client(self, url: str) -> httpx.AsyncClient:
        if self._shared is not None:
            return self._shared
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        client = self._clients.get(origin)
        if client is None:
            client = self._clients[origin] = self._new_client(url)
        return client

    def _new_client(self, url: str) -> httpx.AsyncClient:
        most = self._settings.concurrency
        alone = self._transport is not None or is_loopback(url)
        proxy = None if alone else proxy_for(url)

        def connections() -> httpx.AsyncHTTPTransport:
            # `_slots` bounds how many there are: nothing waits in here.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=most)
            return httpx.AsyncHTTPTransport(
                verify=trusted_certificates(), limits=limits, proxy=proxy, trust_env=False
            )

        try:
            client = httpx.AsyncClient(
                timeout=self._settings.timeout,
                transport=self._transport or RenewedTransport(connections),
                cookies=no_cookies(),
                headers={"Accept-Encoding": "gzip, deflate"},  # what an answer's body is read from
                trust_env=False,  # else it would find a proxy by itself, and nobody could say which
            )
        except (ValueError, httpx.InvalidURL, ImportError):
            raise _NoClientError("the proxy that the environment names cannot be used") from None
        self._proxies[client] = proxy
        return client


class _NoClientError(Exception):
    """There is nothing to send with; says why."""


def no_cookies() -> CookieJar:
    """Make a jar that takes no cookies: what a vendor keeps in one is no part of its API.

    It would send them back, with each one a longer header, until the vendor refuses all.
    """
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _unanswered(request: HttpRequest, failure: str, seconds: float) -> Answer:
    outcome = Outcome.retry(code="network", detail=failure)
    outcomes = dict.fromkeys(request.message_ids, outcome)
    return Answer(outcomes=outcomes, response=None, seconds=seconds, failure=failure)


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """Verify every vendor; the certificates are read once, for all clients."""
    return httpx.create_ssl_context()


async def _prepared(request: HttpRequest, client: httpx.AsyncClient, url: str) -> httpx.Request:
    """Render a request; beside the event loop where that takes a while."""
    if not request.gzip or request_bytes(request) < _PACKED_AT_ONCE:
        return render(request, client, url)
    return await in_thread(lambda: render(request, client, url), "gzip")


def render(request: HttpRequest, client: httpx.AsyncClient, url: str) -> httpx.Request:
    """Turn a request from data into what goes over the wire, but for Basic authentication."""
    headers = {"User-Agent": USER_AGENT, **request.headers}
    content: bytes | None = None
    if isinstance(request.auth, BearerAuth):
        headers["Authorization"] = f"Bearer {request.auth.token}"
    body = body_of(request)
    if body is not None:
        content, content_type = body
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = content_type
        if request.gzip:
            content = gzipped(content)
            headers["Content-Encoding"] = "gzip"
    params = {
        name: value if isinstance(value, str) else list(value)
        for name, value in request.params.items()
    }
    return client.build_request(
        request.method, url, params=params or None, headers=headers, content=content
    )


def _basic(request: HttpRequest) -> httpx.BasicAuth | None:
    match request.auth:
        case BasicAuth(username, password):
            return httpx.BasicAuth(username, password)
        case _:
            return None


def redirected(url: str, origins: Mapping[str, str]) -> str:
    """Replace the origin of a URL if the configuration sends it elsewhere.

    Args:
        url: of a request.
        origins: as `plain_origins` writes them.
    """
    target = origins.get(plain_origin(url), origins.get(ANY_ORIGIN))
    if target is None:
        return url
    parts = urlsplit(url)
    return target + url[len(f"{parts.scheme}://{parts.netloc}") :]


def read_answer(
    connection: Connection, request: HttpRequest, response: HttpResponse
) -> dict[str, Outcome]:
    """Say what an answer means for each message; the plugin knows best, if it has a say.

    A bulk that is refused for its body, with no word about which message is at fault, makes all
    of them suspect.
    """
    read = _plugins_view(connection, request, response)
    if isinstance(read, dict):
        default = for_each(request, default_outcome(response), response.status)
        outcomes = default | {key: value for key, value in read.items() if key in default}
    else:
        outcomes = for_each(request, read, response.status)
    return _told(connection, outcomes)


def read_cut_answer(
    connection: Connection, request: HttpRequest, response: HttpResponse
) -> dict[str, Outcome]:
    """Say what an answer means of which only the status, the headers and a beginning are known."""
    return _told(connection, for_each_of_cut(request, default_outcome(response)))


def _told(connection: Connection, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    """Leave of outcomes what may be kept of them; one that several messages share, once."""
    distinct = {id(outcome): outcome for outcome in outcomes.values()}
    told = {key: connection.told(outcome) for key, outcome in distinct.items()}
    return {key: told[id(outcome)] for key, outcome in outcomes.items()}


def _plugins_view(
    connection: Connection, request: HttpRequest, response: HttpResponse
) -> Outcome | dict[str, Outcome]:
    if "on_response" not in connection.plugin.capabilities:
        return default_outcome(response)
    try:
        answer = connection.plugin.hook.on_response(
            request=request, response=response, settings=connection.settings
        )
    except PASSED_ON:
        raise
    except BaseException as error:  # noqa: BLE001 -- a plugin's bug must not lose the answer
        _log.error("on_response of %s failed: %s", connection.plugin.origin, type(error).__name__)
        return default_outcome(response)
    if isinstance(answer, dict):
        known = {key: each for key, each in answer.items() if _is_outcome(each)}
        if len(known) == len(answer):
            return answer
        read: Outcome | dict[str, Outcome] = known
    elif _is_outcome(answer):
        return answer
    else:
        read = default_outcome(response)
    _log.error(
        "on_response of %s returned %s with something else in it than an Outcome of ours; return "
        "an Outcome, or one per message id",
        connection.plugin.origin,
        type(answer).__name__,
    )
    return read


def _is_outcome(value: object) -> TypeGuard[Outcome]:
    """Whether delivery knows what to do with it: a message with any other would be lost."""
    if not isinstance(value, Outcome):
        return False
    try:  # which checks nothing when it is made
        checked = msgspec.convert(msgspec.structs.asdict(value), Outcome)
    except msgspec.ValidationError:
        return False
    known = checked.result in _RESULTS
    return known and (checked.after is None or 0 <= checked.after < math.inf)
