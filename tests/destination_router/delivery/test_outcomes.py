"""What now: from what came of a request to what each of its messages does next.

The table of the module, row by row; then what a plugin says of each message of a bulk, in a worker.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, get_args

import httpx
import msgspec
import pytest

from destination_router import HttpRequest, HttpResponse, Message, Outcome, hookimpl
from destination_router.contract.records import Result
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.item import Answer, Item
from destination_router.delivery.outcomes import (
    Next,
    after_failure,
    alone,
    as_proven,
    for_each,
    for_each_of_cut,
    is_own_matter,
    is_vendor_failing,
    outcome_of,
    retry_wait,
    wait_for_all,
    what_now,
)
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Worker
from destination_router.eventlog.dead_letter import DeadLetter
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.pipeline.connection import Connection, Decision
from destination_router.plugins.loading import check_destination

URL = "https://vendor.example/events"
KEY = "s3cret-key"
Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


class Vendor:
    """Takes bulks of users, refuses those that it throttles, and tells when it got what."""

    def __init__(self, throttled: str = "") -> None:
        self.throttled = throttled
        self.got: list[tuple[float, list[str]]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = msgspec.json.decode(request.content)
        now = asyncio.get_running_loop().time()
        if self.throttled in body["users"]:
            self.throttled = ""
            return httpx.Response(429, text=f"slow down, {body['key']}")
        if "bad" in body["users"]:
            return httpx.Response(400, text=f"{body['key']} sent a bad user")
        self.got.append((now, body["users"]))
        return httpx.Response(200)


class Plugin:
    """Reads the vendor's answers: the slow user waits, the bad one is rejected."""

    @hookimpl
    def settings_schema(self) -> dict[str, Any]:
        key = {"type": "string", "writeOnly": True}
        return {"type": "object", "additionalProperties": False, "properties": {"key": key}}

    @hookimpl
    def on_identify(self) -> list[HttpRequest]:
        return []

    @hookimpl
    def on_track(self, message: Message, settings: Any) -> list[HttpRequest]:
        return [HttpRequest(url=URL, json={"key": settings["key"], "users": [message.user_id]})]

    @hookimpl
    def pack(self, requests: list[HttpRequest], settings: Any) -> list[HttpRequest]:
        ids = tuple(message_id for request in requests for message_id in request.message_ids)
        users = [user for request in requests for user in request.json["users"]]
        body = {"key": settings["key"], "users": users}
        return [HttpRequest(url=URL, json=body, message_ids=ids)] if requests else []

    @hookimpl
    def on_response(self, request: HttpRequest, response: HttpResponse) -> dict[str, Outcome]:
        names = dict(zip(request.message_ids, request.json["users"], strict=True))
        if response.status == 200:
            return dict.fromkeys(names, Outcome.delivered())
        verdicts = {
            "slow": Outcome.retry(after=30.0, code="throttled"),
            "bad": Outcome.rejected("bad_user", response.text),
        }
        again = Outcome.retry(after=0)
        return {message_id: verdicts.get(name, again) for message_id, name in names.items()}


class Letters:
    def __init__(self) -> None:
        self.kept: list[DeadLetter] = []

    async def put(self, letters: list[DeadLetter]) -> None:
        self.kept += letters


async def deliver(vendor: Vendor, wire: list[bytes]) -> list[DeadLetter]:
    log = MemoryEventLog(["c"])
    plugin = check_destination(Plugin(), "plugin", "plugin 1.0")
    connection = Connection("c", plugin, {"key": KEY})
    letters = Letters()
    async with Sender(connection, transport=httpx.MockTransport(vendor.answer)) as sender:
        worker = Worker(connection, log, sender, dead_letters=letters, chance=lambda: 0.5)
        working = asyncio.create_task(worker.run())
        await log.append(wire)
        await log.wait_until_done()
        await worker.stop(0.0)
        await working
    return letters.kept


def track(user: str) -> dict[str, Any]:
    return {"type": "track", "event": "E", "userId": user}


def test_only_the_throttled_user_waits(
    in_virtual_time: Run, wire: Callable[..., list[bytes]]
) -> None:
    """The neighbours of a user who has to wait go out again at once, and so does what is new."""

    async def main() -> None:
        vendor = Vendor(throttled="slow")
        names = ["ada", "slow", "bob", "slow"]
        assert not await deliver(vendor, wire(*map(track, names)))

        (early, neighbours), (late, waited) = vendor.got
        assert (neighbours, waited) == (["ada", "bob"], ["slow", "slow"])
        assert (early < 1, 30 <= late < 40) == (True, True)

    in_virtual_time(main)


