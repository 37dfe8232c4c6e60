"""The sender: one request, one answer, and what it means for each message."""

import asyncio
import gc
import gzip
import socket
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest

from destination_router.contract.records import (
    BearerAuth,
    HttpRequest,
    HttpResponse,
    Outcome,
    default_outcome,
)
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.item import Answer
from destination_router.delivery.sender import USER_AGENT, Sender, read_answer, render
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin

BULK = HttpRequest(
    url="https://heapanalytics.com/api/track",
    json={"app_id": "11", "events": []},
    message_ids=("a", "b"),
)

Handler = Callable[[httpx.Request], httpx.Response]


def attempt(
    handler: Handler, request: HttpRequest = BULK, settings: DeliverySettings | None = None
) -> dict[str, Outcome]:
    async def send() -> dict[str, Outcome]:
        connection = Connection("heap", load_plugin("heap"), {"appId": "11"})
        transport = httpx.MockTransport(handler)
        async with Sender(connection, settings, transport=transport) as sender:
            return (await sender.attempt(request)).outcomes

    return asyncio.run(send())


def test_a_request_says_who_sends_it() -> None:
    """The user agent names this program and its version."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    attempt(answer)

    assert seen[0].headers["user-agent"] == USER_AGENT
    assert USER_AGENT.startswith("destination-router/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_could_not_be_sent_is_let_go(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor that refuses connections for hours must not fill the memory with requests."""
    kept: list[weakref.ref[httpx.Request]] = []

    def rendered(*arguments: Any) -> httpx.Request:
        made = render(*arguments)
        kept.append(weakref.ref(made))
        return made

    monkeypatch.setattr("destination_router.delivery.sender.render", rendered)

    async def send() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            to = {"https://heapanalytics.com": f"http://{host}:{taken.getsockname()[1]}"}
            connection = Connection("heap", load_plugin("heap"), {"appId": "11"})
            async with Sender(connection, DeliverySettings(origins=to)) as sender:
                answer = await sender.attempt(BULK)
                assert answer.failure.endswith("the connection was refused")
        await asyncio.sleep(0)  # the loop itself holds what woke this up
        assert [request() for request in kept] == [None]

    gc.disable()
    try:
        asyncio.run(send())
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("to", "by_proxy"),
    [("http://vendor.example", True), ("http://127.0.0.1:9", False), ("http://localhost:9", False)],
)
def test_a_proxy_of_the_environment_is_for_others_than_this_machine(
    to: str, *, by_proxy: bool, serve: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A simulator or another service here is reached at once; a vendor by way of the proxy."""
    asked: list[str] = []

    async def proxy(scope: Any, _: Any, send: Any) -> None:
        if scope["type"] == "http":
            asked.append(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTP_PROXY", serve(proxy))
    connection = Connection("heap", load_plugin("heap"), {"appId": "11"})

    async def send() -> None:
        async with Sender(connection, DeliverySettings(origins={"*": to})) as sender:
            await sender.attempt(BULK)

    asyncio.run(send())

    assert len(asked) == by_proxy


def test_no_answer_is_a_retry() -> None:
    """A network that fails says nothing about the messages."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    again = Outcome.retry(code="network", detail="https://heapanalytics.com: ConnectError")

    assert attempt(fail) == {"a": again, "b": again}


def test_what_took_all_its_time_to_be_made_does_not_go_out() -> None:
    """Its answer would be given up at once, and so it would go out a second time."""
    went: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        went.append(request)
        return httpx.Response(200)

    again = Outcome.retry(code="network", detail="https://heapanalytics.com: no answer within 0 s")

    assert attempt(answer, settings=DeliverySettings(timeout=0.0)) == {"a": again, "b": again}
    assert went == []


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https://[vendor.example/"},
        {"headers": {"x-name": "Ad\N{LATIN SMALL LETTER E WITH ACUTE}le"}},
        {"auth": BearerAuth("s\N{LATIN SMALL LETTER E WITH ACUTE}cret")},
        {"json": {1.5: object()}},
        {"params": {"half": "\ud800"}},
    ],
)
def test_what_cannot_be_written_stops_nothing(changes: dict[str, Any]) -> None:
    """What HTTP cannot carry is taken apart, as a bulk that the vendor refused, to the bad one."""
    bulk = msgspec.structs.replace(BULK, **changes)
    single = msgspec.structs.replace(bulk, message_ids=("a",))
    told = attempt(lambda _: httpx.Response(200), bulk)
    assert {outcome.result for outcome in told.values()} == {"suspect"}
    (outcome,) = attempt(lambda _: httpx.Response(200), single).values()
    assert (outcome.result, outcome.code) == ("rejected", "unsendable")


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_bulk_that_is_refused_for_its_body_makes_all_suspect(status: int) -> None:
    """One of them is at fault, and the vendor does not say which."""
    outcomes = attempt(lambda _: httpx.Response(status, text="no"))

    assert {outcome.result for outcome in outcomes.values()} == {"suspect"}


def test_a_bulk_that_is_refused_for_its_sender_is_held() -> None:
    """Wrong credentials are no message's fault: taking the bulk apart would not help."""
    outcomes = attempt(lambda _: httpx.Response(401, text="no"))

    assert set(outcomes.values()) == {Outcome.held("http_401", "no")}


