"""What every event log promises, whichever it is: the same tests of each.

Modules: `interface.py`, `router_log.py`, `log_admin.py`, `opening.py`, `sqlite/admin.py`.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from kafka_log import new_log
from waiting import PATIENCE

from destination_router.config.router_toml import EventLogConfig
from destination_router.contract.records import Pairing
from destination_router.eventlog.dead_letter import DeadLetter, DeadLetterFilter
from destination_router.eventlog.interface import (
    Event,
    EventLog,
    Held,
    LogUnavailableError,
    Order,
    Standing,
)
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.eventlog.opening import open_admin, open_log, unclaimed
from destination_router.eventlog.router_log import RouterLog
from destination_router.eventlog.sqlite.dead_letter_store import delete_letters, find_letters
from destination_router.eventlog.sqlite.pairing_book import LoggedPairings
from destination_router.eventlog.sqlite.quarantine_book import LoggedQuarantine
from destination_router.eventlog.sqlite.standing_book import (
    LoggedStanding,
    all_held,
    all_orders,
    give_order,
)

DURABLE = ["sqlite", "kafka"]


class Place(Protocol):
    """Where a log is, with the settings of its table."""

    def __call__(self, **settings: Any) -> EventLogConfig: ...


def place_of(kind: str, folder: Path) -> Place:
    """Say where a new log of a kind may be."""
    if kind == "kafka":
        made = new_log()
        return lambda **settings: msgspec.structs.replace(made, **settings)
    return lambda **settings: EventLogConfig(url=f"sqlite:///{folder}/router.db", **settings)


@pytest.fixture(params=DURABLE)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty log of each kind that outlives its process."""
    return place_of(request.param, tmp_path)


@pytest.fixture(params=["memory", *DURABLE])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    """An empty log of each kind, read by `a` and `b`."""
    if request.param == "memory":
        yield MemoryEventLog(["a", "b"])
        return
    with opened(place_of(request.param, tmp_path)(), "a", "b") as log:
        yield log


@contextlib.contextmanager
def opened(config: EventLogConfig, *names: str) -> Iterator[RouterLog]:
    with contextlib.closing(open_log(config, names, {}, request_seconds=1.0)) as log:
        yield log


def run(steps: Callable[[], Awaitable[Any]]) -> Any:
    """Run a test's steps; what waits for ever fails it."""

    async def bounded() -> Any:
        return await asyncio.wait_for(steps(), PATIENCE)

    return asyncio.run(bounded())


def within(config: EventLogConfig, names: Sequence[str], steps: Any) -> Any:
    """Run steps with a log that is open meanwhile."""

    async def use() -> Any:
        with opened(config, *names) as log:
            return await steps(log)

    return run(use)


def admin(config: EventLogConfig, use: Callable[[LogAdmin], Any], *, write: bool = False) -> Any:
    """Do what a command does."""
    with open_admin(config) as log, log.writing() if write else log.reading():
        return use(log)


def body(number: int, user: str = "u") -> bytes:
    message = {"type": "track", "event": "E", "userId": user, "messageId": f"m{number}"}
    return json.dumps(message).encode()


def numbers(events: Sequence[Event]) -> list[str]:
    return [json.loads(event.body)["messageId"] for event in events]


async def read_all(log: EventLog, name: str, count: int, after: int = -1) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += await log.read(name, after, count - len(found))
        after = found[-1].offset
    return found


def letter(number: int, connection: str = "a", **fields: Any) -> DeadLetter:
    return DeadLetter(
        connection=connection, message_id=f"m{number}", offset=number, body=body(number),
        code=fields.pop("code", "http_400"), detail="no", at=fields.pop("at", 1.0), **fields,
    )  # fmt: skip


# -- events -------------------------------------------------------------------------------------


def test_every_connection_reads_everything_in_order(log: EventLog) -> None:
    """Each event, oldest first, each connection at its own pace, with who sent it."""

    async def steps() -> None:
        await log.append([body(1), body(2)], "web")
        await log.append([body(3)])
        events = await read_all(log, "a", 3)
        assert numbers(events) == ["m1", "m2", "m3"]
        assert [event.source for event in events] == ["web", "web", None]
        offsets = [event.offset for event in events]
        assert offsets == sorted(set(offsets))
        first = await read_all(log, "b", 1)
        assert numbers(first) == ["m1"]
        assert numbers(await read_all(log, "b", 2, first[0].offset)) == ["m2", "m3"]

    run(steps)