def test_a_vendor_that_repeats_the_key_does_not_give_it_away(
    in_virtual_time: Run, wire: Callable[..., list[bytes]]
) -> None:
    """A secret is hidden in a dead letter, in the vendor's words too."""

    async def main() -> None:
        vendor = Vendor()
        (letter,) = await deliver(vendor, wire(track("ada"), track("bad")))

        assert [names for _, names in vendor.got] == [["ada"]]
        assert (letter.code, letter.detail) == ("bad_user", "*** sent a bad user")
        assert KEY not in str(letter)

    in_virtual_time(main)


DELIVERED, REJECTED, SUSPECT = Outcome.delivered(), Outcome.rejected("no"), Outcome.suspect("no")
HELD, UNPROVEN = Outcome.held("http_401"), Outcome.held("http_404", unless_proven=True)
NOW, LATER, SOMETIME = Outcome.retry(0), Outcome.retry(30.0), Outcome.retry()


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([DELIVERED, DELIVERED], ["delivered", "delivered"]),
        ([DELIVERED, REJECTED], ["delivered", "dead_letter"]),
        ([SUSPECT, DELIVERED], ["dead_letter", "delivered"]),
        ([SUSPECT, SUSPECT], ["apart", "apart"]),
        ([NOW, REJECTED], ["at_once", "dead_letter"]),
        ([NOW, SUSPECT, SUSPECT], ["at_once", "apart", "apart"]),
        ([NOW, LATER], ["at_once", "later"]),
        ([NOW, NOW], ["later", "later"]),
        ([SOMETIME, REJECTED], ["later", "dead_letter"]),
        ([SOMETIME], ["later"]),
        ([HELD, UNPROVEN], ["held", "held"]),
        ([HELD, NOW, SOMETIME], ["held", "at_once", "later"]),
        ([HELD, DELIVERED, REJECTED], ["held", "delivered", "dead_letter"]),
    ],
)
def test_the_table(outcomes: list[Outcome], expected: list[str]) -> None:
    """Each row of the module's table, for every message of a request."""
    assert what_now(outcomes) == expected


@pytest.mark.parametrize("result", get_args(Result))
def test_the_table_has_every_outcome(result: Any) -> None:
    """An outcome without a row would be forgotten, and its message with it."""
    (now,) = what_now([Outcome(result)])
    assert now in get_args(Next)


BULK = HttpRequest(url="https://vendor.example/bulk", message_ids=("a", "b"))
SINGLE = HttpRequest(url="https://vendor.example/one", message_ids=("a",))


@pytest.mark.parametrize("status", [400, 413, 422, None])
def test_a_refused_bulk_puts_all_its_messages_under_suspicion(status: int | None) -> None:
    """One body is refused, and nothing says whose part of it was at fault."""
    told = for_each(BULK, Outcome.rejected("http_400", "words"), status)
    assert told == dict.fromkeys("ab", Outcome.suspect("http_400", "words"))


def test_a_bulk_refused_for_what_is_not_in_its_body_is_refused() -> None:
    """Taking it apart would ask the same in vain."""
    told = for_each(BULK, Outcome.rejected("http_410"), 410)
    assert told == dict.fromkeys("ab", Outcome.rejected("http_410"))


def test_what_stands_alone_under_suspicion_is_guilty() -> None:
    """There is nobody else."""
    assert for_each(SINGLE, SUSPECT, 400) == {"a": REJECTED}
    assert alone(DELIVERED) == DELIVERED


def item(*requests: HttpRequest, attempts: int = 1, since: float | None = None) -> Item:
    made = Item.of(0, b"{}", Decision(message_id="m", result="requests", requests=requests))
    made.attempts = attempts
    made.tried_since = since
    return made


def answer(*outcomes: Outcome, status: int | None = 200) -> Answer:
    response = None if status is None else HttpResponse(status=status)
    named = {str(number): outcome for number, outcome in enumerate(outcomes)}
    return Answer(outcomes=named, response=response)


def test_a_message_under_several_ids_has_the_worst_outcome() -> None:
    """Whatever stands first."""
    made = item(BULK)
    told = Answer(outcomes={"a": DELIVERED, "b": REJECTED}, response=None)
    assert outcome_of(made, told) == REJECTED
    assert outcome_of(made, Answer(outcomes={"m": NOW, "a": REJECTED}, response=None)) == NOW


def failed(
    *items: Item, status: int | None = 503, last_success: float = 0.0, **patience: Any
) -> Any:
    return after_failure(
        items,
        [SOMETIME] * len(items),
        answer(*[SOMETIME] * len(items), status=status),
        settings=DeliverySettings(**patience),
        now=100.0,
        last_success=last_success,
        chance=1.0,
    )


