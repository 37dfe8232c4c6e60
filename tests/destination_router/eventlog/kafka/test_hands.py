"""A message of which each process dies that delivers it, on Kafka.

Modules: `hands.py`.
"""

import asyncio
import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
from deadly_process import PROCESS
from kafka_log import new_log

from destination_router.delivery.attempts import POISONED, TRIES
from destination_router.eventlog.dead_letter import DeadLetterFilter
from destination_router.eventlog.opening import open_admin, open_log
from destination_router.eventlog.sqlite.dead_letter_store import find_letters


def track(number: int, event: str) -> bytes:
    content = {"type": "track", "messageId": f"m-{number}", "userId": f"u-{number}", "event": event}
    return msgspec.json.encode(content)


def test_a_message_that_kills_processes_is_poisoned(tmp_path: Path) -> None:
    """After three, or four, for nothing was noted when the first one died; the others go out."""
    config, delivered = new_log(), tmp_path / "delivered"
    bodies = [track(n, "deadly" if n == 150 else "Paid") for n in range(300)]

    async def fill() -> None:
        with contextlib.closing(open_log(config, ["c"], {}, request_seconds=1.0)) as log:
            await log.append(bodies)

    asyncio.run(fill())
    told = msgspec.json.encode(config).decode()
    program = [sys.executable, "-c", PROCESS, told, "decide", str(delivered)]
    ends: list[int] = []
    while not ends or (ends[-1] and len(ends) < 10):
        ends.append(subprocess.run(program, check=False, timeout=90).returncode)
    assert ends in ([-signal.SIGKILL] * count + [0] for count in (TRIES, TRIES + 1))
    with open_admin(config) as log:
        (letter,) = find_letters(log.books, DeadLetterFilter())
    assert (letter.code, letter.body) == (POISONED, bodies[150])
    assert delivered.read_bytes().count(b"Paid") >= len(bodies) - 1
    assert b"deadly" not in delivered.read_bytes()
