"""Messages at which deciding or planning fails again and again, kills of the process included.

Modules: `delivery/attempts.py`, `eventlog/sqlite/attempt_book.py`.
"""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deadly_process import PROCESS
from waiting import PATIENCE

from destination_router.config.router_toml import EventLogConfig
from destination_router.delivery.attempts import POISONED, TRIES
from destination_router.eventlog.dead_letter import DeadLetterFilter
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.eventlog.sqlite.dead_letter_store import find_letters
from destination_router.eventlog.sqlite.file import connect
from destination_router.eventlog.sqlite.log import SqliteEventLog


def at(path: Path) -> str:
    """Write the table of a log in a file as JSON."""
    return msgspec.json.encode(EventLogConfig(url=f"sqlite:///{path}")).decode()


def track(number: int, event: str = "Paid") -> bytes:
    content = {"type": "track", "messageId": f"m-{number}", "userId": f"u-{number}", "event": event}
    return msgspec.json.encode(content)


async def filled(path: Path, bodies: Sequence[bytes]) -> None:
    log = SqliteEventLog(path, ["c"])
    await log.append(bodies)
    log.close()


@pytest.mark.parametrize("where", ["decide", "pack"])
def test_a_message_that_kills_three_processes_is_poisoned(where: str, tmp_path: Path) -> None:
    """The fourth goes on without it; every other message is delivered, and none given up."""
    path, delivered = tmp_path / "log.db", tmp_path / "delivered"
    bodies = [track(n, "deadly" if n == 150 else "Paid") for n in range(300)]
    asyncio.run(filled(path, bodies))
    program = [sys.executable, "-c", PROCESS, at(path), where, str(delivered)]
    ends = []
    while not ends or (ends[-1] and len(ends) < 10):
        ends.append(subprocess.run(program, check=False, timeout=PATIENCE).returncode)
    assert ends == [-signal.SIGKILL] * TRIES + [0]
    (letter,) = letters(path)
    assert (letter.code, letter.body) == (POISONED, bodies[150])
    assert "Paid" not in letter.detail
    assert len(set(delivered.read_bytes().splitlines())) >= 1
    assert delivered.read_bytes().count(b"Paid") >= len(bodies) - 1
    assert b"deadly" not in delivered.read_bytes()


def test_messages_that_kill_a_process_only_together_go_out_one_by_one(tmp_path: Path) -> None:
    """One process dies of them; the next delivers every message, and none is given up."""
    path, delivered = tmp_path / "log.db", tmp_path / "delivered"
    bodies = [track(n, "deadly" if n in {20, 150} else "Paid") for n in range(300)]
    asyncio.run(filled(path, bodies))
    program = [sys.executable, "-c", PROCESS, at(path), "together", str(delivered)]
    ends = [subprocess.run(program, check=False, timeout=PATIENCE).returncode for _ in range(2)]
    assert ends == [-signal.SIGKILL, 0]
    assert letters(path) == []
    assert delivered.read_bytes().count(b"deadly") == 2


def letters(path: Path) -> list[Any]:
    with contextlib.closing(connect(path)) as database:
        return list(find_letters(database, DeadLetterFilter()))


def test_what_ended_well_leaves_nothing(tmp_path: Path) -> None:
    """Neither does a process that is killed while it waits: only what was at hand counts."""

    async def use() -> list[dict[int, int]]:
        log = SqliteEventLog(tmp_path / "log.db", ["c", "d"])
        found = []
        for connection, offsets, ends in (
            ("c", [1], True),
            ("c", [1, 2], False),
            ("d", [2], False),
            ("c", [2], False),
            ("c", [2], False),
        ):
            attempts = log.attempts()
            attempts.begin(connection, offsets)
            if ends:
                attempts.end()
            attempts.close()
            after = log.attempts()
            found.append(await after.open("c"))
            after.end()
            after.close()
        log.close()
        return found

    assert asyncio.run(use()) == [
        {},
        {1: 1, 2: 1},  # one of several: each is tried alone from here on
        {1: 1, 2: 1},  # another connection's
        {1: 1, 2: 2},
        {1: 1, 2: 3},
    ]


def test_one_connection_at_work_does_not_hide_what_another_died_of(tmp_path: Path) -> None:
    """What is in the file is read before anything is written to it."""

    async def use() -> list[dict[int, int]]:
        log = SqliteEventLog(tmp_path / "log.db", ["c", "d"])
        attempts = log.attempts()
        attempts.begin("d", [7])
        attempts.close()
        attempts = log.attempts()
        found = [await attempts.open("c")]
        attempts.begin("c", [1])
        attempts.end()
        found.append(await attempts.open("d"))
        attempts.close()
        log.close()
        return found

    assert asyncio.run(use()) == [{}, {7: 1}]


