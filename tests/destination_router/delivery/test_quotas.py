"""Quotas: the limits that a vendor documents, kept from our side."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
import quotas as simulation
from hypothesis import given
from hypothesis import strategies as st

from destination_router import Message, hookimpl
from destination_router.contract.records import Cost, HttpRequest, Quota
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.quotas import UNKNOWN, Quotas
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Worker
from destination_router.eventlog.dead_letter import DroppedDeadLetters
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import check_destination

APP = Quota(name="app", limit=10, period=60.0, unit="events")
USER = Quota(name="user", limit=3, period=30.0, scope="user")


def spend(quotas: Quotas, costs: list[Cost], now: float) -> None:
    assert quotas.reserve(costs, now) is None
    quotas.settle(costs, now)


def test_what_is_reserved_counts_until_it_is_answered() -> None:
    """While a request is under way nobody can say when its place will be free."""
    quotas = Quotas([APP])
    assert quotas.reserve([Cost("app", 10)], 0.0) is None
    refusal = quotas.reserve([Cost("app", 1)], 1000.0)

    assert refusal is not None
    assert refusal.until == UNKNOWN


def test_a_place_is_free_a_period_after_the_answer() -> None:
    """The vendor counted a request before it answered; so ours is never free too early."""
    quotas = Quotas([APP])
    quotas.reserve([Cost("app", 10)], 0.0)
    quotas.settle([Cost("app", 10)], 5.0)
    refusal = quotas.reserve([Cost("app", 1)], 6.0)

    assert refusal is not None
    assert 65.0 < refusal.until < 65.1
    assert quotas.reserve([Cost("app", 1)], refusal.until) is None


def test_what_was_never_sent_costs_nothing() -> None:
    """A reservation that is given back leaves the budget as it was."""
    quotas = Quotas([APP])
    quotas.reserve([Cost("app", 10)], 0.0)
    quotas.release([Cost("app", 10)])

    assert quotas.reserve([Cost("app", 10)], 0.0) is None


def test_bytes_are_those_of_the_body() -> None:
    """A request takes the size of its JSON body from a quota in bytes, alone and in a bulk."""
    quotas = Quotas([Quota(name="bytes", limit=100, period=60.0, unit="bytes")])
    request = HttpRequest(url="https://vendor.example/", json={"name": "Zoë"})

    assert list(quotas.costs(request)) == [Cost("bytes", len('{"name":"Zoë"}'.encode()))]
    assert list(quotas.bulk_costs(request)) == list(quotas.costs(request))


def test_a_refusal_reserves_nothing() -> None:
    """A request fits into all of its quotas, or takes from none."""
    quotas = Quotas([APP, USER])
    spend(quotas, [Cost("user", 3, "ada")], 0.0)
    refusal = quotas.reserve([Cost("app", 10), Cost("user", 1, "ada")], 1.0)

    assert refusal is not None
    assert (refusal.quota, refusal.key) == ("user", "ada")
    assert quotas.reserve([Cost("app", 10), Cost("user", 1, "bob")], 1.0) is None


def test_more_than_the_limit_fits_into_an_empty_budget() -> None:
    """A request that can never fit goes alone rather than never."""
    assert Quotas([APP]).reserve([Cost("app", 11)], 0.0) is None


def test_what_is_left_takes_as_many_periods_as_it_fills() -> None:
    """Budgets of single users say nothing: how much is to come for each is not known."""
    quotas = Quotas([APP, USER])
    assert quotas.seconds_for(100.0, 0.0) == 0.0
    spend(quotas, [Cost("app", 10), Cost("user", 3, "ann")], 0.0)
    assert quotas.seconds_for(0.0, 1.0) == 0.0
    assert quotas.seconds_for(1.0, 1.0) == pytest.approx(60.0, abs=0.1)
    assert quotas.seconds_for(3.0, 1.0) == pytest.approx(180.0, abs=0.1)
    assert quotas.seconds_for(3.0, 61.0) == pytest.approx(120.0, abs=0.1)


def test_without_costs_a_request_takes_from_every_quota() -> None:
    """By default: one request, an event for each message, for its user."""
    request = HttpRequest(url="https://vendor.example", message_ids=("a", "b"), user_key="ada")
    quotas = Quotas([APP, USER])

    assert quotas.costs(request) == [Cost("app", 2), Cost("user", 1, "ada")]
    assert quotas.bulk_costs(request) == [Cost("app", 2)]


sends = st.lists(
    st.tuples(st.floats(0, 20), st.sampled_from(["ada", "bob"]), st.floats(0, 5)), max_size=60
)


@given(sends=sends)
def test_no_window_of_the_vendors_ever_holds_more_than_the_limit(
    sends: list[tuple[float, str, float]],
) -> None:
    """Wherever between sending and answer a vendor counts, its sliding window stays within."""
    quotas = Quotas([USER])
    now = 0.0
    counted: list[tuple[float, str]] = []
    for pause, user, latency in sends:
        now += pause
        costs = [Cost("user", 1, user)]
        if quotas.reserve(costs, now) is not None:
            continue
        counted.append((now + latency / 2, user))
        now += latency
        quotas.settle(costs, now)
    for at, user in counted:
        in_window = [t for t, u in counted if u == user and at - USER.period < t <= at]
        assert len(in_window) <= USER.limit


def test_heap_never_says_429_and_gets_all_that_it_allows(
    in_virtual_time: Callable[..., Any],
) -> None:
    """Zipf-distributed users, Heap's limits on: at least 99 % of what they allow, no refusal."""
    users = simulation.zipf(30_000, 10_000, 1.0)
    result = in_virtual_time(lambda: simulation.simulate(users))

    assert result.refused == 0
    assert result.stored == result.events
    assert result.ordered
    assert result.goodput >= 0.99


