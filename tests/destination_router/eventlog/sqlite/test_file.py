"""A log's file: recognised, refused in clear words where it cannot be used, and never harmed.

Modules: `file.py`, `claim.py`, `eventlog/on_demand.py`, `presence.py`, `checksums.py`.
"""

import asyncio
import contextlib
import os
import random
import sqlite3
import subprocess
from pathlib import Path

import pytest

from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.sqlite import file
from destination_router.eventlog.sqlite.claim import claim, claimant, is_delivered_from
from destination_router.eventlog.sqlite.file import VERSION, integrity_problems, open_file
from destination_router.eventlog.sqlite.log import SqliteEventLog

FILLING = b'{"userId":"ada"}' + b" " * 5000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


def filled(path: Path) -> None:
    async def run() -> None:
        log = SqliteEventLog(path, ["heap"])
        await log.append([FILLING] * 200)
        log.close()

    asyncio.run(run())


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def assert_refused(path: Path, words: str) -> None:
    before = path.read_bytes()
    with pytest.raises(LogFileError, match=words) as caught:
        SqliteEventLog(path, ["heap"])
    assert str(path) in str(caught.value)
    assert before == path.read_bytes()


def test_a_new_log_is_readable_by_its_owner_only(path: Path) -> None:
    """Events are personal data: nobody else on the machine may read them."""
    open_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [path] == list(path.parent.iterdir())


def test_a_log_that_shall_be_there_is_not_made(path: Path) -> None:
    """Commands that look into a log say so if there is none."""
    with pytest.raises(LogFileError, match="there is no event log"):
        open_file(path, create=False)
    assert not path.exists()


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    """A log cannot be made where there is no directory."""
    with pytest.raises(LogFileError, match=r"there is no folder .*nowhere"):
        open_file(tmp_path / "nowhere" / "router.db")


def test_another_format_is_refused(path: Path) -> None:
    """A file that SQLite does not know is left alone."""
    path.write_bytes(b"something else entirely, and long enough" * 100)
    assert_refused(path, "not a database")


def test_an_empty_file_is_refused(path: Path) -> None:
    """A log is never made empty, so an empty file is one that lost its content."""
    path.touch()
    assert_refused(path, "an empty file")


def test_another_database_is_refused(path: Path) -> None:
    """SQLite files of other programs are told by their application id."""
    change(path, "CREATE TABLE theirs (x)")
    assert_refused(path, "some other SQLite database")


def test_a_newer_log_is_refused(path: Path) -> None:
    """An old version does not touch what a newer one wrote."""
    filled(path)
    change(path, f"PRAGMA user_version = {VERSION + 1}")
    assert_refused(path, "newer version")


def test_a_log_without_a_table_is_refused(path: Path) -> None:
    """A missing table is damage."""
    filled(path)
    change(path, "DROP TABLE done")
    assert_refused(path, "the table done is missing")


def test_a_log_without_a_column_is_refused(path: Path) -> None:
    """A reader would ask for it again and again."""
    filled(path)
    change(path, "ALTER TABLE events DROP COLUMN source")
    with pytest.raises(LogFileError, match="no such column"):
        read_on(path, 20)


def test_a_log_that_was_cut_short_is_refused(path: Path) -> None:
    """A file with fewer pages than its header says is damaged."""
    filled(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert_refused(path, "malformed|cut short")


def test_a_full_reading_finds_damage_inside(path: Path) -> None:
    """`integrity_problems` reads every page; a log in order has none."""
    filled(path)
    assert integrity_problems(path) == []
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle + 2000 : middle + 2001] = b"\xff"
    path.write_bytes(content)
    assert integrity_problems(path)


def test_one_process_at_a_time_delivers(path: Path) -> None:
    """A second worker on the same log is refused until the first one ends."""
    with (
        claim(path),
        pytest.raises(LogFileError, match="another process delivers"),
        claim(path),
    ):
        pass
    with claim(path):
        pass


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_log_of_an_older_version_is_brought_up(path: Path, version: int) -> None:
    """What is in it stays; what it lacks is added; a second start changes nothing."""
    make_older(path, version)
    for _ in range(2):
        assert read_on(path, 3) == [b"{1}", b"{2}", b"{3}"]
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
        room = database.execute("SELECT connection, code, letters FROM letter_room").fetchall()
        assert room == [("heap", "http_400", 1)]
        # One that begins at the start begins with what was there.
        assert database.execute("SELECT low FROM connections").fetchall() == [(7,)]
    filled(path)
    assert read_on(path, 203) == [b"{1}", b"{2}", b"{3}"] + [FILLING] * 200
    assert integrity_problems(path) == []


