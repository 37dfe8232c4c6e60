"""What is remembered on Kafka: the same rows in every process that follows, and after any crash.

Modules: `books.py`.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from kafka_log import new_log
from waiting import PATIENCE, until

from destination_router.config.router_toml import EventLogConfig, KafkaConfig
from destination_router.eventlog.dead_letter import DeadLetter, DeadLetterFilter
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.address import Address, address_of
from destination_router.eventlog.kafka.alone import alone
from destination_router.eventlog.kafka.books import BookView, KafkaBooks
from destination_router.eventlog.kafka.groups import client_for_reading
from destination_router.eventlog.kafka.producing import Producing, Record
from destination_router.eventlog.opening import open_admin, open_log
from destination_router.eventlog.sqlite.dead_letter_store import (
    delete_letters,
    find_letters,
    put_letters,
)
from destination_router.eventlog.sqlite.retention import Retention


@pytest.fixture(scope="module")
def address() -> Address:
    return address_of(new_log())


@pytest.fixture
def views(address: Address) -> Iterator[tuple[BookView, BookView]]:
    """Those of two processes."""
    producing = Producing(address)
    both = BookView(address, producing), BookView(address, producing)
    for view in both:
        view.catch_up()
    yield both
    for view in both:
        view.close()
    producing.close()


def letter(name: str, code: str = "c") -> DeadLetter:
    return DeadLetter(
        connection="a", message_id=name, offset=1, body=b"\xff{}", code=code, detail="", at=1.0
    )


def letters(view: BookView) -> dict[str, tuple[int, str, int, bytes]]:
    found = find_letters(view.database, DeadLetterFilter())
    return {each.message_id: (each.id, each.code, each.attempts, each.body) for each in found}


def change(view: BookView, *found: DeadLetter) -> None:
    view.database.execute("BEGIN")
    put_letters(view.database, found)
    view.publish()
    view.database.execute("COMMIT")


def test_letters_have_the_same_numbers_everywhere(views: tuple[BookView, BookView]) -> None:
    """Whoever keeps them, in whatever order others hear of it; a number is never given twice."""
    one, other = views
    change(one, letter("n1"), letter("n2"))
    change(other, letter("n3"), letter("n4"), letter("n5"))
    change(one, letter("n6"))
    for view in views:
        view.catch_up()
    assert letters(one) == letters(other)
    assert len({number for number, *_ in letters(one).values()}) == 6
    number = letters(one)["n3"][0]
    change(one, letter("n3", "again"))
    other.catch_up()
    assert letters(other)["n3"] == (number, "again", 0, b"\xff{}")
    other.database.execute("BEGIN")
    delete_letters(
        other.database,
        [
            letter
            for letter in find_letters(other.database, DeadLetterFilter())
            if letter.message_id == "n3"
        ],
    )
    other.publish()
    other.database.execute("COMMIT")
    one.catch_up()
    assert "n3" not in letters(one)
    change(one, letter("n3"))
    assert letters(one)["n3"][0] > number


def test_a_message_that_fails_twice_at_once_is_one_letter(
    views: tuple[BookView, BookView],
) -> None:
    """A sender that repeats a request may have two copies of a message in one window."""
    one, other = views
    change(one, letter("twice"), letter("twice", "again"), letter("twice", "at last"))
    other.catch_up()
    assert letters(one)["twice"] == letters(other)["twice"]
    assert letters(one)["twice"][1] == "at last"


def last_letter(address: Address) -> dict[str, Any]:
    """What stays of the topic of letters once it is compacted, where it is of one letter.

    It is empty where the last record deletes the letter.
    """
    with contextlib.closing(Consumer(client_for_reading(address))) as consumer:
        place = TopicPartition(address.letters, 0)
        _, end = consumer.get_watermark_offsets(place, PATIENCE)
        consumer.assign([TopicPartition(address.letters, 0, end - 1)])
        message = consumer.poll(PATIENCE)
    assert message is not None
    found: dict[str, Any] = msgspec.json.decode(message.value() or b"{}")
    return found


def test_brokers_that_end_while_a_topic_is_empty_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at any other moment: nobody sees a traceback for it."""
    address = address_of(new_log())
    answers = [(0, 0), (0, 0)]

    def watermarks(*_: object) -> tuple[int, int]:
        if not answers:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return answers.pop()

    with (
        contextlib.closing(Producing(address)) as producing,
        contextlib.closing(BookView(address, producing)) as view,
    ):
        view.catch_up()
        monkeypatch.setattr(f"{BookView.__module__}.watermarks", watermarks)
        monkeypatch.setattr(view, "follow", lambda _: False)
        view._assign()
        with pytest.raises(LogUnavailableError, match="Kafka cannot be read: _TRANSPORT"):
            view.catch_up()


