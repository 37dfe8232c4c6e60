"""The events of a request are kept together, and nobody sees a difference.

Modules: `rows.py`, `rising.py`, `delivered_events.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from destination_router.commands.pausing import standing_words
from destination_router.eventlog.dead_letter import DeadLetter, DeadLetterFilter
from destination_router.eventlog.interface import Held, LogFileError, Order, Standing
from destination_router.eventlog.sqlite import log as log_module
from destination_router.eventlog.sqlite import rows
from destination_router.eventlog.sqlite.admin import opened_admin
from destination_router.eventlog.sqlite.checksums import DamageError, joined_checksum
from destination_router.eventlog.sqlite.dead_letter_store import find_letters, put_letters
from destination_router.eventlog.sqlite.file import connect, integrity_problems, open_file
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.queries import (
    APPEND,
    append,
    event_row,
    lags,
    progress_of,
    put_done,
    put_low,
    read,
    register,
    waiting_events,
)
from destination_router.eventlog.sqlite.retention import Retention, delete_delivered
from destination_router.eventlog.sqlite.rising import Rising
from destination_router.eventlog.sqlite.rows import checked_rows
from destination_router.eventlog.sqlite.standing_book import LoggedStanding, all_held, all_orders
from destination_router.eventlog.sqlite.tail import Tail

NOW = 1_790_000_000.0
MOMENT = round(NOW * 1000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    open_file(path)
    with contextlib.closing(connect(path)) as opened:
        register(opened, ["heap"], "end")
        yield opened


def numbered(count: int, first: int = 1) -> list[bytes]:
    return [b'{"messageId":"m%d"}' % number for number in range(first, first + count)]


def stored(database: sqlite3.Connection) -> list[Any]:
    return database.execute(f"SELECT {rows.COLUMNS} FROM events ORDER BY offset").fetchall()


def letter(connection: str, offset: int) -> DeadLetter:
    return DeadLetter(
        connection=connection,
        message_id=f"m{offset}",
        offset=offset,
        body=b"{}",
        code="http_400",
        detail="",
        at=NOW,
    )


# -- what a row is ------------------------------------------------------------------------------


def test_a_row_has_as_many_events_as_there_is_room_for(database: sqlite3.Connection) -> None:
    """A larger event is a row by itself, as is one that came alone; offsets rise by one."""
    sizes = [30_000, 30_000, 5_536, 1, 70_000, 0, 65_536, 2, 2]
    assert append(database, MOMENT, "shop", [b"x" * size for size in sizes]) == 1
    assert append(database, MOMENT, None, [b"alone"]) == 10
    assert [(row[0], row[-1] is None) for row in stored(database)] == [
        (3, False),
        (4, True),
        (5, True),
        (7, False),
        (9, False),
        (10, True),
    ]
    found = [(row.first, list(map(len, row.bodies))) for row in checked_rows(stored(database))]
    assert found == [
        (1, [30_000, 30_000, 5_536]),
        (4, [1]),
        (5, [70_000]),
        (6, [0, 65_536]),
        (8, [2, 2]),
        (10, [5]),
    ]


def test_offsets_go_on_after_the_highest_that_is_known(database: sqlite3.Connection) -> None:
    """Whether everything was deleted, or the number of the last one was damaged."""
    append(database, MOMENT, None, numbered(40))
    database.execute("UPDATE sqlite_sequence SET seq = 7 WHERE name = 'events'")
    assert append(database, MOMENT, None, numbered(2)) == 41
    database.execute("DELETE FROM events")
    assert append(database, MOMENT, None, numbered(1)) == 43


@pytest.mark.parametrize("last", [2**63 - 1, "text", 99.5])
def test_nothing_is_appended_after_an_offset_that_cannot_be(
    path: Path, database: sqlite3.Connection, last: object
) -> None:
    """A damaged one is told in words."""
    append(database, MOMENT, None, numbered(4))

    async def run() -> None:
        with contextlib.closing(SqliteEventLog(path, ["heap"])) as log:
            values = (last,)
            database.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", values)
            with pytest.raises(LogFileError, match="the offset of the last event is not as"):
                await log.append(numbered(2))

    asyncio.run(run())
    with pytest.raises(LogFileError, match="the offset of the last event is not as"):
        SqliteEventLog(path, ["heap"])


@pytest.mark.parametrize("after", [0, 1, 6, 9, 10, 17, 19, 20])
@pytest.mark.parametrize("limit", [1, 3, 10, 11, 100])
def test_a_reader_may_stop_in_the_midst_of_a_row(
    database: sqlite3.Connection, after: int, limit: int
) -> None:
    """It gets as many as it asks for, from where it is on."""
    for first in (1, 11):
        append(database, MOMENT, "shop", numbered(10, first))
    found, last = read(database, after, limit)
    wanted = range(after + 1, min(21, after + 1 + limit))
    assert [offset for row in found for offset, _ in row.events()] == list(wanted)
    assert [body for row in found for body in row.bodies] == numbered(len(wanted), after + 1)
    assert last == 20


def test_a_reader_takes_no_more_than_it_has_room_for(database: sqlite3.Connection) -> None:
    """It stops with the row in which its room ends."""
    append(database, MOMENT, None, [b"x" * 20_000] * 30)
    found, _ = read(database, 0, 100, room=100_000)
    assert sum(len(row.bodies) for row in found) == 6


# -- a row that is not deleted yet, and one that is begun ------------------------------------------


def test_a_row_stays_until_all_its_events_are_done(database: sqlite3.Connection) -> None:
    """Then all of them go, and are counted."""
    append(database, MOMENT, None, numbered(10))
    append(database, MOMENT, None, numbered(10, 11))
    deleted = []
    for low in (9, 10, 19, 20):
        put_low(database, "heap", low)
        deleted.append(delete_delivered(database, Retention(), NOW))
    assert deleted == [0, 10, 0, 10]


def test_delivered_events_stay_with_the_row_of_a_young_one(database: sqlite3.Connection) -> None:
    """A row is as old as its request."""
    for age, first in ((7200, 1), (60, 11)):
        append(database, round((NOW - age) * 1000), None, numbered(10, first))
    put_low(database, "heap", 20)
    assert delete_delivered(database, Retention(keep_delivered=3600), NOW) == 10
    assert delete_delivered(database, Retention(keep_delivered=3600), NOW) == 0
    assert [row[0] for row in stored(database)] == [20]


def test_what_is_asked_of_a_row_that_is_begun(database: sqlite3.Connection, path: Path) -> None:
    """Lag, what waits, what was delivered, and since when all is there."""
    for age, first in ((30, 1), (20, 11)):
        append(database, round((NOW - age) * 1000), "shop", numbered(10, first))
    put_low(database, "heap", 13)
    put_done(database, "heap", [16, 17])
    put_letters(database, [letter("heap", 12), letter("heap", 15)])
    database.execute("UPDATE dead_letters SET offset = 'x' WHERE offset = 15")  # damaged
    assert lags(database, NOW)["heap"].messages == 5
    assert lags(database, NOW)["heap"].seconds == pytest.approx(20)
    assert [offset for offset, _ in waiting_events(database, "heap")] == [14, 15, 18, 19, 20]
    with opened_admin(path) as log:
        assert log.kept_since() is None
        assert delete_delivered(database, Retention(), NOW) == 10
        assert log.kept_since() == NOW - 20
        kept = [(each.offset, each.body) for each in log.delivered("heap", 0.0, NOW)]
        assert kept == [(offset, numbered(1, offset)[0]) for offset in (11, 13, 16, 17)]
        assert list(log.bodies()) == numbered(10, 11)


def test_the_rest_of_a_row_expires(path: Path) -> None:
    """However many events of it were done before."""
    now = NOW

    async def run() -> dict[tuple[str, str], int]:
        nonlocal now
        retention = Retention(max_age=60.0)
        log = SqliteEventLog(path, ["heap"], retention=retention, clock=lambda: now)
        with contextlib.closing(log):
            await log.append(numbered(1200))
            events = await log.read("heap", -1, 1100)
            await log.commit("heap", [event.offset for event in events])
            now += 61.0
            await log.clean()
            return await log.dead_letters()

    assert asyncio.run(run()) == {("heap", "expired"): 100}


def test_what_waits_behind_a_replay_for_another_connection_expires(path: Path) -> None:
    """However many events between them are in the worker's hands."""
    now = NOW

    async def run() -> None:
        nonlocal now
        retention = Retention(max_age=60.0)
        log = SqliteEventLog(path, ["heap"], retention=retention, clock=lambda: now)
        with contextlib.closing(log):
            replay = event_row(round(now * 1000), numbered(1)[0], None, "other", "letter 1")
            await log.transact(lambda database: database.execute(APPEND, replay).rowcount)
            await log.append(numbered(1200))
            out = await log.read("heap", -1, 1100)
            now += 61.0
            await log.clean()
            assert await log.dead_letters() == {("heap", "expired"): 1200 - len(out)}

    asyncio.run(run())