def make_older(path: Path, version: int) -> None:
    """Write a log as an older version did."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(file._SCHEMA)
        for older in range(1, version):
            database.executescript("; ".join(file._ADDED[older]))
        database.execute(f"PRAGMA application_id = {file.APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {version}")
        rows = [(offset, 0, "", f"{{{offset - 7}}}".encode()) for offset in (8, 9, 10)]
        database.executemany(
            "INSERT INTO events (offset, received_at, partition, body) VALUES (?, ?, ?, ?)", rows
        )
        database.execute("INSERT INTO connections (name, low) VALUES ('heap', 7)")
        database.execute(
            "INSERT INTO dead_letters (connection, message_id, offset, body, code, detail, at, "
            "attempts, answer) VALUES ('heap', 'm', 1, x'7b', 'http_400', '', 0, 1, '')"
        )
        database.commit()


def read_on(path: Path, count: int, connection: str = "heap") -> list[bytes]:
    """Read events as a worker does, without committing any."""

    async def run() -> list[bytes]:
        log = SqliteEventLog(path, [connection])
        try:
            bodies: list[bytes] = []
            after = -1
            while len(bodies) < count:
                events = await asyncio.wait_for(log.read(connection, after, 5), 10)
                after = events[-1].offset
                bodies += [event.body for event in events]
            return bodies
        finally:
            log.close()

    return asyncio.run(run())


def test_a_connection_of_an_older_version_that_began_at_the_start(path: Path) -> None:
    """It was noted at 0, before events that were deleted long ago: no event of its is missing."""
    make_older(path, 2)
    change(path, "UPDATE connections SET low = 0")
    assert read_on(path, 3) == [b"{1}", b"{2}", b"{3}"]


def test_one_connection_at_a_time_delivers_under_whatever_name(path: Path) -> None:
    """A symbolic link leads to the same lock."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    filled(link)
    assert path.is_file()
    with claim(path), pytest.raises(LogFileError, match="another process delivers"), claim(link):
        pass


def test_a_log_with_two_names_is_refused(path: Path) -> None:
    """Hard links: SQLite would keep a journal for each, and each would have its own worker."""
    filled(path)
    other = path.with_name("other.db")
    os.link(path, other)
    assert_refused(path, "has 2 names")
    assert_refused(other, "has 2 names")
    other.unlink()
    assert len(read_on(path, 20)) == 20


def test_a_name_that_a_killed_process_left_goes(path: Path) -> None:
    """A log is made under another name and linked into place."""
    filled(path)
    os.link(path, path.with_name(f".{path.name}.x1y2"))
    assert len(read_on(path, 20)) == 20
    assert [path] == list(path.parent.iterdir())


GONE = {
    "removed": lambda path: path.unlink(),
    "moved": lambda path: path.rename(path.with_name("moved.db")),
    "replaced": lambda path: (path.rename(path.with_name("moved.db")), path.touch()),
    "without its journal": lambda path: Path(f"{path}-wal").unlink(),
}


@pytest.mark.parametrize("what", GONE)
def test_a_log_that_is_gone_takes_nothing(path: Path, what: str) -> None:
    """What is written into a file without a name is nowhere after the next start."""

    async def run() -> None:
        log = SqliteEventLog(path, ["heap"])
        try:
            await log.append([b"{}"])
            GONE[what](path)
            for action in (log.append([b"{}"]), log.check(), log.put([])):
                with pytest.raises(LogUnavailableError, match="removed, moved or replaced"):
                    await action
        finally:
            log.close()

    asyncio.run(run())


