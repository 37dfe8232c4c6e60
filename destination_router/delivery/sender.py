"""Sends one request to the vendor, and returns an outcome for each message in it.

Only this module speaks HTTP to a vendor. It always verifies TLS. A configuration can send a
vendor's origin elsewhere (a proxy, a simulator).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import random
import ssl
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
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
from destination_router.contract.headers import headers_of
from destination_router.contract.records import (
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
from destination_router.delivery.network import let_go, proxy_for, told_failure
from destination_router.delivery.outcomes import blamed, for_each, for_each_of_cut
from destination_router.delivery.plain_network import PlainTransport
from destination_router.faults import PASSED_ON
from destination_router.pipeline.connection import Connection
from destination_router.settings.redaction import hide
from destination_router.threads import in_thread

USER_AGENT = f"destination-router/{version('heap-destination')}"

_OWN_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",  # what an answer's body is read from
    "Connection": "keep-alive",
    "User-Agent": USER_AGENT,
}
_WITH_A_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests declare an empty body (RFC 9110, 8.6)."""

_RESULTS = frozenset(get_args(Result))
_PACKED_AT_ONCE = 64 * 1024
"""The bytes that are packed in about a millisecond. More are packed beside the event loop."""

_log = logging.getLogger(__name__)


class _Way(msgspec.Struct, frozen=True):
    """The way to an origin: its connections, and its proxy if there is one."""

    transport: httpx.AsyncBaseTransport
    proxy: str | None = None


