"""The embedded log, on real files: what is accepted stays, in order, for every connection.

Modules: `log.py`, `writer.py`, `queries.py`, `arrivals.py`, `retention.py`, `expiry.py`,
`eventlog/partition.py`.
"""

import asyncio
import contextlib
import gc
import itertools
import math
import os
import random
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from destination_router.eventlog.dead_letter import DeadLetterFilter
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.partition import partition_key
from destination_router.eventlog.sqlite import arrivals, retention
from destination_router.eventlog.sqlite.admin import SqliteAdmin
from destination_router.eventlog.sqlite.dead_letter_store import find_letters
from destination_router.eventlog.sqlite.file import connect
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.presence import OpenFiles
from destination_router.eventlog.sqlite.queries import read
from destination_router.eventlog.sqlite.retention import Retention
from destination_router.eventlog.sqlite.writer import RefusedError

HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def body(number: int, user: str = "ada", size: int = 0) -> bytes:
    padding = "x" * size
    return f'{{"messageId":"m{number}","userId":"{user}","pad":"{padding}"}}'.encode()


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [body(number) for number in range(first, first + count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


def within(
    path: Path, use: Callable[[SqliteEventLog], Coroutine[Any, Any, Any]], **options: Any
) -> Any:
    """Open a log, use it, close it; as a process does."""

    async def run() -> Any:
        log = SqliteEventLog(path, options.pop("connections", ["heap"]), **options)
        try:
            return await use(log)
        finally:
            log.close()

    return asyncio.run(run())


async def read_all(log: SqliteEventLog, connection: str = "heap") -> list[bytes]:
    """Read on to an event that is appended for that purpose."""
    await log.append([b"the end"])
    bodies: list[bytes] = []
    after = -1
    while bodies[-1:] != [b"the end"]:
        events = await log.read(connection, after, 1000)
        after = events[-1].offset
        bodies += [event.body for event in events]
    return bodies[:-1]


def test_events_are_read_in_the_order_in_which_they_were_accepted(path: Path) -> None:
    """What one process appended, the next one reads, in order."""
    within(path, lambda log: log.append(numbered(3)))
    within(path, lambda log: log.append(numbered(2, first=3)))
    assert numbered(5) == within(path, read_all)


def test_concurrent_appends_are_kept_whole(path: Path) -> None:
    """Events of one append stand together, whatever else is appended at the time."""

    async def use(log: SqliteEventLog) -> list[bytes]:
        batches = [[body(n, f"user{user}") for n in range(5)] for user in range(50)]
        await asyncio.gather(*(log.append(batch) for batch in batches))
        return await read_all(log)

    found = within(path, use)
    assert sorted([body(n, f"user{user}") for n in range(5)] for user in range(50)) == sorted(
        found[start : start + 5] for start in range(0, 250, 5)
    )


def test_writes_leave_no_cycles(path: Path) -> None:
    """What was appended and committed is let go before Python looks for cycles, compiled or not.

    Other threads may leave a few dozen objects meanwhile. A cycle in each write has several.
    """
    rounds = 150

    async def use(log: SqliteEventLog) -> int:
        gc.collect()
        gc.disable()
        try:
            for number in range(rounds):
                await log.append([body(number)])
                await log.commit("heap", [number])
                await log.clean()
            return gc.collect()
        finally:
            gc.enable()

    assert within(path, use) < rounds


def test_an_append_is_on_disk_when_it_returns(path: Path) -> None:
    """Another connection to the file sees an accepted event at once."""

    async def use(log: SqliteEventLog) -> list[Any]:
        await log.append(numbered(1))
        with sqlite3.connect(path) as other:
            rows = other.execute("SELECT body FROM events").fetchall()
        other.close()
        return rows

    assert [(body(0),)] == within(path, use)


@pytest.mark.parametrize(
    ("message", "key"),
    [
        (b'{"userId":" ada ","anonymousId":"a1"}', "ada"),
        (b'{"userId":null,"anonymousId":"a1"}', "a1"),
        (b'{"userId":17}', "17"),
        (b'{"userId":"","anonymousId":" "}', ""),
        (b"no JSON", ""),
    ],
)
def test_the_partition_is_the_user(message: bytes, key: str) -> None:
    """An event's partition is its userId, else its anonymousId."""
    assert key == partition_key(message)


@pytest.mark.parametrize("count", [1, 2, 120])
@pytest.mark.parametrize("size", [10, 3000, 70_000])
def test_as_many_as_are_accepted_are_read(path: Path, count: int, size: int) -> None:
    """However many rows it takes, in their order, each with who sent it."""
    bodies = [body(number, size=size) for number in range(count)]

    async def use(log: SqliteEventLog) -> list[tuple[bytes, str | None]]:
        await log.append(bodies, "shop")
        found: list[tuple[bytes, str | None]] = []
        while len(found) < count:  # more may be there than one look takes
            events = await log.read("heap", len(found), 1000)
            found += [(event.body, event.source) for event in events]
        return found

    assert [(each, "shop") for each in bodies] == within(path, use)


def test_a_reader_passes_at_once_what_it_is_done_with(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little it takes in at a time, it waits for events only at the end of the log."""

    async def first(log: SqliteEventLog) -> None:
        await log.append(numbered(50))
        events = await log.read("heap", -1, 50)
        await log.commit("heap", [event.offset for event in events[1:-1]])

    async def second(log: SqliteEventLog) -> list[bytes]:
        found = [event.body for event in await log.read("heap", -1, 1)]
        return found + [event.body for event in await log.read("heap", 1, 1)]

    within(path, first)
    monkeypatch.setattr(arrivals.Polling, "wait", None)
    assert within(path, second) == [body(0), body(49)]


def test_what_is_committed_is_not_read_again(path: Path) -> None:
    """Offsets may be committed in any order; the next process reads the others only."""

    async def first(log: SqliteEventLog) -> None:
        await log.append(numbered(10))
        events = await log.read("heap", -1, 100)
        await log.commit("heap", [events[7].offset, events[2].offset])
        await log.commit("heap", [events[0].offset, events[1].offset])

    within(path, first)
    assert [body(n) for n in (3, 4, 5, 6, 8, 9)] == within(path, read_all)


def test_connections_do_not_wait_for_each_other(path: Path) -> None:
    """Each connection reads all events, however far another one is."""

    async def use(log: SqliteEventLog) -> tuple[list[bytes], list[bytes]]:
        await log.append(numbered(5))
        events = await log.read("heap", -1, 100)
        await log.commit("heap", [event.offset for event in events])
        await log.clean()
        await log.append(numbered(1, first=5))
        return await read_all(log, "heap"), await read_all(log, "mixpanel")

    heap, mixpanel = within(path, use, connections=["heap", "mixpanel"])
    assert [body(5)] == heap[-1:]
    assert numbered(6) == mixpanel[:6]


def test_reading_waits_for_events(path: Path) -> None:
    """A reader that has read all is woken by the next event."""

    async def use(log: SqliteEventLog) -> list[bytes]:
        reading = asyncio.create_task(log.read("heap", -1, 10))
        await asyncio.sleep(0)
        await log.append(numbered(1))
        return [event.body for event in await reading]

    assert numbered(1) == within(path, use)


def test_an_event_of_another_process_is_noticed(path: Path) -> None:
    """A reader sees what another log on the same file accepted."""

    async def use(log: SqliteEventLog) -> list[bytes]:
        other = SqliteEventLog(path, ["heap"])
        reading = asyncio.create_task(log.read("heap", -1, 10))
        await other.append(numbered(1))
        other.close()
        return [event.body for event in await reading]

    assert numbered(1) == within(path, use)


@pytest.mark.parametrize(("start", "read"), [("end", []), ("start", numbered(2))])
def test_a_new_connection_starts_where_the_setting_says(
    path: Path, start: Any, read: list[bytes]
) -> None:
    """A connection that the log does not know starts at the end, or before all there is."""
    within(path, lambda log: log.append(numbered(2)))
    found = within(path, lambda log: read_all(log, "new"), connections=["heap", "new"], start=start)
    assert read == found


def test_a_new_log_keeps_everything_for_every_connection(path: Path) -> None:
    """Whoever opens the log first registers all connections, so a later worker misses nothing."""
    within(path, lambda log: log.append(numbered(2)), connections=["heap", "late"])
    assert numbered(2) == within(path, lambda log: read_all(log, "late"), connections=["late"])


def kept(path: Path) -> int:
    """Count the events that the log has not deleted."""
    with contextlib.closing(connect(path)) as database:
        return sum(1 for _ in SqliteAdmin(database).bodies())


async def deliver_all(log: SqliteEventLog, connection: str = "heap") -> None:
    events = await log.read(connection, -1, 1000)
    await log.commit(connection, [event.offset for event in events])


@pytest.mark.parametrize("seed", range(8))
def test_the_file_holds_what_is_done_above_the_mark_and_no_more(seed: int, path: Path) -> None:
    """Whatever the order of the commits, at once or one by one, and after a restart."""
    chance = random.Random(seed)

    def noted() -> tuple[int, set[int]]:
        with contextlib.closing(connect(path)) as file:
            done = {offset for (offset,) in file.execute("SELECT offset FROM done")}
            ((low,),) = file.execute("SELECT low FROM connections").fetchall()
            return low, done

    async def use(log: SqliteEventLog) -> None:
        await log.append(numbered(60))
        left = [event.offset for event in await log.read("heap", -1, 60)]
        asked = chance.randint(0, len(left))
        while len(left) > asked:
            some = []
            for _ in range(chance.choice([1, 1, 2])):
                step = chance.choice([1, 1, 1, 5])
                places = slice(0, chance.randint(1, 9)) if step == 1 else slice(step, step + 3)
                some.append(left[places])
                del left[places]
            await asyncio.gather(*(log.commit("heap", each) for each in some))
            progress = log._readers["heap"].progress
            assert noted() == (progress.low, set(progress.done))

    for _ in range(3):
        within(path, use)


def test_only_what_every_connection_has_committed_is_deleted(path: Path) -> None:
    """An event stays until the last connection has it, then it goes."""

    async def use(log: SqliteEventLog) -> tuple[int, int]:
        await log.append(numbered(10))
        await deliver_all(log, "heap")
        await log.clean()
        before = kept(path)
        await deliver_all(log, "mixpanel")
        await log.clean()
        return before, kept(path)

    assert within(path, use, connections=["heap", "mixpanel"]) == (10, 0)


def test_an_offset_is_never_given_twice(path: Path) -> None:
    """A log from which all was deleted goes on counting, so no cursor is ahead of an event."""

    async def use(log: SqliteEventLog) -> None:
        await log.append(numbered(3))
        await deliver_all(log)
        await log.clean()

    within(path, use)
    within(path, lambda log: log.append(numbered(1, first=3)))
    assert [body(3)] == within(path, read_all)


def test_delivered_events_stay_as_long_as_the_setting_says(path: Path) -> None:
    """`keep_delivered` counts from when an event was accepted."""
    clock = Clock()

    async def use(log: SqliteEventLog) -> list[int]:
        await log.append(numbered(2))
        await deliver_all(log)
        counts = []
        for _ in range(3):
            await log.clean()
            counts.append(kept(path))
            clock.now += HOUR
        return counts

    retention = Retention(keep_delivered=1.5 * HOUR)
    assert within(path, use, retention=retention, clock=clock) == [2, 2, 0]


def test_an_event_that_nobody_took_in_time_becomes_a_dead_letter(path: Path) -> None:
    """With `max_age`, an old event ends as a dead letter, unless a worker has it at hand."""
    clock = Clock()

    async def use(log: SqliteEventLog) -> tuple[dict[Any, int], list[bytes]]:
        await log.append(numbered(4))
        await log.read("heap", -1, 1)
        clock.now += 2 * HOUR
        await log.append(numbered(1, first=4))
        await log.clean()
        return await log.dead_letters(), await read_all(log)

    retention = Retention(max_age=HOUR)
    letters, left = within(path, use, retention=retention, clock=clock)
    assert letters == {("heap", "expired"): 3}
    assert [body(0), body(4)] == left


def test_a_worker_that_starts_gets_nothing_that_is_too_old(path: Path) -> None:
    """It would send it."""
    clock = Clock()
    retention = Retention(max_age=HOUR)

    async def fill(log: SqliteEventLog) -> None:
        await log.append(numbered(600))  # more than expire at once
        clock.now += 2 * HOUR
        await log.append(numbered(1, first=600))

    async def use(log: SqliteEventLog) -> tuple[list[bytes], dict[Any, int]]:
        return [event.body for event in await log.read("heap", -1, 10)], await log.dead_letters()

    within(path, fill, retention=retention, clock=clock)
    read, letters = within(path, use, retention=retention, clock=clock)
    assert read == [body(600)]
    assert letters == {("heap", "expired"): 600}


def test_a_connection_that_moved_goes_on_from_where_the_other_process_was(path: Path) -> None:
    """Who has released it neither expires its events nor remembers how far it was."""

    async def use() -> list[bytes]:
        clock = [1000.0]
        retention = Retention(max_age=60.0)
        ours, theirs = (
            SqliteEventLog(path, ["heap"], retention=retention, clock=lambda: clock[0])
            for _ in range(2)
        )
        await ours.append(numbered(6))
        await ours.commit("heap", [event.offset for event in await ours.read("heap", -1, 2)])
        await ours.release(["heap"])
        await theirs.release(["heap"])
        await theirs.admit(["heap"], start="end", kept={})
        taken = await theirs.read("heap", -1, 2)
        clock[0] = 2000.0
        await ours.clean()
        assert [event.body for event in taken] == numbered(2, first=2)
        await theirs.commit("heap", [event.offset for event in taken])
        await theirs.release(["heap"])
        clock[0] = 1000.0
        await ours.admit(["heap"], start="end", kept={})
        left = [event.body for event in await ours.read("heap", -1, 10)]
        ours.close()
        theirs.close()
        return left

    assert asyncio.run(use()) == numbered(2, first=4)


def test_who_reads_no_more_notes_first_what_is_done(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that cannot be written for a while costs a pause, and no event comes twice."""

    async def moved(ours: SqliteEventLog) -> list[bytes]:
        theirs = SqliteEventLog(path, ["heap"])
        await theirs.release(["heap"])
        await ours.append(numbered(120))
        events = await ours.read("heap", -1, 1000)
        transact, refusals = ours.transact, [LogUnavailableError("the disk is full")] * 2

        async def at_last(write: Callable[[sqlite3.Connection], Any]) -> Any:
            if refusals:
                raise refusals.pop()
            return await transact(write)

        monkeypatch.setattr(ours, "transact", at_last)
        await ours.commit("heap", [event.offset for event in events])
        await ours.release(["heap"])
        with contextlib.closing(theirs):
            await theirs.admit(["heap"], start="end", kept={})
            return await read_all(theirs)

    assert within(path, moved) == []


def test_an_expired_event_keeps_what_its_connection_may_keep(path: Path) -> None:
    """A connection that may not keep a message does not keep it by being too slow either."""
    clock = Clock()

    async def use(log: SqliteEventLog) -> None:
        await log.append(numbered(1))
        clock.now += 2 * HOUR
        await log.clean()

    kept = {"heap": lambda _: b'{"messageId":"masked"}'}
    within(path, use, retention=Retention(max_age=HOUR), clock=clock, kept=kept)
    with contextlib.closing(connect(path)) as database:
        (letter,) = find_letters(database, DeadLetterFilter())
    assert (letter.message_id, letter.body) == ("masked", b'{"messageId":"masked"}')


def test_lag_tells_messages_and_the_age_of_the_oldest(path: Path) -> None:
    """Lag is what a connection has not committed; none is none."""
    clock = Clock()

    async def use(log: SqliteEventLog) -> Any:
        await log.append(numbered(2))
        clock.now += 60
        await log.append(numbered(1, first=2))
        events = await log.read("heap", -1, 10)
        await log.commit("heap", [events[1].offset])
        before = await log.lags()
        await log.commit("heap", [events[0].offset, events[2].offset])
        after = await log.lags()
        return [(lag["heap"].messages, lag["heap"].seconds) for lag in (before, after)]

    assert within(path, use, clock=clock) == [(2, 60.0), (0, 0.0)]


async def fill(log: SqliteEventLog) -> int:
    """Append until the log refuses; how many were accepted."""
    for accepted in itertools.count():
        try:
            await log.append([body(accepted, size=10_000)])
        except LogUnavailableError:
            return accepted
    raise AssertionError


def test_a_full_log_refuses_and_recovers(path: Path) -> None:
    """At `max_bytes` new events are refused; accepted ones are kept; delivery makes room."""

    async def use(log: SqliteEventLog) -> tuple[int, list[bytes]]:
        accepted = await fill(log)
        with pytest.raises(LogUnavailableError, match="max_size"):
            await log.check()
        events = await log.read("heap", -1, 1000)
        await log.commit("heap", [event.offset for event in events[: accepted // 2]])
        while await log.clean():
            pass
        await log.append([b"after"])
        await log.check()
        return accepted, [event.body for event in events]

    accepted, read = within(path, use, retention=Retention(max_bytes=2**20, min_free_bytes=0))
    assert [body(n, size=10_000) for n in range(accepted)] == read
    assert accepted > 50


def test_a_disk_that_is_nearly_full_refuses(path: Path) -> None:
    """Below `min_free_bytes` new events are refused, so that commits still find room."""

    async def use(log: SqliteEventLog) -> None:
        with pytest.raises(LogUnavailableError, match="min_free"):
            await log.append(numbered(1))

    within(path, use, retention=Retention(min_free_bytes=2**62))


@pytest.mark.parametrize("seed", range(6))
def test_a_log_with_room_is_seen_at_a_glance(
    seed: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quick look refuses what the whole one refuses, with the same words, and no more."""
    chance = random.Random(seed)
    seen: set[str] = set()

    monkeypatch.setattr(retention, "_GROWTH", 0)  # nothing else is in the transactions below

    def told(connection: sqlite3.Connection, limits: Retention, file_bytes: float) -> str:
        try:
            retention.refuse_if_full(connection, path, limits, file_bytes)
        except RefusedError as error:
            return str(error)
        return ""

    def compare(connection: sqlite3.Connection) -> None:
        disk = os.statvfs(path)
        free = disk.f_bavail * disk.f_frsize
        monkeypatch.setattr(os, "statvfs", lambda _: disk)  # others write there meanwhile
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        files = OpenFiles(path)
        files.refuse_if_gone()
        for _ in range(50):
            limits = Retention(
                max_bytes=round(pages * 8192 * chance.choice([0.01, 0.5, 1, 2, 8, 9, 100])),
                min_free_bytes=max(0, free + chance.choice([-1, 0, 1, 2**17, 2**19, 2**40])),
            )
            quick = told(connection, limits, files.bytes)
            assert told(connection, limits, math.inf) == quick
            seen.add("max_size" if "max_size" in quick else quick[:3])

    async def use(log: SqliteEventLog) -> None:
        for _ in range(8):
            await log.append([body(n, size=10_000) for n in range(chance.randint(1, 60))])
            if chance.random() < 0.5:
                await deliver_all(log)
                await log.clean()
            await log.transact(compare)

    within(path, use)
    assert len(seen) == 3  # room, a full log, and a full disk


def test_a_full_file_loses_nothing_that_was_accepted(path: Path) -> None:
    """When SQLite finds no page, appends are refused, and accepted events and commits hold."""

    async def use(log: SqliteEventLog) -> int:
        await log._writer.run(lambda c: c.execute("PRAGMA max_page_count = 100").fetchall())
        accepted = await fill(log)
        events = await log.read("heap", -1, 1000)
        await log.commit("heap", [event.offset for event in events[1:]])
        await log.clean()
        await log._writer.run(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchall())
        await log.append([b"after"])
        await log.commit("heap", [])
        return accepted

    assert within(path, use) > 10
    assert [body(0, size=10_000), b"after"] == within(path, read_all)


def test_a_write_that_fails_spoils_no_other(path: Path) -> None:
    """Of the writes of one transaction, only the one at fault is refused."""

    async def use(log: SqliteEventLog) -> list[Any]:
        return await asyncio.gather(
            log.append(numbered(1)),
            log._writer.run(lambda c: c.execute("INSERT INTO nowhere VALUES (1)")),
            log.append(numbered(1, first=1)),
            return_exceptions=True,
        )

    first, bad, last = within(path, use)
    assert (first, last) == (None, None)
    assert isinstance(bad, sqlite3.OperationalError)
    assert sorted(numbered(2)) == sorted(within(path, read_all))


def test_what_was_delivered_makes_room_on_a_disk_that_is_nearly_full(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room inside the file counts: a log that filled its disk takes events again by delivering."""

    async def use(log: SqliteEventLog) -> None:
        for number in range(100):
            await log.append([body(number, size=10_000)])
        # A real disk is everybody's; this one stays as it is.
        disk = os.statvfs(path)
        monkeypatch.setattr(os, "statvfs", lambda _: disk)
        log._retention = Retention(min_free_bytes=disk.f_bavail * disk.f_frsize + 2**19)
        with pytest.raises(LogUnavailableError, match="min_free"):
            await log.append([b"refused"])
        await deliver_all(log)
        await log.clean()
        await log.append([b"after"])

    within(path, use)


def test_large_events_are_deleted_a_few_at_a_time(path: Path) -> None:
    """A deletion takes little room of a disk that may be full: megabytes at once, no more."""

    async def use(log: SqliteEventLog) -> list[int]:
        for number in range(20):
            await log.append([body(number, size=2**20)])
        await deliver_all(log)
        deleted = []
        while count := await log.clean():
            deleted.append(count)
        return deleted

    deleted = within(path, use)
    assert sum(deleted) == 20
    assert max(deleted) <= 4


def test_appends_of_the_same_time_share_a_transaction_that_is_synced(path: Path) -> None:
    """Group commit: a hundred senders wait for a few fsyncs, and every commit is one."""
    statements: list[str] = []

    async def use(log: SqliteEventLog) -> Any:
        await log._writer.run(lambda c: c.set_trace_callback(statements.append))
        await asyncio.gather(*(log.append(numbered(1)) for _ in range(100)))
        return await log._writer.run(
            lambda c: [
                c.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("synchronous", "journal_mode")
            ]
        )

    assert within(path, use) == [2, "wal"]  # 2: FULL
    assert statements.count("COMMIT") < 20
    assert len([s for s in statements if s.startswith("INSERT")]) == 100


def test_a_connection_that_was_forgotten_misses_nothing(path: Path) -> None:
    """While a router still reads for it, the log may delete what was kept for it: no damage."""

    async def use(log: SqliteEventLog) -> list[int]:
        await log.append(numbered(5))
        await log.commit("heap", [event.offset for event in await log.read("heap", -1, 10)])
        await log.forget("other")
        while await log.clean():
            pass
        await log.append(numbered(1, first=5))
        return [event.offset for event in await log.read("other", -1, 10)]

    assert within(path, use, connections=["heap", "other"]) == [6]


def test_a_connection_that_was_forgotten_begins_anew(tmp_path: Path) -> None:
    """It is there again after a reload, and what comes then is kept for it."""

    async def run() -> list[bytes]:
        log = SqliteEventLog(tmp_path / "log.db", ["a"])
        try:
            await log.append([b"before"])
            await log.forget("a")
            await log.admit(["a", "b"], start="end", kept={})
            await log.append([b"after"])
            (of_b,) = await log.read("b", -1, 9)
            await log.commit("b", [of_b.offset])
            while await log.clean():
                pass
            return [event.body for event in await log.read("a", -1, 9)]
        finally:
            log.close()

    assert asyncio.run(run()) == [b"after"]


def test_connections_may_come_while_old_events_expire(tmp_path: Path) -> None:
    """A reload in the midst of cleaning harms neither."""

    async def run() -> None:
        now = 1000.0
        log = SqliteEventLog(
            tmp_path / "log.db", ["a", "b"], retention=Retention(max_age=1.0), clock=lambda: now
        )
        try:
            await log.append([b"{}"])
            now = 2000.0
            names = [f"c{number}" for number in range(9)]
            await asyncio.gather(
                log.clean(), *(log.admit([name], start="end", kept={}) for name in names)
            )
        finally:
            log.close()

    asyncio.run(run())


def test_what_was_passed_and_deleted_is_no_damage(tmp_path: Path) -> None:
    """A reader that asks from an older place than its mark finds a gap that is none."""

    async def run() -> list[bytes]:
        path = tmp_path / "log.db"
        log = SqliteEventLog(path, ["a"])
        try:
            await log.append([b"1", b"2", b"3"])
            found = await log.read("a", -1, 9)
            await log.commit("a", [event.offset for event in found])
            while await log.clean():
                pass
            await log.append([b"4"])
            with contextlib.closing(connect(path)) as database:
                rows, _ = read(database, 0, 9, "a")
            return [body for row in rows for body in row.bodies]
        finally:
            log.close()

    assert asyncio.run(run()) == [b"4"]