def test_a_log_that_comes_back_goes_on(path: Path) -> None:
    """Whoever moved it by mistake moves it back."""

    async def run() -> None:
        log = SqliteEventLog(path, ["heap"])
        try:
            moved = GONE["moved"](path)
            with pytest.raises(LogUnavailableError):
                await log.append([b"{}"])
            moved.rename(path)
            await log.append([b"{}"])
        finally:
            log.close()

    asyncio.run(run())


# -- damage -------------------------------------------------------------------------------------

EVENTS = 60


def numbered(number: int) -> bytes:
    return b'{"messageId":"m%d","userId":"ada","pad":"%b"}' % (number, b"x" * (number * 37 % 900))


def damages() -> list[tuple[str, float, bytes]]:
    """Ways to spoil a file: where, as a share of it, and with which bytes."""
    chance = random.Random(20261129)
    bits = [(f"bit {number}", chance.random(), b"") for number in range(12)]
    zeros = [bytes(chance.choice([16, 512, 4096])) for _ in range(6)]
    noise = [chance.randbytes(64) for _ in range(6)]
    places = [(f"bytes {number}", chance.random(), bad) for number, bad in enumerate(zeros + noise)]
    return bits + places


@pytest.mark.parametrize("together", [1, 12], ids=["alone", "together"])
@pytest.mark.parametrize(("name", "where", "content"), damages(), ids=lambda value: str(value)[:9])
def test_a_damaged_log_loses_nothing_in_silence(
    path: Path, name: str, where: float, content: bytes, together: int
) -> None:
    """Each event is read as it was written, or the log is refused; no reader waits for ever."""

    async def write() -> None:
        log = SqliteEventLog(path, ["heap", "other"])
        for first in range(0, EVENTS, together):
            await log.append([numbered(number) for number in range(first, first + together)])
        events = await log.read("other", -1, EVENTS)
        await log.commit("other", [event.offset for event in events][10:20])
        await log.commit("other", [event.offset for event in events][:5])
        log.close()

    asyncio.run(write())
    spoilt = bytearray(path.read_bytes())
    place = int(where * len(spoilt))
    if content:
        spoilt[place : place + len(content)] = content[: len(spoilt) - place]
    else:
        spoilt[place] ^= 1 << len(name) % 8
    path.write_bytes(spoilt)
    wanted = {
        "heap": [numbered(number) for number in range(EVENTS)],
        "other": [numbered(number) for number in (*range(5, 10), *range(20, EVENTS))],
    }
    for connection, bodies in wanted.items():
        try:
            found = read_on(path, len(bodies), connection)
        except LogFileError:
            continue
        assert found == bodies


def test_damage_that_is_found_while_cleaning_is_told_as_damage(path: Path) -> None:
    """It never goes away, so it is not a log that cannot be written just now."""
    filled(path)

    async def deliver() -> None:
        log = SqliteEventLog(path, ["heap"])
        await log.commit("heap", [each.offset for each in await log.read("heap", -1, 200)])
        log.close()

    async def clean() -> None:
        log = SqliteEventLog(path, ["heap"])
        try:
            await log.clean()
        finally:
            log.close()

    asyncio.run(deliver())
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + b"\xff" * third + content[2 * third :])
    words = (
        r"router\.db: cannot be used as an event log: database disk image is malformed\. Nothing"
    )
    with pytest.raises(LogFileError, match=words):
        asyncio.run(clean())


def test_only_who_can_reload_is_told_to(path: Path) -> None:
    """A deletion holds the log as well, and the signal would end it."""
    assert claimant(path) is None
    with claim(path):
        assert (claimant(path), is_delivered_from(path)) == (None, False)
    with claim(path, delivers=True):  # as a program does that has a router in it
        assert (claimant(path), is_delivered_from(path)) == (None, True)
    with claim(path, reloads=True):
        assert (claimant(path), is_delivered_from(path)) == (os.getpid(), True)
    assert (claimant(path), is_delivered_from(path)) == (None, False)


def test_a_process_that_was_killed_is_told_nothing(path: Path) -> None:
    """Its workers have the claim from it until they end; its number may be another one's soon."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    with claim(path, reloads=True):
        path.with_name(f"{path.name}.workers").write_text(f"{gone.pid}\n")
        assert (claimant(path), is_delivered_from(path)) == (None, True)
