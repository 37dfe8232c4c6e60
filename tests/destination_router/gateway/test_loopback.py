"""The gateway behind a real server on a real socket, with httpx and with RudderStack's own SDK."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import rudderstack.analytics as rudder_analytics
import uvicorn
from rudderstack.analytics import request as rudder_request
from waiting import PATIENCE

from destination_router.contract.messages import (
    Alias,
    Group,
    Identify,
    Message,
    Page,
    Screen,
    Track,
)
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.gateway.app import create_gateway
from destination_router.gateway.sources import Sources
from destination_router.pipeline.normalise import normalise

KEY = "write-key"
EVENT = {"type": "track", "userId": "u", "event": "Signed up"}


class Gateway:
    """A gateway on a loopback port: where it is, and what it kept."""

    def __init__(self, url: str, log: MemoryEventLog) -> None:
        self.url = url
        self._log = log
        self._last_read = -1

    async def events(self) -> list[bytes]:
        """Wait for the next events in the log."""
        events = await self._log.read("test", self._last_read, 1000)
        self._last_read = events[-1].offset
        return [event.body for event in events]


@asynccontextmanager
async def listening(max_body_bytes: int) -> AsyncIterator[Gateway]:
    log = MemoryEventLog(["test"])
    app = create_gateway(log, Sources.of_keys([KEY]), max_body_bytes=max_body_bytes)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:  # from here on, callers queue up
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}", log)
        finally:
            server.should_exit = True
            await serving


def on_loopback(
    use: Callable[[Gateway], Awaitable[None]], *, max_body_bytes: int = 4_000_000
) -> None:
    """Run a test against a gateway, in one event loop with it."""

    async def run() -> None:
        async with listening(max_body_bytes) as gateway, asyncio.timeout(PATIENCE):
            await use(gateway)

    asyncio.run(run())


# -- httpx --------------------------------------------------------------------------------------


def test_batch_and_single_routes_end_up_in_the_log() -> None:
    """What was answered with `ok` can be read, in order, and is a message."""

    async def use(gateway: Gateway) -> None:
        async with httpx.AsyncClient(base_url=gateway.url, auth=(KEY, "")) as client:
            packed = gzip.compress(json.dumps({"batch": [{**EVENT, "event": "1"}]}).encode())
            responses = [
                await client.post(
                    "/v1/batch", content=packed, headers={"Content-Encoding": "gzip"}
                ),
                await client.post("/v1/track", json={**EVENT, "event": "2"}),
                await client.post("/v1/batch", json={"batch": [{**EVENT, "event": "3"}]}),
            ]
        assert all(response.content == b"ok" for response in responses)

        messages = [normalise(event).message for event in await gateway.events()]
        assert [m.event for m in messages if isinstance(m, Track)] == ["1", "2", "3"]
        assert len({m.message_id for m in messages}) == 3

    on_loopback(use)


@pytest.mark.parametrize(("key", "status"), [(KEY, 413), ("unknown", 401)])
def test_a_refusal_reaches_a_sender_that_is_still_sending(key: str, status: int) -> None:
    """The sender reads the answer, not a broken connection that it would retry for nothing."""
    body = b" " * 8_000_000
    credentials = base64.b64encode(f"{key}:".encode()).decode()
    head = (
        "POST /v1/batch HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
        f"Authorization: Basic {credentials}\r\nContent-Length: {len(body)}\r\n\r\n"
    )

    async def use(gateway: Gateway) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(gateway.url).port)
        writer.write(head.encode() + body)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())

    on_loopback(use, max_body_bytes=2_500_000)


def test_health_is_answered() -> None:
    """A probe gets JSON."""

    async def use(gateway: Gateway) -> None:
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            assert (await client.get("/health")).json()["server"] == "UP"

    on_loopback(use)


# -- RudderStack's SDK for Python ---------------------------------------------------------------


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The SDK as an application uses it: a module with settings, here undone after the test."""
    failures: list[Exception] = []
    monkeypatch.setattr(rudder_analytics, "default_client", None)
    monkeypatch.setattr(rudder_analytics, "on_error", lambda error, _: failures.append(error))
    monkeypatch.setattr(rudder_analytics, "max_retries", 0)
    monkeypatch.setattr(rudder_analytics, "write_key", KEY)
    monkeypatch.setattr(rudder_analytics, "failures", failures, raising=False)
    yield rudder_analytics
    if rudder_analytics.default_client:
        rudder_analytics.shutdown()
    rudder_request._session.close()