def test_no_more_is_read_than_was_asked_for(log: EventLog) -> None:
    """A limit holds, and the rest comes next."""

    async def steps() -> None:
        await log.append([body(number) for number in range(5)])
        await read_all(log, "a", 5)
        first = await log.read("b", -1, 2)
        assert 1 <= len(first) <= 2
        rest = await read_all(log, "b", 5 - len(first), first[-1].offset)
        assert numbers([*first, *rest]) == [f"m{number}" for number in range(5)]

    run(steps)


def test_what_is_done_is_not_read_again(log: EventLog) -> None:
    """Events are committed in any order; another connection still has them."""

    async def steps() -> None:
        await log.append([body(number) for number in range(4)])
        events = await read_all(log, "a", 4)
        await log.commit("a", [events[3].offset, events[1].offset])
        assert numbers(await read_all(log, "a", 2)) == ["m0", "m2"]
        assert numbers(await read_all(log, "b", 4)) == ["m0", "m1", "m2", "m3"]

    run(steps)


def test_a_reader_waits_for_what_comes(log: EventLog) -> None:
    """Reading returns once there is something, and not before."""

    async def steps() -> None:
        await log.append([body(1)])
        (first,) = await read_all(log, "a", 1)
        reading = asyncio.ensure_future(log.read("a", first.offset, 9))
        await asyncio.sleep(0)
        assert not reading.done()
        await log.append([body(2)])
        assert numbers(await reading) == ["m2"]

    run(steps)


def test_a_read_that_is_cancelled_loses_nothing(log: EventLog) -> None:
    """Whoever asks again gets what the one who gave up would have got."""

    async def steps() -> None:
        await log.append([body(1)])
        (first,) = await read_all(log, "a", 1)
        reading = asyncio.ensure_future(log.read("a", first.offset, 9))
        await asyncio.sleep(0)
        reading.cancel()
        await log.append([body(2)])
        assert numbers(await log.read("a", first.offset, 9)) == ["m2"]

    run(steps)


# -- what outlives the process ------------------------------------------------------------------


def test_what_is_not_done_is_there_after_a_restart(place: Place) -> None:
    """Holes included: neither is anything forgotten nor anything done again."""

    async def first(log: RouterLog) -> None:
        await log.append([body(number) for number in range(6)], "web")
        events = await read_all(log, "a", 6)
        await log.commit("a", [events[number].offset for number in (0, 2, 5)])

    async def second(log: RouterLog) -> list[Event]:
        await log.append([body(6)])
        return await read_all(log, "a", 4)

    within(place(), ["a"], first)
    events = within(place(), ["a"], second)
    assert numbers(events) == ["m1", "m3", "m4", "m6"]
    assert events[0].source == "web"
    assert events[0].received_at is not None


@pytest.mark.parametrize(("start", "found"), [("end", ["m2"]), ("start", ["m0", "m1", "m2"])])
def test_a_new_connection_begins_where_the_settings_say(
    place: Place, start: str, found: list[str]
) -> None:
    """Behind what is there already, or before it."""

    async def first(log: RouterLog) -> None:
        await log.append([body(0), body(1)])

    async def second(log: RouterLog) -> list[Event]:
        await log.append([body(2)])
        return await read_all(log, "b", len(found))

    config = place(new_connections=start)
    within(config, ["a"], first)
    assert numbers(within(config, ["a", "b"], second)) == found


def test_a_connection_is_admitted_while_the_log_is_open(place: Place) -> None:
    """A reload lets new ones read from now on."""

    async def steps(log: RouterLog) -> list[Event]:
        await log.append([body(0)])
        await log.admit(["a", "b"], start="end", kept={})
        await log.append([body(1)])
        return await read_all(log, "b", 1)

    assert numbers(within(place(), ["a"], steps)) == ["m1"]


def test_how_far_each_is_behind_is_told(place: Place) -> None:
    """By number of events and by the age of the oldest, also to who is not the router."""

    async def steps(log: RouterLog) -> Any:
        await log.append([body(number) for number in range(3)])
        events = await read_all(log, "a", 3)
        await log.commit("a", [events[0].offset, events[2].offset])
        return await log.lags()

    lags = within(place(), ["a", "b"], steps)
    assert {name: lag.messages for name, lag in lags.items()} == {"a": 1, "b": 3}
    assert lags["a"].seconds > 0
    behind = admin(place(), lambda log: log.lags(2e9))
    assert {name: lag.messages for name, lag in behind.items()} == {"a": 1, "b": 3}


