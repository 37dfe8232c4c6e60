"""The ties that a vendor limits: none is made beyond the limit, whatever happens in between."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destination_router import Pairing
from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.interface import PairingBook, PairingEntry
from destination_router.eventlog.memory import MemoryPairings
from destination_router.eventlog.opening import books_on_demand
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.pairing_book import LoggedPairings, PairingsFile

DAY = 86_400.0
Play = Callable[..., Any]


def once(key: str, value: str) -> Pairing:
    return Pairing(rule="once", key=key, value=value, limit=1, detail="once for ever")


def twice(key: str, value: str) -> Pairing:
    return Pairing(rule="twice", key=key, value=value, limit=2, period=DAY)


@pytest.fixture(params=["memory", "log", "file"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PairingBook]:
    """Each place where ties are kept."""
    match request.param:
        case "memory":
            yield MemoryPairings()
        case "log":
            with contextlib.closing(SqliteEventLog(tmp_path / "log.db", ["heap"])) as log:
                yield LoggedPairings(log)
        case "file":
            with contextlib.closing(
                books_on_demand(EventLogConfig(url=f"sqlite:///{tmp_path}/new/pairings.db"))
            ) as file:
                yield PairingsFile(file)


def enter(
    book: PairingBook, *pairings: Pairing, now: float = 0.0, scope: str = "p"
) -> PairingEntry:
    return asyncio.run(book.enter(scope, pairings, now))


def confirm(book: PairingBook, *pairings: Pairing, now: float = 0.0) -> None:
    asyncio.run(book.confirm("p", pairings, now))


def test_a_tie_beyond_the_limit_is_named(book: PairingBook) -> None:
    """One value for a key, then no other; the key of another plugin or rule is another key."""
    assert enter(book, once("k", "a")) == PairingEntry()
    assert enter(book, once("k", "b")) == PairingEntry(beyond=once("k", "b"))
    assert enter(book, once("l", "b")) == PairingEntry()
    assert enter(book, once("k", "b"), scope="another") == PairingEntry()
    assert enter(book, twice("k", "b")) == PairingEntry()


def test_a_tie_that_is_made_need_not_be_sent_again(book: PairingBook) -> None:
    """One that is only entered may not have reached the vendor, and goes out again."""
    assert enter(book, once("k", "a")) == PairingEntry()
    assert enter(book, once("k", "a")) == PairingEntry()
    confirm(book, once("k", "a"))
    assert enter(book, once("k", "a")) == PairingEntry(made=True)


def test_all_ties_of_a_request_are_entered_or_none(book: PairingBook) -> None:
    """What one rule forbids takes no place under another."""
    assert enter(book, once("k", "a")) == PairingEntry()
    assert enter(book, twice("x", "1"), once("k", "b")).beyond == once("k", "b")
    assert enter(book, twice("x", "2")) == PairingEntry()
    assert enter(book, twice("x", "3")) == PairingEntry()
    assert enter(book, twice("x", "4")).beyond == twice("x", "4")


def test_a_period_begins_when_the_vendor_took_it(book: PairingBook) -> None:
    """Not when it was entered: the vendor counts from what it saw."""
    for value in "ab":
        assert enter(book, twice("k", value), now=0) == PairingEntry()
        confirm(book, twice("k", value), now=DAY / 2)
    assert enter(book, twice("k", "c"), now=DAY).beyond == twice("k", "c")
    assert enter(book, twice("k", "c"), now=1.5 * DAY) == PairingEntry()


def test_what_may_be_made_counts_for_as_long_as_nobody_knows(book: PairingBook) -> None:
    """A tie without an answer may have been made late."""
    for value in "ab":
        assert enter(book, twice("k", value), now=0) == PairingEntry()
    assert enter(book, twice("k", "c"), now=9 * DAY).beyond == twice("k", "c")


def test_a_repeat_does_not_prolong_a_period(book: PairingBook) -> None:
    """The vendor ignores it, so it counts from the first."""
    for value in "ab":
        enter(book, twice("k", value))
        confirm(book, twice("k", value), now=0)
        confirm(book, twice("k", value), now=DAY - 1)
    assert enter(book, twice("k", "c"), now=DAY) == PairingEntry()


def test_ids_that_no_encoding_holds_are_ids_too(book: PairingBook) -> None:
    """Half of a character in an id is no reason to fail, nor do parts run into each other."""
    assert enter(book, once("\ud800", "\udfff")) == PairingEntry()
    assert enter(book, once("\ud800", "a")).beyond is not None
    assert enter(book, Pairing(rule="oncek", key="", value="b", limit=1)) == PairingEntry()
    assert enter(book, once("k", "c")) == PairingEntry()


def test_the_file_holds_no_ids(tmp_path: Path) -> None:
    """Only digests are kept: the file stays for good, and an id is personal."""
    path = tmp_path / "log.db"
    with contextlib.closing(SqliteEventLog(path, ())) as log:
        enter(LoggedPairings(log), once("ada@example.com", "anonymous-of-ada"))
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"ada" not in content
