"""Passes other destinations' requests to the upstream transformer, and its answers back.

An answer is passed on when all of it is here: one that breaks off, or takes for ever, becomes a
status that rudder-server can read, and never the first half of something.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Sequence
from typing import Any, Final, TypeVar

import httpx
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from destination_router.config.origins import is_loopback
from destination_router.contract.records import Json, Reject
from destination_router.delivery.http_transport import RenewedTransport
from destination_router.delivery.network import proxy_for, told_failure
from destination_router.delivery.plain_network import PlainTransport
from destination_router.delivery.sender import no_cookies, trusted_certificates
from destination_router.gateway.request_body import read_body

_log = logging.getLogger(__name__)

_SOON = 5.0
"""Seconds for features: rudder-server does not start without, and asks again."""

_CONNECTING = 5.0
_IN_ALL = 590.0
"""Seconds for any other answer, from the first byte asked to the last one answered.

rudder-server gives up after 600 (`HttpClient.procTransformer.timeout`); so it hears why.
"""

_MOST_BYTES = 200 * 1024 * 1024
"""How long an answer may be, packed and unpacked: as long as the request it is for."""

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
"""Headers that do not apply to a body once it is decompressed."""

_GZIP = frozenset({"gzip", "x-gzip"})
_WITHOUT_A_BODY = frozenset({204, 304})
_FINAL = range(200, 600)
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)

_T = TypeVar("_T")


class UpstreamError(Exception):
    """There is no answer to pass on. The text is a sentence for rudder-server.

    Attributes:
        status: 503 if it cannot be reached, 502 if its answer is none, 504 if it takes too long.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status: Final = status

    def response(self) -> Response:
        """Answer rudder-server, which comes back; for one that is down, as long as it takes.

        A 502 or 504 it asks again some thirty times, as if there were no transformer between:
        what breaks on the same request each time must not hold up all others for ever.
        """
        headers = {"apiVersion": "2"}
        if self.status == httpx.codes.SERVICE_UNAVAILABLE:
            headers["X-Rudder-Should-Retry"] = "true"
        return PlainTextResponse(f"{self}\n", self.status, headers)


class _UpstreamAnswer(msgspec.Struct, frozen=True):
    """A whole answer: its body as it came, and decompressed."""

    status: int
    headers: list[tuple[bytes, bytes]]
    raw: bytes
    content: bytes


