"""A message of which each process dies that delivers it, on Kafka.

Modules: `hands.py`.
"""

import asyncio
import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deadly_process import PROCESS
from kafka_log import new_log
from waiting import PATIENCE

from destination_router.delivery.attempts import POISONED, TRIES
from destination_router.eventlog.dead_letter import DeadLetterFilter
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.hands import KafkaAttempts
from destination_router.eventlog.kafka.marks import Mark
from destination_router.eventlog.opening import open_admin, open_log
from destination_router.eventlog.sqlite.dead_letter_store import find_letters


def track(number: int, event: str) -> bytes:
    content = {"type": "track", "messageId": f"m-{number}", "userId": f"u-{number}", "event": event}
    return msgspec.json.encode(content)


PATIENT = f"""
from destination_router.eventlog.kafka import hands
hands._NOTED_WITHIN = {PATIENCE}  # on a busy machine, a note may take longer than a second
"""


def test_a_message_that_kills_processes_is_poisoned(tmp_path: Path) -> None:
    """After three, or four, for nothing was noted when the first one died; the others go out."""
    config, delivered = new_log(), tmp_path / "delivered"
    bodies = [track(n, "deadly" if n == 150 else "Paid") for n in range(300)]

    async def fill() -> None:
        with contextlib.closing(open_log(config, ["c"], {}, request_seconds=1.0)) as log:
            await log.append(bodies)

    asyncio.run(fill())
    told = msgspec.json.encode(config).decode()
    program = [sys.executable, "-c", PATIENT + PROCESS, told, "decide", str(delivered)]
    ends: list[int] = []
    while not ends or (ends[-1] and len(ends) < 10):
        ends.append(subprocess.run(program, check=False, timeout=PATIENCE).returncode)
    assert ends in ([-signal.SIGKILL] * count + [0] for count in (TRIES, TRIES + 1))
    with open_admin(config) as log:
        (letter,) = find_letters(log.books, DeadLetterFilter())
    assert (letter.code, letter.body) == (POISONED, bodies[150])
    assert delivered.read_bytes().count(b"Paid") >= len(bodies) - 1
    assert b"deadly" not in delivered.read_bytes()


class Parts:
    """Books, a reader and groups, after a process died; counts what waits for brokers."""

    def __init__(self) -> None:
        self.waits = 0
        self.fails: type[Exception] | None = None

    async def transact(self, _: object) -> tuple[bool, dict[int, int]]:
        return True, {}

    def transact_and_wait(self, _: object, seconds: float) -> None:
        assert seconds <= 1.0
        self.waits += 1
        if self.fails is not None:
            raise self.fails

    def transact_soon(self, _: object) -> None:
        pass

    async def until_assigned(self) -> list[int]:
        return [0]

    def marks(self) -> dict[int, Mark]:
        return {0: Mark(5, (9,))}

    def ends(self, _: object) -> dict[int, int]:
        return {0: 1_000_000}


def test_care_ends_soon() -> None:
    """A million events may wait: brokers are waited for only while the dead one's may be at hand.

    What is decided here once more, when its turn comes, is not noted again.
    """
    parts: Any = Parts()
    attempts = KafkaAttempts(parts, lambda _: parts, parts)
    assert asyncio.run(attempts.open("c")) == {}
    for offsets, again, waits in (
        ([5, 6], False, 1),
        ([5], True, 1),
        ([10_009], False, 2),
        ([10_010], False, 2),
        ([5], False, 2),
    ):
        attempts.begin("c", offsets, again=again)
        attempts.end()
        assert parts.waits == waits


@pytest.mark.parametrize("failure", [TimeoutError, LogUnavailableError])
def test_brokers_that_keep_no_note_are_not_waited_for_again(failure: type[Exception]) -> None:
    """The event loop waits for a note, and all requests with it: once, and a second at most."""
    parts: Any = Parts()
    parts.fails = failure
    attempts = KafkaAttempts(parts, lambda _: parts, parts)
    asyncio.run(attempts.open("c"))
    for _ in range(3):
        attempts.begin("c", [5])
        attempts.end()
    assert parts.waits == 1