@pytest.mark.parametrize("command", ["ends", "is killed in between"])
def test_a_letter_that_fails_again_before_it_is_marked_is_not_hidden(command: str) -> None:
    """The worker may be faster than the command; every process sees the second failure."""
    config = new_log()
    address = address_of(config)
    failed_again = threading.Event()

    def replay() -> None:
        """Replay all letters, and mark them once they have failed again."""
        with open_admin(config) as log:
            view = log._view  # type: ignore[attr-defined]
            publish = view.publish

            def publish_late() -> None:
                assert failed_again.wait(PATIENCE)
                view.publish = publish
                publish()
                if command != "ends":
                    view.show_hidden = lambda: None

            with log.writing():
                letters = list(find_letters(log.books, DeadLetterFilter(replayed=False)))
                log.replay_letters(letters, 1.0)
                view.publish = publish_late

    async def steps() -> None:
        with contextlib.closing(open_log(config, ["a"], {}, request_seconds=1.0)) as log:
            await log.append([b'{"messageId":"n"}'])
            for offset in range(2):
                (event,) = await log.read("a", offset - 1, 1)
                assert event.offset == offset
                failure = msgspec.structs.replace(letter("n", f"c{offset}"), offset=offset)
                await log.put([failure])
                await log.commit("a", [offset])
                if offset == 0:
                    replaying = asyncio.create_task(asyncio.to_thread(replay))
            failed_again.set()
            await replaying
            assert await log.dead_letters() == {("a", "c1"): 1}
        with open_admin(config) as fresh:
            found = list(find_letters(fresh.books, DeadLetterFilter(replayed=False)))
            assert [(each.code, each.offset, each.replayed_at) for each in found] == [
                ("c1", 1, None)
            ]
            if command != "ends":
                assert last_letter(address)["code"] == "c0"
                with fresh.writing():  # whatever the next command does
                    pass
        assert last_letter(address)["code"] == "c1"
        assert last_letter(address)["replayed_at"] is None

    asyncio.run(asyncio.wait_for(steps(), PATIENCE))


def failure(name: str, offset: int, code: str = "c") -> DeadLetter:
    return msgspec.structs.replace(letter(name, code), offset=offset)


def delete(view: BookView, name: str) -> None:
    view.database.execute("BEGIN")
    delete_letters(view.database, [*find_letters(view.database, DeadLetterFilter(message_id=name))])
    view.publish()
    view.database.execute("COMMIT")


def failures(view: BookView) -> dict[str, tuple[int, str, int]]:
    found = find_letters(view.database, DeadLetterFilter())
    return {each.message_id: (each.id, each.code, each.offset) for each in found}


def test_a_letter_that_fails_again_as_it_is_deleted_stays(address: Address) -> None:
    """Whoever deletes has not seen the second failure; every process does, then and later."""
    with contextlib.closing(Producing(address)) as producing, contextlib.ExitStack() as opened:

        def view() -> BookView:
            made = opened.enter_context(contextlib.closing(BookView(address, producing)))
            made.catch_up()
            return made

        worker, command, watcher = view(), view(), view()
        change(worker, failure("d1", 5, "c0"), failure("d2", 6, "c0"))
        for each in (command, watcher):
            each.catch_up()
        number, *_ = failures(watcher)["d1"]
        change(worker, failure("d1", 7, "c1"))
        delete(command, "d1")
        delete(command, "d2")
        for each in (worker, command, watcher, view()):
            each.catch_up()
            assert failures(each)["d1"] == (number, "c1", 7)
            assert "d2" not in failures(each)
        command.show_hidden()
        assert last_letter(address)["code"] == "c1"
        delete(watcher, "d1")  # it has not heard of that, which says the same
        for each in (worker, command, watcher, view()):
            each.catch_up()
            assert "d1" not in failures(each)


def test_a_command_that_deletes_writes_again_what_it_would_have_hidden() -> None:
    """Where the topic is compacted, nothing but its last record stays."""
    config = new_log()
    address = address_of(config)
    with (
        contextlib.closing(Producing(address)) as producing,
        contextlib.closing(BookView(address, producing)) as worker,
        open_admin(config) as log,
    ):
        change(worker, failure("n", 5, "c0"))
        with log.writing():
            delete_letters(log.books, [*find_letters(log.books, DeadLetterFilter())])
            change(worker, failure("n", 7, "c1"))
        assert [each.code for each in find_letters(log.books, DeadLetterFilter())] == ["c1"]
        assert last_letter(address)["code"] == "c1"
        with log.writing():
            delete_letters(log.books, [*find_letters(log.books, DeadLetterFilter())])
        worker.catch_up()
        assert not failures(worker)


