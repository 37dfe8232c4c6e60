"""A client that talks to the simulator in-process, and a clock that moves only when told to."""

import asyncio
import random
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from heap_destination.simulator import SimulatedHeap, create_simulator


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Sends one request at a time to an ASGI app; `slept` are the delays it went through."""

    def __init__(self, clock: Clock) -> None:
        self.slept: list[float] = []
        self.app: Starlette = create_simulator(
            clock=clock, sleep=self._sleep, chance=random.Random(7), keep_requests=5
        )
        self.heap: SimulatedHeap = self.app.state.heap

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://heap") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def post(self, path: str, body: Any) -> httpx.Response:
        if isinstance(body, bytes):
            return self.request("POST", path, content=body)
        return self.request("POST", path, json=body)

    def refusal(self, path: str, body: Any) -> str:
        """Send what is expected to be refused; answer Heap's words."""
        response = self.post(path, body)
        assert response.status_code == 400, response.text
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        return response.text

    def accept(self, path: str, body: Any) -> None:
        response = self.post(path, body)
        assert (response.status_code, response.text) == (200, "{}")

    def rows(self, name: str, **query: Any) -> list[Any]:
        response = self.request("GET", f"/_simulator/{name}", params=query)
        assert response.status_code == 200, response.text
        rows = response.json()[name]
        assert isinstance(rows, list)
        return rows

    def stats(self) -> dict[str, Any]:
        stats = self.request("GET", "/_simulator/stats").json()
        assert isinstance(stats, dict)
        return stats


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Client:
    return Client(clock)
