"""A vendor that takes nothing of a connection, in virtual time: it costs lag, and nothing else."""

import asyncio
import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from conformance.delivery import deliver
from destination_router.eventlog.interface import Order
from destination_router.eventlog.memory import MemoryEventLog, MemoryStanding
from heap_destination.simulator import Fault, create_simulator

Run = Callable[..., None]
Open = Callable[..., Any]
Wire = Callable[..., list[bytes]]

HOUR = 3600.0
MOVED = {"location": "https://elsewhere.example/api/track"}
REFUSALS = [
    Fault(status=401, body="no"),
    Fault(status=403, body="no"),
    Fault(status=407, body="no"),
    Fault(status=302, headers=MOVED),
    Fault(status=308, headers=MOVED),
    Fault(status=404),
    Fault(status=402),
]


def track(user: str, n: int) -> dict[str, Any]:
    return {"type": "track", "userId": user, "event": "Ordered", "properties": {"n": n}}


def tracks(count: int, users: int = 50) -> list[dict[str, Any]]:
    return [track(f"user-{n % users}", n) for n in range(count)]


def by_user(line: Any) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in line.heap.events():
        found.setdefault(row.identity, []).append(row.properties["n"])
    return found


def in_order(count: int, users: int = 50) -> dict[str, list[int]]:
    return {f"user-{user}": list(range(user, count, users)) for user in range(users)}


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda fault: str(fault.status))
def test_an_hour_of_refusals_costs_nothing_but_lag(
    in_virtual_time: Run, open_line: Open, wire: Wire, refusal: Fault
) -> None:
    """No dead letter, no attempt, order kept, all delivered once; few requests were wasted."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        log = MemoryEventLog(["heap"])
        line = open_line(log, max_attempts=2, max_age=60.0)
        line.heap.faults.add(refusal)
        await log.append(wire(*tracks(3000)))
        await asyncio.sleep(HOUR)
        stats = line.worker.stats
        assert stats.holds == {f"http_{refusal.status}": True}
        assert stats.held_since == pytest.approx(1_800_000_000.0, abs=5.0)
        assert stats.retried == 0
        assert stats.waiting <= 3000
        wasted = len(line.paths())
        line.heap.faults.clear()
        await log.wait_until_done()
        assert line.worker.stats.holds == {f"http_{refusal.status}": False}
        assert line.worker.stats.held_since is None
        await line.stop()

        assert loop.time() < HOUR + 310
        assert wasted < 25
        assert line.letters.kept == []
        assert line.heap.stats()["duplicates"] == 0
        assert by_user(line) == in_order(3000)

    in_virtual_time(main)


def test_the_suite_delivers_through_a_hold() -> None:
    """A destination's own test sees that a revoked key loses nothing."""

    def vendor(clock: Callable[[], float]) -> Any:
        app = create_simulator(clock=clock)
        begun = clock()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if clock() - begun > HOUR:
                app.state.heap.faults.clear()
            await app(scope, receive, send)

        app.state.heap.faults.add(Fault(status=401))
        return answer

    messages = [{"messageId": f"m{n}", **track("ada", n)} for n in range(20)]
    done = deliver("heap", {"appId": "11"}, messages, vendor)

    assert done.dead_letters == []
    assert done.after.keys() == {f"m{n}" for n in range(20)}
    assert min(done.after.values()) > HOUR