def test_a_lone_hot_user_is_never_refused(in_virtual_time: Callable[..., Any]) -> None:
    """One user's burst waits for the user's own limit, in bulk and one by one."""
    result = in_virtual_time(lambda: simulation.simulate(["the one user"] * 2500))

    assert result.refused == 0
    assert result.stored == 2500
    assert result.goodput >= 0.99


def test_a_user_at_a_limit_keeps_nobody_else_back(
    in_virtual_time: Callable[..., Any],
    open_line: Callable[..., Any],
    wire: Callable[..., list[bytes]],
) -> None:
    """Even where windows are so small that one of the user's messages fills each."""

    async def run() -> tuple[int, int, int]:
        log = MemoryEventLog(["heap"])
        line = open_line(log, window=1)
        users = ["hot"] * 40 + [f"other {number}" for number in range(20)]
        await log.append(wire(*({"type": "track", "event": "E", "userId": u} for u in users)))
        await asyncio.sleep(5)
        soon = len(line.reported)
        await asyncio.sleep(30)
        await line.stop()
        return soon, len(line.reported), line.worker.stats.quota_waits.total()

    soon, at_last, waits = in_virtual_time(run)
    assert (soon, at_last) == (30 + 20, 60)
    assert waits < 10  # and it is not asked about again and again


class FewCalls:
    """A destination whose vendor allows two calls a second, however many events are in each."""

    @hookimpl
    def settings_schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": False, "properties": {}}

    @hookimpl
    def on_identify(self) -> list[HttpRequest]:
        return []

    @hookimpl
    def on_track(self, message: Message) -> list[HttpRequest]:
        return [HttpRequest(url="https://vendor.example/", json=[message.user_id])]

    @hookimpl
    def pack(self, requests: list[HttpRequest]) -> list[HttpRequest]:
        ids = tuple(message_id for request in requests for message_id in request.message_ids)
        users = [user for request in requests for user in request.json]
        return [HttpRequest(url="https://vendor.example/", json=users, message_ids=ids)]

    @hookimpl
    def quotas(self) -> list[Quota]:
        return [Quota(name="calls", limit=2, period=1.0)]


@pytest.mark.parametrize("window", [1, 5])
def test_windows_that_wait_for_an_answer_are_not_planned_before_it_comes(
    window: int, in_virtual_time: Callable[..., Any], wire: Callable[..., list[bytes]]
) -> None:
    """A bulk's call counts when it is packed: then it waits for the answers to two others."""
    messages = wire(*({"type": "track", "event": "E", "userId": f"{n}"} for n in range(30)))
    answered = asyncio.Event()
    taken: list[str] = []

    async def vendor(request: httpx.Request) -> httpx.Response:
        await answered.wait()
        taken.extend(msgspec.json.decode(request.content))
        return httpx.Response(200)

    async def run() -> int:
        log = MemoryEventLog(["c"])
        connection = Connection("c", check_destination(FewCalls(), "few", "few 1.0"), {})
        settings = DeliverySettings(window=window, linger=0.0)
        async with Sender(connection, settings, transport=httpx.MockTransport(vendor)) as sender:
            worker = Worker(
                connection, log, sender, dead_letters=DroppedDeadLetters(), settings=settings
            )
            working = asyncio.create_task(worker.run())
            await log.append(messages)
            for _ in range(1000):
                await asyncio.sleep(0)
            waits = worker.stats.quota_waits.total()
            answered.set()
            await log.wait_until_done()
            await worker.stop(0.0)
            await working
        return waits

    waits = in_virtual_time(run)
    assert sorted(taken, key=int) == [str(number) for number in range(30)]
    assert waits <= 30