@pytest.mark.parametrize("deleted", [False, True])
def test_a_connection_that_begins_at_the_start_gets_a_whole_row(
    database: sqlite3.Connection, *, deleted: bool
) -> None:
    """It begins before the first event that is there."""
    append(database, MOMENT, None, numbered(10))
    append(database, MOMENT, None, numbered(10, 11))
    if deleted:
        put_low(database, "heap", 12)
        delete_delivered(database, Retention(), NOW)
    register(database, ["new"], "start")
    assert progress_of(database, "new").low == (10 if deleted else 0)


@pytest.mark.parametrize(
    ("offset", "source"), [(1, None), (10, None), (11, "b"), (15, "b"), (20, "b"), (21, "c")]
)
def test_a_dead_letter_knows_who_sent_its_event(
    database: sqlite3.Connection, offset: int, source: str | None
) -> None:
    """Wherever in a row the event is; if it is gone, nobody else is named."""
    for first, sender in ((1, "a"), (11, "b"), (21, "c")):
        append(database, MOMENT, sender, numbered(10, first))
    database.execute("DELETE FROM events WHERE offset = 10")
    put_letters(database, [letter("heap", offset)])
    (found,) = find_letters(database, DeadLetterFilter())
    assert found.source == source


def test_rising_offsets_are_compared_as_they_come() -> None:
    """Each offset is found where it is, and nowhere else."""
    with contextlib.closing(sqlite3.connect("")) as database:
        query = "SELECT value FROM (SELECT 2 AS value UNION SELECT 3 UNION SELECT 7)"
        rising = Rising(database.execute(query))
        assert [number for number in range(10) if number in rising] == [2, 3, 7]
        nothing = Rising(database.execute("SELECT 1 WHERE 0"))
        assert [number for number in range(10) if number in nothing] == []