def test_one_that_is_forgotten_begins_anew(place: Place) -> None:
    """Its claim to what it has not delivered is gone, and so is what stood about it."""

    async def fill(log: RouterLog) -> None:
        await log.append([body(0)])
        standing = Standing(held=Held("http_401", 1.0))
        await LoggedStanding(log).keep("b", standing)

    async def again(log: RouterLog) -> Any:
        await log.append([body(1)])
        return await read_all(log, "b", 1), await LoggedStanding(log).standing("b")

    within(place(), ["a", "b"], fill)
    admin(place(), lambda log: log.forget("b"), write=True)
    assert set(admin(place(), lambda log: log.lags(0.0))) == {"a"}
    events, standing = within(place(), ["a", "b"], again)
    assert numbers(events) == ["m1"]
    assert standing == Standing()


# -- dead letters -------------------------------------------------------------------------------


def test_a_letter_is_kept_once_and_counts_its_attempts(place: Place) -> None:
    """A message that fails again is the same letter, with its last failure."""

    async def steps(log: RouterLog) -> Any:
        await log.put([letter(1, attempts=2), letter(2)])
        await log.put([letter(1, attempts=1, code="http_422")])
        return await log.dead_letters()

    assert within(place(), ["a"], steps) == {("a", "http_422"): 1, ("a", "http_400"): 1}
    found = admin(place(), lambda log: list(find_letters(log.books, DeadLetterFilter())))
    assert [(each.message_id, each.code, each.attempts) for each in found] == [
        ("m1", "http_422", 3),
        ("m2", "http_400", 0),
    ]
    assert found[0].id != found[1].id


def test_a_letter_knows_who_sent_it(place: Place) -> None:
    """The log adds the source, which the worker does not know."""

    async def steps(log: RouterLog) -> None:
        await log.append([body(1)], "web")
        (event,) = await read_all(log, "a", 1)
        await log.put(
            [
                DeadLetter(
                    connection="a", message_id="m1", offset=event.offset, body=body(1), code="c",
                    detail="", at=1.0,
                )
            ]
        )  # fmt: skip

    within(place(), ["a"], steps)
    (found,) = admin(place(), lambda log: list(find_letters(log.books, DeadLetterFilter())))
    assert found.source == "web"


def test_a_replayed_letter_comes_to_its_connection_alone(place: Place) -> None:
    """It is appended behind what waits, and marked."""

    async def fill(log: RouterLog) -> None:
        await log.append([body(0)])
        await log.put([letter(1, source="web"), letter(2)])

    async def read(log: RouterLog) -> Any:
        await log.append([body(9)])
        return (
            await read_all(log, "a", 3),
            await read_all(log, "b", 2),
            await log.dead_letters(),
        )

    def replay(log: LogAdmin) -> None:
        log.replay_letters(list(find_letters(log.books, DeadLetterFilter(message_id="m1"))), 5.0)

    within(place(), ["a", "b"], fill)
    admin(place(), replay, write=True)
    of_a, of_b, left = within(place(), ["a", "b"], read)
    assert numbers(of_a) == ["m0", "m1", "m9"]
    assert of_a[1].source == "web"
    assert numbers(of_b) == ["m0", "m9"]
    assert left == {("a", "http_400"): 1}


def test_letters_that_are_deleted_are_gone(place: Place) -> None:
    """For good, while the log is open, too."""

    async def steps(log: RouterLog) -> None:
        await log.put([letter(1), letter(2)])

    def delete(log: LogAdmin) -> None:
        delete_letters(log.books, list(find_letters(log.books, DeadLetterFilter(message_id="m1"))))

    within(place(), ["a"], steps)
    admin(place(), delete, write=True)
    found = admin(place(), lambda log: list(find_letters(log.books, DeadLetterFilter())))
    assert [each.message_id for each in found] == ["m2"]


def test_letters_have_a_budget(place: Place) -> None:
    """Beyond it the oldest of the largest group go, and are counted."""

    async def steps(log: RouterLog) -> Any:
        await log.put([letter(number, at=float(number)) for number in range(20)])
        return dict(log.lost_letters), await log.letters_size()

    lost, size = within(place(max_dead_letters_size=2000), ["a"], steps)
    assert lost[("a", "http_400")] > 0
    assert 0 < size <= 2000


