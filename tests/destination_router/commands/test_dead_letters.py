"""`dead-letters` where there are thousands: what is printed stays short."""

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from command_line import run_command

from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.sqlite.log import SqliteEventLog

MANY = 3000
TOML = """
[eventlog]
url = "sqlite:///router.db"
[[connections]]
name = "heap"
plugin = "heap"
settings = {appId = "11"}
"""


def letter(number: int, code: str) -> DeadLetter:
    return DeadLetter(
        connection="heap",
        message_id=f"m{number}",
        offset=number,
        body=b'{"type": "track", "messageId": "m%d"}' % number,
        code=code,
        detail="event: name it",
        at=1_800_000_000.0,
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A router with thousands of letters of one code, and one of each of 150 others."""
    (tmp_path / "router.toml").write_text(TOML)
    many = [letter(number, "http_400") for number in range(MANY)]

    async def fill() -> None:
        log = SqliteEventLog(tmp_path / "router.db", ["heap"])
        await log.put([*many, *(letter(MANY + n, f"code_{n}") for n in range(150))])
        log.close()

    asyncio.run(fill())
    return tmp_path


def dead_letters(directory: Path, *arguments: str) -> Any:
    return run_command("dead-letters", *arguments, cwd=directory)


def test_a_list_is_a_line_for_each_code(directory: Path) -> None:
    """With a count and a sample, the most frequent first, and no more lines than one reads."""
    told = dead_letters(directory, "list")
    lines = told.stdout.splitlines()
    assert lines[0].startswith("3000  heap  http_400  such as  3000  ")
    assert lines[0].endswith("m2999  event: name it")
    assert len(lines) == 100
    assert told.stderr == "There are 51 more codes: --limit says how many to show.\n"
    assert len(dead_letters(directory, "list", "--limit", "151").stdout.splitlines()) == 151


def test_each_is_listed_if_that_is_asked_for(directory: Path) -> None:
    """A hundred, unless a limit or a program asks for more."""
    told = dead_letters(directory, "list", "--each", "--code", "http_400")
    assert len(told.stdout.splitlines()) == 100
    assert "There are more than 100" in told.stderr
    limited = dead_letters(directory, "list", "--each", "--limit", "120")
    assert (len(limited.stdout.splitlines()), limited.stderr) == (120, "")
    assert len(dead_letters(directory, "list", "--json").stdout.splitlines()) == MANY + 150
    assert dead_letters(directory, "list", "17").stdout.split()[3] == "m16"


def test_a_replay_of_all_is_one_line(directory: Path) -> None:
    """It says how many there were, by connection and code."""
    told = dead_letters(directory, "replay", "--all")
    assert (told.returncode, told.stdout) == (0, "")
    (line,) = told.stderr.splitlines()
    assert line.startswith("3150 replayed: heap http_400 3000, heap code_0 1, ")


def test_old_letters_are_deleted_by_before(directory: Path) -> None:
    """--before selects what is older; the letters of this fixture are from January 2027."""
    assert dead_letters(directory, "delete", "--before", "2027-01-01", "--dry-run").returncode == 0
    told = dead_letters(directory, "delete", "--before", "2027-01-01")
    assert told.stderr.startswith("0 deleted")
    told = dead_letters(directory, "delete", "--before", "2028-01-01")
    assert told.stderr.startswith("3150 deleted: heap http_400 3000, ")


def test_a_deletion_since_a_duration_is_refused(directory: Path) -> None:
    """It would delete the newest letters, where people mean the oldest: nothing is deleted."""
    told = dead_letters(directory, "delete", "--since", "30d")
    assert told.returncode == 2
    assert "to delete older ones, give --before 30d" in told.stderr
    told = dead_letters(directory, "delete", "--since", "2027-01-01T00:00:00Z", "--dry-run")
    assert told.stderr.startswith("3150 would be deleted")


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A router with three letters, of which the second is damaged."""
    (tmp_path / "router.toml").write_text(TOML)

    async def fill() -> None:
        log = SqliteEventLog(tmp_path / "router.db", ["heap"])
        await log.put([letter(1, "http_400"), letter(2, "http_400"), letter(3, "http_401")])
        log.close()

    asyncio.run(fill())
    with contextlib.closing(sqlite3.connect(tmp_path / "router.db")) as database, database:
        database.execute("UPDATE dead_letters SET body = 7 WHERE id = 2")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["list"], 2),
        (["list", "--each"], 2),
        (["list", "--json"], 2),
        (["list", "--each", "--code", "http_400"], 1),
        (["list", "2"], 0),
        (["show", "2"], 0),
        (["export"], 2),
    ],
)
def test_a_damaged_letter_hides_no_other(damaged: Path, arguments: list[str], count: int) -> None:
    """It is named by its number, with what can be done, and the status tells of it."""
    told = dead_letters(damaged, *arguments)
    assert told.returncode == 1
    assert len(told.stdout.splitlines()) == count
    assert told.stderr == (
        "1 not as they were written, and cannot be read: 2. `dead-letters delete` with the number "
        "deletes one; a backup may have it whole.\n"
    )


def test_the_others_are_replayed_and_a_damaged_one_can_be_deleted(damaged: Path) -> None:
    """By its number, or with all the others that are selected."""
    told = dead_letters(damaged, "replay", "--code", "http_400")
    assert told.returncode == 1
    assert told.stderr.startswith("1 replayed: heap http_400 1\n1 not as they were written")
    told = dead_letters(damaged, "delete", "2", "--dry-run")
    assert told.stdout == "2  dead letter 2 is not as it was written\n"
    assert (told.returncode, told.stderr) == (0, "1 would be deleted: heap http_400 1\n")
    assert dead_letters(damaged, "delete", "--all").returncode == 0
    listed = dead_letters(damaged, "list", "--replayed", "--json")
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == [1]
    assert (listed.returncode, listed.stderr) == (0, "")
