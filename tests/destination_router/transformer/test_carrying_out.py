"""Whatever a vendor says to the requests of an answer, each job is told what became of it.

A model of rudder-server's router (`rudder_router`) sends the same jobs over and over until each is
over; every combination of contents that the vendor refuses, and of requests at which it fails, is
tried in every way that rudder-server can send. Also for `sequences.py` and `router_batches.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
from recorded_calls import scenarios
from rudder_router import Answer, Job, Proxy, RudderRouter, is_over

from destination_router.contract.records import HttpRequest, HttpResponse, Outcome
from destination_router.delivery.sender import read_answer
from destination_router.pipeline.connection import Connection
from destination_router.transformer.carrying_out import CarryingOut
from destination_router.transformer.destinations import Destinations, find_destinations
from destination_router.transformer.proxy import deliver, first_version, second_version
from destination_router.transformer.proxy_calls import ProxyCalls
from destination_router.transformer.rest import read_proxied
from destination_router.transformer.router_batches import batch_jobs
from destination_router.transformer.sequences import Carried

ROUNDS = 12
NO_ANSWER = 0
_MARK = re.compile(r"m(\d[uea])")


# As a real rudder-server asked for them: an identify of u1's, a track of u2's with traits (m2u is
# its part for /users), tracks of u3's and u2's, a group of u5's, an identify and a track of u1's.
_ASKED = next(call for call in scenarios("v1")[1].calls if call.path == "/routerTransform")
JOBS = [
    Job(number, one["metadata"]["userId"], one["message"], one["metadata"])
    for number, one in enumerate(_ASKED.body["input"], 1)
]
PARTS = ("1u", "2u", "2e", "3e", "4e", "5a", "6u", "7e")


class Trouble(NamedTuple):
    """At which request, counted from 0, the vendor answers with a status; 0: it does not answer."""

    at: int
    status: int


class Vendor:
    """Refuses every request that holds a part which it does not like; keeps the others."""

    def __init__(self, refused: Iterable[str], trouble: Iterable[Trouble], *, names: bool) -> None:
        self.refused = set(refused)
        self.trouble = {one.at: one.status for one in trouble}
        self.names = names
        self.asked = 0
        self.kept: list[str] = []
        self.refusals: list[set[str]] = []

    def answer(self, body: Any) -> Answer:
        status = self.trouble.get(self.asked, 200)
        self.asked += 1
        lists = [value for value in body.values() if isinstance(value, list)]
        items = [_MARK.findall(json.dumps(item)) for item in (lists[0] if lists else [body])]
        if status == 400:
            self.refusals.append({mark[0] for mark in itertools.chain.from_iterable(items)})
        if status != 200:
            return status, "trouble"
        for at, marks in enumerate(items):
            if self.refused & set(marks):
                where = f"postBody.events[{at}].properties" if self.names and lists else "it"
                return 400, f"{where} should be otherwise"
        self.kept += itertools.chain.from_iterable(items)
        return 200, "taken"

    async def transmit(self, connection: Connection, request: HttpRequest) -> dict[str, Outcome]:
        status, words = self.answer(request.json)
        if status == NO_ANSWER:
            return dict.fromkeys(request.message_ids, Outcome.retry(code="network"))
        return read_answer(connection, request, HttpResponse(status=status, body=words.encode()))

    async def post(self, _: str, body: Any) -> Answer:
        status, words = self.answer(body)
        return status or 504, words


def router(heap: Destinations, vendor: Vendor, proxy: Proxy, calls: ProxyCalls) -> RudderRouter:
    async def proxied(version: str, body: bytes) -> tuple[int, bytes]:
        calls.called("d1", for_each_job=version == "v1")
        found = read_proxied(body)
        statuses = await deliver("heap", heap, found, vendor.transmit, patience=60)
        return (first_version if version == "v0" else second_version)("heap", statuses)

    transform = partial(batch_jobs, "heap", heap, endpoint=str, calls=calls)
    return RudderRouter(transform, proxied, vendor.post, proxy)


WAYS: dict[str, tuple[Proxy, bool]] = {
    # How it sends, and whether the transformer knows of a proxy that reports on each job.
    "off": ("off", False),
    "just switched off": ("off", True),
    "v0": ("v0", False),
    "v0 after v1": ("v0", True),
    "v1": ("v1", False),
    "v1, known": ("v1", True),
}


async def over(way: str, vendor: Vendor, heap: Destinations) -> dict[int, Answer]:
    """Let a router send until every job is over; check what must hold meanwhile."""
    proxy, is_known = WAYS[way]
    now = 0.0
    calls = ProxyCalls(lambda: now)
    if is_known:
        calls.called("d1", for_each_job=True)
    sends = router(heap, vendor, proxy, calls)
    ended: dict[int, Answer] = {}
    for _ in range(ROUNDS):
        left = [job for job in JOBS if job.number not in ended]
        if not left:
            return ended
        for number, (status, words) in (await sends.process(left)).items():
            if 200 <= status < 300:
                missing = {part for part in PARTS if part[0] == str(number)} - set(vendor.kept)
                assert not missing, f"job {number} is told as delivered without {missing}"
            if is_over(status):
                ended[number] = status, words
        now += 30.0
    raise AssertionError(f"not over: {set(PARTS) - set(vendor.kept)}")


def check_order(kept: list[str]) -> None:
    """No event went ahead of an earlier event of its user, nor of an earlier identify."""
    first = {part: kept.index(part) for part in set(kept)}
    for earlier, later in (("2e", "4e"), ("2u", "4e"), ("1u", "7e"), ("6u", "7e"), ("1u", "6u")):
        if earlier in first and later in first:
            assert first[earlier] <= first[later], kept


def powerset(parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for size in range(len(parts) + 1):
        yield from itertools.combinations(parts, size)


@pytest.fixture(scope="module")
def heap() -> Destinations:
    return find_destinations()["heap"]


TROUBLES: dict[str, list[Trouble]] = {
    "none": [],
    "first": [Trouble(0, 503)],
    "second": [Trouble(1, 503)],
    "third silent": [Trouble(2, NO_ANSWER)],
    "first and fourth": [Trouble(0, 429), Trouble(3, 503)],
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("way", WAYS)
def test_each_job_is_told_what_became_of_it(way: str, trouble: str, heap: Destinations) -> None:
    """Delivered once the vendor has all of it, aborted for a part of its own, and nothing else."""

    async def every_case() -> None:
        for refused, names in itertools.product(powerset(PARTS), (True, False)):
            vendor = Vendor(refused, TROUBLES[trouble], names=names)
            told = await over(way, vendor, heap)
            guilty = {int(part[0]) for part in refused}
            aborted = {number for number, (status, _) in told.items() if status >= 300}
            assert aborted == guilty, (refused, names)
            assert all("should be otherwise" in told[number][1] for number in aborted)
            check_order(vendor.kept)
            # Of what is aborted no more is sent: it can be mended, and sent again as a whole.
            assert "2u" not in refused or "2e" not in vendor.kept

    asyncio.run(every_case())


@pytest.mark.parametrize("way", WAYS)
def test_every_order_of_success_and_failure_is_told_as_it_was(way: str, heap: Destinations) -> None:
    """Of the first requests each succeeds, is refused, or fails, whatever they hold.

    `over` sees that no job is told as delivered without all of its parts; one is aborted if a
    request that held nothing of another's was refused.
    """

    async def every_order() -> None:
        for statuses in itertools.product((200, 400, 503, NO_ANSWER), repeat=4):
            trouble = [Trouble(at, status) for at, status in enumerate(statuses) if status != 200]
            vendor = Vendor((), trouble, names=False)
            told = await over(way, vendor, heap)
            aborted = {str(number) for number, (status, _) in told.items() if status >= 300}
            alone = {next(iter(jobs)) for jobs in vendor.refusals if len(jobs) == 1}
            assert aborted == alone, statuses
            check_order(vendor.kept)

    asyncio.run(every_order())


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 407])
@pytest.mark.parametrize("way", [way for way, (proxy, _) in WAYS.items() if proxy != "off"])
def test_a_key_that_is_refused_aborts_nothing(
    way: str, status: int, at: int, heap: Destinations
) -> None:
    """The jobs are told 429, which rudder-server repeats as long as it keeps them."""
    vendor = Vendor(["3e"], [Trouble(at, status)], names=True)
    told = asyncio.run(over(way, vendor, heap))
    assert {number for number, (code, _) in told.items() if code >= 300} == {3}


@pytest.mark.parametrize(("refused", "requests"), [((), 3), (("3e",), 4), (("2u",), 4)])
def test_jobs_that_the_proxy_carries_out_are_few_requests(
    refused: tuple[str, ...], requests: int, heap: Destinations
) -> None:
    """Users, accounts and events; and one more for each bulk that is refused with a name."""
    vendor = Vendor(refused, [], names=True)
    asyncio.run(over("v1, known", vendor, heap))
    assert vendor.asked == requests


@pytest.mark.parametrize("way", ["off", "v0", "v1"])
def test_a_job_that_is_alone_is_sent_once(way: str, heap: Destinations) -> None:
    """A request for each of its parts, whoever sends them."""
    vendor = Vendor([], [], names=True)
    asyncio.run(over(way, vendor, heap))
    assert vendor.kept == list(PARTS)
    assert vendor.asked == len(PARTS)


def test_what_is_known_when_time_is_up_is_told(heap: Destinations) -> None:
    """Else a bulk whose parts take longer than rudder-server waits would never come to an end."""
    vendor = Vendor(["3e"], [], names=True)
    hung = asyncio.Event()

    async def transmit(connection: Connection, request: HttpRequest) -> dict[str, Outcome]:
        if request.url.endswith("/api/track"):
            hung.set()
            await asyncio.Event().wait()
        return await vendor.transmit(connection, request)

    calls = ProxyCalls()
    calls.called("d1", for_each_job=True)

    async def proxied(_: str, body: bytes) -> tuple[int, bytes]:
        statuses = await deliver("heap", heap, read_proxied(body), transmit, patience=0.2)
        return second_version("heap", statuses)

    transform = partial(batch_jobs, "heap", heap, endpoint=str, calls=calls)
    told = asyncio.run(RudderRouter(transform, proxied, vendor.post, "v1").process(JOBS))

    assert hung.is_set()
    statuses = {number: status for number, (status, _) in told.items()}
    assert statuses == {1: 200, 2: 504, 3: 504, 4: 504, 5: 200, 6: 200, 7: 504}


def single(job: str, url: str = "https://vendor.example/e") -> HttpRequest:
    return HttpRequest(url=url, json={}, message_ids=(job,))


def test_a_plugin_that_clears_everybody_is_not_obeyed() -> None:
    """What nobody is to blame for is sent again later, not at once for ever."""
    clear = {"0": Outcome.retry(after=0), "1": Outcome.retry(after=0, code="x")}

    async def send(request: HttpRequest) -> dict[str, Outcome]:
        return {name: clear[name] for name in request.message_ids}

    def pack(requests: list[HttpRequest]) -> list[HttpRequest]:
        ids = tuple(request.message_ids[0] for request in requests)
        return [HttpRequest(url="https://vendor.example/bulk", json=[], message_ids=ids)]

    carrying = CarryingOut(Carried([single("a"), single("b")]), pack, send)
    asyncio.run(carrying.run())
    found = [carrying.outcome(job) for job in "ab"]
    assert [None if one is None else one.result for one in found] == ["retry", "retry"]


def test_who_is_throttled_holds_back_no_other_user() -> None:
    """One user of a bulk is asked to wait: that user's later requests wait, others' go on."""
    sent: list[str] = []

    async def send(request: HttpRequest) -> dict[str, Outcome]:
        sent.extend(request.message_ids)
        return {
            name: Outcome.retry(after=30) if name == "0" else Outcome.delivered()
            for name in request.message_ids
        }

    def pack(requests: list[HttpRequest]) -> list[HttpRequest]:
        ids = [request.message_ids[0] for request in requests]
        bulks = [[name for name in ids if int(name) < 2], [name for name in ids if int(name) >= 2]]
        url = "https://vendor.example/bulk"
        return [HttpRequest(url=url, json=[], message_ids=tuple(bulk)) for bulk in bulks if bulk]

    carried = Carried(
        [single("a"), single("b"), single("c"), single("d")],
        {"a": [0], "b": [1], "c": [0], "d": [1]},
    )
    carrying = CarryingOut(carried, pack, send)
    asyncio.run(carrying.run())
    results = {job: getattr(carrying.outcome(job), "result", None) for job in "abcd"}
    assert results == {"a": "retry", "b": "delivered", "c": "retry", "d": "delivered"}
    assert sent == ["0", "1", "3"]


@pytest.mark.parametrize(
    ("failure", "requests"),
    [
        (Outcome.retry(code="http_503"), 3),
        (Outcome.retry(code="http_503", after=30), 1),
        (Outcome.retry(code="http_429"), 1),
        (Outcome.retry(code="network"), 1),
    ],
    ids=["a failure", "one with a wait", "throttled", "no answer"],
)
def test_a_vendor_in_trouble_is_sent_no_more(failure: Outcome, requests: int) -> None:
    """What says when to ask again, or nothing, ends it at once; failures end it when in a row."""
    sent: list[str] = []

    async def send(request: HttpRequest) -> dict[str, Outcome]:
        sent.extend(request.message_ids)
        return dict.fromkeys(request.message_ids, failure)

    jobs = [str(number) for number in range(9)]
    carried = Carried([single(job) for job in jobs], {job: [int(job)] for job in jobs})
    carrying = CarryingOut(carried, list, send)
    asyncio.run(carrying.run())
    results = {getattr(carrying.outcome(job), "result", None) for job in jobs}
    assert (len(sent), results) == (requests, {"retry"})


def test_a_vendor_that_fails_now_and_then_is_sent_the_rest() -> None:
    """Else a bulk with many refused parts would begin anew each time, and come to no end."""
    asked = 0

    async def send(request: HttpRequest) -> dict[str, Outcome]:
        nonlocal asked
        asked += 1
        names = request.message_ids
        if asked % 4 == 0:
            return dict.fromkeys(names, Outcome.retry(code="http_503"))
        if len(names) == 1:
            odd = int(names[0]) % 2
            return dict.fromkeys(
                names, Outcome.rejected("http_400") if odd else Outcome.delivered()
            )
        return dict.fromkeys(names, Outcome.suspect("http_400"))

    def pack(requests: list[HttpRequest]) -> list[HttpRequest]:
        ids = tuple(request.message_ids[0] for request in requests)
        return [HttpRequest(url="https://vendor.example/bulk", json=[], message_ids=ids)]

    jobs = [str(number) for number in range(64)]
    carried = Carried([single(job) for job in jobs], {job: [int(job)] for job in jobs})
    carrying = CarryingOut(carried, pack, send)
    asyncio.run(carrying.run())
    results = [getattr(carrying.outcome(job), "result", None) for job in jobs]
    assert results.count("rejected") > 5 < results.count("delivered")


def test_who_is_cleared_stays_behind_an_earlier_suspect_of_the_same_user() -> None:
    """It is found out first whether the earlier one can be taken."""
    kept: list[str] = []

    async def send(request: HttpRequest) -> dict[str, Outcome]:
        names = request.message_ids
        if names == ("0", "1", "2", "3"):
            suspect = Outcome.suspect("http_400")
            return {name: suspect if name in "02" else Outcome.retry(after=0) for name in names}
        kept.extend(names)
        return dict.fromkeys(names, Outcome.delivered())

    def pack(requests: list[HttpRequest]) -> list[HttpRequest]:
        ids = tuple(request.message_ids[0] for request in requests)
        return [HttpRequest(url="https://vendor.example/bulk", json=[], message_ids=ids)]

    carried = Carried(
        [single("a"), single("b"), single("c"), single("d")],
        {"a": [0], "b": [0], "c": [1], "d": [2]},
    )
    asyncio.run(CarryingOut(carried, pack, send).run())
    assert kept == ["3", "0", "1", "2"]
