"""A connection at work in virtual time, between a log in memory and a simulated Heap."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Delivery, Worker
from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.interface import AttemptBook, PairingBook, StandingBook
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from heap_destination.simulator import SimulatedHeap, create_simulator

UNIX = 1_800_000_000.0


class Letters:
    """Keeps dead letters in a list."""

    def __init__(self) -> None:
        self.kept: list[DeadLetter] = []

    async def put(self, letters: list[DeadLetter]) -> None:
        self.kept += letters


class Line:
    """A worker of one connection, its vendor and what came of its messages."""

    def __init__(
        self,
        log: MemoryEventLog,
        name: str,
        delivery: DeliverySettings,
        settings: dict[str, Any],
        app: Starlette | None = None,
        **parts: Any,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.log = log
        self.app = app or create_simulator(clock=lambda: UNIX + loop.time())
        self.heap: SimulatedHeap = self.app.state.heap
        self.connection = Connection(name, load_plugin("heap"), settings)
        self.letters = Letters()
        self.reported: list[Delivery] = []
        self.sender = Sender(
            self.connection, delivery, transport=httpx.ASGITransport(self.app), chance=lambda: 0.5
        )
        self.worker = Worker(
            self.connection,
            log,
            self.sender,
            dead_letters=self.letters,
            settings=delivery,
            report=self.reported.extend,
            wall_clock=lambda: UNIX + loop.time(),
            chance=lambda: 0.5,
            **parts,
        )
        self.running = asyncio.create_task(self.worker.run())

    async def stop(self, grace: float = 10.0) -> None:
        await self.worker.stop(grace)
        await self.running
        await self.sender.close()

    def keys(self) -> list[str]:
        """The idempotency keys of the events that Heap holds, in the order they arrived."""
        return [str(row.idempotency_key) for row in self.heap.events()]

    def paths(self) -> list[str]:
        """The paths of the requests that Heap saw, in order."""
        return [row.path for row in self.heap.requests()]


@pytest.fixture
def open_line() -> Callable[..., Line]:
    """Start a connection's worker; call it where the loop runs.

    `settings` are the connection's, `app` is a simulated Heap that another line has used, `parts`
    are further parts of the worker; whatever else is given is for delivery.
    """

    def start(  # noqa: PLR0913 -- each is a part, by keyword
        log: MemoryEventLog,
        name: str = "heap",
        *,
        settings: dict[str, Any] | None = None,
        app: Starlette | None = None,
        pairings: PairingBook | None = None,
        standing: StandingBook | None = None,
        attempts: AttemptBook | None = None,
        event_max_age: float | None = None,
        may_send: Callable[[], bool] | None = None,
        **delivery: Any,
    ) -> Line:
        chosen = settings or {"appId": "11"}
        parts = {
            "pairings": pairings,
            "standing": standing,
            "attempts": attempts,
            "max_age": event_max_age,
            "may_send": may_send,
        }
        return Line(log, name, DeliverySettings(**delivery), chosen, app, **parts)

    return start


@pytest.fixture
def wire() -> Callable[..., list[bytes]]:
    """Write messages as wire JSON; each is numbered by its place."""

    def encode(*messages: dict[str, Any]) -> list[bytes]:
        return [
            msgspec.json.encode({"messageId": f"message-{number}", **message})
            for number, message in enumerate(messages)
        ]

    return encode
