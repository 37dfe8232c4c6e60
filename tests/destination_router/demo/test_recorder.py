"""The stand-in for a vendor that has no simulator: it takes everything, and shows what it took."""

import asyncio

import httpx
import pytest

from destination_router.demo.recorder import create_recorder


@pytest.mark.parametrize(
    ("content", "shown"),
    [(b'{"a": 1}', {"a": 1}), (b"a=1", "a=1"), (b"\xff", "\N{REPLACEMENT CHARACTER}"), (b"", "")],
)
def test_every_request_is_taken_and_shown(content: bytes, shown: object) -> None:
    """As JSON where it is JSON, else as text."""

    async def ask() -> list[dict[str, object]]:
        transport = httpx.ASGITransport(app=create_recorder())
        async with httpx.AsyncClient(transport=transport, base_url="http://vendor") as client:
            assert (await client.put("/in/1", content=content)).json() == {}
            kept: list[dict[str, object]] = (await client.get("/_simulator/requests")).json()[
                "requests"
            ]
            return kept

    assert asyncio.run(ask()) == [{"method": "PUT", "path": "/in/1", "body": shown}]
