"""The transformer protocol as request and response pairs, written by hand from the protocol."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from destination_router.surfaces.rudderstack.app import create_transformer

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))


def ask(request: dict[str, Any]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(create_transformer())
        async with httpx.AsyncClient(transport=transport, base_url="http://transformer") as client:
            return await client.request(
                request["method"],
                request["path"],
                headers=request["headers"],
                content=request.get("text") or json.dumps(request.get("json")),
            )

    return asyncio.run(send())


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_request_gets_its_response(path: Path) -> None:
    """Each pair's `rule` says which."""
    pair = json.loads(path.read_text(encoding="utf-8"))

    response = ask(pair["request"])

    assert response.json() == pair["response"]["json"], pair["rule"]
    assert response.status_code == pair["response"]["status"]
    assert response.headers["apiVersion"] == "2"