def send_one_of_each(sdk: Any, url: str) -> None:
    """Make the six calls and wait until they are sent; blocks."""
    sdk.dataPlaneUrl = url
    sdk.identify("u-1", {"email": "a@example.com"}, anonymous_id="a-1", message_id="m-1")
    sdk.track("u-1", "Signed up", {"plan": "pro", "price": 9.5}, message_id="m-2")
    sdk.page("u-1", "Docs", "Start", {"path": "/start"})
    sdk.screen("u-1", "App", "Home")
    sdk.group("u-1", "g-1", {"seats": 5})
    sdk.alias("a-1", "u-1")
    sdk.shutdown()


@pytest.mark.parametrize("packed", [True, False])
def test_the_python_sdks_six_calls_arrive(
    sdk: Any,
    packed: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every call of RudderStack's SDK comes out of the log as the message it stands for."""
    monkeypatch.setattr(sdk, "gzip", packed)
    monkeypatch.setattr(sdk, "dataPlaneUrl", "")
    messages: list[Message] = []

    async def use(gateway: Gateway) -> None:
        await asyncio.to_thread(send_one_of_each, sdk, gateway.url)
        while len(messages) < 6:
            messages.extend(normalise(event).message for event in await gateway.events())

    on_loopback(use)

    assert sdk.failures == []
    identify, track, page, screen, group, alias = messages
    assert isinstance(identify, Identify)
    assert (identify.user_id, identify.anonymous_id) == ("u-1", "a-1")
    assert identify.traits == {"email": "a@example.com"}
    assert isinstance(track, Track)
    assert (track.event, track.properties) == ("Signed up", {"plan": "pro", "price": 9.5})
    assert isinstance(page, Page)
    assert (page.category, page.name, page.properties) == ("Docs", "Start", {"path": "/start"})
    assert isinstance(screen, Screen)
    assert (screen.category, screen.name) == ("App", "Home")
    assert isinstance(group, Group)
    assert (group.group_id, group.traits) == ("g-1", {"seats": 5})
    assert isinstance(alias, Alias)
    assert (alias.previous_id, alias.user_id) == ("a-1", "u-1")
    assert [identify.message_id, track.message_id] == ["m-1", "m-2"]
    assert all(message.received_at and message.timestamp for message in messages)


def test_what_the_sdk_writes_beyond_standard_json_arrives_with_its_neighbours(
    sdk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK writes NaN, Infinity and halves of characters; no event is lost for it."""
    monkeypatch.setattr(sdk, "dataPlaneUrl", "")
    values = [1, float("nan"), 2, float("-inf"), "\ud83d", 3]
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    messages: list[Message] = []

    def track_all(url: str) -> None:
        sdk.dataPlaneUrl = url
        for value in values:
            sdk.track("u-1", "Measured", {"value": value}, timestamp=when)
        sdk.shutdown()

    async def use(gateway: Gateway) -> None:
        await asyncio.to_thread(track_all, gateway.url)
        while len(messages) < len(values):
            messages.extend(normalise(event).message for event in await gateway.events())

    on_loopback(use)

    assert sdk.failures == []
    found = [message.properties.get("value") for message in messages if isinstance(message, Track)]
    assert [found[0], found[2], found[5]] == [1, 2, 3]
    assert {"2026-01-02T03:04:05+00:00"} == {message.timestamp for message in messages}


def test_the_sdk_is_told_that_its_key_is_not_valid(
    sdk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal comes back to the application with rudder-server's words."""
    monkeypatch.setattr(sdk, "dataPlaneUrl", "")
    monkeypatch.setattr(sdk, "write_key", "another")

    async def use(gateway: Gateway) -> None:
        await asyncio.to_thread(send_one_of_each, sdk, gateway.url)

    on_loopback(use)

    told = {(failure.status, failure.message) for failure in sdk.failures}
    assert told == {(401, "invalid write key\n")}
