"""Dead letters have a budget of their own, and what goes beyond it is counted and told.

Modules: `letter_room.py`, `letter_losses.py`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from destination_router.eventlog.dead_letter import DeadLetter, DeadLetterFilter
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.sqlite import retention
from destination_router.eventlog.sqlite.dead_letter_store import (
    delete_letters,
    find_letters,
    mark_replayed,
)
from destination_router.eventlog.sqlite.file import connect
from destination_router.eventlog.sqlite.letter_room import letter_bytes
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.retention import Retention

BUDGET = 100_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


def letter(
    number: int, *, code: str = "http_400", size: int = 1000, name: str = "heap"
) -> DeadLetter:
    return DeadLetter(
        connection=name,
        message_id=f"m{number}",
        offset=number,
        body=b"x" * size,
        code=code,
        detail="",
        at=1000.0 + number,
    )


def within(path: Path, use: Callable[[SqliteEventLog], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        limits = Retention(**{"max_bytes": 10 * BUDGET, "min_free_bytes": 0} | options)
        log = SqliteEventLog(path, ["heap"], retention=limits, clock=CLOCK)
        try:
            return await use(log)
        finally:
            log.close()

    return asyncio.run(run())


CLOCK = Clock()


def kept(path: Path) -> list[tuple[str, str, str]]:
    with contextlib.closing(connect(path)) as database:
        found = find_letters(database, DeadLetterFilter())
        return [(letter.connection, letter.code, letter.message_id) for letter in found]


def test_dead_letters_take_a_tenth_unless_something_else_is_said() -> None:
    """Of the room for events, and beside it."""
    assert Retention(max_bytes=1000).letter_budget == 100
    assert Retention(max_bytes=1000, max_letter_bytes=0).letter_budget == 0


def test_the_oldest_of_what_holds_most_go(path: Path) -> None:
    """Garbage pushes out garbage: what is rare stays, however old it is."""

    async def use(log: SqliteEventLog) -> None:
        await log.put([letter(n, code="http_400") for n in range(5)])
        await log.put([letter(n, name="other") for n in range(5)])
        for first in range(100, 300, 20):
            garbage = [letter(n, code="invalid_json") for n in range(first, first + 20)]
            await log.put(garbage)
            await log.put(garbage)  # as after a crash: they are the same ones
        lost = log.lost_letters
        assert set(lost) == {("heap", "invalid_json")}
        there = kept(path)
        assert [entry for entry in there if entry[1] == "http_400"] == [
            *(("heap", "http_400", f"m{n}") for n in range(5)),
            *(("other", "http_400", f"m{n}") for n in range(5)),
        ]
        newest = [name for _, code, name in there if code == "invalid_json"]
        assert newest == [f"m{n}" for n in range(300 - len(newest), 300)]
        with contextlib.closing(connect(path)) as database:
            assert BUDGET - 2000 < letter_bytes(database) <= BUDGET

    within(path, use)


def test_two_that_hold_as_much_lose_alike(path: Path) -> None:
    """Neither pays for the other."""

    async def use(log: SqliteEventLog) -> None:
        await log.put([letter(n, code="a") for n in range(80)])
        await log.put([letter(n, code="b") for n in range(100, 180)])
        codes = [code for _, code, _ in kept(path)]
        assert abs(codes.count("a") - codes.count("b")) <= 1
        assert sum(log.lost_letters.values()) == 160 - len(codes)

    within(path, use)


def test_dead_letters_never_take_the_room_of_events(path: Path) -> None:
    """However many there are, as many events are taken as without any."""

    async def accepted(log: SqliteEventLog) -> int:
        count = 0
        with contextlib.suppress(LogUnavailableError):
            while True:
                await log.append([b"x" * 10_000])
                count += 1
        return count

    async def filled(log: SqliteEventLog) -> None:
        for first in range(0, 3000, 100):
            await log.put([letter(n, size=200) for n in range(first, first + 100)])

    async def both(log: SqliteEventLog) -> int:
        await filled(log)
        return await accepted(log)

    without = within(path, accepted)
    beside = path.with_name("other.db")
    assert abs(within(beside, both) - without) <= 1
    assert beside.stat().st_size < 10 * BUDGET + 2 * BUDGET


def test_what_is_counted_is_what_is_there(path: Path) -> None:
    """Whoever changes dead letters: kept again under another code, replayed, deleted."""

    async def use(log: SqliteEventLog) -> None:
        await log.put([letter(1), letter(2), letter(3, code="a")])
        await log.put([letter(2, code="b", size=5000)])
        await log.transact(lambda database: mark_replayed(database, [stored(database, "m1")], 5.0))
        await log.transact(lambda database: delete_letters(database, [stored(database, "m3")]))

    within(path, use)
    with contextlib.closing(connect(path)) as database:
        rows = database.execute("SELECT * FROM letter_room ORDER BY code").fetchall()
    (code_b, name_b) = rows[0][1], rows[1][1]
    assert (code_b, name_b) == ("b", "http_400")
    assert [row[2] for row in rows] == [1, 1]
    assert 5000 < rows[0][3] < 5300
    assert 1000 < rows[1][3] < 1300


def stored(database: Any, message_id: str) -> DeadLetter:
    return next(find_letters(database, DeadLetterFilter(message_id=message_id)))


def test_a_log_that_holds_too_many_is_cleaned(path: Path) -> None:
    """A budget that was lowered, or a log of a version that had none."""

    async def use(log: SqliteEventLog) -> int:
        while await log.clean():
            pass
        return sum(log.lost_letters.values())

    within(path, lambda log: log.put([letter(n) for n in range(80)]))
    lost = within(path, use, max_letter_bytes=10_000)
    assert 0 < len(kept(path)) < 10
    assert lost == 80 - len(kept(path))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[Any, ...]]]:
    caplog.set_level(logging.WARNING)

    def told() -> list[tuple[Any, ...]]:
        records = [
            vars(record) for record in caplog.records if record.message == "dead_letters_lost"
        ]
        return [(about["connection"], about["code"], about["count"]) for about in records]

    return told


def test_losses_are_told_once_a_minute(
    path: Path, said: Callable[[], list[tuple[Any, ...]]]
) -> None:
    """The first at once, then a line a minute for each connection and code, none forgotten."""

    async def use(log: SqliteEventLog) -> None:
        numbers = iter(range(10_000))
        for _ in range(3):
            await log.put([letter(next(numbers), code="a") for _ in range(10)])
            await log.put([letter(next(numbers), code="b") for _ in range(10)])
        assert said() == [("heap", "a", 10)]
        CLOCK.now += 61
        await log.clean()
        assert said()[1:] == [("heap", "b", 30), ("heap", "a", 20)]
        await log.put([letter(next(numbers), code="a")])
        assert len(said()) == 3

    within(path, use, max_letter_bytes=0)
    assert said()[3:] == [("heap", "a", 1)]


def test_an_empty_file_shrinks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a rush has left behind is the disk's again, but for some room that is used again."""
    monkeypatch.setattr(retention, "_FREE_BYTES_KEPT", 100 * 4096)
    monkeypatch.setattr(retention, "_SHRUNK_PAGES", 500)

    async def use(log: SqliteEventLog) -> None:
        for _ in range(20):
            await log.append([b"x" * 100_000] * 5)
        events = await log.read("heap", -1, 100)
        await log.commit("heap", [event.offset for event in events])
        for _ in range(40):
            await log.clean()
        await log.transact(lambda database: database.execute("UPDATE probe SET tried_at = 1"))

    within(path, use, max_bytes=2**30)
    assert path.stat().st_size < 200 * 4096
