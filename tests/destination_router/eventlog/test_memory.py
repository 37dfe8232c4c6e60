"""The event log in memory: order, waiting, and forgetting what everyone is done with.

Modules: `memory.py`, `interface.py`.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from waiting import PATIENCE

from destination_router.eventlog.interface import Event, EventLog
from destination_router.eventlog.memory import MemoryEventLog


def run(steps: Coroutine[Any, Any, None]) -> None:
    """Run a test's steps; what waits for ever fails it."""
    asyncio.run(asyncio.wait_for(steps, timeout=PATIENCE))


def bodies(events: list[Event]) -> list[bytes]:
    return [event.body for event in events]


def test_it_is_an_event_log() -> None:
    """It stands wherever the interface is asked for."""
    log: EventLog = MemoryEventLog(["a"])
    assert isinstance(log, MemoryEventLog)


def test_each_connection_reads_everything_in_order() -> None:
    """Every connection sees each event, oldest first, at its own pace."""

    async def steps() -> None:
        log = MemoryEventLog(["a", "b"])
        await log.append([b"1", b"2"])
        await log.append([b"3"])
        events = await log.read("a", after=-1, limit=10)
        assert bodies(events) == [b"1", b"2", b"3"]
        assert [event.offset for event in events] == [0, 1, 2]
        assert bodies(await log.read("b", after=-1, limit=2)) == [b"1", b"2"]
        assert bodies(await log.read("b", after=1, limit=2)) == [b"3"]

    run(steps())


def test_what_is_committed_is_not_read_again_in_whatever_order() -> None:
    """A connection commits events as it gets done with them; another's are not touched."""

    async def steps() -> None:
        log = MemoryEventLog(["a", "b"])
        await log.append([b"1", b"2", b"3"])
        await log.commit("a", [2, 0])
        assert bodies(await log.read("a", after=-1, limit=10)) == [b"2"]
        assert bodies(await log.read("b", after=-1, limit=10)) == [b"1", b"2", b"3"]

    run(steps())


def test_what_is_not_committed_can_be_read_again() -> None:
    """Reading takes nothing away: a worker that starts anew gets what was not done."""

    async def steps() -> None:
        log = MemoryEventLog(["a"])
        await log.append([b"1"])
        first = await log.read("a", after=-1, limit=1)
        assert await log.read("a", after=-1, limit=1) == first

    run(steps())


def test_reading_waits_for_an_event() -> None:
    """A reader without work sleeps until there is some that it has not read."""

    async def steps() -> None:
        log = MemoryEventLog(["a"])
        await log.append([b"1"])
        reading = asyncio.ensure_future(log.read("a", after=0, limit=1))
        await asyncio.sleep(0)
        assert not reading.done()
        await log.append([b"2"])
        assert bodies(await reading) == [b"2"]

    run(steps())


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_it_is_done_when_every_connection_has_committed_everything(order: tuple[str, str]) -> None:
    """Whoever waits for the end waits for the last connection."""

    async def steps() -> None:
        log = MemoryEventLog(["a", "b"])
        await log.wait_until_done()
        await log.append([b"1", b"2"])
        waiting = asyncio.ensure_future(log.wait_until_done())
        await log.commit(order[0], [0, 1])
        await log.commit(order[1], [0])
        await asyncio.sleep(0)
        assert not waiting.done()
        await log.commit(order[1], [1])
        await waiting

    run(steps())


def test_what_everyone_is_done_with_is_forgotten() -> None:
    """Memory holds only what somebody still has to do; offsets go on counting."""

    async def steps() -> None:
        log = MemoryEventLog(["a", "b"])
        await log.append([b"1", b"2"])
        await log.commit("a", [0])
        await log.commit("b", [0, 0, 99])
        assert list(log._events) == [1]
        await log.append([b"3"])
        assert [e.offset for e in await log.read("a", after=-1, limit=9)] == [1, 2]

    run(steps())


def test_without_connections_nothing_is_kept() -> None:
    """An event that nobody will read is done as it comes."""

    async def steps() -> None:
        log = MemoryEventLog([])
        await log.append([b"1"])
        await log.wait_until_done()

    run(steps())