# -- what is sent again, and what ends ----------------------------------------------------------


def test_what_was_delivered_and_is_kept_is_sent_again(place: Place) -> None:
    """To one connection alone, marked as a replay, and not once more by another replay."""
    config = place(keep_delivered=3600.0)

    async def deliver(log: RouterLog) -> None:
        await log.append([body(0), body(1), body(2)], "web")
        events = await read_all(log, "a", 3)
        await log.commit("a", [event.offset for event in events[:2]])

    async def read(log: RouterLog) -> Any:
        return await read_all(log, "a", 3)

    within(config, ["a", "b"], deliver)
    kept = admin(config, lambda log: list(log.delivered("a", 0.0, 4e9)))
    assert [(json.loads(each.body)["messageId"], each.source) for each in kept] == [
        ("m0", "web"),
        ("m1", "web"),
    ]
    assert admin(config, lambda log: list(log.delivered("b", 0.0, 4e9))) == []
    assert admin(config, lambda log: log.kept_since()) is None
    admin(config, lambda log: log.send_again("a", kept, "events", 3e9), write=True)
    events = within(config, ["a", "b"], read)
    assert numbers(events) == ["m2", "m0", "m1"]
    assert [event.replay for event in events] == [None, "events", "events"]
    assert len(list(admin(config, lambda log: list(log.bodies())))) == 3


def test_what_every_connection_is_done_with_is_deleted(place: Place) -> None:
    """And nothing that one of them still has to deliver."""

    async def steps(log: RouterLog) -> Any:
        for first in (0, 2):  # a file keeps what came in together until all of it is done
            await log.append([body(number) for number in range(first, first + 2)])
        for name, count in (("a", 4), ("b", 2)):
            events = await read_all(log, name, 4)
            await log.commit(name, [event.offset for event in events[:count]])
        while await log.clean():
            pass
        return numbers(await read_all(log, "b", 2))

    assert within(place(), ["a", "b"], steps) == ["m2", "m3"]
    assert len(admin(place(), lambda log: list(log.bodies()))) == 2
    assert admin(place(), lambda log: log.kept_since()) is not None


def test_a_full_log_takes_no_more(place: Place) -> None:
    """It refuses new events rather than drop what it has; `check` says so, too."""

    async def steps(log: RouterLog) -> None:
        await log.append([body(0) + b" " * 1_000_000])
        with pytest.raises(LogUnavailableError, match="max_size"):
            await log.append([body(2)])
        with pytest.raises(LogUnavailableError, match="max_size"):
            await log.check()

    within(place(max_size=1_000_000), ["a"], steps)


def test_what_nobody_took_for_too_long_becomes_a_letter(place: Place) -> None:
    """With the code `expired`; what the worker has in hand is left to it."""

    async def steps(log: RouterLog) -> Any:
        await log.append([body(0)])
        await read_all(log, "a", 1)
        await log.append([body(1), body(2)])
        later = time.time() + 2 * max_age
        log._clock = lambda: later  # type: ignore[attr-defined]
        while (await log.dead_letters()).get(("a", "expired"), 0) < 2:
            await log.clean()
            await asyncio.sleep(0.01)
        return (await log.lags())["a"].messages

    max_age = 3600.0
    assert within(place(max_age=max_age), ["a"], steps) == 1


# -- deletion of people -------------------------------------------------------------------------


def test_what_waits_can_be_dropped_for_one_connection(place: Place) -> None:
    """Once no router delivers."""

    async def fill(log: RouterLog) -> None:
        await log.append([body(number) for number in range(3)])

    async def read(log: RouterLog) -> Any:
        await log.append([body(3)])
        return numbers(await read_all(log, "a", 3)), numbers(await read_all(log, "b", 4))

    within(place(), ["a", "b"], fill)
    with open_admin(place()) as log, unclaimed(place(), "a") as is_ours:
        assert is_ours
        waiting = list(log.waiting("a"))
        assert [json.loads(each)["messageId"] for _, each in waiting] == ["m0", "m1", "m2"]
        log.drop_waiting("a", [waiting[1][0]])
    assert within(place(), ["a", "b"], read) == (["m0", "m2", "m3"], ["m0", "m1", "m2", "m3"])


# -- books --------------------------------------------------------------------------------------


