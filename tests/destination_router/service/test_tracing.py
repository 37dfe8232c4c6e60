"""What a worker tells of its work: enough to see why, bounded, and nothing that may not be kept.

Modules: `delivery/observer.py`, `delivery/answer_words.py`.
"""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.records import HttpRequest, HttpResponse, Outcome
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.item import Answer, Item
from destination_router.delivery.ledger import Delivery
from destination_router.delivery.sender import Sender
from destination_router.delivery.stats import DeliveryStats
from destination_router.delivery.worker import Worker
from destination_router.eventlog.dead_letter import DroppedDeadLetters
from destination_router.eventlog.interface import Event, LogUnavailableError
from destination_router.eventlog.memory import MemoryEventLog
from destination_router.eventlog.trace import ConnectionState, Rollup, Trace
from destination_router.service.connections import connect
from destination_router.service.metrics import Intake
from destination_router.service.tracing import LARGEST_BODY, UNWATCHED_PERIOD, Tracing, field_paths
from destination_router.threads import OneThread

MARKER = "ada-lovelace-1815"
SETTINGS = {"appId": "11"}


class Kept:
    """A store in memory."""

    def __init__(self) -> None:
        self.traces: dict[tuple[str, int], Trace] = {}
        self.rollups: dict[tuple[str, str], Rollup] = {}
        self.states: dict[str, ConnectionState] = {}
        self.puts = 0
        self.full = False
        self.looked_at = False

    def put(
        self,
        traces: Sequence[Trace],
        rollups: Mapping[tuple[str, str], Rollup],
        states: Mapping[str, ConnectionState],
        now: float,  # noqa: ARG002 -- as a sink is called
    ) -> None:
        if self.full:
            raise LogUnavailableError("the disk is full")
        self.puts += 1
        self.traces |= {(trace.connection, trace.offset): trace for trace in traces}
        for key, rollup in rollups.items():
            self.rollups.setdefault(key, Rollup()).add(rollup)
        self.states |= states

    def watched(self, now: float) -> bool:  # noqa: ARG002 -- as above
        return self.looked_at


def vendor(*answers: int) -> httpx.ASGITransport:
    """A vendor that answers so, in turn, and then 200; it repeats what it was sent."""
    left = list(answers)

    async def answer(request: Request) -> Response:
        body = (await request.body()).decode()
        return JSONResponse({"you": body}, left.pop(0) if left else 200)

    return httpx.ASGITransport(Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])]))


def track(number: int = 0, **more: Any) -> bytes:
    message = {
        "type": "track",
        "messageId": f"m{number}",
        "userId": f"{MARKER}-{number}",
        "event": "Order Completed",
        "properties": {"note": MARKER},
        **more,
    }
    return json.dumps(message).encode()


