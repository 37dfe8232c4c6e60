"""Who delivers a connection: one process at a time, and nothing is lost when it changes.

Modules: `log.py`, `reader.py`, `groups.py`, `producing.py`, `failures.py`, `address.py`, `room.py`,
`reading.py`, `hands.py`.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka_log import new_log
from waiting import PATIENCE, until

from destination_router.config.router_toml import EventLogConfig, load_config
from destination_router.contract.records import Json
from destination_router.eventlog.interface import Event, LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import address_of
from destination_router.eventlog.kafka.groups import Groups
from destination_router.eventlog.kafka.log import KafkaEventLog
from destination_router.eventlog.kafka.marks import Mark
from destination_router.eventlog.kafka.reader import Reader, _Partition, _Read
from destination_router.eventlog.opening import open_admin, open_log
from destination_router.eventlog.router_log import RouterLog
from destination_router.settings.errors import SettingsError


@contextlib.contextmanager
def opened(config: EventLogConfig, *names: str, **options: Any) -> Iterator[RouterLog]:
    log = open_log(config, names, {}, **{"request_seconds": 1.0, **options})
    with contextlib.closing(log):
        yield log


def run(steps: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(steps(), PATIENCE)

    return asyncio.run(bounded())


def body(number: int, user: str = "u") -> bytes:
    message = {"type": "track", "event": "E", "userId": user, "messageId": f"m{number}"}
    return json.dumps(message).encode()


def numbers(events: list[Event]) -> list[str]:
    return [json.loads(event.body)["messageId"] for event in events]


async def read_all(log: RouterLog, count: int, after: int = -1) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += await log.read("a", after, count - len(found))
        after = found[-1].offset
    return found


def test_one_process_delivers_and_another_goes_on_where_it_ended() -> None:
    """Who stands by reads nothing, until the other one leaves; holes are known to it."""
    config = new_log()

    async def steps() -> list[str]:
        with opened(config, "a") as second, contextlib.ExitStack() as stack:
            first = stack.enter_context(opened(config, "a"))
            await first.append([body(number) for number in range(5)])
            events = await read_all(first, 5)
            await first.commit("a", [events[0].offset, events[3].offset])
            waiting = asyncio.ensure_future(read_all(second, 3))
            done, _ = await asyncio.wait({waiting}, timeout=1)
            assert not done
            assert not second.ownership("a").may_send()
            stack.close()
            return numbers(await waiting)

    assert run(steps) == ["m1", "m2", "m4"]


def test_who_shall_give_partitions_up_ends_what_is_under_way_first() -> None:
    """The next owner begins behind what was committed at the last moment."""
    config = new_log(partitions=2)

    async def steps() -> tuple[set[str], set[str]]:
        with opened(config, "a") as first:
            await first.append([body(number, f"u{number}") for number in range(40)])
            events = await read_all(first, 40)
            lost = asyncio.ensure_future(first.ownership("a").until_lost())
            with opened(config, "a") as second:
                reading = asyncio.ensure_future(second.read("a", -1, 100))
                assert await lost > 0
                # Under way until now: committed by the last moment.
                await first.commit("a", [event.offset for event in events])
                first.ownership("a").let_go()
                await first.append([body(number, f"u{number}") for number in range(40, 80)])
                again = list(await reading)
                found = [*await first.read("a", -1, 100)]
                while len(again) + len(found) < 40:
                    more = asyncio.ensure_future(first.read("a", found[-1].offset, 100))
                    others = asyncio.ensure_future(second.read("a", again[-1].offset, 100))
                    await asyncio.wait({more, others}, return_when=asyncio.FIRST_COMPLETED)
                    for task, known in ((more, found), (others, again)):
                        if task.done():
                            known.extend(task.result())
                        else:
                            task.cancel()
                return set(numbers(found)), set(numbers(again))

    of_first, of_second = run(steps)
    assert of_first
    assert of_second
    assert of_first | of_second == {f"m{number}" for number in range(40, 80)}
    assert not of_first & of_second


STOPPED = """
import asyncio, sys
from destination_router.config.router_toml import EventLogConfig, KafkaConfig
from destination_router.eventlog.opening import open_log