def test_patience_ends_by_attempts_and_by_age() -> None:
    """For each message by itself; the rest goes out again."""
    tired, old, fresh = item(attempts=3), item(since=40.0), item(since=99.0)
    told = failed(tired, old, fresh, max_attempts=3, max_age=60.0)
    assert (told.given_up, told.lasting) == ([0, 1], [fresh])


@pytest.mark.parametrize(
    ("attempts", "status", "last_success", "apart"),
    [
        (4, 503, 99.0, True),
        (8, 500, 99.0, True),
        (3, 503, 99.0, False),
        (4, 429, 99.0, False),
        (4, None, 99.0, False),
        (4, 503, 9.0, False),
    ],
)
def test_a_bulk_that_fails_while_others_get_through_goes_apart(
    attempts: int, status: int | None, last_success: float, *, apart: bool
) -> None:
    """Every fourth time; not where everybody is throttled, nor where nothing gets through."""
    two = [item(attempts=attempts, since=10.0) for _ in range(2)]
    assert failed(*two, status=status, last_success=last_success).apart is apart
    assert not failed(two[0], status=status, last_success=last_success).apart


def test_everyone_waits_only_where_everyone_was_asked_to() -> None:
    """One user's throttling is theirs alone, and a typo of the vendor's stops nobody for good."""
    assert wait_for_all(answer(LATER, LATER, status=429)) == 30.0
    assert wait_for_all(answer(LATER, SOMETIME, status=429)) == 0.0
    assert wait_for_all(answer(LATER, status=429)) == 0.0
    assert wait_for_all(answer(LATER, DELIVERED)) == 0.0
    assert wait_for_all(answer(*[Outcome.retry(1e12)] * 2)) == 86_400.0


@pytest.mark.parametrize(
    ("outcome", "status", "failing"),
    [(SOMETIME, 503, True), (SOMETIME, None, True), (SOMETIME, 429, False), (REJECTED, 500, False)],
)
def test_what_the_circuit_counts(outcome: Outcome, status: int | None, *, failing: bool) -> None:
    """No answer, or a server's error that asks for a retry."""
    assert is_vendor_failing(answer(outcome, status=status)) is failing


@pytest.mark.parametrize(
    ("number", "asked", "chance", "wait"),
    [
        (1, None, 1.0, 0.5),
        (2, None, 1.0, 1.0),
        (2, None, 0.25, 0.25),
        (500, None, 1.0, 60.0),
        (1, 300.0, 0.0, 300.0),
        (1, 1e12, 0.0, 86_400.0),
    ],
)
def test_waits_double_up_to_a_cap_with_full_jitter(
    number: int, asked: float | None, chance: float, wait: float
) -> None:
    """Never less than the vendor asked for, within a day."""
    assert retry_wait(DeliverySettings(), number, asked, chance) == wait


def test_of_a_cut_answer_a_message_that_stands_alone_has_what_the_status_says() -> None:
    """Also where it stands in its bulk under two ids, so that the bulk is suspect."""
    bulk = HttpRequest(url="https://vendor.example", json=[], message_ids=("a", "b"))
    taken = for_each_of_cut(bulk, DELIVERED)
    assert {outcome.result for outcome in taken.values()} == {"suspect"}
    assert what_now([taken["a"]]) == ["delivered"]
    assert what_now([taken["a"], taken["b"]]) == ["apart", "apart"]
    refused = for_each_of_cut(bulk, Outcome.rejected("http_400", "words"))
    assert what_now([refused["a"]]) == ["dead_letter"]
    away = Outcome.retry(30.0, code="http_503")
    assert set(for_each_of_cut(bulk, away).values()) == {away}


def answered(**outcomes: Outcome) -> Answer:
    return Answer(outcomes=outcomes, response=HttpResponse(status=404))


def test_what_is_held_unless_proven_is_rejected_once_it_is() -> None:
    """The vendor takes others there, so it is this request that it does not know."""
    told = as_proven(BULK, answered(a=UNPROVEN, b=HELD)).outcomes
    assert told == {"a": Outcome.rejected("http_404"), "b": HELD}


@pytest.mark.parametrize(
    ("answer", "held_at", "own"),
    [
        (answered(a=HELD, b=HELD), None, False),
        (answered(a=HELD, b=DELIVERED), None, True),
        (answered(a=HELD, b=HELD), 4.0, True),
        (answered(a=HELD, b=HELD), 6.0, False),
    ],
    ids=["first", "others were taken with it", "others were taken since", "none was taken since"],
)
def test_a_message_that_is_held_while_others_are_taken_is_held_alone(
    answer: Answer, held_at: float | None, *, own: bool
) -> None:
    """A connection stops for what is wrong with it, and not for what is wrong with one record."""
    item = Item.of(0, b"", Decision(message_id="a", result="requests"))
    item.held_at = held_at
    assert is_own_matter([item], answer, last_success=5.0) is own
