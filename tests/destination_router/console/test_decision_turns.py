"""A connection whose program hangs: it is waited for so long, by one thread."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest
from small_program import speaks
from waiting import until

from destination_router.config.router_toml import ConnectionConfig
from destination_router.console import decision_turns
from destination_router.console.decision_turns import DecisionTurns
from destination_router.pipeline.connection import Connection
from destination_router.service.connections import connect


@pytest.fixture
def program(tmp_path: Path) -> Connection:
    about = {"name": "small", "plugin": "small", "program": {"command": speaks(tmp_path)}}
    return connect(msgspec.convert(about, ConnectionConfig))


def waiting() -> int:
    """How many threads ask a connection."""
    return sum(thread.name == "console-decision" for thread in threading.enumerate())


def test_pages_wait_so_long_and_one_thread_asks(
    program: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a page is loaded; once the program answers, so do pages."""
    monkeypatch.setattr(decision_turns, "PATIENCE", 0.05)
    hangs = threading.Event()

    async def main() -> None:
        asked = DecisionTurns()
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asked.ask(program, hangs.wait)
            assert waiting() == 1
        hangs.set()
        monkeypatch.setattr(decision_turns, "PATIENCE", 30.0)
        found = await asyncio.gather(*(asked.ask(program, threading.active_count) for _ in "abc"))
        assert len(found) == 3

    asyncio.run(main())
    until(lambda: waiting() == 0)


def test_what_goes_wrong_is_told_and_the_next_one_is_asked(program: Connection) -> None:
    """Also where nobody waited for it any more."""

    async def main() -> None:
        asked = DecisionTurns()
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await asked.ask(program, lambda: 1 // 0)
        assert await asked.ask(program, lambda: 7) == 7

    asyncio.run(main())