@pytest.mark.parametrize("why", ["age", "room"])
def test_cleaning_writes_again_what_it_would_have_hidden(why: str) -> None:
    """Another process delivers, and its letter fails again at the moment in which it is deleted."""
    config = new_log()
    address = address_of(config)
    bound = {"keep_dead_letters": 60.0} if why == "age" else {"max_dead_letters_size": 1}
    again = msgspec.structs.replace(failure("n", 7, "c1"), at=time.time())

    async def steps() -> None:
        with (
            contextlib.closing(Producing(address)) as producing,
            contextlib.closing(BookView(address, producing)) as worker,
        ):
            change(worker, failure("n", 5, "c0"))
            with contextlib.closing(
                open_log(msgspec.structs.replace(config, **bound), ["a"], {}, request_seconds=1.0)
            ) as log:
                view = log._kept_books()._view  # type: ignore[attr-defined]
                publish = view.publish

                def publish_late() -> None:
                    if view.database.execute("SELECT 1 FROM changed").fetchone() is not None:
                        view.publish = publish
                        change(worker, again)
                        log._retention = Retention()  # type: ignore[attr-defined]
                    publish()

                view.publish = publish_late
                while view.publish == publish_late or not last_letter(address):
                    log._cleaned_at = float("-inf")  # type: ignore[attr-defined]
                    await log.clean()
                assert await log.dead_letters() == {("a", "c1"): 1}
                assert not view.hides
            worker.catch_up()
            assert failures(worker)["n"][1:] == ("c1", 7)
        assert last_letter(address)["code"] == "c1"

    asyncio.run(asyncio.wait_for(steps(), PATIENCE))


def test_a_client_that_cannot_be_made_is_told_as_brokers_that_are_away(tmp_path: Path) -> None:
    """A file of `[eventlog.kafka]` may be gone for a moment: cleaning goes on, and tries later."""
    told = KafkaConfig(tls=True, ca_file=str(tmp_path / "gone.pem"))
    address = address_of(EventLogConfig(url="kafka://127.0.0.1:1/p", kafka=told))
    with pytest.raises(LogUnavailableError, match="another command"), alone(address):
        pass


@pytest.mark.parametrize("name", ["", "a\nb", "~ff", 'quo"te', "\x00zero", "ü", '["x"]'])
def test_any_id_is_a_key(views: tuple[BookView, BookView], name: str) -> None:
    """Senders write what they like."""
    one, other = views
    change(one, letter(f"id {name}"))
    other.catch_up()
    assert letters(other)[f"id {name}"] == letters(one)[f"id {name}"]


