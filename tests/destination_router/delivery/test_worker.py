"""The worker between a log and a simulated Heap, in virtual time: nothing is lost, ever.

Modules: `worker.py`, `dispatch.py`, `window.py`, `plan.py`, `item.py`, `ledger.py`, `stats.py`,
`delivery_settings.py`.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from destination_router import Track
from destination_router.delivery.item import Item
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.memory import MemoryEventLog
from heap_destination.simulator import Fault

Run = Callable[..., None]
Open = Callable[..., Any]
Wire = Callable[..., list[bytes]]

HOUR = 3600.0


def track(user: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": user, "event": "Ordered", "properties": properties}


def identify(user: str, **traits: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": user, "traits": traits}


def by_user(line: Any) -> dict[str | None, list[Any]]:
    """The numbers of each user's events, in the order they arrived."""
    found: dict[str | None, list[Any]] = {}
    for row in line.heap.events():
        found.setdefault(row.identity, []).append(row.properties["n"])
    return found


def test_a_window_goes_out_in_four_requests(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """1000 messages of every kind and of 800 users leave as four bulks."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        kinds = [
            lambda n: identify(f"u{n % 800}", n=n),
            lambda n: {"type": "group", "userId": f"u{n % 800}", "groupId": f"g{n}"},
            lambda n: track(f"u{n % 800}", n=n),
            lambda n: {"type": "track", "anonymousId": f"a{n}", "event": "Seen"},
        ]
        await log.append(wire(*[kinds[n % 4](n) for n in range(1000)]))
        line = open_line(log)
        await log.wait_until_done()
        await line.stop()

        assert len(line.paths()) == 4
        assert line.worker.stats.delivered == 1000

    in_virtual_time(main)


def test_what_is_delivered_is_let_go_at_once(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """No message waits for Python to look for cycles, compiled or not."""

    def items_there() -> set[Item]:
        return {each for each in gc.get_objects() if type(each) is Item}

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        for first in range(0, 60, 20):
            await log.append(wire(*[track(f"u{first + n}", n=n) for n in range(20)]))
            await log.wait_until_done()
        await line.stop()
        assert line.worker.stats.delivered == 60
        assert items_there() <= others

    gc.collect()
    others = items_there()  # what other tests of this process still hold
    gc.disable()
    try:
        in_virtual_time(main)
    finally:
        gc.enable()


def test_a_vendor_that_is_down_for_an_hour_costs_nothing_but_lag(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """After an outage everything is delivered once, in order, and few requests were wasted."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        line.heap.faults.add(Fault(drop_connection=True))
        start = loop.time()
        bodies = wire(*[track(f"user-{n % 50}", n=n) for n in range(3600)])
        for minute in range(60):
            await log.append(bodies[minute * 60 : minute * 60 + 60])
            await asyncio.sleep(60)
        assert loop.time() - start == pytest.approx(HOUR)
        assert line.worker.stats.circuit in {"open", "half_open"}
        wasted = len(line.paths())
        line.heap.faults.clear()
        await log.wait_until_done()
        await line.stop()

        assert loop.time() - start < HOUR + 120
        assert wasted < 150
        assert line.letters.kept == []
        assert line.heap.stats()["duplicates"] == 0
        assert by_user(line) == {f"user-{u}": list(range(u, 3600, 50)) for u in range(50)}
        assert line.worker.stats.circuit == "closed"

    in_virtual_time(main)


def test_it_is_known_since_when_a_vendor_owes_an_answer(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """From the first request that it did not take, through all retries, until it takes one."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, first_wait=1.0, circuit_failures=2)
        assert line.worker.stats.unanswered_since is None
        line.heap.faults.add(Fault(delay=10.0, status=503))
        await log.append(wire(track("ada", n=1)))
        await asyncio.sleep(1.0)
        since = line.worker.stats.unanswered_since
        assert since is not None
        await asyncio.sleep(60.0)
        assert line.worker.stats.requests["503"] > 1
        assert line.worker.stats.unanswered_since == since
        line.heap.faults.clear()
        await log.wait_until_done()
        assert line.worker.stats.unanswered_since is None
        await line.stop()

    in_virtual_time(main)


def test_one_connections_outage_does_not_move_anothers_lag(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """A connection beside a dead one delivers each message within its linger."""

    async def main() -> None:
        log = MemoryEventLog(["dead", "alive"])
        dead, alive = open_line(log, "dead"), open_line(log, "alive")
        dead.heap.faults.add(Fault(delay=29.0, status=503))
        bodies = wire(*[track(f"user-{n % 7}", n=n) for n in range(200)])
        for count, body in enumerate(bodies, 1):
            await log.append([body])
            await asyncio.sleep(1.0)
            assert alive.worker.stats.delivered == count
        assert dead.worker.stats.delivered == 0
        dead.heap.faults.clear()
        await log.wait_until_done()
        await dead.stop()
        await alive.stop()

        assert by_user(dead) == by_user(alive)

    in_virtual_time(main)


@pytest.mark.parametrize("named", [True, False], ids=["by its index", "by halves"])
def test_a_poisoned_message_stands_alone_in_the_dead_letters(
    in_virtual_time: Run, open_line: Open, wire: Wire, *, named: bool
) -> None:
    """Its neighbours are delivered once each, and its user's later messages follow."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        poisoned = {17, 18, 503}
        messages = [track(f"user-{n % 100}", n=n) for n in range(1000)]
        for n in poisoned:
            messages[n]["properties"]["poison"] = f"poison-{n}"
        line = open_line(log, linger=0.01)
        words = "should NOT be longer than" if named else "Bad Request"
        if named:
            _send_too_much_for(line)
        else:
            line.heap.faults.add(Fault(status=400, body=words, match="poison-"))
        await log.append(wire(*messages))
        await log.wait_until_done()
        await line.stop()

        assert sorted(letter.offset for letter in line.letters.kept) == sorted(poisoned)
        for letter in line.letters.kept:
            assert words in letter.detail
            assert letter.code == "http_400"
            assert letter.status == 400
            assert letter.request is not None
            assert letter.request["json"]["properties"]["n"] == letter.offset
        assert by_user(line) == {
            f"user-{u}": [n for n in range(u, 1000, 100) if n not in poisoned] for u in range(100)
        }
        assert line.heap.stats()["duplicates"] == 0
        most = len(poisoned) + 1 if named else 25 * len(poisoned)
        assert len(line.paths()) <= most
        assert line.worker.stats.rejected == Counter(http_400=3)

    in_virtual_time(main)


def _send_too_much_for(line: Any) -> None:
    """Make a mapping that is at fault: Heap refuses what it makes of a poisoned message."""
    hooks = line.connection._hooks
    real = hooks[Track]

    def spoil(message: Any, settings: Any) -> Any:
        requests = real(message, settings)
        if "poison" in requests[0].json["properties"]:
            requests[0].json["properties"]["poison"] = "x" * 2000
        return requests

    hooks[Track] = line.connection._direct[Track] = spoil


def test_an_update_folded_with_a_poisoned_one_is_delivered(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Of several updates that Heap sees as one item, only the bad one is a dead letter."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        updates = [identify("ada", **{f"trait-{n}": n}) for n in range(8)]
        updates[5]["traits"]["poison"] = True
        words = "postBody.users[0].properties.poison should be string"
        line.heap.faults.add(Fault(status=400, body=words, match="poison"))
        await log.append(wire(*updates, identify("bob", n=1), track("ada", n=1)))
        await log.wait_until_done()
        await line.stop()

        assert [letter.message_id for letter in line.letters.kept] == ["message-5"]
        ada, bob = line.heap.users()
        assert ada.properties == {f"trait-{n}": n for n in range(8) if n != 5}
        assert bob.properties == {"n": 1}
        assert line.keys() == ["message-9"]

    in_virtual_time(main)


def test_a_bulk_that_fails_while_others_get_through_is_taken_apart(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """A message that makes the vendor fail with 500 does not keep its neighbours for ever."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, max_attempts=60)
        line.heap.faults.add(Fault(status=500, match="poison"))
        await log.append(
            wire(*[track(f"u{n}", n=n, **_poison(poisoned=n == 33)) for n in range(64)])
        )
        for n in range(300):
            await log.append([wire(track("other", n=n))[0].replace(b"message-", b"%d-" % n)])
            await asyncio.sleep(10.0)
        await log.wait_until_done()
        await line.stop()

        assert [letter.offset for letter in line.letters.kept] == [33]
        assert len(line.keys()) == 63 + 300

    in_virtual_time(main)


def _poison(*, poisoned: bool) -> dict[str, Any]:
    return {"poison": True} if poisoned else {}


@pytest.mark.parametrize("retry_after", ["120", "date"])
def test_a_429_is_obeyed(
    in_virtual_time: Run, open_line: Open, wire: Wire, retry_after: str
) -> None:
    """Nothing is sent before the time that Retry-After names, in seconds or as a date."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        log = MemoryEventLog(["heap"])
        headers = {"retry-after": retry_after}
        if retry_after == "date":
            headers = {
                "date": "Sun, 22 Nov 2026 10:00:00 GMT",
                "retry-after": "Sun, 22 Nov 2026 10:02:00 GMT",
            }
        line = open_line(log)
        line.heap.faults.add(Fault(status=429, headers=headers, next=1))
        start = loop.time()
        await log.append(wire(*[track(f"u{n}", n=n) for n in range(10)]))
        await log.wait_until_done()
        await line.stop()

        assert 120 <= loop.time() - start < 125
        assert len(line.paths()) == 2

    in_virtual_time(main)


def test_users_of_a_failed_request_wait_and_others_go_on(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """While one user's request waits for its retry, only that user's messages wait behind it."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, first_wait=100.0, longest_wait=100.0)
        line.heap.faults.add(Fault(status=500, match='"first"', next=1))
        bodies = wire(
            track("slow", n="first"), track("slow", n=1), track("other", n=1), identify("slow")
        )
        await log.append(bodies[:1])
        await asyncio.sleep(1.0)
        await log.append(bodies[1:])
        await asyncio.sleep(1.0)
        assert line.keys() == ["message-2"]
        await log.wait_until_done()
        await line.stop()

        assert line.keys() == ["message-2", "message-0", "message-1"]

    in_virtual_time(main)


def test_an_event_waits_for_the_identify_before_it(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """When the bulk of users fails, no event of these users goes ahead; the others' do."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, first_wait=60.0, longest_wait=60.0)
        line.heap.faults.add(Fault(status=503, path="/api/add_user_properties", next=1))
        known = [identify(f"u{n}", n=n) for n in range(5)]
        events = [track(f"u{n}", n=n) for n in range(10)]
        await log.append(wire(*known, *events))
        await asyncio.sleep(1.0)
        assert line.keys() == [f"message-{n}" for n in range(10, 15)]
        await log.wait_until_done()
        await line.stop()

        assert len(line.keys()) == 10
        assert line.paths()[-2:] == ["/api/add_user_properties", "/api/track"]

    in_virtual_time(main)


def test_an_exact_repeat_of_a_profile_is_left_out(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Traits that a browser repeats are sent once; a change, or a change back, is sent."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        plans = ["free", "free", "pro", "free", "free"]
        for body in wire(*[identify("ada", plan=plan) for plan in plans]):
            await log.append([body])
            await log.wait_until_done()
        await line.stop()

        sent = [row.body["properties"]["plan"] for row in line.heap.requests()]
        assert sent == ["free", "pro", "free"]
        assert line.worker.stats.skipped == 2
        assert line.worker.stats.delivered == 5

    in_virtual_time(main)


def test_repeats_are_sent_if_the_settings_say_so(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """`skip_repeats = false` sends every update."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, skip_repeats=False)
        for body in wire(*[identify("ada", plan="free")] * 3):
            await log.append([body])
            await log.wait_until_done()
        await line.stop()

        assert len(line.paths()) == 3

    in_virtual_time(main)


def test_an_update_that_failed_is_no_repeat(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """What was refused may be stored in part: a repeat of the last good one goes out."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        line.heap.faults.add(Fault(status=400, match='"pro"'))
        for body in wire(*[identify("ada", plan=plan) for plan in ("free", "pro", "free")]):
            await log.append([body])
            await log.wait_until_done()
        await line.stop()

        assert len(line.paths()) == 3
        assert len(line.letters.kept) == 1

    in_virtual_time(main)


def test_what_the_pipeline_rejects_is_a_dead_letter(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """A message without an identity is kept with its code; its neighbours go out."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        bodies = wire({"type": "identify"}, track("ada", n=1), {"type": "alias", "userId": "ada"})
        await log.append([*bodies, b"not JSON"])
        await log.wait_until_done()
        await line.stop()

        assert [letter.offset for letter in line.letters.kept] == [0, 3]
        assert line.letters.kept[0].code == "missing_identity"
        assert line.letters.kept[0].body == bodies[0]
        assert line.letters.kept[0].request is None
        assert line.worker.stats.filtered == 1
        assert [delivery.rejected for delivery in line.reported].count(True) == 2

    in_virtual_time(main)


@pytest.mark.parametrize("limit", [{"max_attempts": 3}, {"max_age": 600.0}])
def test_patience_ends_where_the_settings_say(
    in_virtual_time: Run, open_line: Open, wire: Wire, limit: dict[str, float]
) -> None:
    """With a limit of attempts or age, what a dead vendor does not take becomes a dead letter."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, **limit)
        line.heap.faults.add(Fault(status=502))
        await log.append(wire(track("ada", n=1), track("bob", n=2)))
        await log.wait_until_done()
        await line.stop()

        assert [letter.code for letter in line.letters.kept] == ["http_502", "http_502"]
        assert all(letter.attempts >= 3 for letter in line.letters.kept)

    in_virtual_time(main)


def test_a_graceful_stop_ends_what_is_under_way(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Within the grace, what is under way is finished and committed; the rest stays in the log."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, window=10, concurrency=1)
        line.heap.faults.add(Fault(delay=5.0))
        await log.append(wire(*[track(f"u{n}", n=n) for n in range(30)]))
        await asyncio.sleep(1.0)
        await line.stop(grace=10.0)

        assert len(line.keys()) == 10
        assert [e.offset for e in await log.read("heap", -1, 100)] == list(range(10, 30))

    in_virtual_time(main)


def test_a_stop_takes_no_longer_than_its_grace(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """A vendor that does not answer is hung up on; its messages stay in the log."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        line.heap.faults.add(Fault(delay=25.0))
        await log.append(wire(track("ada", n=1)))
        await asyncio.sleep(1.0)
        start = loop.time()
        await line.stop(grace=10.0)

        assert loop.time() - start <= 10.0
        assert [e.offset for e in await log.read("heap", -1, 100)] == [0]

    in_virtual_time(main)


def test_a_full_disk_is_waited_out(
    in_virtual_time: Run, open_line: Open, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits and dead letters that the log cannot take now are tried again, and lost never."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log)
        real = line.letters.put
        failures = iter([True, True, False])

        async def put(letters: list[Any]) -> None:
            if next(failures):
                raise LogUnavailableError("the disk is full")
            await real(letters)

        monkeypatch.setattr(line.letters, "put", put)
        await log.append(wire({"type": "identify"}))
        await log.wait_until_done()
        await line.stop()

        assert len(line.letters.kept) == 1

    in_virtual_time(main)


def test_messages_of_two_ids_of_one_user_keep_their_order(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """A message with both ids comes after what either sent, also when that has to be retried."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, first_wait=30.0, longest_wait=30.0)
        line.heap.faults.add(Fault(status=500, path="/api/integrations/track", next=1))
        bodies = wire(
            {"type": "track", "anonymousId": "visitor", "event": "Seen"},
            {**track("ada", n=1), "anonymousId": "visitor"},
            track("ada", n=2),
            track("bob", n=3),
        )
        await log.append(bodies[:1])
        await asyncio.sleep(1.0)
        await log.append(bodies[1:])
        await asyncio.sleep(1.0)
        assert line.keys() == ["message-3"]
        await log.wait_until_done()
        await line.stop()

        assert line.keys() == ["message-3", "message-0", "message-1", "message-2"]

    in_virtual_time(main)