async def main():
    config = EventLogConfig(url=sys.argv[1], kafka=KafkaConfig(replication=1))
    log = open_log(config, ["a"], {}, request_seconds=1.0)
    events = await log.read("a", -1, 10)
    while not log.ownership("a").may_send():
        await asyncio.sleep(0.01)
    print("sends", flush=True)
    sys.stdin.readline()
    print("sends" if log.ownership("a").may_send() else "does not", flush=True)
    print(await log.ownership("a").until_lost(), flush=True)
    await log.commit("a", [event.offset for event in events])
    print("ended", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


def test_a_process_that_stood_still_sends_nothing_and_commits_nothing() -> None:
    """Its lease has ended, and its commit would be a stranger's."""
    config = new_log()

    async def steps() -> None:
        with opened(config, "a", delivers=False) as log:
            await log.append([body(1), body(2)])
            command = [sys.executable, "-c", STOPPED, config.url]
            process = subprocess.Popen(  # noqa: ASYNC220 -- nothing else runs here
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                assert await asyncio.to_thread(process.stdout.readline) == "sends\n"
                os.kill(process.pid, signal.SIGSTOP)
                with opened(config, "a") as other:
                    events = await read_all(other, 2)
                    await other.commit("a", [events[0].offset])
                    os.kill(process.pid, signal.SIGCONT)
                    process.stdin.write("\n")
                    process.stdin.flush()
                    told = [await asyncio.to_thread(process.stdout.readline) for _ in range(3)]
                    assert told == ["does not\n", "0.0\n", "ended\n"]
                    assert Groups(address_of(config)).marks("a")[0] == Mark(1)
            finally:
                process.kill()
                process.communicate()

    run(steps)


def test_topics_that_are_missing_or_wrong_are_told() -> None:
    """The router makes none by itself."""
    config = new_log()
    nowhere = msgspec.structs.replace(config, url=f"{config.url}-else")
    with pytest.raises(LogFileError, match="eventlog create"), opened(nowhere, "a"):
        pass
    more = msgspec.structs.replace(config.kafka, partitions=3)
    other = msgspec.structs.replace(config, kafka=more)
    with pytest.raises(LogFileError, match="has 1 partitions, and shall have 3"), opened(other):
        pass


def test_a_request_that_may_outlast_its_lease_is_refused() -> None:
    """At the start, with what to set."""
    config = new_log()
    with pytest.raises(LogFileError, match=r"Set timeout to at most 3\.5 s"):
        open_log(config, ["a"], {}, request_seconds=30.0)


def test_brokers_that_do_not_answer_refuse_events() -> None:
    """The sender is told to try later; nothing is taken for accepted."""
    config = EventLogConfig(url="kafka://127.0.0.1:1/nobody")
    with pytest.raises((LogUnavailableError, LogFileError)):
        KafkaEventLog(address_of(config), ["a"])
    with pytest.raises(LogFileError), open_admin(config):
        pass


def test_events_that_are_gone_are_told() -> None:
    """Somebody else deleted what the connection had not delivered: it does not go on silently."""
    config = new_log()

    async def steps() -> None:
        with opened(config, "a") as log:
            await log.append([body(number) for number in range(4)])
        Groups(address_of(config)).delete_before({0: 3})
        with opened(config, "a") as log, pytest.raises(LogFileError, match="event 0 is gone"):
            await log.read("a", -1, 10)

    run(steps)


def test_a_group_that_brokers_forgot_goes_on_where_it_was() -> None:
    """They forget one that is off for a week; the router remembers."""
    config = new_log()

    async def steps() -> list[str]:
        with opened(config, "a") as log:
            await log.append([body(number) for number in range(3)])
            events = await read_all(log, 3)
            await log.commit("a", [events[0].offset])
            await log.clean()
        assert Groups(address_of(config)).forget("a")
        with opened(config, "a") as log:
            return numbers(await read_all(log, 2))

    assert run(steps) == ["m1", "m2"]


def test_each_partition_keeps_a_users_order() -> None:
    """With several partitions, each user's events are in one, and come in their order."""
    config = new_log(partitions=3)

    async def steps() -> list[Event]:
        with opened(config, "a") as log:
            for number in range(30):
                await log.append([body(number, f"u{number % 5}")])
            events = await read_all(log, 30)
            await log.commit("a", [event.offset for event in events[:10]])
            return events + await read_all(log, 20)

    events = run(steps)
    assert len({event.offset for event in events}) == 30
    for user in range(5):
        own = [each for each in numbers(events[:30]) if int(each[1:]) % 5 == user]
        assert own == sorted(own, key=lambda each: int(each[1:]))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('url = "kafka://host:9092"', r"\[eventlog\] url"),
        ('url = "kafka://host/prefix"', r"\[eventlog\] url"),
        ('url = "kafka://host:9092/p"\nmin_free = "1GB"', r"\[eventlog\] min_free"),
        ('url = "kafka://host:9092/p"\n[eventlog.kafka]\nsasl = "plain"', "username"),
        ('url = "kafka://host:9092/p"\n[eventlog.kafka]\npassword = "x"', "sasl"),
        ("[eventlog.kafka]\ntls = true", r"\[eventlog\] kafka"),
    ],
)
def test_a_table_that_cannot_be_is_refused(tmp_path: Path, table: str, told: str) -> None:
    """By its name, with what to write."""
    path = tmp_path / "router.toml"
    path.write_text(
        f'[eventlog]\n{table}\n[[connections]]\nname = "a"\nplugin = "heap"\nsettings = {{}}\n'
    )
    with pytest.raises(SettingsError, match=told):
        load_config(path)