def test_one_request_at_a_time_asks_and_the_waits_double(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Ten seconds, then twice that, up to five minutes; each time one message."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        log = MemoryEventLog(["heap"])
        line = open_line(log, concurrency=1)
        line.heap.faults.add(Fault(status=401))
        await log.append(wire(*tracks(100)))
        seen: list[float] = []
        while loop.time() < 1000:
            seen += [loop.time()] * (len(line.paths()) - len(seen))
            await asyncio.sleep(1.0)
        await line.stop()

        gaps = [round(after - before, -1) for before, after in pairwise(seen)]
        assert gaps == [10, 20, 40, 80, 160, 300, 300]
        bodies = [request.body for request in line.heap.requests()]
        assert all(b"events" not in bytes(str(body), "utf-8") for body in bodies[1:])

    in_virtual_time(main)


def test_a_restart_in_between_goes_on_with_the_hold(
    in_virtual_time: Run, open_line: Open, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log when it begins and one when it ends, and one request that asks first."""

    async def main() -> None:
        log, book = MemoryEventLog(["heap"]), MemoryStanding()
        line = open_line(log, standing=book)
        line.heap.faults.add(Fault(status=401))
        await log.append(wire(*tracks(500)))
        await asyncio.sleep(30.0)
        await line.stop()
        since = line.worker.stats.held_since
        before = len(line.paths())
        again = open_line(log, standing=book, app=line.app)
        await asyncio.sleep(5.0)
        assert again.worker.stats.held_since == since
        assert len(again.paths()) == before + 1
        line.heap.faults.clear()
        await log.wait_until_done()
        await again.stop()

        assert again.letters.kept == line.letters.kept == []
        assert by_user(again) == in_order(500)
        assert line.heap.stats()["duplicates"] == 0
        assert (await book.standing("heap")).held is None

    with caplog.at_level(logging.WARNING):
        in_virtual_time(main)
    assert [record.message for record in caplog.records] == [
        "connection_held",
        "connection_goes_on",
    ]
    assert vars(caplog.records[0])["code"] == "http_401"


def test_a_404_before_the_first_success_holds_and_after_it_is_a_rejection(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Also where a restart lies between the success and the 404."""

    async def main() -> None:
        log, book = MemoryEventLog(["heap"]), MemoryStanding()
        line = open_line(log, standing=book)
        line.heap.faults.add(Fault(status=404, next=1))
        await log.append(wire(*tracks(10)))
        await log.wait_until_done()
        await line.stop()
        assert line.letters.kept == []
        assert by_user(line) == in_order(10, 10)

        again = open_line(log, standing=book, app=line.app)
        again.heap.faults.add(Fault(status=404, next=1))
        await log.append([wire(track("late", 1))[0].replace(b"message-0", b"late")])
        await log.wait_until_done()
        await again.stop()
        assert [(letter.message_id, letter.code) for letter in again.letters.kept] == [
            ("late", "http_404")
        ]
        assert again.worker.stats.holds == {}

    in_virtual_time(main)


def test_one_messages_own_404_does_not_stand_in_the_way(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """The next user asks in its place, and proves the vendor; then it is rejected."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        log = MemoryEventLog(["heap"])
        line = open_line(log, window=5)
        line.heap.faults.add(Fault(status=404, match="strange"))
        await log.append(wire(*[track("strange", n) for n in range(40)], *tracks(20)))
        await log.wait_until_done()
        await line.stop()

        assert loop.time() < 60
        assert [letter.message_id for letter in line.letters.kept] == [
            f"message-{n}" for n in range(40)
        ]
        assert by_user(line) == in_order(20, 20)

    in_virtual_time(main)


def test_a_message_that_is_refused_while_others_are_taken_waits_alone(
    in_virtual_time: Run, open_line: Open, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    """A 403 for one user of many stops that user, and is seen; nothing is lost."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        line.heap.faults.add(Fault(status=403, match='"user-3"'))
        bodies = wire(*tracks(3000))
        for start in range(0, 3000, 30):
            await log.append(bodies[start : start + 30])
            await asyncio.sleep(10.0)
        await asyncio.sleep(HOUR)
        others = {user: numbers for user, numbers in in_order(3000).items() if user != "user-3"}
        assert by_user(line) == others
        assert line.worker.stats.holds == {"http_403": True}
        line.heap.faults.clear()
        await log.wait_until_done()
        assert line.worker.stats.holds == {"http_403": False}
        await line.stop()

        assert by_user(line) == in_order(3000)
        assert line.letters.kept == []

    with caplog.at_level(logging.WARNING):
        in_virtual_time(main)
    assert "messages_held" in [record.message for record in caplog.records]


def test_a_held_connection_reads_no_more_than_it_may_hold(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Its messages are parked within the bound of parked messages; the rest stays in the log."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, window=10, parked_messages=200)
        line.heap.faults.add(Fault(status=401))
        await log.append(wire(*[track("ada", n) for n in range(1000)]))
        await asyncio.sleep(HOUR)
        assert line.worker.stats.waiting == 200
        line.heap.faults.clear()
        await log.wait_until_done()
        await line.stop()

        assert by_user(line) == {"ada": list(range(1000))}

    in_virtual_time(main)


def test_a_paused_connection_sends_nothing_until_it_is_resumed(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """It is heeded within a second, and after a restart; nothing is lost or out of order."""

    async def main() -> None:
        log, book = MemoryEventLog(["heap"]), MemoryStanding()
        line = open_line(log, standing=book)
        await log.append(wire(*tracks(500)))
        await asyncio.sleep(1.0)
        book.orders["heap"] = Order(paused=True, at=1.0)
        await asyncio.sleep(1.0)
        seen = len(line.paths())
        await log.append([body.replace(b"message-", b"later-") for body in wire(*tracks(500))])
        await asyncio.sleep(HOUR)
        assert line.worker.stats.paused
        await line.stop()
        again = open_line(log, standing=book, app=line.app)
        await asyncio.sleep(60.0)
        assert len(again.paths()) == seen
        book.orders["heap"] = Order(paused=False, at=2.0)
        await asyncio.sleep(1.0)
        await log.wait_until_done()
        await again.stop()

        assert not again.worker.stats.paused
        assert by_user(again) == {user: [*ns, *ns] for user, ns in in_order(500).items()}

    in_virtual_time(main)


def test_a_letter_of_what_was_never_sent_shows_no_request(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Somebody would look for it at the vendor."""

    async def main() -> None:
        log, book = MemoryEventLog(["heap"]), MemoryStanding()
        line = open_line(log, standing=book, event_max_age=HOUR)
        book.orders["heap"] = Order(paused=True, at=1.0)
        await asyncio.sleep(1.0)
        await log.append(wire(*tracks(3, users=3)))
        await asyncio.sleep(HOUR + 61)
        await line.stop()

        assert line.paths() == []
        assert [(each.attempts, each.request) for each in line.letters.kept] == [(0, None)] * 3

    in_virtual_time(main)


def test_what_another_process_may_have_taken_over_does_not_expire_here(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """It would be a dead letter and delivered."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, event_max_age=HOUR, may_send=lambda: False)
        await asyncio.sleep(1.0)
        await log.append(wire(*tracks(3, users=3)))
        await asyncio.sleep(HOUR + 61)
        await line.stop()

        assert line.letters.kept == []

    in_virtual_time(main)


@pytest.mark.parametrize("reason", ["paused", "held", "circuit"])
def test_what_a_connection_cannot_send_expires_in_its_hands(
    in_virtual_time: Run,
    open_line: Open,
    wire: Wire,
    caplog: pytest.LogCaptureFixture,
    reason: str,
) -> None:
    """Dead letters `expired`, with a line for all; what is younger goes on in order."""

    async def main() -> None:
        log, book = MemoryEventLog(["heap"]), MemoryStanding()
        line = open_line(log, standing=book, event_max_age=HOUR)
        if reason == "paused":
            book.orders["heap"] = Order(paused=True, at=1.0)
        else:
            line.heap.faults.add(Fault(status=401 if reason == "held" else 503))
        await asyncio.sleep(1.0)
        await log.append(wire(*tracks(300, users=7)))
        await asyncio.sleep(HOUR / 2)
        young = [{**each, "messageId": f"young-{n}"} for n, each in enumerate(tracks(70, users=7))]
        await log.append(wire(*young))
        await asyncio.sleep(HOUR / 2 + 61)
        line.heap.faults.clear()
        assert line.worker.stats.waiting == 70
        assert {letter.code for letter in line.letters.kept} == {"expired"}
        assert len({letter.message_id for letter in line.letters.kept}) == 300
        assert sum(delivery.rejected for delivery in line.reported) == 300
        book.orders["heap"] = Order(paused=False, at=2.0)
        await log.wait_until_done()
        await line.stop()

        assert by_user(line) == in_order(70, users=7)
        assert line.worker.stats.rejected == {"expired": 300}
        told = [each for each in caplog.records if each.message == "events_expired"]
        assert sum(each.__dict__["count"] for each in told) == 300

    with caplog.at_level(logging.WARNING):
        in_virtual_time(main)


def test_pausing_wins_over_what_asks(in_virtual_time: Run, open_line: Open, wire: Wire) -> None:
    """A request under way that ends a hold sends nothing after it."""

    async def main() -> None:
        log, book = MemoryEventLog(["heap"]), MemoryStanding()
        line = open_line(log, standing=book)
        line.heap.faults.add(Fault(status=401))
        await log.append(wire(*tracks(100)))
        await asyncio.sleep(5.0)
        line.heap.faults.clear()
        line.heap.faults.add(Fault(delay=5.0))
        await asyncio.sleep(7.0)  # it asks now
        assert line.worker.stats.in_flight == 1
        book.orders["heap"] = Order(paused=True, at=1.0)
        await asyncio.sleep(60.0)
        assert len(line.keys()) == 1
        assert line.worker.stats.holds == {"http_401": False}
        book.orders["heap"] = Order(paused=False, at=2.0)
        await log.wait_until_done()
        await line.stop()

        assert by_user(line) == in_order(100)

    in_virtual_time(main)


def test_a_held_connection_that_is_resumed_asks_at_once(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Whoever has mended the key need not wait five minutes."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        log, book = MemoryEventLog(["heap"]), MemoryStanding()
        line = open_line(log, standing=book)
        line.heap.faults.add(Fault(status=401))
        await log.append(wire(*tracks(100)))
        await asyncio.sleep(1000.0)
        line.heap.faults.clear()
        book.orders["heap"] = Order(paused=False, at=1.0)
        await log.wait_until_done()
        assert loop.time() < 1002
        await line.stop()

    in_virtual_time(main)
