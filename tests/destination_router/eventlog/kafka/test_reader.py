"""What strangers write into the topic of events stops no connection, and loses no event.

Modules: `reading.py`, `reader.py`.
"""

import asyncio
import contextlib
import json
import logging
import threading
from collections import deque
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from kafka_log import new_log
from waiting import PATIENCE

from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.interface import Event, LogUnavailableError
from destination_router.eventlog.kafka.address import address_of
from destination_router.eventlog.kafka.failures import failures_told
from destination_router.eventlog.kafka.groups import Groups
from destination_router.eventlog.kafka.marks import Mark
from destination_router.eventlog.kafka.reader import Reader, _Partition
from destination_router.eventlog.kafka.reading import Stretch
from destination_router.eventlog.opening import open_admin, open_log
from destination_router.eventlog.router_log import RouterLog


def body(number: int) -> bytes:
    message = {"type": "track", "event": "E", "userId": "u", "messageId": f"m{number}"}
    return json.dumps(message).encode()


def numbers(events: list[Event]) -> list[str]:
    return [json.loads(event.body)["messageId"] for event in events]


async def read_all(log: RouterLog, count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += await log.read("a", found[-1].offset if found else -1, count - len(found))
    return found


def run(config: EventLogConfig, steps: Any) -> Any:
    async def bounded() -> Any:
        with contextlib.closing(open_log(config, ["a"], {}, request_seconds=1.0)) as log:
            return await asyncio.wait_for(steps(log), PATIENCE)

    return asyncio.run(bounded())


@pytest.mark.parametrize(
    "record",
    [
        {"value": None},
        {"value": body(7), "headers": [("target", b"\xff")]},
        {"value": body(7), "headers": [("replay", b"all")]},
    ],
    ids=["no value", "a header that is no text", "a replay of a newer version"],
)
def test_a_record_that_is_no_event_is_left_out(
    record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its neighbours are delivered, in order, and a line names its place."""
    config = new_log()
    address = address_of(config)

    async def steps(log: RouterLog) -> list[Event]:
        await log.append([body(0)])
        stranger = Producer(address.client)
        stranger.produce(address.events, key=b"k", **record)
        assert stranger.flush(PATIENCE) == 0
        await log.append([body(1)])
        events = await read_all(log, 2)
        await log.commit("a", [event.offset for event in events])
        assert (await log.lags())["a"].messages == 0
        return events

    with caplog.at_level(logging.WARNING):
        assert numbers(run(config, steps)) == ["m0", "m1"]
    (line,) = [each.__dict__ for each in caplog.records if each.message == "record_skipped"]
    assert (line["topic"], line["partition"], line["offset"]) == (address.events, 0, 1)
    with open_admin(config) as log:
        assert [json.loads(each)["messageId"] for each in log.bodies()] == ["m0", "m1"]


def test_the_end_of_a_strangers_transaction_is_passed() -> None:
    """It takes an offset, and never comes; what is behind it does."""
    config = new_log()
    address = address_of(config)

    async def steps(log: RouterLog) -> list[str]:
        await log.append([body(0)])
        stranger = Producer({**address.client, "transactional.id": address.prefix})
        await asyncio.to_thread(stranger.init_transactions, PATIENCE)
        for number, end in (
            (1, stranger.commit_transaction),
            (2, stranger.abort_transaction),
        ):
            stranger.begin_transaction()
            stranger.produce(address.events, key=b"k", value=body(number))
            await asyncio.to_thread(end, PATIENCE)
        await log.append([body(3)])
        events = await read_all(log, 3)
        await log.commit("a", [event.offset for event in events])
        more = asyncio.ensure_future(log.read("a", events[-1].offset, 1))
        while (await log.lags())["a"].messages:  # noqa: ASYNC110 -- a thread counts them
            await asyncio.sleep(0.01)
        more.cancel()
        return numbers(events)

    assert run(config, steps) == ["m0", "m1", "m3"]


def test_what_is_closed_is_not_read() -> None:
    """A question that comes late is answered so, and ends nothing else."""
    stretch = Stretch(address_of(new_log()))
    stretch.close()
    with pytest.raises(LogUnavailableError, match="this process ends"):
        stretch.first(0, 0)


def test_what_is_deleted_while_a_command_reads_is_passed() -> None:
    """It was delivered everywhere; what follows is read, and an end that is gone ends it."""
    config = new_log()

    async def steps(log: RouterLog) -> None:
        await log.append([body(number) for number in range(10)])

    run(config, steps)
    address = address_of(config)
    Groups(address).delete_before({0: 5})
    with contextlib.closing(Stretch(address)) as stretch:
        found = [message.offset() for message in stretch.messages({0: 0}, {0: 10})]
        assert found == [5, 6, 7, 8, 9]
        assert not list(stretch.messages({0: 0}, {0: 5}))


def test_a_reload_renews_the_lease() -> None:
    """Requests that may take longer get a shorter one; those that would outlast it are refused."""

    async def steps(log: RouterLog) -> None:
        reader: Any = log.ownership("a")
        before = reader.lease_seconds
        await log.admit(["a", "b"], start="end", kept={}, request_seconds=2.0)
        assert reader.lease_seconds == before - 1.0
        assert log.ownership("b").lease_seconds == before - 1.0  # type: ignore[attr-defined]
        with pytest.raises(LogUnavailableError, match="Set timeout to at most"):
            await log.admit(["a", "c"], start="end", kept={}, request_seconds=30.0)
        assert reader.lease_seconds == before - 1.0
        assert set(await log.lags()) == {"a", "b"}
        # Of before, requests may be under way for as long as they might: only one that is read
        # anew may send for longer.
        await log.admit(["a"], start="end", kept={}, request_seconds=1.0)
        assert reader.lease_seconds == before - 1.0
        reader.leave()
        assert log.ownership("a").lease_seconds == before  # type: ignore[attr-defined]

    run(new_log(), steps)


class SlowBrokers:
    """A consumer whose brokers answer when told to, and that notes where it goes on."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.sought: list[int] = []
        self.fails = False

    def get_watermark_offsets(self, *_: object) -> tuple[int, int]:
        self.asked.set()
        assert self.may_answer.wait(PATIENCE)
        return 0, 9

    def consume(self, *_: object) -> list[Any]:
        return []

    def seek(self, place: Any) -> None:
        if self.fails:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.sought.append(place.offset)


def reader_at(offset: int, consumer: SlowBrokers) -> Reader:
    reader = Reader.__new__(Reader)
    reader._address = address_of(EventLogConfig(url="kafka://nobody:1/p"))
    reader._name = "a"
    reader._lock = threading.RLock()
    reader._partitions = {0: _Partition(Mark(offset))}
    reader._ahead, reader._ahead_bytes = deque(), 0
    reader._rewinds_done = reader._rewinds_wanted = 0
    reader._is_behind, reader._crowded = False, frozenset()
    reader._full_since, reader.is_paused = None, False
    reader._tried_at, reader._waiters = float("inf"), []
    reader._accepted_at, reader.lease_seconds = float("inf"), 1.0
    reader._leaving = False
    reader._consumer = consumer  # type: ignore[assignment]
    reader._wake = lambda: None  # type: ignore[method-assign]
    return reader


class Consumed:
    """A record at an offset."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset

    def __getattr__(self, name: str) -> Any:
        known = {"value": body(self._offset), "timestamp": (1, 1000), "headers": []}
        return lambda: known.get(name)


def consumed(*offsets: int) -> Any:
    return [Consumed(offset) for offset in offsets]


def places(reader: Reader) -> list[int]:
    return [event.offset for event in reader._take(100)]


@pytest.mark.parametrize("meanwhile", ["nothing", "a rewind"])
def test_brokers_that_do_not_answer_hold_nobody_else_up(meanwhile: str) -> None:
    """While they are asked about a gap, the event loop goes on; what it changes stays changed."""
    brokers = SlowBrokers()
    reader = reader_at(0, brokers)
    keeping = threading.Thread(target=reader._keep, args=[consumed(0, 3)])
    keeping.start()
    assert brokers.asked.wait(PATIENCE)
    assert reader.may_send()
    assert reader.marks() == {0: Mark(0)}
    if meanwhile == "a rewind":
        reader._rewind()
    brokers.may_answer.set()
    keeping.join()
    assert places(reader) == ([0] if meanwhile == "nothing" else [])
    assert brokers.sought == [1]


def test_a_gap_is_passed_only_after_it_was_read_again() -> None:
    """Where going back failed, or where something else comes then, it is gone back to once more."""
    brokers = SlowBrokers()
    brokers.may_answer.set()
    reader = reader_at(0, brokers)
    brokers.fails = True
    with pytest.raises(KafkaException):
        reader._keep(consumed(0, 3))
    brokers.fails = False
    reader._keep(consumed(4))
    reader._keep(consumed(5))
    assert brokers.sought == [1, 1]
    assert places(reader) == [0]
    reader._keep(consumed(3, 4))  # where it was gone back to, and where nothing was
    reader._keep(consumed(3, 4))
    assert brokers.sought == [1, 1, 1]
    assert places(reader) == [3, 4]


def test_what_was_consumed_in_vain_is_read_again_though_nothing_more_comes() -> None:
    """Brokers that fail over a gap would else keep what is behind it until the next event."""
    brokers = SlowBrokers()
    brokers.may_answer.set()
    reader = reader_at(0, brokers)
    woken: list[bool] = []
    reader._wake = lambda: woken.append(True)  # type: ignore[method-assign]
    brokers.fails = True
    with pytest.raises(KafkaException):
        reader._keep(consumed(0, 3))
    assert woken
    assert places(reader) == [0]
    reader._read_ahead(brokers)  # type: ignore[arg-type]
    brokers.fails = False
    for _ in range(2):
        reader._read_ahead(brokers)  # type: ignore[arg-type]
    assert brokers.sought == [1]


@pytest.mark.parametrize("raised", [KafkaException(KafkaError(3)), KafkaError(3), ValueError("no")])
def test_the_thread_that_reads_goes_on_whatever_its_client_raises(
    raised: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its record of an error, too: that can be raised, and is no `BaseException`."""
    over = threading.Event()

    class Broken(SlowBrokers):
        def consume(self, *_: object) -> list[Any]:
            if self.asked.is_set():
                over.set()
                return []
            self.asked.set()
            raise raised

        def close(self) -> None:
            raise raised

    reader = reader_at(0, Broken())
    reader._over, reader._broken = over, False
    reader._renew_consumer = lambda: setattr(reader, "_broken", False)  # type: ignore[method-assign]
    reader._run()
    told = [each.__dict__["detail"] for each in caplog.records if each.msg == "read_postponed"]
    assert len(told) == 1
    assert told[0].startswith(
        "ValueError at" if raised.__class__ is ValueError else "UNKNOWN_TOPIC"
    )


def test_what_a_client_raises_is_told_in_words() -> None:
    """As that the log is unavailable, whichever of the two it raises."""
    for raised in (KafkaException(KafkaError(3)), KafkaError(3)):
        with pytest.raises(LogUnavailableError, match="No: UNKNOWN_TOPIC"), failures_told("No"):
            raise raised  # type: ignore[misc]