def upstream_client(url: str) -> httpx.AsyncClient:
    """Make a client for an upstream.

    Each request has a connection of its own, as rudder-server's have: none waits for one that an
    answer without end holds, and none gets what was left over of another's answer.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    proxy = None if is_loopback(url) else proxy_for(url)
    return httpx.AsyncClient(
        timeout=httpx.Timeout(None, connect=_CONNECTING),
        transport=RenewedTransport(
            lambda: PlainTransport(
                verify=trusted_certificates(), limits=limits, proxy=proxy, trust_env=False
            )
        ),
        cookies=no_cookies(),
        trust_env=False,
    )


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
        request = httpx.Request("GET", f"{self._url}/features", headers={"Accept-Encoding": "gzip"})
        try:
            answer = await self._ask(request, _SOON)
            if answer.status == httpx.codes.OK:
                return msgspec.json.decode(answer.content, type=dict[str, Any])
        except UpstreamError:
            pass  # it has been logged
        except _UNDECODABLE as error:
            _log.error("upstream_failed", extra={"error": type(error).__name__})
        return None

    async def delete(self, jobs: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
        """Let it delete the users of some of a request's jobs.

        Returns:
            Its answer to each; none if it answers with no list.

        Raises:
            UpstreamError: it gives no answer.
        """
        headers = {"Content-Type": "application/json; charset=utf-8", "Accept-Encoding": "gzip"}
        content = msgspec.json.encode(jobs)
        request = httpx.Request(
            "POST", f"{self._url}/deleteUsers", headers=headers, content=content
        )
        answer = await self._ask(request, _IN_ALL)
        try:
            return msgspec.json.decode(answer.content, type=list[msgspec.Raw])
        except _UNDECODABLE as error:
            _log.error("upstream_deletion_failed", extra={"error": type(error).__name__})
            return []

    async def forward(self, request: Request, body: bytes, *, unpacked: bool) -> Response:
        """Pass a request on, and its answer back.

        Args:
            request: as it came, and read to its end.
            body: what was read.
            unpacked: whether the body was unpacked meanwhile.

        Raises:
            ClientDisconnect: nobody waits for the answer any more, and the upstream was let go.
        """
        query = f"?{request.url.query}" if request.url.query else ""
        raw_path = request.scope.get("raw_path", request.url.path.encode())
        left_out = _OF_ONE_CONNECTION | _OF_THE_BODY if unpacked else _OF_ONE_CONNECTION
        headers = [item for item in request.headers.raw if item[0] not in left_out]
        if not raw_path.startswith(b"/"):  # what would go on behind the host's name
            return _no_path()
        try:
            url = f"{self._url}{raw_path.decode('ascii')}{query}"
            sent = httpx.Request(request.method, url, headers=headers, content=body)
        except (httpx.InvalidURL, UnicodeError):
            return _no_path()
        try:
            answer = await _unless_left(request, self._ask(sent, _IN_ALL))
        except UpstreamError as error:
            return error.response()
        return _passed_on(request.method, answer)

    async def _ask(self, request: httpx.Request, patience: float) -> _UpstreamAnswer:
        """Ask, and wait for the whole answer. A failure is one line in the log.

        Raises:
            UpstreamError: there is none.
        """
        try:
            # The whole of it: the client's own timeout begins anew with each byte that comes.
            async with asyncio.timeout(patience):
                answer = await self._client.send(request, stream=True)
                try:
                    return await _read(answer)
                finally:
                    await answer.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            detail = told_failure(error, self._url, None, _CONNECTING)
            about = {"error": type(error).__name__, "detail": detail}
            _log.error("upstream_unreachable", extra=about)
            raise UpstreamError(503, "the upstream transformer does not answer") from None
        except TimeoutError:
            _log.error("upstream_failed", extra={"error": "TimeoutError"})
            text = f"the upstream transformer did not answer in full within {patience:g} seconds"
            raise UpstreamError(504, text) from None
        except (httpx.HTTPError, Reject) as error:
            name = error.code if isinstance(error, Reject) else type(error).__name__
            _log.error("upstream_failed", extra={"error": name})
            text = "the upstream transformer's answer is cut short, too long or no valid HTTP"
            raise UpstreamError(502, text) from None


async def _read(answer: httpx.Response) -> _UpstreamAnswer:
    """Read an answer to its end, and see that what it says is packed can be unpacked.

    Raises:
        httpx.HTTPError: it breaks off.
        Reject: it is too long, or its gzip is broken.
    """
    status, headers = answer.status_code, answer.headers.raw
    if status not in _FINAL:
        raise Reject("no_final_status", "answer with a status from 200 to 599")
    packed = answer.headers.get("content-encoding", "").strip().lower() in _GZIP
    if not packed or answer.request.method == "HEAD" or status in _WITHOUT_A_BODY:
        body = await read_body(answer.aiter_raw(), None, _MOST_BYTES)
        return _UpstreamAnswer(status, headers, body, body)
    kept = io.BytesIO()
    content = await read_body(_keeping(answer.aiter_raw(), kept), "gzip", _MOST_BYTES)
    return _UpstreamAnswer(status, headers, kept.getvalue(), content)


async def _keeping(chunks: AsyncIterator[bytes], kept: io.BytesIO) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        kept.write(chunk)
        yield chunk


async def _unless_left(request: Request, asking: Coroutine[Any, Any, _T]) -> _T:
    """Wait for an answer for as long as somebody waits for ours.

    Raises:
        ClientDisconnect: nobody does, and the asking was given up.
    """
    asked = asyncio.create_task(asking)
    left = asyncio.create_task(_left(request))
    try:
        await asyncio.wait((asked, left), return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise ClientDisconnect
        return asked.result()
    finally:
        asked.cancel()
        left.cancel()
        await asyncio.gather(asked, left, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _no_path() -> Response:
    return PlainTextResponse("the path cannot be passed on\n", 400, {"apiVersion": "2"})


def _passed_on(method: str, answer: _UpstreamAnswer) -> Response:
    response = Response(answer.raw, answer.status)
    headers = [(name.lower(), value) for name, value in answer.headers]
    left_out = _OF_ONE_CONNECTION
    if method != "HEAD" and answer.status not in _WITHOUT_A_BODY:
        # It may have come in chunks, which say nothing of the whole.
        left_out = _OF_ONE_CONNECTION | {b"content-length"}
        headers.append((b"Content-Length", str(len(answer.raw)).encode()))
    response.raw_headers = [item for item in headers if item[0] not in left_out]
    return response


_TYPES = frozenset({"destType", "destinationType"})
"""Where rudder-server writes a destination's type: beside the events, and in their metadata."""
_DEFINITION = "DestinationDefinition"
_NAMES = ("Name", "DisplayName")
_WAY_OUT = "point USER_TRANSFORM_URL at the other transformer itself, or take --upstream away"


def refuse_private(path: str, body: bytes, private: Collection[str]) -> None:
    """Refuse a request that would take events of a destination in HIPAA mode upstream, unmasked.

    Args:
        path: the plain path.
        body: unpacked.
        private: types of destinations that have a connection in HIPAA mode, in lower case.

    Raises:
        Reject: `hipaa_mode`: it names one of these, or cannot be read.
    """
    if any(_is_one(part, private) for part in path.split("/")):
        raise _refused("the path names a destination")
    if not body:
        return
    try:
        content: Json = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _refused("what it holds cannot be read, and a destination is") from None
    if any(_is_one(name, private) for name in _types(content)):
        raise _refused("it holds events for a destination")


def _types(content: Json) -> Iterator[Json]:
    """Find every destination type in a request."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from (value[name] for name in _TYPES & value.keys())
            definition = value.get(_DEFINITION)
            if isinstance(definition, dict):
                yield from (definition[name] for name in _NAMES if name in definition)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _is_one(name: Json, private: Collection[str]) -> bool:
    return isinstance(name, str) and name.strip().casefold() in private


def _refused(what: str) -> Reject:
    return Reject("hipaa_mode", f"{what} in HIPAA mode; nothing was passed on: {_WAY_OUT}")
