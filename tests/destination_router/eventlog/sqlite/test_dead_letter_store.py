"""Dead letters on disk: one per message and connection, found by what is known, replayed once.

Modules: `dead_letter_store.py`, `eventlog/dead_letter.py`.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from destination_router.eventlog.dead_letter import DamagedLetter, DeadLetter, DeadLetterFilter
from destination_router.eventlog.log_admin import Kept
from destination_router.eventlog.sqlite.admin import SqliteAdmin
from destination_router.eventlog.sqlite.checksums import DamageError
from destination_router.eventlog.sqlite.dead_letter_store import (
    count_by_hour,
    count_letters,
    delete_letters,
    delete_letters_before,
    find_letters,
    group_letters,
    put_letters,
)
from destination_router.eventlog.sqlite.file import connect
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.retention import Retention

LETTER = DeadLetter(
    connection="heap",
    message_id="m1",
    offset=1,
    body=b'{"messageId":"m1","userId":"ada"}',
    code="http_400",
    detail="no",
    at=1000.0,
    attempts=2,
    request={"method": "POST", "url": "https://vendor.example"},
    status=400,
    answer="no, thanks",
)
OTHERS = [
    msgspec.structs.replace(LETTER, connection="mixpanel", at=2000.0),
    msgspec.structs.replace(LETTER, message_id="m2", code="missing_event", at=3000.0, request=None),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


def put(path: Path, *letters: DeadLetter) -> None:
    async def run() -> None:
        log = SqliteEventLog(path, ["heap", "mixpanel"])
        await log.put(letters)
        log.close()

    asyncio.run(run())


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    put(path, LETTER, *OTHERS)
    connection = connect(path)
    yield connection
    connection.close()


def test_a_letter_is_kept_as_it_was(database: sqlite3.Connection) -> None:
    """Everything about a failure is there again."""
    first, *_ = find_letters(database, DeadLetterFilter())
    assert first == msgspec.structs.replace(LETTER, id=1)


@pytest.mark.parametrize(
    "change",
    [
        "at = x'00'",
        "at = 1 << 48",
        "replayed_at = 'x'",
        "request = x'7b'",
        "request = x'ff'",
        "request = '[1]'",
        "body = 'text'",
        "body = 7",
        "code = x'00'",
        "status = 'x'",
        "attempts = 1.5",
        "offset = 'x'",
    ],
)
def test_a_damaged_letter_is_told_in_words(database: sqlite3.Connection, change: str) -> None:
    """By its number, and not with what it holds; others are found, and it can be deleted."""
    database.execute(f"UPDATE dead_letters SET {change} WHERE id = 2")
    with pytest.raises(DamageError, match=r"^dead letter 2 is not as it was written$"):
        list(find_letters(database, DeadLetterFilter()))
    damaged: list[DamagedLetter] = []
    assert [each.id for each in find_letters(database, DeadLetterFilter(), damaged)] == [1, 3]
    assert [each.told for each in damaged] == ["dead letter 2 is not as it was written"]
    samples = {group.sample.id for group in group_letters(database, DeadLetterFilter())}
    assert samples == {1, 2, 3}
    assert sum(count_letters(database).values()) >= 2
    assert sum(count_by_hour(database, DeadLetterFilter()).values()) >= 2
    delete_letters(database, damaged)
    assert [each.id for each in find_letters(database, DeadLetterFilter())] == [1, 3]


def test_a_damaged_byte_keeps_no_letter_from_going(path: Path, tmp_path: Path) -> None:
    """Indexes have it elsewhere, or triggers lack what they count: it goes, and room is counted."""
    put(path, LETTER, *OTHERS)
    with contextlib.closing(connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        (page_bytes,) = database.execute("PRAGMA page_size").fetchone()
    whole = path.read_bytes()
    at = whole.index(LETTER.answer.encode())
    end = (at // page_bytes + 1) * page_bytes
    deleted = 0
    for place in range(end - 260, end):  # the first letter, with its header
        (harmed := tmp_path / f"{place}.db").write_bytes(
            whole[:place] + b"\x80" + whole[place + 1 :]
        )
        with contextlib.closing(connect(harmed)) as database:
            damaged: list[DamagedLetter] = []
            try:
                found = list(find_letters(database, DeadLetterFilter(), damaged))
            except sqlite3.DatabaseError:  # SQLite itself cannot read the page
                continue
            assert len(group_letters(database, DeadLetterFilter())) >= 3
            database.execute("BEGIN IMMEDIATE")
            for each in (*found, *damaged):
                delete_letters(database, [each])
            database.execute("COMMIT")
            assert database.execute("SELECT * FROM letter_room").fetchall() == []
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        deleted += 1
    assert deleted > 200


def test_a_letter_that_only_an_index_has_is_not_deleted_for_ever(
    path: Path, database: sqlite3.Connection
) -> None:
    """What was there counts: else each look would find it anew, and tell that it is gone."""
    database.execute("PRAGMA writable_schema = ON")
    name = "WHERE name = 'letters_by_kind'"
    index = database.execute(f"SELECT * FROM sqlite_master {name}").fetchone()
    database.execute(f"DELETE FROM sqlite_master {name}")
    database.execute("PRAGMA writable_schema = RESET")
    database.execute("DELETE FROM dead_letters WHERE id = 1")
    database.execute("PRAGMA writable_schema = ON")
    database.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", index)
    database.execute("PRAGMA schema_version = 1000")
    with contextlib.closing(connect(path)) as damaged:
        assert damaged.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
        damaged.execute("BEGIN IMMEDIATE")
        assert delete_letters_before(damaged, 1500.0) == 0
        assert delete_letters_before(damaged, 5000.0) == 2
        assert delete_letters_before(damaged, 5000.0) == 0
        damaged.execute("COMMIT")


def test_a_message_that_fails_again_is_one_letter(path: Path, database: sqlite3.Connection) -> None:
    """The last failure counts, attempts add up, and it is no longer taken for replayed."""
    SqliteAdmin(database).replay_letters(
        list(find_letters(database, DeadLetterFilter(ids=(1,)))), 1500.0
    )
    put(path, msgspec.structs.replace(LETTER, offset=9, code="http_422", at=4000.0, attempts=1))
    (letter,) = find_letters(database, DeadLetterFilter(connection="heap", message_id="m1"))
    assert (letter.id, letter.code, letter.offset) == (1, "http_422", 9)
    assert (letter.attempts, letter.at, letter.replayed_at) == (3, 4000.0, None)


def test_old_letters_are_deleted_where_the_configuration_says_so(path: Path) -> None:
    """With `keep_dead_letters`; by default, none ever is."""

    async def left(retention: Retention) -> list[str]:
        log = SqliteEventLog(path, ["heap"], retention=retention, clock=lambda: 3500.0)
        await log.clean()
        log.close()
        with contextlib.closing(connect(path)) as connection:
            return [
                f"{x.connection} {x.at:.0f}" for x in find_letters(connection, DeadLetterFilter())
            ]

    put(path, LETTER, *OTHERS)
    everything = ["heap 1000", "mixpanel 2000", "heap 3000"]
    assert asyncio.run(left(Retention())) == everything
    assert asyncio.run(left(Retention(keep_dead_letters=1500.0))) == everything[1:]
    assert asyncio.run(left(Retention(keep_dead_letters=100.0))) == []


def test_a_message_without_an_id_is_named_after_its_place(path: Path) -> None:
    """Two that cannot be read are two letters."""
    nameless = msgspec.structs.replace(LETTER, message_id="")
    put(path, nameless, msgspec.structs.replace(nameless, offset=2), nameless)
    connection = connect(path)
    names = [letter.message_id for letter in find_letters(connection, DeadLetterFilter())]
    connection.close()
    assert names == ["offset-1", "offset-2"]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (DeadLetterFilter(), [1, 2, 3]),
        (DeadLetterFilter(ids=(3, 1)), [1, 3]),
        (DeadLetterFilter(connection="heap"), [1, 3]),
        (DeadLetterFilter(code="http_400"), [1, 2]),
        (DeadLetterFilter(since=2000.0), [2, 3]),
        (DeadLetterFilter(before=2000.0), [1]),
        (DeadLetterFilter(since=2000.0, before=2000.0), []),
        (DeadLetterFilter(message_id="m2"), [3]),
        (DeadLetterFilter(limit=2), [1, 2]),
        (DeadLetterFilter(connection="heap", code="http_400", limit=5), [1]),
        (DeadLetterFilter(replayed=True), []),
    ],
)
def test_letters_are_found_by_what_is_known(
    database: sqlite3.Connection, wanted: DeadLetterFilter, ids: list[int]
) -> None:
    """Filters narrow each other down."""
    assert [letter.id for letter in find_letters(database, wanted)] == ids


def test_letters_are_grouped_by_connection_and_code(
    path: Path, database: sqlite3.Connection
) -> None:
    """The largest group first, each with the letter that was kept last."""
    put(path, msgspec.structs.replace(LETTER, message_id="m9", offset=9))
    groups = group_letters(database, DeadLetterFilter(code="http_400"))
    assert [(group.count, group.sample.connection) for group in groups] == [
        (2, "heap"),
        (1, "mixpanel"),
    ]
    assert groups[0].sample.message_id == "m9"


def test_a_replay_is_for_one_connection(path: Path, database: sqlite3.Connection) -> None:
    """The message is read again by the connection whose letter it was, and by no other."""
    SqliteAdmin(database).replay_letters(
        list(find_letters(database, DeadLetterFilter(ids=(1,)))), 5000.0
    )
    assert [x.id for x in find_letters(database, DeadLetterFilter(replayed=False))] == [2, 3]

    async def read() -> tuple[list[bytes], list[bytes]]:
        log = SqliteEventLog(path, ["heap", "mixpanel"])
        await log.append([b"after"])
        heap = await log.read("heap", -1, 10)
        mixpanel = await log.read("mixpanel", -1, 10)
        log.close()
        return [event.body for event in heap], [event.body for event in mixpanel]

    assert asyncio.run(read()) == ([LETTER.body, b"after"], [b"after"])


def test_letters_are_counted_by_hour_though_none_can_be_read(database: sqlite3.Connection) -> None:
    """A million of them are counted for a chart: none is worth a look."""
    later = [
        msgspec.structs.replace(LETTER, message_id=f"later-{number}", at=7200.0 + number)
        for number in range(2)
    ]
    put_letters(database, later)
    database.execute("UPDATE dead_letters SET request = 'none that can be read'")
    wanted = DeadLetterFilter(connection="heap", since=3600.0)
    assert count_by_hour(database, wanted) == {2: 2}


def test_a_letter_knows_who_sent_its_message_and_a_replay_still_does(path: Path) -> None:
    """What the log keeps beside an event stays beside its dead letter, and comes back with it."""

    async def run() -> list[str | None]:
        log = SqliteEventLog(path, ["heap"])
        try:
            await log.append([LETTER.body], "web")
            (event,) = await log.read("heap", -1, 9)
            await log.put([msgspec.structs.replace(LETTER, offset=event.offset)])
            with contextlib.closing(connect(path)) as database:
                letters = list(find_letters(database, DeadLetterFilter()))
                SqliteAdmin(database).replay_letters(letters, 1500.0)
            (again,) = await log.read("heap", event.offset, 9)
            return [event.source, letters[0].source, again.source]
        finally:
            log.close()

    assert asyncio.run(run()) == ["web", "web", "web"]


def test_a_letter_of_a_replay_comes_back_as_one(path: Path) -> None:
    """Sent again without profiles, it does not bring their old values when it is replayed."""

    async def run() -> str | None:
        log = SqliteEventLog(path, ["heap"])
        try:
            kept = Kept(1, 1.0, "web", LETTER.body)
            with contextlib.closing(connect(path)) as database:
                SqliteAdmin(database).send_again("heap", [kept], "events", 2.0)
            (event,) = await log.read("heap", -1, 9)
            await log.put([msgspec.structs.replace(LETTER, offset=event.offset)])
            with contextlib.closing(connect(path)) as database:
                SqliteAdmin(database).replay_letters(
                    list(find_letters(database, DeadLetterFilter())), 3.0
                )
            (again,) = await log.read("heap", event.offset, 9)
            return again.replay
        finally:
            log.close()

    assert asyncio.run(run()) == "events"
