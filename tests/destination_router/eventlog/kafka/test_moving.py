"""`eventlog move`: what waits in a file is on Kafka afterwards, once and in order.

Modules: `eventlog/moving.py`.
"""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from command_line import run_command
from kafka_log import new_log
from waiting import PATIENCE

from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.dead_letter import DeadLetter, DeadLetterFilter
from destination_router.eventlog.interface import Event, LogFileError, LogUnavailableError, Order
from destination_router.eventlog.kafka.producing import Producing
from destination_router.eventlog.moving import Moved, move
from destination_router.eventlog.opening import claimed, open_admin, open_log
from destination_router.eventlog.router_log import RouterLog
from destination_router.eventlog.sqlite.dead_letter_store import find_letters
from destination_router.eventlog.sqlite.standing_book import all_orders, give_order


def body(number: int) -> bytes:
    message = {"type": "track", "event": "E", "userId": "u", "messageId": f"m{number}"}
    return json.dumps(message).encode()


def letter(number: int) -> DeadLetter:
    return DeadLetter(
        connection="a", message_id=f"m{number}", offset=number, body=body(number), code="c",
        detail="", at=1.0, attempts=2,
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> EventLogConfig:
    """A log of which `a` has delivered much, and `b` other events."""
    config = EventLogConfig(url=f"sqlite:///{tmp_path}/router.db")

    async def fill() -> None:
        with contextlib.closing(open_log(config, ["a", "b"], {})) as log:
            await log.append([body(number) for number in range(1200)], "web")
            events = await read_all(log, "a", 1200)
            await log.commit("a", [e.offset for e in events[:1000]] + [events[1100].offset])
            events = await read_all(log, "b", 1200)
            await log.commit("b", [e.offset for e in events[:500]])
            await log.put([letter(1), letter(2)])

    asyncio.run(fill())
    with open_admin(config) as log, log.writing():
        give_order(log.books, "b", Order(paused=True, at=9.0))
    return config


async def read_all(log: RouterLog, name: str, count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += await log.read(name, found[-1].offset if found else -1, count - len(found))
    return found


def on_kafka(config: EventLogConfig) -> dict[str, list[str]]:
    """What each connection reads there."""

    async def read() -> dict[str, list[str]]:
        with contextlib.closing(open_log(config, ["a", "b"], {}, request_seconds=1.0)) as log:
            await log.append([body(9999)])
            found = {}
            for name, count in (("a", 200), ("b", 701)):
                events = await asyncio.wait_for(read_all(log, name, count), PATIENCE)
                found[name] = [json.loads(event.body)["messageId"] for event in events]
                assert events[0].source == "web"
            return found

    return asyncio.run(read())


WAITING = {
    "a": [f"m{number}" for number in range(1000, 1200) if number != 1100] + ["m9999"],
    "b": [f"m{number}" for number in range(500, 1200)] + ["m9999"],
}


def ignore(_: int) -> None:
    pass


def test_each_connection_gets_what_it_has_not_delivered(file: EventLogConfig) -> None:
    """In order, with who sent it; and dead letters and pauses stand."""
    kafka = new_log()
    assert move(file, kafka, ignore) == Moved(events=700, before=0, letters=2)
    with open_admin(kafka) as log, log.reading():
        found = list(find_letters(log.books, DeadLetterFilter()))
        assert [(each.message_id, each.attempts) for each in found] == [("m1", 2), ("m2", 2)]
        assert all_orders(log.books) == {"b": Order(paused=True, at=9.0)}
    assert on_kafka(kafka) == WAITING
    with open_admin(file) as log:
        assert {name: lag.messages for name, lag in log.lags(0.0).items()} == {"a": 0, "b": 0}


def test_one_that_broke_off_goes_on_where_it_was(
    file: EventLogConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What brokers have, though nobody heard of it, is not moved again."""
    kafka = new_log()
    send, sent = Producing.send_and_wait, [0]

    def breaks_off(self: Producing, records: Any) -> list[int]:
        offsets = send(self, records)
        sent[0] += 1
        if sent[0] == 2:
            raise LogUnavailableError("the answer was lost")
        return offsets

    with monkeypatch.context() as patched:
        patched.setattr(Producing, "send_and_wait", breaks_off)
        with pytest.raises(LogFileError, match="run it again"):
            move(file, kafka, ignore)
    moved = move(file, kafka, ignore)
    assert moved.before + moved.events == 700
    assert moved.before > 0
    assert move(file, kafka, ignore).events == 0
    assert on_kafka(kafka) == WAITING


def test_what_brokers_did_not_take_of_a_chunk_is_moved_though_later_events_are_there(
    file: EventLogConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One partition may be without a leader while the others go on."""
    kafka = new_log()
    send, sent = Producing.send_and_wait, [0]

    def takes_half(self: Producing, records: Any) -> list[int]:
        sent[0] += 1
        if sent[0] < 2:
            return send(self, records)
        send(self, records[1::2])
        raise LogUnavailableError("a partition has no leader")

    with monkeypatch.context() as patched:
        patched.setattr(Producing, "send_and_wait", takes_half)
        with pytest.raises(LogFileError, match="run it again"):
            move(file, kafka, ignore)
    moved = move(file, kafka, ignore)
    assert moved.before + moved.events == 700
    found = on_kafka(kafka)
    assert {name: sorted(ids) for name, ids in found.items()} == {
        name: sorted(ids) for name, ids in WAITING.items()
    }


def test_a_router_at_work_keeps_it_from_moving(file: EventLogConfig) -> None:
    """It would deliver what is moved."""
    with claimed(file), pytest.raises(LogFileError, match="another process delivers"):
        move(file, new_log(), ignore)


def test_the_command_moves(file: EventLogConfig, tmp_path: Path) -> None:
    """And says what it did; other urls are refused."""
    kafka = new_log()
    command = ["eventlog", "move", "--from", file.url, "--to"]
    done = run_command(*command, kafka.url, cwd=tmp_path)
    assert (done.returncode, "700 events and 2 dead letters moved" in done.stderr) == (0, True)
    done = run_command(*command, "sqlite:///x.db", cwd=tmp_path)
    assert (done.returncode, "--from sqlite:///FILE" in done.stderr) == (2, True)
    nowhere = msgspec.structs.replace(kafka, url=f"{kafka.url}-else")
    done = run_command(*command, nowhere.url, cwd=tmp_path)
    assert (done.returncode, "eventlog create" in done.stderr) == (2, True)
