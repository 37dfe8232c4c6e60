"""A real router between messages and a simulated vendor, in virtual time: for tests.

    def vendor(clock):
        return create_simulator("a-key", clock=clock)

    done = deliver("my-destination", {"apiKey": "a-key"}, messages, vendor)
    assert [letter.code for letter in done.dead_letters] == ["invalid_event"]

If the vendor asks for a wait of 30 s, the router waits, and the test takes no time for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx
import msgspec

from conformance import virtual_time
from conformance.subject import wire
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Delivery, Worker
from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin

Vendor = Callable[[Any, Any, Any], Awaitable[None]]
Clock = Callable[[], float]

_START = 1_800_000_000.0


class Delivered(msgspec.Struct, frozen=True):
    """What became of the messages.

    Attributes:
        after: for each message id, the seconds until the vendor had the message.
        dead_letters: the messages that the router gave up, in that order.
    """

    after: dict[str, float]
    dead_letters: list[DeadLetter]


class _Letters:
    def __init__(self) -> None:
        self.kept: list[DeadLetter] = []

    async def put(self, letters: list[DeadLetter]) -> None:
        self.kept += letters


def deliver(
    destination: str,
    settings: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    vendor: Callable[[Clock], Vendor],
    delivery: DeliverySettings | None = None,
) -> Delivered:
    """Deliver messages until the vendor has each, or it is a dead letter.

    Args:
        destination: the name of an installed destination.
        settings: the connection's settings.
        messages: the messages, as JSON objects.
        vendor: makes the vendor, an ASGI app. It gets a clock, which returns virtual Unix time in
            seconds.
        delivery: the settings of `[delivery]`. None takes the defaults.

    Raises:
        SettingsError: The settings cannot be used.
    """
    return virtual_time.run(_deliver(destination, settings, messages, vendor, delivery))


async def _deliver(
    destination: str,
    settings: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    vendor: Callable[[Clock], Vendor],
    delivery: DeliverySettings | None,
) -> Delivered:
    clock = asyncio.get_running_loop().time
    after: dict[str, float] = {}
    letters = _Letters()

    def report(ended: Sequence[Delivery]) -> None:
        for one in ended:
            if one.outcome is not None and one.outcome.result == "delivered":
                after[one.decision.message_id] = clock()

    log = MemoryEventLog([destination])
    connection = Connection(destination, load_plugin(destination), settings)
    transport = httpx.ASGITransport(vendor(lambda: _START + clock()))
    chance = _half
    async with Sender(connection, delivery, transport=transport, chance=chance) as sender:
        worker = Worker(
            connection,
            log,
            sender,
            dead_letters=letters,
            settings=delivery,
            report=report,
            wall_clock=lambda: _START + clock(),
            chance=chance,
        )
        working = asyncio.create_task(worker.run())
        await log.append(list(map(wire, messages)))
        await log.wait_until_done()
        await worker.stop(0.0)
        await working
    return Delivered(after, letters.kept)


def _half() -> float:
    return 0.5
