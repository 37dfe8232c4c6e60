"""A log that stays open for who looks at it again and again, and commands that change one.

Modules: `following.py`, `eventlog/kafka/alone.py`.
"""

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest
from kafka_log import new_log

from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.dead_letter import DeadLetter, DeadLetterFilter
from destination_router.eventlog.following import FollowedLog
from destination_router.eventlog.opening import open_admin, open_log
from destination_router.eventlog.sqlite.dead_letter_store import find_letters


@pytest.fixture(params=["sqlite", "kafka"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> EventLogConfig:
    if request.param == "kafka":
        return new_log()
    return EventLogConfig(url=f"sqlite:///{tmp_path}/router.db")


def letter(name: str) -> DeadLetter:
    return DeadLetter(
        connection="a", message_id=name, offset=1, body=b"{}", code="c", detail="", at=1.0
    )


def put(config: EventLogConfig, *names: str) -> None:
    async def steps() -> None:
        with contextlib.closing(open_log(config, ["a"], {}, request_seconds=1.0)) as log:
            await log.put([letter(name) for name in names])

    asyncio.run(steps())


def seen(followed: FollowedLog) -> set[str]:
    with followed.opened() as log, log.reading():
        return {each.message_id for each in find_letters(log.books, DeadLetterFilter())}


def test_each_look_sees_what_others_have_changed(config: EventLogConfig) -> None:
    """Also from several threads at once, and nothing stays open behind it."""
    put(config, "m1")
    with contextlib.closing(FollowedLog(config)) as followed:
        assert seen(followed) == {"m1"}
        put(config, "m2")
        found: list[set[str]] = []
        looking = [threading.Thread(target=lambda: found.append(seen(followed))) for _ in range(4)]
        for each in looking:
            each.start()
        for each in looking:
            each.join()
        assert found == [{"m1", "m2"}] * 4


def test_commands_change_a_log_one_after_the_other(config: EventLogConfig) -> None:
    """Two that replay all letters at once replay each of them once."""
    put(config, "m1", "m2", "m3")
    waiting = threading.Barrier(2)
    counts: list[int] = []

    def replay() -> None:
        with open_admin(config) as log:
            waiting.wait()
            with log.writing():
                meant = list(find_letters(log.books, DeadLetterFilter(replayed=False)))
                log.replay_letters(meant, 5.0)
                counts.append(len(meant))

    both = [threading.Thread(target=replay) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(counts) == [0, 3]
    with open_admin(config) as log:
        assert [offset for offset, _ in log.waiting("a")] == sorted(
            offset for offset, _ in log.waiting("a")
        )
        assert len(list(log.waiting("a"))) == 3