NOBODY_KNOWS: Any = Outcome("lost")  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [NOBODY_KNOWS, {"a": NOBODY_KNOWS, "b": "delivered"}])
def test_an_outcome_that_nobody_knows_is_not_believed(answer: Any) -> None:
    """A message with it would be lost: what the status means by default counts."""
    connection = Connection("heap", load_plugin("heap"), {"appId": "11"})
    hook = SimpleNamespace(on_response=lambda **_: answer)
    connection.plugin = msgspec.structs.replace(connection.plugin, hook=hook)
    request = HttpRequest(url="https://vendor.example", message_ids=("a", "b"))
    outcomes = read_answer(connection, request, HttpResponse(status=503))

    assert {outcome.result for outcome in outcomes.values()} == {"retry"}


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "0"}, 0.0),
        (
            {
                "retry-after": "Sun, 22 Nov 2026 10:02:00 GMT",
                "date": "Sun, 22 Nov 2026 10:00:00 GMT",
            },
            120.0,
        ),
        (
            {
                "retry-after": "Sun, 22 Nov 2026 09:00:00 GMT",
                "date": "Sun, 22 Nov 2026 10:00:00 GMT",
            },
            0.0,
        ),
        ({"retry-after": "Sun, 22 Nov 2026 10:02:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], after: float | None) -> None:
    """Seconds, or a date that counts from the answer's own."""
    response = HttpResponse(status=429, headers=headers)

    assert default_outcome(response) == Outcome.retry(after, code="http_429")


def sent(request: HttpRequest) -> httpx.Request:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    outcomes = attempt(answer, msgspec.structs.replace(request, message_ids=("a",)))
    assert outcomes == {"a": Outcome.delivered()}
    return seen[0]


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("body", ["json", "form", "content"])
def test_a_body_is_packed_for_who_wants_it(body: str, size: int) -> None:
    """The vendor unpacks what would have come without gzip, however large it is."""
    text = "x" * size
    content = {"content": text.encode(), "content_type": "application/x-ndjson"}
    fields = content if body == "content" else {body: {"text": text}}
    plain = HttpRequest(url="https://vendor.example/in", **fields)  # type: ignore[arg-type]

    packed = sent(msgspec.structs.replace(plain, gzip=True))
    unpacked = sent(plain)

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.content) == unpacked.content
    assert packed.headers["content-type"] == unpacked.headers["content-type"]
    assert "content-encoding" not in unpacked.headers
    assert packed.headers["content-length"] == str(len(packed.content))


def test_bytes_go_out_as_they_are_under_their_type() -> None:
    """Also those that are no text; a header of the destination's own comes before the type."""
    url = "https://vendor.example/in"
    request = HttpRequest(url=url, content=b"\x00\xff", content_type="application/x-protobuf")
    assert sent(request).content == b"\x00\xff"
    assert sent(request).headers.get_list("content-type") == ["application/x-protobuf"]
    own = msgspec.structs.replace(request, headers={"content-type": "application/vnd.vendor"})
    assert sent(own).headers.get_list("content-type") == ["application/vnd.vendor"]


def test_a_parameter_may_be_repeated() -> None:
    """In the order in which it was given."""
    request = HttpRequest(url="https://vendor.example/in", params={"id": ("2", "1"), "q": "a b"})
    assert sent(request).url.query == b"id=2&id=1&q=a+b"


@pytest.mark.parametrize(
    ("configured", "stated", "window"),
    [
        (None, None, 1000),
        (None, 2000, 2000),
        (500, 2000, 500),
        (5000, 2000, 2000),
        (500, None, 500),
    ],
)
def test_a_window_is_what_both_allow(
    configured: int | None, stated: int | None, window: int
) -> None:
    """A plugin says how many messages it wants to see at once, and a configuration may say less."""
    assert DeliverySettings(window=configured).window_for(stated) == window


def test_a_header_goes_out_once() -> None:
    """Two of one name, HTTP does not carry: the request would be tried for ever."""
    handed: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        handed.append(request)
        return httpx.Response(200)

    given = {"host": "shop.example", "content-length": "3", "user-agent": "own"}
    attempt(answer, msgspec.structs.replace(BULK, json={"a": 1}, headers=given))

    raw = [(name.decode().lower(), value.decode()) for name, value in handed[0].headers.raw]
    wanted = {"host": "shop.example", "content-length": "7", "user-agent": "own"}
    assert {name: value for name, value in raw if name in wanted} == wanted
    assert len(raw) == len(dict(raw))


@pytest.mark.parametrize("location", [b"http://[bad", b"\xff\xfe://:::x", b""])
def test_a_redirect_holds_wherever_it_leads(location: bytes) -> None:
    """Nobody follows it, so a `Location` that is no URL is no failure of the network either."""
    headers = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(headers)
        await writer.drain()
        writer.close()

    async def send() -> Answer:
        connection = Connection("heap", load_plugin("heap"), {"appId": "11"})
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            settings = DeliverySettings(origins={"*": f"http://127.0.0.1:{port}"})
            async with Sender(connection, settings) as sender:
                return await sender.attempt(BULK)

    answered = asyncio.run(send())

    assert answered.failure == ""
    assert {(each.result, each.code) for each in answered.each()} == {("held", "http_302")}