# -- the same as a row for each event -----------------------------------------------------------


class Life:
    """What happens to a log in which a seed decides about everything.

    Args:
        path: where the log is.
        seed: decides.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.now = NOW
        self.told: list[object] = []
        self.count = 0
        self.after: dict[str, int] = {}
        self.out: dict[str, list[int]] = {"a": [], "b": []}
        self.bodies: list[bytes] = []

    async def run(self) -> None:
        retention = Retention(
            keep_delivered=self.chance.choice([0.0, 0.0, 500.0]),
            max_age=self.chance.choice([None, 300.0]),
        )
        for _ in range(self.chance.randint(1, 4)):
            self.after = {"a": -1, "b": -1}
            self.out = {"a": [], "b": []}
            log = SqliteEventLog(self.path, ["a", "b"], retention=retention, clock=lambda: self.now)
            with contextlib.closing(log):
                for _ in range(self.chance.randint(5, 40)):
                    await self.chance.choice([self.append, self.read, self.read, self.other])(log)
        self.look()
        assert integrity_problems(self.path) == []

    async def append(self, log: SqliteEventLog) -> None:
        size = self.chance.choice([1, 2, 9, 40, 120])
        bodies = [
            b'{"messageId":"m%d","pad":"%s"}' % (number, b"x" * self.chance.choice([0, 9, 300]))
            for number in range(self.count, self.count + size)
        ]
        self.count += size
        self.now += self.chance.choice([0.0, 1.0, 60.0])
        await log.append(bodies, self.chance.choice(["shop", None]))

    async def read(self, log: SqliteEventLog) -> None:
        name = self.chance.choice("ab")
        while await log.clean():  # else all that waits may expire as it is read
            pass
        with opened_admin(self.path) as admin:
            waiting = [offset for offset, _ in admin.waiting(name)]
        self.told.append(waiting)
        if not any(offset > self.after[name] for offset in waiting):
            return
        found = await log.read(name, self.after[name], self.chance.choice([1, 7, 50, 500]))
        self.told.append(found)
        self.after[name] = found[-1].offset
        self.out[name] += [event.offset for event in found]

    async def other(self, log: SqliteEventLog) -> None:
        name = self.chance.choice("ab")
        match self.chance.randrange(5):
            case 0 | 1:
                done = self.chance.sample(
                    self.out[name], self.chance.randint(0, len(self.out[name]))
                )
                await log.commit(name, done)
                self.out[name] = [each for each in self.out[name] if each not in done]
            case 2:
                while await log.clean():
                    pass
                self.told += [dict(log.expired_events), await log.dead_letters()]
            case 3 if self.out[name]:
                offset = self.out[name].pop(0)
                await log.put([letter(name, offset)])
                await log.commit(name, [offset])
            case _:
                with opened_admin(self.path) as admin, admin.writing():
                    kept = list(admin.delivered(name, NOW, self.now))[-3:]
                    kept = [each for each in kept if each.offset > self.lowest(admin.books)]
                    admin.send_again(name, kept, "events", self.now)
                log.announce()

    def lowest(self, database: sqlite3.Connection) -> int:
        """What is up to here may be deleted, and a row of several events a little later."""
        (lowest,) = database.execute("SELECT min(low) FROM connections").fetchone()
        return int(lowest)

    def look(self) -> None:
        with opened_admin(self.path) as admin:
            lowest = self.lowest(admin.books)
            for name in "ab":
                kept = admin.delivered(name, NOW, self.now + 1)
                self.told += [
                    [each for each in kept if each.offset > lowest],
                    list(admin.waiting(name)),
                    progress_of(admin.books, name).low,
                    progress_of(admin.books, name).done_offsets(),
                ]
            self.told += [admin.lags(self.now), list(find_letters(admin.books, DeadLetterFilter()))]
            self.bodies = list(admin.bodies())


@pytest.mark.parametrize("seed", range(16))
def test_the_same_happens_as_with_a_row_for_each_event(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is appended, read, committed, expires and is sent again, in many orders."""
    monkeypatch.setattr(log_module, "Tail", partial(Tail, 0))
    lives = []
    for room in (0, random.Random(seed).choice([100, 1000, 2**16])):
        monkeypatch.setattr(rows, "ROW_BYTES", room)
        life = Life(tmp_path / f"{room}.db", seed)
        asyncio.run(life.run())
        lives.append(life)
    alone, together = lives
    assert alone.told == together.told
    assert alone.bodies == together.bodies[len(together.bodies) - len(alone.bodies) :]


