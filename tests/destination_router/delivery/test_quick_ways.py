"""A window that fares well takes quick ways; each does what the slow way does, for any traffic.

Modules: `delivery/plan.py`, `delivery/window.py`, `delivery/item.py`, `delivery/schedule.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.item import Answer, Item
from destination_router.delivery.outcomes import what_now
from destination_router.delivery.plan import Plan, PlannedRequest, carriers
from destination_router.delivery.window import Window
from destination_router.pipeline.connection import Decision

IDS = st.sampled_from([f"m{n}" for n in range(6)])
OUTCOMES = st.sampled_from(
    [
        Outcome.delivered(),
        Outcome.delivered(),
        Outcome.rejected("no"),
        Outcome.suspect("perhaps"),
        Outcome.retry(after=0),
        Outcome.retry(after=5),
        Outcome.held("http_401"),
    ]
)


def request(ids: Sequence[str]) -> HttpRequest:
    return HttpRequest(method="POST", url="https://v.test/", json={}, message_ids=tuple(ids))


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[Item], list[HttpRequest]]:
    """Messages with some requests each, ids that several may share, and requests packed anyhow."""
    items = []
    for offset in range(draw(st.integers(1, 6))):
        own = draw(st.lists(st.lists(IDS, min_size=1, max_size=2), min_size=1, max_size=3))
        decision = Decision(
            message_id=draw(IDS),
            result="requests",
            requests=tuple(map(request, own)),
            user_keys=(draw(st.sampled_from("abc")), draw(st.sampled_from("abc"))),
        )
        item = Item.of(offset, b"{}", decision)
        item.delivered = draw(st.integers(0, (1 << len(own)) - 1))
        if item.left():
            items.append(item)
    ids = sorted({i for item in items for _, one in item.left() for i in one.message_ids})
    packed = draw(st.lists(st.lists(st.sampled_from(ids), min_size=1), max_size=4)) if ids else []
    return items, [request([*dict.fromkeys(own)]) for own in packed]


def slowly_carried(items: Sequence[Item], packed: Sequence[HttpRequest]) -> list[list[Item]]:
    """Say which messages each request carries, without any short cut."""
    by_id: dict[str, set[Item]] = defaultdict(set)
    for item in items:
        for _, one in item.left():
            for message_id in one.message_ids:
                by_id[message_id].add(item)
    return [
        sorted({i for name in one.message_ids for i in by_id[name]}, key=lambda i: i.offset)
        for one in packed
    ]


@given(windows())
def test_who_is_carried_is_who_has_the_id(window: tuple[list[Item], list[HttpRequest]]) -> None:
    """However ids are shared between messages and requests."""
    items, packed = window
    left = {item: item.left() for item in items}
    assert carriers(left, packed) == slowly_carried(items, packed)


class Told:
    """Owns a window, and notes what it is told."""

    def __init__(self, answers: Sequence[Outcome]) -> None:
        self._answers = answers
        self.told: list[Any] = []
        self.ended: Counter[int] = Counter()

    def may_send(self) -> bool:
        return True

    async def send(self, planned: PlannedRequest) -> Answer:
        ids = planned.request.message_ids
        found = {name: self._answers[n % len(self._answers)] for n, name in enumerate(ids)}
        return Answer(outcomes=found, response=None)

    def took(self, item: Item, index: int) -> None:
        self.told.append(("took", item.offset, index))

    def delivered(self, items: Sequence[Item]) -> None:
        self._end("delivered", items)

    def again(self, items: Sequence[Item]) -> None:
        self._end("again", items)

    def retry(self, items: Sequence[Item], outcomes: Sequence[Outcome], _: Answer) -> None:
        self._end("retry", items, outcomes)

    def apart(self, items: Sequence[Item]) -> None:
        self._end("apart", items)

    def held(self, items: Sequence[Item], outcomes: Sequence[Outcome], _: Answer) -> None:
        self._end("held", items, outcomes)

    def dead_letter(self, item: Item, _: HttpRequest | None, outcome: Outcome, __: Answer) -> None:
        self._end("dead_letter", [item], [outcome])

    def _end(self, what: str, items: Sequence[Item], more: Sequence[Outcome] = ()) -> None:
        self.told.append((what, [item.offset for item in items], list(more)))
        self.ended.update(item.offset for item in items)


def carried_out(steps: Sequence[PlannedRequest], answers: Sequence[Outcome]) -> list[Any]:
    owner = Told(answers)
    window = Window(Plan([*steps], [], 0, []), owner)
    asyncio.run(window.run())
    carried = {item.offset for step in steps for item, _ in step.carries}
    assert set(owner.ended) == carried
    assert not window.untold()
    return owner.told


@settings(max_examples=200, deadline=None)
@given(windows(), st.lists(OUTCOMES, min_size=1, max_size=3) | st.just([Outcome.delivered()]))
def test_an_answer_for_all_says_what_it_says_for_each(
    window: tuple[list[Item], list[HttpRequest]], answers: list[Outcome]
) -> None:
    """Whoever owns the window is told the same, in the same order, by both ways."""
    items, packed = window
    marks = {item: iter(item.left()) for item in items}
    steps = [
        PlannedRequest(one, (), tuple((i, next(marks[i], (None,))[0]) for i in carried))
        for one, carried in zip(packed, slowly_carried(items, packed), strict=True)
        if carried
    ]
    quickly = carried_out(steps, answers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Answer, "is_all_delivered", False)
        patch.setattr(Answer, "each", lambda answer: list(answer.outcomes.values()))
        assert carried_out(steps, answers) == quickly


@given(st.dictionaries(IDS, OUTCOMES, max_size=6))
def test_outcomes_that_are_alike_are_looked_at_once(outcomes: dict[str, Outcome]) -> None:
    """What is asked of all of them, or of any, has the same answer."""
    answer = Answer(outcomes=outcomes, response=None)
    assert {*map(msgspec.json.encode, answer.each())} == {
        *map(msgspec.json.encode, outcomes.values())
    }
    told = what_now(list(outcomes.values())) if outcomes else []
    assert answer.is_all_delivered == (set(told) == {"delivered"})
