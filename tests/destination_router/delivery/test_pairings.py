"""Stitching through a worker to a simulated Heap, which drops in silence what is too much."""

import asyncio
from collections.abc import Callable
from typing import Any

from destination_router.eventlog.memory import MemoryEventLog, MemoryPairings
from heap_destination.simulator import Fault

Run = Callable[..., None]
Open = Callable[..., Any]
Wire = Callable[..., list[bytes]]

STITCH = {"appId": "11", "anonymousEvents": "stitch"}
DAY = 86_400.0


def identify(user: str, anonymous: str) -> dict[str, Any]:
    return {"type": "identify", "userId": user, "anonymousId": anonymous}


def merges(line: Any) -> int:
    return line.paths().count("/api/v1/identify")


def test_no_merge_is_ignored_and_every_conflict_is_told(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Of what Heap would drop, nothing is sent; each is a dead letter that names the rule."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        messages = [identify("ada", f"phone-{n}") for n in range(12)]
        messages += [identify("bob", "phone-0"), identify("ada", "phone-1")]
        bodies = wire(*messages)
        line = open_line(log, settings=STITCH)
        for body in bodies:  # one after the other: a window would send them side by side
            await log.append([body])
            await log.wait_until_done()
        await line.stop()

        assert list(line.heap.ignored()) == []
        assert merges(line) == 10
        assert [(letter.message_id, letter.code) for letter in line.letters.kept] == [
            ("message-10", "merged_too_often"),
            ("message-11", "merged_too_often"),
            ("message-12", "merged_elsewhere"),
        ]
        assert all("ada" not in letter.detail for letter in line.letters.kept)
        assert line.worker.stats.skipped == 1  # the last: Heap has it
        # Their profiles are there all the same.
        assert [user.identity for user in line.heap.users()] == ["ada", "bob"]

    in_virtual_time(main)


def test_a_window_keeps_the_limits_too(in_virtual_time: Run, open_line: Open, wire: Wire) -> None:
    """Merges that go out side by side are counted before they go."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        await log.append(wire(*[identify("ada", f"phone-{n}") for n in range(30)]))
        line = open_line(log, settings=STITCH)
        await log.wait_until_done()
        await line.stop()
        assert list(line.heap.ignored()) == []
        assert (merges(line), len(line.letters.kept)) == (10, 20)

    in_virtual_time(main)


def test_a_merge_without_an_answer_is_sent_again(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """Lost answers and failures cost repeats of the same merge, never a place in the month."""

    async def main() -> None:
        log = MemoryEventLog(["heap"])
        line = open_line(log, settings=STITCH)
        line.heap.faults.add(
            Fault(drop_connection=True, after=True, next=2, path="/api/v1/identify")
        )
        line.heap.faults.add(Fault(status=503, next=2, path="/api/v1/identify"))
        await log.append(wire(*[identify("ada", f"phone-{n}") for n in range(10)]))
        await log.wait_until_done()
        await line.stop()
        assert list(line.heap.ignored()) == []
        assert line.letters.kept == []
        assert len(next(line.heap.users()).user_ids) == 10

    in_virtual_time(main)


def test_what_the_month_forbade_goes_through_when_it_is_over(
    in_virtual_time: Run, open_line: Open, wire: Wire
) -> None:
    """A dead letter of the eleventh is replayed 31 days later; another worker keeps the count."""

    async def main() -> None:
        book = MemoryPairings()
        log = MemoryEventLog(["heap"])
        line = open_line(log, settings=STITCH, pairings=book)
        await log.append(wire(*[identify("ada", f"phone-{n}") for n in range(11)]))
        await log.wait_until_done()
        await line.stop()
        (letter,) = line.letters.kept
        await asyncio.sleep(30.9 * DAY)
        for days, delivered in ((0.0, 0), (0.2, 1)):
            await asyncio.sleep(days * DAY)
            again = open_line(log, settings=STITCH, pairings=book, app=line.app)
            await log.append([letter.body])
            await log.wait_until_done()
            await again.stop()
            assert again.worker.stats.delivered == delivered
        assert list(line.heap.ignored()) == []

    in_virtual_time(main)
