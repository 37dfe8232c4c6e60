"""A reader gets from memory exactly what it would read from the file."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from math import inf
from pathlib import Path
from typing import Any

import pytest

from destination_router.eventlog.interface import Event
from destination_router.eventlog.sqlite import arrivals, queries
from destination_router.eventlog.sqlite import log as log_module
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.tail import Tail


def events(first: int, count: int, size: int = 10) -> list[Event]:
    return [Event(offset, bytes(size)) for offset in range(first, first + count)]


def offsets(found: list[Event]) -> list[int]:
    return [event.offset for event in found]


def test_what_comes_next_is_given_up_in_order() -> None:
    """Each event is given once, as many as are asked for; what was read elsewhere goes unread."""
    tail = Tail()
    tail.put(events(1, 3), 30)
    tail.put(events(4, 3), 30)
    assert offsets(tail.take(0, 2)) == [1, 2]
    assert offsets(tail.take(4, 5)) == [5, 6]
    assert tail.take(6, 5) == []


def test_nothing_is_given_where_something_may_be_in_between() -> None:
    """Another process may have appended what is not here: then the file is read first."""
    tail = Tail()
    tail.put(events(5, 2), 20)
    assert tail.take(3, 10) == []
    assert offsets(tail.take(4, 1)) == [5]
    tail.put(events(9, 1), 10)
    assert tail.take(5, 10) == []
    assert offsets(tail.take(8, 10)) == [9]


def test_a_reader_that_is_behind_holds_no_more_than_its_room() -> None:
    """The newest are held where all have no room; what has none by itself is not held."""
    tail = Tail(room=100)
    tail.put(events(1, 6), 60)
    tail.put(events(7, 6), 60)
    assert tail.take(0, 10) == []
    assert tail.first == 3
    assert offsets(tail.take(2, 10)) == [*range(3, 13)]
    assert tail.first is None
    tail.put(events(13, 1, size=200), 200)
    assert tail.take(12, 10) == []
    tail.put(events(14, 10), 100)
    assert offsets(tail.take(13, 20)) == list(range(14, 24))


@pytest.mark.parametrize("seed", range(8))
def test_readers_get_the_same_with_a_tail_and_without(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However two processes append and readers lag, each reads all events, once and as they are."""
    chance = random.Random(seed)
    room = chance.choice([0, 30, 300, 10**6])
    monkeypatch.setattr(log_module, "Tail", lambda: Tail(room))
    monkeypatch.setattr(log_module, "_NEAR", chance.choice([-1, 20, 10**6]))
    monkeypatch.setattr(log_module, "_NEAR_BYTES", chance.choice([1, 50, 10**6]))

    async def run() -> None:
        path = tmp_path / "router.db"
        clock = iter(range(10**9, 2 * 10**9)).__next__
        with (
            contextlib.closing(SqliteEventLog(path, ["a", "b"], clock=clock)) as log,
            contextlib.closing(SqliteEventLog(path, [], clock=clock)) as other,
        ):
            read: dict[str, list[Event]] = {"a": [], "b": []}
            count = 0

            async def look(name: str, limit: int) -> None:
                after = read[name][-1].offset if read[name] else -1
                found = await log.read(name, after, limit)
                read[name] += found
                done = chance.sample(found, chance.randint(0, len(found)))
                await log.commit(name, offsets(done))

            appending: list[asyncio.Task[None]] = []
            for _ in range(60):
                size = chance.randint(1, 40)
                bodies = [b"%d" % number for number in range(count, count + size)]
                count += size
                where = chance.choice([log, log, log, other])
                append = asyncio.create_task(where.append(bodies, chance.choice("xy")))
                appending.append(append)  # now and then, readers look while it is on its way
                if chance.random() < 0.7:
                    await append
                if where is other and chance.random() < 0.5:
                    log.announce()
                for name, so_far in read.items():
                    if len(so_far) < count and chance.random() < 0.6:
                        await look(name, chance.randint(1, 50))
            await asyncio.gather(*appending)
            for name, so_far in read.items():
                while len(so_far) < count:
                    await look(name, 100)
            with contextlib.closing(log_module.connect(path)) as database:
                rows, _ = queries.read(database, 0, count)
            kept = [
                Event(offset, body, row.received_at / 1000, row.source)
                for row in rows
                for offset, body in row.events()
            ]
            assert sorted(int(event.body) for event in kept) == list(range(count))
            assert read == {"a": kept, "b": kept}

    asyncio.run(run())


def test_a_reader_that_keeps_up_reads_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While this process appends, what it appends comes from memory."""
    monkeypatch.setattr(arrivals, "_LONGEST", inf)  # else a slow disk makes it look
    looks: list[int] = []

    def look(database: sqlite3.Connection, after: int, *more: Any) -> Any:
        looks.append(after)
        return queries.read(database, after, *more)

    async def run() -> None:
        with contextlib.closing(SqliteEventLog(tmp_path / "router.db", ["a"])) as log:
            await log.append([b"first"])
            found = await log.read("a", -1, 10)
            monkeypatch.setattr(log_module, "read", look)
            for number in range(20):
                append = asyncio.create_task(log.append([b"%d" % number]))
                await asyncio.sleep(0)  # until it is on its way
                found += await log.read("a", found[-1].offset, 10)
                await append
            assert offsets(found) == list(range(1, 22))
            assert not looks

    asyncio.run(run())


@pytest.mark.parametrize("is_told", [True, False])
def test_an_append_on_its_way_hides_nothing_of_other_processes(
    tmp_path: Path, *, is_told: bool
) -> None:
    """What they append is found, at once where they tell, even if our own append never ends."""

    async def run() -> list[Event]:
        path = tmp_path / "router.db"
        with (
            contextlib.closing(SqliteEventLog(path, ["a"])) as log,
            contextlib.closing(SqliteEventLog(path, [])) as other,
        ):
            await log.append([b"ours"])
            await log.read("a", -1, 10)
            log._appending += 1
            reading = asyncio.create_task(log.read("a", 1, 10))
            await asyncio.sleep(0)  # until it waits
            await other.append([b"theirs"])
            if is_told:
                log.announce()
            return await reading

    assert [event.body for event in asyncio.run(run())] == [b"theirs"]