def test_secrets_are_read_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And reach the client under its own names."""
    monkeypatch.setenv("KAFKA_PASSWORD", "s3cret-of-kafka")
    path = tmp_path / "router.toml"
    path.write_text(
        '[eventlog]\nurl = "kafka://h:1,i:2/p.q"\n[eventlog.kafka]\ntls = true\n'
        'sasl = "scram-sha-512"\nusername = "router"\npassword = { env = "KAFKA_PASSWORD" }\n'
        '[[connections]]\nname = "a"\nplugin = "heap"\nsettings = {}\n'
    )
    address = address_of(load_config(path).eventlog)
    wanted: dict[str, Json] = {
        "bootstrap.servers": "h:1,i:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.password": "s3cret-of-kafka",
    }
    assert {name: address.client[name] for name in wanted} == wanted
    assert address.events == "p.q.events"


def test_a_reader_that_is_full_stays_a_member() -> None:
    """A worker that takes nothing for long keeps its connection, and goes on without a gap."""
    config = new_log()

    async def steps() -> list[str]:
        with opened(config, "a") as log:
            for start in range(0, 6000, 1000):
                await log.append([body(number) for number in range(start, start + 1000)])
            first = await read_all(log, 10)
            reader = log._reader("a")  # type: ignore[attr-defined]
            await asyncio.to_thread(until, lambda: reader.is_paused)
            return numbers(first) + numbers(await read_all(log, 5990, first[-1].offset))

    assert run(steps) == [f"m{number}" for number in range(6000)]


def test_what_another_left_crowded_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that is nearly full clears only once what was not done before it is delivered."""
    monkeypatch.setattr("destination_router.eventlog.kafka.reader.CROWDED_CHARACTERS", 1)
    config = new_log()

    async def steps() -> list[str]:
        with opened(config, "a") as log:
            await log.append([body(number) for number in range(6)])
            events = await read_all(log, 6)
            await log.commit("a", [events[1].offset, events[4].offset])
            await log.append([body(6)])
        with opened(config, "a") as log:
            events = await read_all(log, 3)
            reader = log.ownership("a")
            await asyncio.to_thread(until, lambda: reader.is_paused)  # type: ignore[attr-defined]
            await log.commit("a", [event.offset for event in events])
            events += await read_all(log, 2, events[-1].offset)
            return numbers(events)

    assert run(steps) == ["m0", "m2", "m3", "m5", "m6"]


def test_a_partition_that_went_while_paused_is_read_when_it_comes_back() -> None:
    """The client keeps it paused; nobody else would ever let it go on."""
    config = new_log(partitions=2)
    count = 6000

    async def steps() -> set[str]:
        with opened(config, "a") as log:
            for start in range(0, count, 1000):
                await log.append(
                    [body(number, f"u{number}") for number in range(start, start + 1000)]
                )
            await log.read("a", -1, 10)
            reader: Any = log.ownership("a")
            lost = asyncio.ensure_future(reader.until_lost())
            await asyncio.to_thread(until, lambda: reader.is_paused)
            with opened(config, "a") as other:
                reading = asyncio.ensure_future(other.read("a", -1, 10))
                await lost
                reader.let_go()
                await reading
            found = set(numbers(await log.read("a", -1, count)))
            while len(found) < count:
                found |= set(numbers(await log.read("a", 0, count)))
            return found

    assert run(steps) == {f"m{number}" for number in range(count)}


def test_a_process_that_delivers_nothing_follows_no_books() -> None:
    """It has them for new connections alone."""
    config = new_log()

    async def steps() -> None:
        for _ in range(2):
            with opened(config, "a", delivers=False) as log:
                await log.append([body(1)])
                assert "kafka-books" not in {thread.name for thread in threading.enumerate()}
        assert Groups(address_of(config)).marks("a") == {0: Mark(0)}

    run(steps)


def test_what_is_too_old_takes_nothing_younger_along() -> None:
    """Neither behind another connection's replay nor behind what is done already."""
    reader = Reader.__new__(Reader)
    reader._lock = threading.RLock()
    reader._leaving = False
    reader._partitions = {0: _Partition(Mark(0, (2,)))}
    events = [Event(0, b"", 1.0), None, Event(2, b"", 1.0), Event(3, b"", 9.0)]
    reader._ahead = deque(_Read(0, place, event, 5) for place, event in enumerate(events))
    reader._ahead_bytes = 20
    assert [event.offset for event in reader.take_old(5.0)] == [0]
    assert [each.offset for each in reader._ahead] == [3]
    assert reader._ahead_bytes == 5
    assert [event.offset for event in reader._take(9)] == [3]


@pytest.mark.parametrize("meanwhile", ["nothing", "a rewind", "read again", "another delivers"])
def test_what_could_not_be_given_up_comes_once(meanwhile: str) -> None:
    """It is delivered by whoever has it then, whatever came while brokers did not answer."""
    reader = Reader.__new__(Reader)
    reader._lock = threading.RLock()
    reader._leaving = False
    reader._partitions = {0: _Partition(Mark(0))}
    reader._ahead = deque([_Read(0, 0, Event(0, b"", 1.0), 5)])
    reader._ahead_bytes = 5
    old = reader.take_old(5.0)
    if meanwhile == "another delivers":
        reader._partitions = {}
    elif meanwhile != "nothing":
        reader._partitions = {0: _Partition(Mark(0))}
    if meanwhile == "read again":
        reader._ahead.append(_Read(0, 0, Event(0, b"", 1.0), 5))
        assert len(reader._take(9)) == 1
    reader.put_back(old)
    assert len(reader._take(9)) == (meanwhile == "nothing")