def test_books_outlive_the_process(place: Place) -> None:
    """How connections stand, what a person said, who is quarantined, and ties that were made."""
    tie = Pairing(rule="r", key="k", value="v", limit=1)
    other = Pairing(rule="r", key="k", value="w", limit=1)

    async def first(log: RouterLog) -> None:
        await LoggedStanding(log).keep("a", Standing(held=Held("http_401", 2.0)))
        await LoggedStanding(log).keep("b", Standing(origins=frozenset({"https://v.example"})))
        await LoggedQuarantine(log).hold("a", [b"\x00\xff", b"gone"], 3.0)
        await LoggedQuarantine(log).release("a", [b"gone"])
        entry = await LoggedPairings(log).enter("heap", [tie], 4.0)
        assert (entry.made, entry.beyond) == (False, None)
        await LoggedPairings(log).confirm("heap", [tie], 5.0)

    async def second(log: RouterLog) -> None:
        assert (await LoggedStanding(log).standing("a")).held == Held("http_401", 2.0)
        assert (await LoggedStanding(log).standing("b")).origins == {"https://v.example"}
        assert await LoggedQuarantine(log).held("a") == {b"\x00\xff"}
        assert (await LoggedPairings(log).enter("heap", [tie], 6.0)).made
        assert (await LoggedPairings(log).enter("heap", [other], 6.0)).beyond == other
        assert await LoggedStanding(log).order("a") == Order(paused=True, at=7.0)

    within(place(), ["a", "b"], first)
    admin(place(), lambda log: give_order(log.books, "a", Order(paused=True, at=7.0)), write=True)
    assert admin(place(), lambda log: all_held(log.books)) == {"a": Held("http_401", 2.0)}
    assert admin(place(), lambda log: all_orders(log.books)) == {"a": Order(paused=True, at=7.0)}
    within(place(), ["a", "b"], second)


def test_a_router_at_work_hears_what_a_command_says(place: Place) -> None:
    """Without a restart."""

    async def steps(log: RouterLog) -> None:
        assert await LoggedStanding(log).order("a") is None
        order = Order(paused=True, at=1.0)
        await asyncio.to_thread(
            admin, place(), lambda other: give_order(other.books, "a", order), write=True
        )
        while await LoggedStanding(log).order("a") != order:  # noqa: ASYNC110 -- said elsewhere
            await asyncio.sleep(0.01)

    within(place(), ["a"], steps)


def test_a_command_that_fails_has_changed_nothing(place: Place) -> None:
    """All of it, or nothing."""

    async def fill(log: RouterLog) -> None:
        await log.put([letter(1)])

    class StoppedError(Exception):
        pass

    def delete(log: LogAdmin) -> None:
        delete_letters(log.books, list(find_letters(log.books, DeadLetterFilter())))
        raise StoppedError

    within(place(), ["a"], fill)
    with pytest.raises(StoppedError):
        admin(place(), delete, write=True)
    assert len(admin(place(), lambda log: list(find_letters(log.books, DeadLetterFilter())))) == 1


# -- whose it is --------------------------------------------------------------------------------


def test_who_reads_may_send(place: Place) -> None:
    """As long as no other process has taken over."""

    async def steps(log: RouterLog) -> None:
        await log.append([body(0)])
        await read_all(log, "a", 1)
        while not log.ownership("a").may_send():  # noqa: ASYNC110 -- a thread says it
            await asyncio.sleep(0.01)

    within(place(), ["a"], steps)


def test_what_was_at_hand_when_a_process_died_is_known(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts against those messages alone, and only if the process did not say that it ended.

    Once one process has died, whoever takes over notes what is at hand.
    """
    # On a busy machine, a note may take longer than a second.
    monkeypatch.setattr("destination_router.eventlog.kafka.hands._NOTED_WITHIN", PATIENCE)

    async def die(log: RouterLog) -> list[int]:
        events = await read_all(log, "a", 2)
        offsets = [event.offset for event in events]
        attempts = log.attempts()
        await attempts.open("a")
        attempts.begin("a", offsets[1:])
        return offsets

    async def append(log: RouterLog) -> None:
        await log.append([body(0), body(1)])

    async def see(log: RouterLog) -> dict[int, int]:
        attempts = log.attempts()
        try:
            return await attempts.open("a")
        finally:
            attempts.close()

    within(place(), ["a"], append)
    within(place(), ["a"], die)
    offsets = within(place(), ["a"], die)
    tries = within(place(), ["a"], see)
    assert list(tries) == [offsets[1]]
    assert 1 <= tries[offsets[1]] <= 2
