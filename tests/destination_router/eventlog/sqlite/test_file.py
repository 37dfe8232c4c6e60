"""A log's file: recognised, refused in clear words where it cannot be used, and never harmed.

Modules: `file.py`, `claim.py`, `on_demand.py`.
"""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from destination_router.eventlog.interface import LogFileError
from destination_router.eventlog.sqlite.claim import claim
from destination_router.eventlog.sqlite.file import VERSION, integrity_problems, open_file
from destination_router.eventlog.sqlite.log import SqliteEventLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


def filled(path: Path) -> None:
    async def run() -> None:
        log = SqliteEventLog(path, ["heap"])
        await log.append([b'{"userId":"ada"}' + b" " * 5000] * 200)
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
    content[middle : middle + 4096] = b"\xff" * 4096
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
