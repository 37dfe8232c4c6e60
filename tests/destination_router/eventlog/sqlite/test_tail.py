"""A reader gets from memory exactly what it would read from the file."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from destination_router.eventlog.interface import Event
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

            for _ in range(60):
                size = chance.randint(1, 40)
                bodies = [b"%d" % number for number in range(count, count + size)]
                count += size
                await chance.choice([log, log, log, other]).append(bodies, chance.choice("xy"))
                for name, so_far in read.items():
                    if len(so_far) < count and chance.random() < 0.6:
                        await look(name, chance.randint(1, 50))
            for name, so_far in read.items():
                while len(so_far) < count:
                    await look(name, 100)
            rows = log_module.connect(path).execute(
                "SELECT offset, body, received_at, source FROM events ORDER BY offset"
            )
            kept = [Event(offset, body, at / 1000, source) for offset, body, at, source in rows]
            assert read == {"a": kept, "b": kept}

    asyncio.run(run())
