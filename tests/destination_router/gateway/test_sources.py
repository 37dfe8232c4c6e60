"""Sources: who may send, known by write keys, kept beside each event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from destination_router.config.router_toml import SourceConfig
from destination_router.contract.records import Reject
from destination_router.gateway.app import create_gateway
from destination_router.gateway.sources import Sources

WEB = SourceConfig(name="web", write_keys=("new-key", "old-key"))
SHOP = SourceConfig(name="shop", write_keys=("shop-key",), enabled=False)
EVENT = {"type": "track", "userId": "ada", "event": "E"}


class Kept:
    """A log that remembers who sent what."""

    def __init__(self) -> None:
        self.sources: list[str | None] = []

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:
        self.sources += [source] * len(bodies)

    async def read(self, connection: str, after: int, limit: int) -> Any:
        raise NotImplementedError

    async def commit(self, connection: str, offsets: Any) -> None:
        raise NotImplementedError


class Gateway:
    """A gateway with two sources, what it kept, and what it refused."""

    def __init__(self) -> None:
        self.log = Kept()
        self.refused: list[tuple[str, str]] = []
        self.app = create_gateway(
            self.log,
            Sources([WEB, SHOP]),
            clock=lambda: datetime(2026, 3, 4, tzinfo=UTC),
            destinations=lambda source: [{"for": source}],
            refused=lambda source, code: self.refused.append((source, code)),
        )

    def __call__(self, method: str, path: str, key: str, **parts: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.request(method, path, auth=(key, ""), **parts)

        return asyncio.run(send())


@pytest.mark.parametrize("key", ["new-key", "old-key", " old-key\n"])
def test_an_event_learns_who_sent_it_by_any_of_the_sources_keys(key: str) -> None:
    """Keys rotate; a line end that came along from a file does not count."""
    gateway = Gateway()
    assert gateway("POST", "/v1/track", key, json=EVENT).status_code == 200
    pixel = gateway("GET", f"/pixel/v1/track?writeKey={key.strip()}&userId=u&event=E", "")
    assert pixel.status_code == 200
    assert gateway.log.sources == ["web", "web"]


def test_a_source_that_is_switched_off_is_told_so() -> None:
    """In rudder-server's words; nothing is kept, and it is counted under its name."""
    gateway = Gateway()
    answer = gateway("POST", "/v1/batch", "shop-key", json={"batch": [EVENT]})
    assert (answer.status_code, answer.text) == (404, "source is disabled\n")
    assert gateway.log.sources == []
    assert gateway.refused == [("shop", "source_disabled")]


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        ("nobodys", b"{}", ("", "invalid_write_key")),
        ("", b"{}", ("", "missing_write_key")),
        ("new-key", b"{", ("web", "invalid_json")),
        ("new-key", b"", ("web", "missing_body")),
    ],
)
def test_what_is_refused_is_counted_by_source_and_reason(
    key: str, body: bytes, expected: tuple[str, str]
) -> None:
    """A source is named as soon as it is known."""
    gateway = Gateway()
    assert gateway("POST", "/v1/batch", key, content=body).status_code >= 400
    assert gateway.refused == [expected]


def test_browsers_are_told_of_their_own_source() -> None:
    """Its name, whether it may send, and what it loads; a rotated key leaves its id as it is."""
    gateway = Gateway()
    first, second, shop = (
        gateway("GET", "/sourceConfig", key).json()["source"]
        for key in ("new-key", "old-key", "shop-key")
    )
    assert first == second
    assert (first["name"], first["enabled"], first["destinations"]) == (
        "web",
        True,
        [{"for": "web"}],
    )
    assert (shop["name"], shop["enabled"]) == ("shop", False)
    assert shop["id"] != first["id"]


def test_sources_may_be_replaced_while_requests_come_in() -> None:
    """The next request is judged by the new ones."""
    sources = Sources([WEB])
    sources.replace([SHOP])
    assert sources.find(b"shop-key").name == "shop"
    with pytest.raises(Reject, match="no source has this write key"):
        sources.admit(b"new-key")


def test_a_key_that_nobody_has_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """With its first four characters and how often it came, never whole."""
    now = 0.0
    sources = Sources([WEB], clock=lambda: now)

    def come(key: bytes) -> None:
        with pytest.raises(Reject):
            sources.admit(key)

    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            come(b"secret-of-somebody")
        now = 61.0
        come(b"secret-of-somebody")
    told = [(r.getMessage(), vars(r)["begins"], vars(r)["count"]) for r in caplog.records]
    assert told == [("unknown_write_key", "secr", 1), ("unknown_write_key", "secr", 5)]
    assert "secret" not in caplog.text


def test_keys_that_nobody_has_take_no_memory_without_bound(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Beyond two hundred beginnings, the rest is counted together."""
    sources = Sources([WEB], clock=lambda: 0.0)
    for number in range(1000):
        with pytest.raises(Reject):
            sources.admit(b"%04d" % number)
    assert len(caplog.records) == 201
    assert vars(caplog.records[-1])["begins"] == "others"