# -- killed processes ---------------------------------------------------------------------------

_APPENDS = """
import asyncio, random, sys
from pathlib import Path
from destination_router.eventlog.sqlite.log import SqliteEventLog

async def run():
    log = SqliteEventLog(Path(sys.argv[1]), ["heap"])
    chance = random.Random(int(sys.argv[2]))
    for post in range(10_000):
        size = chance.choice([1, 3, 100])
        await log.append([b"%d %d %s" % (post, size, b"x" * 3000) for _ in range(size)])
        print(post, flush=True)

asyncio.run(run())
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_leaves_whole_requests(path: Path, seed: int) -> None:
    """All that were answered, and of the one that was not, all events or none."""
    command = [sys.executable, "-c", _APPENDS, str(path), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for answered in map(int, process.stdout):
            if answered == 10 + seed:
                process.kill()
                break
        answered = max([answered, *map(int, process.stdout.read().split())])
    assert integrity_problems(path) == []
    with opened_admin(path) as log:
        found = [tuple(map(int, body.split()[:2])) for body in log.bodies()]
    posts = dict(found)
    assert list(posts) == list(range(len(posts)))
    assert len(posts) > answered
    assert found == [(post, size) for post, size in posts.items() for _ in range(size)]


# -- damage -------------------------------------------------------------------------------------

SECRET = b'{"messageId":"secret-%d"}'


def filled(database: sqlite3.Connection) -> None:
    append(database, MOMENT, "shop", numbered(4))
    append(database, MOMENT, "shop", [SECRET % number for number in range(6)])


def told(database: sqlite3.Connection) -> str:
    """Read all, and return what is said about damage."""
    with pytest.raises(DamageError) as caught:
        read(database, 0, 100)
    assert "secret" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("column", ["body", "lengths"])
def test_each_damaged_byte_of_a_row_is_found(database: sqlite3.Connection, column: str) -> None:
    """It is told which events are concerned, and not what is in them."""
    filled(database)
    (whole,) = database.execute(f"SELECT {column} FROM events WHERE offset = 10").fetchone()
    for place in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        database.execute(f"UPDATE events SET {column} = ? WHERE offset = 10", (bytes(spoilt),))
        assert told(database) == "one of the events 5 to 10 is not as it was written"


@pytest.mark.parametrize(
    "change",
    [
        "received_at = received_at + 1",
        "received_at = 'x'",
        "source = NULL",
        "target = 'heap'",
        "replay = 'events'",
        "checksum = NULL",
        "checksum = 'x'",
        "lengths = NULL",
        "lengths = 7",
        "lengths = 'text'",
        "lengths = x''",
        "lengths = zeroblob(24)",
        "lengths = zeroblob(4000000)",
        "lengths = substr(lengths, 1, 20)",
        "lengths = lengths || x'00'",
        "lengths = lengths || x'00000000'",
        "body = substr(body, 2)",
        "body = CAST(body AS TEXT)",
        "offset = 11",
        "offset = 9",
        "offset = 7",
    ],
)
def test_a_row_that_was_changed_is_not_read(database: sqlite3.Connection, change: str) -> None:
    """Whatever is changed about it, its place included."""
    filled(database)
    database.execute(f"UPDATE events SET {change} WHERE offset = 10")
    assert "is not as it was written" in told(database)


@pytest.mark.parametrize("sizes", [[], [1], [2**32 - 1] * 3, [0, 0, 0], [25] * 7, [24, 25] * 3])
def test_lengths_that_do_not_add_up_are_damage(
    database: sqlite3.Connection, sizes: list[int]
) -> None:
    """Even if their checksum is right."""
    filled(database)
    lengths = struct.pack(f"<{len(sizes)}I", *sizes)
    body = b"".join(SECRET % number for number in range(6))
    about = (MOMENT, None, "shop", None)
    database.execute(
        "UPDATE events SET lengths = ?, checksum = ? WHERE offset = 10",
        (lengths, joined_checksum(10, body, lengths, *about)),
    )
    assert "is not as it was written" in told(database)


@pytest.mark.parametrize("gone", [4, 10, 16])
def test_a_row_that_is_missing_is_noticed(database: sqlite3.Connection, gone: int) -> None:
    """By the first of its events."""
    filled(database)
    append(database, MOMENT, None, numbered(6))
    append(database, MOMENT, None, numbered(1))
    first = {4: 1, 10: 5, 16: 11}[gone]
    database.execute("DELETE FROM events WHERE offset = ?", (gone,))
    assert told(database) == f"event {first} is missing"


@pytest.mark.parametrize(
    "use",
    [
        lambda log: list(log.bodies()),
        lambda log: list(log.waiting("heap")),
        lambda log: (put_low(log.books, "heap", 10), list(log.delivered("heap", 0.0, NOW + 1))),
    ],
    ids=["bodies", "waiting", "delivered"],
)
def test_commands_tell_damage_in_words(
    database: sqlite3.Connection, path: Path, use: Callable[[Any], object]
) -> None:
    """They name the file and the events, and what can be done."""
    filled(database)
    database.execute("UPDATE events SET lengths = x'ffffffff' WHERE offset = 10")
    words = r"router\.db: is damaged: one of the events 10 to 10 .* restore it from a backup"
    with pytest.raises(LogFileError, match=words), opened_admin(path) as log:
        use(log)


@pytest.mark.parametrize("use", [lambda log: log.lags(NOW), lambda log: log.kept_since()])
@pytest.mark.parametrize("received_at", ["'x'", "x'00'", "1.5", "-1", "1 << 48"])
def test_what_looks_at_the_oldest_event_alone_tells_its_damage(
    database: sqlite3.Connection, path: Path, received_at: str, use: Callable[[Any], object]
) -> None:
    """A status, a metric and a replay say which it is."""
    filled(database)
    database.execute("DELETE FROM events WHERE offset = 4")
    database.execute(f"UPDATE events SET received_at = {received_at}")
    words = r"router\.db: is damaged: event 10, or one before it, is not as it was written"
    with pytest.raises(LogFileError, match=words), opened_admin(path) as log:
        use(log)


def test_delivered_events_go_whatever_their_bodies_are_by_now(database: sqlite3.Connection) -> None:
    """Nobody needs them any more, and their neighbours wait for the room."""
    filled(database)
    put_low(database, "heap", 10)
    database.execute("PRAGMA writable_schema = ON")  # as a damaged file: the column is NOT NULL
    words = "'body BLOB NOT NULL', 'body BLOB'"
    database.execute(f"UPDATE sqlite_schema SET sql = replace(sql, {words}) WHERE name = 'events'")
    database.execute("PRAGMA writable_schema = RESET")
    database.execute("UPDATE events SET body = NULL")
    assert delete_delivered(database, Retention(), NOW) == 10
    assert stored(database) == []


@pytest.mark.parametrize("moment", ["'x'", "x'00'", "1.5", "-1", "1 << 48"])
def test_a_hold_or_order_of_a_damaged_time_holds_and_hides_no_other(
    database: sqlite3.Connection, path: Path, moment: str
) -> None:
    """Whoever lists the connections hears of each, and its worker reads it as well."""
    database.execute(f"INSERT INTO holds VALUES ('heap', 'http_401', {moment})")
    database.execute("INSERT INTO holds VALUES ('other', 'http_403', 3000)")
    database.execute(f"INSERT INTO orders VALUES ('heap', 1, {moment})")
    database.execute("INSERT INTO orders VALUES ('other', 1, 4000)")
    with opened_admin(path) as log:
        assert all_held(log.books) == {
            "heap": Held("http_401", None),
            "other": Held("http_403", 3.0),
        }
        assert all_orders(log.books) == {
            "heap": Order(paused=True, at=None),
            "other": Order(paused=True, at=4.0),
        }
        never = "since a time that is not as it was written"
        assert standing_words(log.books) == {
            "heap": f"paused {never}  held {never} (http_401)",
            "other": "paused since 1970-01-01T00:00:04.000Z  "
            "held since 1970-01-01T00:00:03.000Z (http_403)",
        }

    async def standing() -> Standing:
        log = SqliteEventLog(path, ["heap"])
        try:
            book = LoggedStanding(log)
            await book.keep("heap", await book.standing("heap"))
            return await book.standing("heap")
        finally:
            log.close()

    assert asyncio.run(standing()).held == Held("http_401", None)