@pytest.fixture
def in_virtual_time(in_virtual_time: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As elsewhere. That loop waits for no thread, so what is told is kept at once."""

    async def at_once(_: OneThread, work: Callable[[], Any]) -> Any:
        return work()

    monkeypatch.setattr(OneThread, "run", at_once)
    return in_virtual_time


def delivered(
    in_virtual_time: Callable[[Callable[[], Coroutine[Any, Any, Kept]]], Kept],
    bodies: Sequence[bytes],
    *answers: int,
    config: Mapping[str, Any] | None = None,
    before: Callable[[Kept], None] = lambda _: None,
    **tracing: Any,
) -> Kept:
    """Deliver messages to a vendor, and give what was told of that."""

    async def main() -> Kept:
        kept = Kept()
        before(kept)
        told = Tracing(kept, **tracing)
        about = {"name": "heap", "plugin": "heap", "settings": SETTINGS, **(config or {})}
        connection = connect(msgspec.convert(about, ConnectionConfig))
        tracer = told.tracer(connection)
        log = MemoryEventLog(["heap"])
        await log.append(bodies, "web")
        async with Sender(connection, DeliverySettings(), transport=vendor(*answers)) as sender:
            worker = Worker(
                connection,
                log,
                sender,
                dead_letters=DroppedDeadLetters(),
                observer=tracer,
                report=tracer.ended,
            )
            working = asyncio.create_task(worker.run())
            telling = asyncio.create_task(
                told.run(lambda: {"heap": worker.stats}, lambda: {"heap": worker.quota_use()}, None)
            )
            await log.wait_until_done()
            await asyncio.sleep(2)
            await worker.stop(0.0)
            await working
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        return kept

    return in_virtual_time(main)


def test_a_message_is_told_from_what_came_in_to_the_answer(in_virtual_time: Any) -> None:
    """What was sent in, what it became, each request with its answer, the times."""
    kept = delivered(in_virtual_time, [track()], 503)
    trace = kept.traces["heap", 0]
    content = trace.content
    assert (trace.result, trace.type) == ("delivered", "track")
    assert (trace.message_id, trace.source) == ("m0", "web")
    assert json.loads(content.body or "") == json.loads(track())
    assert content.exchanges[0].request["json"]["event"] == "Order Completed"
    assert [(each.status, each.outcome) for each in content.exchanges] == [
        (503, "retry"),
        (200, "delivered"),
    ]
    assert MARKER in content.exchanges[0].answer
    assert content.ended_at is not None
    assert content.ended_at >= content.exchanges[1].at


def test_what_is_filtered_or_rejected_says_why(in_virtual_time: Any) -> None:
    """By the connection and by the vendor."""
    bodies = [
        b'{"type": "alias", "userId": "a", "previousId": "b"}',
        track(1, event=""),
        b"{",
        track(3),
    ]
    kept = delivered(in_virtual_time, bodies, 400)
    found = {offset: (t.result, t.code) for (_, offset), t in kept.traces.items()}
    assert found == {
        0: ("filtered", ""),
        1: ("rejected", "missing_event"),
        2: ("rejected", "invalid_json"),
        3: ("rejected", "http_400"),
    }
    assert kept.traces["heap", 0].detail
    counted = kept.rollups["connection", "heap"]
    assert (counted.received, counted.filtered, counted.rejected) == (4, 1, 3)
    assert counted.codes == {"missing_event": 1, "invalid_json": 1, "http_400": 1}
    assert sum(counted.latency) == 1


def test_of_a_large_request_only_the_messages_own_part_is_kept(in_virtual_time: Any) -> None:
    """A bulk of many holds what other people did."""
    kept = delivered(in_virtual_time, [track(n) for n in range(40)])
    (exchange,) = kept.traces["heap", 7].content.exchanges
    assert exchange.messages == 40
    assert f"{MARKER}-7" in str(exchange.request)
    assert f"{MARKER}-8" not in str(exchange.request)


@pytest.mark.parametrize("body", [{"json": [MARKER]}, {"content": MARKER.encode()}])
def test_of_a_large_request_no_form_of_body_is_kept(body: dict[str, Any]) -> None:
    """Bytes hold what other people did as JSON does."""
    connection = connect(ConnectionConfig(name="heap", plugin="heap", settings=SETTINGS))
    tracer = Tracing(Kept()).tracer(connection)
    items = []
    for number in range(11):
        decision = connection.decide(track(number))
        items.append(Item.of(number, track(number), decision))
        tracer.decided(Event(number, track(number)), decision)
    ids = tuple(item.message_id for item in items)
    bulk = HttpRequest(
        url="https://vendor.example", content_type="text/plain", message_ids=ids, **body
    )
    answer = Answer(outcomes=dict.fromkeys(ids, Outcome.delivered()), response=None)
    tracer.answered(bulk, [(item, None) for item in items], answer)
    (exchange,) = next(tracer.drain()).content.exchanges
    assert exchange.messages == 11
    assert f"{MARKER}-0" in str(exchange)
    assert f"{MARKER}-1" not in str(exchange)


def test_what_a_worker_told_last_is_kept_though_another_has_begun() -> None:
    """A reload puts another one in its place before it is asked again."""
    connection = connect(ConnectionConfig(name="heap", plugin="heap", settings=SETTINGS))
    kept = Kept()
    told = Tracing(kept)
    decision = connection.decide(track())
    tracer = told.tracer(connection)
    tracer.decided(Event(0, track()), decision)
    tracer.ended([Delivery(decision, Outcome.delivered(), 0)])
    told.tracer(connection)
    asyncio.run(told.tell({}, {}, None))
    assert kept.traces["heap", 0].result == "delivered"


def test_what_cannot_be_told_silences_nothing_else(in_virtual_time: Any, caplog: Any) -> None:
    """A store that fails once, in whatever way, gets what comes next."""
    failures = [UnicodeEncodeError("utf-8", "\ud800", 0, 1, "a half")]

    class Failing(Kept):
        def put(self, *told: Any) -> None:
            if failures:
                raise failures.pop()
            super().put(*told)

    async def main() -> Kept:
        kept, intake = Failing(), Intake()
        telling = asyncio.create_task(Tracing(kept).run(dict, dict, intake))
        for _ in range(3):
            intake.received["web"] += 1
            await asyncio.sleep(UNWATCHED_PERIOD)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        return kept

    kept = in_virtual_time(main)
    assert kept.rollups["source", "web"].received > 0
    assert [record.msg for record in caplog.records] == ["traces_failed"]


def test_of_a_vendors_answers_no_more_stays_in_memory_than_is_told() -> None:
    """A message may be tried again and again, and each time be answered with a megabyte."""
    connection = connect(ConnectionConfig(name="heap", plugin="heap", settings=SETTINGS))
    tracer = Tracing(Kept()).tracer(connection)
    decision = connection.decide(track())
    item = Item.of(0, track(), decision)
    tracer.decided(Event(0, track()), decision)
    outcomes = {item.message_id: Outcome.retry(code="http_503")}
    tracemalloc.start()
    for _ in range(10):
        response = HttpResponse(status=503, body=b"x" * 2**20)
        tracer.answered(
            decision.requests[0], [(item, 0)], Answer(outcomes=outcomes, response=response)
        )
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2 * 2**20
    (trace,) = tracer.drain()
    assert [each.status for each in trace.content.exchanges] == [503] * 10


def test_a_message_that_cannot_be_told_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted among those that are not traced."""
    connection = connect(ConnectionConfig(name="heap", plugin="heap", settings=SETTINGS))
    tracer = Tracing(Kept(), content=False).tracer(connection)
    explained = connection.explained

    def failing(raw: bytes) -> Any:
        return explained(raw) if b'"m1"' not in raw else 1 // 0

    monkeypatch.setattr(connection, "explained", failing)
    for number in range(3):
        body = track(number)
        tracer.decided(Event(number, body), connection.decide(body))
    assert [trace.message_id for trace in tracer.drain()] == ["m0", "m2"]
    assert tracer.untraced == 1
    assert [record.msg for record in caplog.records] == ["traces_failed"]
    assert MARKER not in str(vars(caplog.records[0]))


def test_without_content_there_are_ids_codes_and_paths(in_virtual_time: Any) -> None:
    """No value of a message, no word of a vendor."""
    kept = delivered(in_virtual_time, [track()], 400, content=False)
    trace = kept.traces["heap", 0]
    assert MARKER not in msgspec.json.encode(trace).decode()
    assert "Order Completed" not in msgspec.json.encode(trace).decode()
    assert trace.content.fields == ("event", "messageId", "properties.note", "type", "userId")
    assert trace.content.requests[0] == {
        "method": "POST",
        "url": "https://heapanalytics.com",
    }
    assert (trace.result, trace.code) == ("rejected", "http_400")


def test_in_hipaa_mode_it_is_told_as_masked(
    in_virtual_time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no allowlist names, and who it was, is in no trace: not in a step, not in an answer."""
    monkeypatch.setenv("MASKING_KEY", "00" * 32)
    allow = {"events": ["Order Completed"], "properties": ["total"]}
    private = {
        "privacy": {"mode": "hipaa", "allow": allow, "keys": {"v1": {"env": "MASKING_KEY"}}},
        "shared": {"privacy": {"allow": allow}},
        "transformations": [{"rename": {"properties.note": "properties.remark"}}],
    }
    bodies = [track(properties={"note": MARKER, "total": 5}), track(1, event=f"Saw {MARKER}"), b"{"]
    kept = delivered(in_virtual_time, bodies, 400, config=private)
    sealed, refused, unreadable = (kept.traces["heap", number] for number in range(3))
    assert sealed.fingerprint  # its steps can be found out from what is kept
    assert sealed.content.steps == ()
    assert [step["step"] for step in refused.content.steps][-1] == "privacy"
    assert [refused.fingerprint, unreadable.fingerprint] == ["", ""]
    text = msgspec.json.encode(list(kept.traces.values())).decode()
    assert MARKER not in text
    assert '"m0"' not in text
    assert '\\"total\\":5' in text
    assert kept.traces["heap", 0].content.exchanges[0].answer == ""


def test_a_huge_message_is_told_without_what_is_in_it(in_virtual_time: Any) -> None:
    """It would take as much again in memory and in the file, five hundred times."""
    kept = delivered(in_virtual_time, [track(properties={"note": "x" * LARGEST_BODY})])
    trace = kept.traces["heap", 0]
    assert trace.result == "delivered"
    assert trace.content.body is None
    assert trace.content.body_bytes > LARGEST_BODY
    assert len(msgspec.json.encode(trace)) < 2000


def test_what_a_worker_counted_last_is_told(in_virtual_time: Any) -> None:
    """Of one that was replaced, or is gone: once, and nothing of it stays in memory."""

    async def main() -> tuple[Kept, Tracing]:
        kept, stats = Kept(), DeliveryStats(received=3, delivered=3)
        told = Tracing(kept)
        connection = connect(ConnectionConfig(name="heap", plugin="heap", settings=SETTINGS))
        told.tracer(connection).untraced = 2
        await told.tell({"heap": stats}, {}, None)
        stats.received = stats.delivered = 5
        told.left("heap", stats)
        await told.tell({"heap": stats}, {}, None)
        assert kept.rollups["connection", "heap"].delivered == 5
        assert kept.rollups["connection", "heap"].untraced == 2
        await told.tell({}, {}, None)
        return kept, told

    kept, told = in_virtual_time(main)
    assert kept.rollups["connection", "heap"].delivered == 5
    assert [told._tracers, told._counted, told._states, told._replaced] == [{}, {}, {}, []]


def test_so_many_at_once_then_so_many_a_second(in_virtual_time: Any) -> None:
    """What is beyond that is counted, so that it can be said; more where somebody looks."""
    bodies = [track(n) for n in range(3000)]
    kept = delivered(in_virtual_time, bodies, keep=100)
    assert 100 <= len(kept.traces) < 300
    counted = kept.rollups["connection", "heap"]
    assert counted.received == 3000
    assert counted.untraced == 3000 - len(kept.traces)


def test_as_many_are_traced_as_are_cheap_beside_what_was_done() -> None:
    """Of messages that come one by one all; of 25 in one request three; and never too many."""
    connection = connect(ConnectionConfig(name="heap", plugin="heap", settings=SETTINGS))
    tracer = Tracing(Kept(), keep=1000).tracer(connection)
    decision = connection.decide(track())
    request, answer = decision.requests[0], Answer(outcomes={}, response=None)

    def decide(messages: int) -> int:
        before = tracer.untraced
        for number in range(messages):
            tracer.decided(Event(number, track()), decision)
        return messages - (tracer.untraced - before)

    def traced(messages: int, requests: int, *, watched: bool) -> int:
        """Return how many are traced after a second in which so many came and went."""
        tracer._room = 0
        decide(messages)
        for _ in range(requests):
            tracer.answered(request, [], answer)
        tracer.refill(watched=watched)
        room = decide(300)
        tracer.refill(watched=False)  # forgets these
        return room

    seconds = ((0, 0), (5, 5), (25, 2), (500, 500))
    assert [traced(*each, watched=False) for each in seconds] == [0, 5, 3, 25]
    assert [traced(*each, watched=True) for each in seconds] == [1, 8, 5, 200]


def test_whoever_tries_a_connection_sees_all_of_a_small_batch() -> None:
    """What was not traced while little came may be traced at once."""
    connection = connect(ConnectionConfig(name="heap", plugin="heap", settings=SETTINGS))
    tracer = Tracing(Kept(), keep=50).tracer(connection)
    decision = connection.decide(track())
    tracer._room = 0
    for _ in range(100):
        tracer.refill(watched=False)
    for number in range(60):
        tracer.decided(Event(number, track()), decision)
    assert tracer.untraced == 10


def test_fewer_are_traced_where_each_is_masked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes about as long as to decide the message; whoever looks sees more."""
    monkeypatch.setenv("MASKING_KEY", "00" * 32)
    allow = {"events": ["Order Completed"], "properties": ["total"]}
    private = {"mode": "hipaa", "allow": allow, "keys": {"v1": {"env": "MASKING_KEY"}}}
    about = {"name": "heap", "plugin": "heap", "settings": SETTINGS, "privacy": private}
    about["shared"] = {"privacy": {"allow": allow}}
    connection = connect(msgspec.convert(about, ConnectionConfig))
    tracer = Tracing(Kept(), keep=1000).tracer(connection)
    tracer._room = 0
    for requests, watched, room in ((5, False, 0.85), (500, False, 25), (5, True, 3)):
        tracer._requests, tracer._room = requests, 0
        tracer.refill(watched=watched)
        assert tracer._room == pytest.approx(room)


def test_what_waits_is_told_too(in_virtual_time: Any) -> None:
    """A message that is tried again and again: why, and each time it was sent, of many the last."""
    seen: list[str] = []

    class Watching(Kept):
        def put(self, traces: Sequence[Trace], *rest: Any) -> None:
            seen.extend(trace.result for trace in traces)
            super().put(traces, *rest)

    async def main() -> Kept:
        kept = Watching()
        told = Tracing(kept)
        connection = connect(ConnectionConfig(name="heap", plugin="heap", settings=SETTINGS))
        tracer = told.tracer(connection)
        log = MemoryEventLog(["heap"])
        await log.append([track()])
        transport = vendor(*[503] * 30)
        async with Sender(connection, DeliverySettings(), transport=transport) as sender:
            worker = Worker(
                connection,
                log,
                sender,
                dead_letters=DroppedDeadLetters(),
                observer=tracer,
                report=tracer.ended,
            )
            working = asyncio.create_task(worker.run())
            telling = asyncio.create_task(told.run(dict, dict, None))
            await log.wait_until_done()
            await worker.stop(0.0)
            await working
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        return kept

    kept = in_virtual_time(main)
    assert set(seen) == {"waiting", "delivered"}
    content = kept.traces["heap", 0].content
    assert len(content.exchanges) == 20
    assert content.left_out == 11


def test_a_store_that_is_full_holds_nobody_up(in_virtual_time: Any, caplog: Any) -> None:
    """It is told, and messages go on."""

    def fill(kept: Kept) -> None:
        kept.full = True

    kept = delivered(in_virtual_time, [track(n) for n in range(5)], before=fill)
    assert not kept.traces
    assert [record.msg for record in caplog.records] == ["traces_unavailable"]


def test_sources_are_counted_by_name() -> None:
    """Each time by what has come since; what has not changed is not written."""

    async def main() -> Kept:
        kept, intake = Kept(), Intake()
        told = Tracing(kept)
        for _ in range(2):
            intake.received["web"] += 3
            await told.tell({}, {}, intake)
        await told.tell({}, {}, intake)
        return kept

    kept = asyncio.run(main())
    assert kept.rollups == {("source", "web"): Rollup(received=6)}
    assert kept.puts == 2


def test_paths_are_listed_without_values() -> None:
    """Within bounds, however deep or wide; and of no JSON there are none."""
    assert field_paths(b'{"a":{"b":[1]},"c":{}}') == ("a.b", "c")
    assert field_paths(b"{") == ()
    assert len(field_paths(json.dumps({str(n): n for n in range(5000)}).encode())) <= 500