def test_what_processes_died_of_that_shared_the_work_is_known_to_those_that_come(
    tmp_path: Path,
) -> None:
    """They may share it otherwise; what a file of a share says is counted once."""

    async def use() -> list[dict[int, int]]:
        log = SqliteEventLog(tmp_path / "log.db", ["c", "d"])
        for share, connection, offset in ((1, "c", 5), (3, "d", 7)):
            died = log.attempts(share)
            died.begin(connection, [offset])
            died.close()
        strange = tmp_path / "log.db.attempts.old"
        strange.write_bytes(b"of somebody else")
        await log.note_attempts_left(["c", "d"])
        await log.note_attempts_left(["c", "d"])
        assert strange.exists()
        attempts = log.attempts(2)
        found = [await attempts.open("c"), await attempts.open("d")]
        attempts.close()
        log.close()
        return found

    assert asyncio.run(use()) == [{5: 1}, {7: 1}]


def test_what_is_committed_is_forgotten(tmp_path: Path) -> None:
    """A message that ended is nobody's suspect."""

    async def use() -> dict[int, int]:
        log = SqliteEventLog(tmp_path / "log.db", ["c"])
        await log.append([track(1), track(2)])
        attempts = log.attempts()
        attempts.begin("c", [1, 2])
        attempts.close()
        attempts = log.attempts()
        assert await attempts.open("c") == {1: 1, 2: 1}
        await log.read("c", -1, 10)
        await log.commit("c", [1, 2])
        found = await attempts.open("c")
        attempts.close()
        log.close()
        return found

    assert asyncio.run(use()) == {}


def test_a_file_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    """It is the disk's fault, and no message's."""
    (tmp_path / "log.db.attempts").mkdir()

    async def use() -> dict[int, int]:
        log = SqliteEventLog(tmp_path / "log.db", ["c"])
        attempts = log.attempts()
        attempts.begin("c", [1])
        found = await attempts.open("c")
        attempts.end()
        attempts.close()
        log.close()
        return found

    assert asyncio.run(use()) == {}


class Book:
    """An attempt book whose log cannot be written at first."""

    def __init__(self, tries: dict[int, int]) -> None:
        self.tries = tries
        self.refusals = 5
        self.begun: list[tuple[int, ...]] = []

    async def open(self, connection: str) -> dict[int, int]:
        assert connection
        if self.refusals:
            self.refusals -= 1
            raise LogUnavailableError("the disk is full")
        return self.tries

    def begin(self, connection: str, offsets: Sequence[int], *, again: bool = False) -> None:
        assert connection
        assert not again
        self.begun.append(tuple(offsets))

    def end(self) -> None:
        pass


def test_failures_of_the_log_never_count(open_line: Any, in_virtual_time: Any) -> None:
    """They are waited out; what was tried often enough is given up, its neighbours are sent."""
    book = Book({0: 1, 1: TRIES})

    async def scenario() -> tuple[list[str], list[str]]:
        log = MemoryEventLog(["heap"])
        line = open_line(log, attempts=book)
        await log.append([track(n) for n in range(3)])
        await log.wait_until_done()
        await line.stop()
        return line.keys(), [letter.code for letter in line.letters.kept]

    keys, codes = in_virtual_time(scenario)
    assert sorted(keys) == ["m-0", "m-2"]
    assert codes == [POISONED]
    assert (0,) in book.begun
    assert (1,) not in book.begun


def test_a_message_that_no_window_can_be_planned_with_is_poisoned(
    open_line: Any, in_virtual_time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found by halves, tried three times alone, and filed with the place and no words."""

    async def scenario() -> tuple[list[str], list[Any]]:
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        planner = line.worker._dispatch._planner
        plan = planner.plan

        def failing(items: Any, now: float) -> Any:
            if any(item.message_id == "m-7" for item in items):
                raise MemoryError("ada@example.com")
            return plan(items, now)

        monkeypatch.setattr(planner, "plan", failing)
        await log.append([track(n) for n in range(20)])
        await log.wait_until_done()
        await line.stop()
        return line.keys(), line.letters.kept

    keys, kept = in_virtual_time(scenario)
    assert sorted(keys) == sorted(f"m-{n}" for n in range(20) if n != 7)
    (letter,) = kept
    assert (letter.code, letter.message_id) == (POISONED, "m-7")
    assert letter.detail.startswith("MemoryError at ")
    assert "ada" not in letter.detail


def test_a_message_that_breaks_the_worker_itself_is_poisoned(
    open_line: Any, in_virtual_time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where deciding fails beside the connection's own care, three tries are enough."""

    async def scenario() -> tuple[list[str], list[Any]]:
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        decide = line.connection.decide

        def failing(body: bytes, **source: Any) -> Any:
            if b"m-1" in body:
                raise RecursionError("ada@example.com")
            return decide(body, **source)

        def failing_together(bodies: list[bytes], _: Any) -> Any:
            return [failing(body) for body in bodies]

        monkeypatch.setattr(line.connection, "decide", failing)
        monkeypatch.setattr(line.connection, "decide_all", failing_together)
        await log.append([track(n) for n in range(3)])
        await log.wait_until_done()
        await line.stop()
        return line.keys(), line.letters.kept

    keys, kept = in_virtual_time(scenario)
    assert sorted(keys) == ["m-0", "m-2"]
    (letter,) = kept
    assert letter.code == POISONED
    assert letter.detail.startswith("RecursionError at ")