def test_what_is_not_kept_is_not_shown(address: Address) -> None:
    """A change that brokers do not take is undone; the others of its time are not harmed."""

    def fail(_: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    def hold(database: sqlite3.Connection) -> None:
        database.execute("INSERT INTO holds VALUES ('kept', 'c', 1)")

    def holds(database: sqlite3.Connection) -> list[str]:
        return [name for (name,) in database.execute("SELECT connection FROM holds")]

    class Refusing(Producing):
        refuses = False

        def send_and_wait(self, records):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if self.refuses:
                raise LogUnavailableError("no")
            return super().send_and_wait(records)

    async def steps() -> None:
        producing = Refusing(address)
        books = KafkaBooks(address, producing)
        done = await asyncio.gather(
            books.transact(fail), books.transact(hold), return_exceptions=True
        )
        assert isinstance(done[0], ZeroDivisionError)
        assert done[1] is None
        producing.refuses = True
        with pytest.raises(LogUnavailableError):
            await books.transact(lambda database: database.execute("DELETE FROM holds") and None)
        assert await books.query(holds) == ["kept"]
        producing.refuses = False
        books.close()
        producing.close()

    asyncio.run(steps())


def test_a_process_hears_what_another_changes(address: Address) -> None:
    """Soon, and without asking."""

    def order(database: sqlite3.Connection) -> None:
        database.execute("INSERT OR REPLACE INTO orders VALUES ('heard', 1, 1)")

    def orders(database: sqlite3.Connection) -> bool:
        return bool(database.execute("SELECT 1 FROM orders WHERE connection = 'heard'").fetchall())

    producing = Producing(address)
    one, other = KafkaBooks(address, producing), KafkaBooks(address, producing)
    one.transact_and_wait(order)
    until(lambda: other.transact_and_wait(orders))
    one.close()
    other.close()
    producing.close()


STRANGERS = {
    "a value that is no JSON": (b'holds\n["a"]', b"\xff{"),
    "a value of another kind": (b'holds\n["a"]', b"[1]"),
    "a value without its columns": (b'holds\n["a"]', b"{}"),
    "a column of another kind": (b'places\n["a",0]', b'{"next":"s3cret","metadata":""}'),
    "a number beyond all bounds": (b'holds\n["a"]', b'{"code":"c","since":99999999999999999999}'),
    "bytes that are none": (b'at_hand\n["a"]', b'{"offsets":{"bytes":"%"}}'),
    "bytes under another name": (b'at_hand\n["a"]', b'{"offsets":{"s3cret":""}}'),
    "a key that is no JSON": (b"holds\n[", b'{"code":"c","since":1}'),
    "a key with too many parts": (b'holds\n["a","b"]', b'{"code":"c","since":1}'),
    "a key of another kind": (b'holds\n[{"x":1}]', b'{"code":"c","since":1}'),
    "a key that is not in hex": (b'quarantine\n["a","zz"]', b'{"since":1}'),
    "no value": (b"holds\n7", None),
    "a table of a newer version": (b'others\n["a"]', b"{}"),
    "another program's": (b"\xff\xfe", b"\x00"),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_record_that_is_none_of_ours_is_left_out(
    address: Address, caplog: pytest.LogCaptureFixture, stranger: str
) -> None:
    """Those before and behind it are taken in, and a line names its place."""
    key, value = STRANGERS[stranger]
    told = stranger not in {"a table of a newer version", "another program's"}

    def put(database: sqlite3.Connection, name: str) -> None:
        database.execute("INSERT OR REPLACE INTO holds VALUES (?, 'c', 1)", (name,))

    def holds(database: sqlite3.Connection) -> set[str]:
        return {name for (name,) in database.execute("SELECT connection FROM holds")}

    producing = Producing(address)
    books = KafkaBooks(address, producing)
    books.transact_and_wait(lambda database: put(database, f"before {stranger}"))
    with caplog.at_level(logging.WARNING):
        (offset,) = producing.send_and_wait([Record(address.state, key, value, partition=0)])
        books.transact_and_wait(lambda database: put(database, f"behind {stranger}"))
        fresh = KafkaBooks(address, producing)
        found = fresh.transact_and_wait(holds)
    assert {f"before {stranger}", f"behind {stranger}"} <= found & books.transact_and_wait(holds)
    lines = [each.__dict__ for each in caplog.records if each.message == "record_skipped"]
    here = [each for each in lines if each["offset"] == offset]
    assert bool(here) == told
    assert all((each["topic"], each["partition"]) == (address.state, 0) for each in here)
    assert "s3cret" not in str([each["detail"] for each in here])
    for each in (books, fresh):
        each.close()
    producing.close()


def test_a_defect_while_records_are_taken_in_costs_one_answer(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked is told; what was read is read again, and the next question is answered."""

    def hold(database: sqlite3.Connection) -> None:
        database.execute("INSERT OR REPLACE INTO holds VALUES ('defect', 'c', 1)")

    def holds(database: sqlite3.Connection) -> bool:
        return bool(database.execute("SELECT 1 FROM holds WHERE connection = 'defect'").fetchall())

    failed = []

    def defect(*_: object) -> None:
        failed.append(1)
        raise ZeroDivisionError

    producing = Producing(address)
    one, other = KafkaBooks(address, producing), KafkaBooks(address, producing)
    other.transact_and_wait(holds)
    with monkeypatch.context() as patched:
        patched.setattr(other._view, "_take_in", defect)
        one.transact_and_wait(hold)
        until(lambda: failed)
    until(lambda: _answer(other, holds))
    one.close()
    other.close()
    with pytest.raises(LogUnavailableError, match="this process ends"):
        other.transact_and_wait(holds)
    producing.close()
    with pytest.raises(LogUnavailableError, match="this process ends"):
        producing.send_and_wait([Record(address.state, b"k", b"v", partition=0)])


def _answer(books: KafkaBooks, read: object) -> bool:
    try:
        return bool(books.transact_and_wait(read))  # type: ignore[arg-type]
    except LogUnavailableError:
        return False