class Sender:
    """Sends one connection's requests: connections per origin, and reused.

    httpx's transports are asked, not its client: that follows redirects, keeps cookies and reads
    answers to their end, of which nothing is wanted here, and costs as much again as the request.

    Args:
        connection: whose requests they are; its plugin reads the answers.
        settings: origins, timeout, concurrency and how patient `deliver` is.
        transport: sends everything, and is not closed here: shared with others, or in place of the
            network. None: connections of its own.
        chance: from 0 to 1, evenly; spreads what would happen at once.
    """

    def __init__(
        self,
        connection: Connection,
        settings: DeliverySettings | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.asking: Asking | None = None
        """Asks a plugin that runs in another process, for a worker; None: it is asked by itself."""
        self._connection = connection
        self._settings = settings or DeliverySettings()
        self._shared = None if transport is None else _Way(transport)
        self._chance = chance
        self._ways: dict[str, _Way] = {}
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
        ways, self._ways = self._ways, {}
        for way in ways.values():
            await way.transport.aclose()

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
            way = self._way(url)
            prepared = await _prepared(request, url, self._settings.timeout)
        except _NoWayError as error:
            return _unanswered(request, str(error), clock() - started)
        except (httpx.InvalidURL, ValueError, TypeError, OverflowError, RecursionError) as error:
            outcome = Outcome.rejected("unsendable", type(error).__name__)
            outcomes = for_each(request, outcome, None)
            return Answer(outcomes=outcomes, response=None, seconds=0.0)
        timeout = self._settings.timeout
        deadline = started + timeout
        try:
            if clock() >= deadline:  # else it goes out before its timeout ends it, and again later
                raise TimeoutError  # noqa: TRY301
            # The whole of it: the transport's own timeout begins anew with each byte that comes.
            async with asyncio.timeout_at(deadline):
                answer = await way.transport.handle_async_request(prepared)
        except (httpx.TransportError, TimeoutError) as error:
            failure = told_failure(error, url, way.proxy, timeout)
            let_go(error)
            failure = str(hide(failure, self._connection.secrets))
            return _unanswered(request, failure, clock() - started)
        headers = header_texts(answer.headers.raw)
        try:
            body = await self._read_body(answer, headers.get("content-encoding", ""), deadline)
        finally:
            await answer.aclose()
        if "date" not in headers:
            headers["date"] = formatdate(usegmt=True)
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

    async def _read_body(
        self, answer: httpx.Response, encoding: str, deadline: float
    ) -> AnswerBody:
        stream = cast("AsyncIterable[bytes]", answer.stream)
        return await read_answer_body(stream, encoding, self._settings.max_answer, deadline)

    def _way(self, url: str) -> _Way:
        if self._shared is not None:
            return self._shared
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        way = self._ways.get(origin)
        if way is None:
            way = self._ways[origin] = self._new_way(url)
        return way

    def _new_way(self, url: str) -> _Way:
        most = self._settings.concurrency
        proxy = None if is_loopback(url) else proxy_for(url)

        def connections() -> httpx.AsyncBaseTransport:
            # `_slots` bounds how many there are: nothing waits in here.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=most)
            return PlainTransport(
                verify=trusted_certificates(), limits=limits, proxy=proxy, trust_env=False
            )

        try:
            return _Way(RenewedTransport(connections), proxy)
        except (ValueError, httpx.InvalidURL, ImportError):
            raise _NoWayError("the proxy that the environment names cannot be used") from None


class _NoWayError(Exception):
    """There is no way to send. The text says why."""


def no_cookies() -> CookieJar:
    """Make a jar that takes no cookies, which are not part of a vendor's API.

    It would send them back, with each one a longer header, until the vendor refuses all.
    """
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _unanswered(request: HttpRequest, failure: str, seconds: float) -> Answer:
    outcome = Outcome.retry(code="network", detail=failure)
    outcomes = dict.fromkeys(request.message_ids, outcome)
    return Answer(outcomes=outcomes, response=None, seconds=seconds, failure=failure)


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """Make a context that verifies every vendor. It reads the certificates once for all clients."""
    return httpx.create_ssl_context()


async def _prepared(request: HttpRequest, url: str, most: float) -> httpx.Request:
    """Render a request, beside the event loop if that takes a while."""
    if not request.gzip or request_bytes(request) < _PACKED_AT_ONCE:
        return render(request, url, most)
    return await in_thread(lambda: render(request, url, most), "gzip")


def render(request: HttpRequest, url: str, most: float) -> httpx.Request:
    """Render a request as it goes over the wire.

    Args:
        request: what to send.
        url: where to, without the query.
        most: how long a step on the way may take, in seconds.
    """
    target = _plain_url(url)
    if request.params:
        params = {
            name: value if isinstance(value, str) else list(value)
            for name, value in request.params.items()
        }
        target = httpx.URL(target, params=params)
    body = body_of(request)
    content, content_type = (b"", "") if body is None else body
    if request.gzip and body is not None:
        content = gzipped(content)
    own = {"Host": target.netloc.decode("ascii"), **_OWN_HEADERS}
    headers = headers_of(request, own, content_type)
    if body is not None or request.method in _WITH_A_BODY:
        headers["Content-Length"] = str(len(content))
    return httpx.Request(
        request.method,
        target,
        headers=headers,
        stream=httpx.ByteStream(content),
        extensions={"timeout": _steps(most)},
    )


_plain_url = functools.lru_cache(maxsize=256)(httpx.URL)
"""Most vendors have a handful, and to read one takes as long as to write a request."""


@functools.lru_cache(maxsize=4)
def _steps(most: float) -> dict[str, float | None]:
    """Bound the time to connect; the deadline of the whole answer ends any read or write first."""
    return httpx.Timeout(most, read=None, write=None).as_dict()


def header_texts(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Read an answer's headers, with names in lower case and repeated values joined.

    They are text in the first of ASCII, UTF-8 and ISO 8859-1 that fits all of them.
    """
    for encoding in ("ascii", "utf-8"):
        with contextlib.suppress(UnicodeDecodeError):
            return _decoded(raw, encoding)
    return _decoded(raw, "iso-8859-1")


def _decoded(raw: Sequence[tuple[bytes, bytes]], encoding: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode(encoding).lower(), value_bytes.decode(encoding)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


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
    """Interpret an answer for each message, with the plugin's hook if it has one.

    A bulk that is refused for its body, with no word about which message is at fault, makes all
    of them suspect.
    """
    read = _plugins_view(connection, request, response)
    if not isinstance(read, dict):
        outcome = connection.told(blamed(request, read, response.status))
        return dict.fromkeys(request.message_ids, outcome)
    default = for_each(request, default_outcome(response), response.status)
    outcomes = default | {key: value for key, value in read.items() if key in default}
    return _told(connection, outcomes)


def read_cut_answer(
    connection: Connection, request: HttpRequest, response: HttpResponse
) -> dict[str, Outcome]:
    """Interpret an answer with known status and headers, but only the beginning of the body."""
    return _told(connection, for_each_of_cut(request, default_outcome(response)))


def _told(connection: Connection, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    """Reduce outcomes to what may be kept. One that several messages share is reduced once."""
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
    """Tell whether it is an outcome that delivery can handle. Any other would lose a message."""
    if not isinstance(value, Outcome):
        return False
    try:  # which checks nothing when it is made
        checked = msgspec.convert(msgspec.structs.asdict(value), Outcome)
    except msgspec.ValidationError:
        return False
    known = checked.result in _RESULTS
    return known and (checked.after is None or 0 <= checked.after < math.inf)
