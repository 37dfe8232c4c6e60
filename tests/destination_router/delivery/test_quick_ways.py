"""A window that fares well takes quick ways; each does what the slow way does, for any traffic.

Modules: `delivery/plan.py`, `delivery/window.py`, `delivery/item.py`, `delivery/schedule.py`,
`delivery/quarantine.py`, `delivery/sender.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.config.router_toml import QuarantineConfig
from destination_router.contract.records import HttpRequest, Outcome
from destination_router.delivery.item import Answer, Item
from destination_router.delivery.outcomes import what_now
from destination_router.delivery.plan import (
    Plan,
    PlannedRequest,
    Planner,
    carriers,
    plain_carriers,
    plain_singles,
)
from destination_router.delivery.quarantine import Quarantine, Watch, _Once, _Seen
from destination_router.delivery.quotas import Quotas
from destination_router.delivery.schedule import Schedule
from destination_router.delivery.sender import header_texts
from destination_router.delivery.states import States
from destination_router.delivery.window import Window
from destination_router.pipeline.connection import Connection, Decision
from destination_router.plugins.loading import load_plugin

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
    carried = {item.offset for step in steps for item in step.items}
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
        PlannedRequest(one, (), carried, [next(marks[i], (None,))[0] for i in carried])
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


@st.composite
def plain_windows(draw: st.DrawFn) -> tuple[list[Item], list[HttpRequest]]:
    """Messages with a request each, nearly always with an id of its own, packed in some order."""
    count = draw(st.integers(1, 6))
    names = [f"m{n}" for n in range(count)]
    if draw(st.integers(0, 9)) == 0:
        names = draw(st.lists(IDS, min_size=count, max_size=count))
    items = []
    for offset, name in enumerate(names):
        decision = Decision(
            message_id=name,
            result="requests",
            requests=(request([name]),) * draw(st.sampled_from([1] * 9 + [2])),
            user_keys=(draw(st.sampled_from("abc")),),
        )
        items.append(Item.of(offset, b"{}", decision))
    packed: list[list[str]] = [[] for _ in range(draw(st.integers(1, 3)))]
    for name in draw(st.permutations([*dict.fromkeys(names)])):
        packed[draw(st.integers(0, len(packed) - 1))].append(name)
    if draw(st.integers(0, 9)) == 0:
        packed.append([names[0]])
    return items, [request(own) for own in packed if own]


@given(plain_windows())
def test_a_plain_window_carries_what_any_window_would(
    window: tuple[list[Item], list[HttpRequest]],
) -> None:
    """Where the quick way says whom requests carry, it says the same, and each message is once."""
    items, packed = window
    singles = plain_singles(items)
    if singles is None:
        assert any(len(item.left()) > 1 for item in items)
        return
    carried = plain_carriers(items, singles, packed)
    if carried is None:
        ids = [name for one in packed for name in one.message_ids]
        assert len(ids) > len({*ids}) or len(items) > len({item.message_id for item in items})
        return
    assert carried == carriers({item: item.left() for item in items}, packed)
    assert Counter(item for own in carried for item in own) == Counter(items)


@settings(max_examples=200, deadline=None)
@given(plain_windows(), st.lists(OUTCOMES, min_size=1, max_size=3) | st.just([Outcome.delivered()]))
def test_messages_that_are_sent_once_fare_as_any(
    window: tuple[list[Item], list[HttpRequest]], answers: list[Outcome]
) -> None:
    """Whoever owns the window is told the same, whether or not it keeps count of each message."""
    items, packed = window
    singles = plain_singles(items)
    carried = None if singles is None else plain_carriers(items, singles, packed)
    if carried is None:
        return
    steps = [
        PlannedRequest(one, (), own, [0] * len(own))
        for one, own in zip(packed, carried, strict=True)
    ]
    whole = [msgspec.structs.replace(step, indexes=None) for step in steps]
    assert carried_out(whole, answers) == carried_out(steps, answers)


UPDATES = st.lists(
    st.lists(
        st.tuples(st.sampled_from([None, None, "s", "t"]), st.booleans()), min_size=1, max_size=2
    ),
    max_size=5,
)
"""The messages of a window: of each request its state, and which of two contents it has."""


def updating(window: Sequence[Sequence[tuple[str | None, bool]]]) -> list[Item]:
    return [
        Item.of(
            offset,
            b"{}",
            Decision(
                message_id=f"m{offset}",
                result="requests",
                requests=tuple(
                    HttpRequest(
                        method="POST",
                        url="https://v.test/",
                        json={"content": content},
                        message_ids=(f"m{offset}",),
                        state_key=state,
                    )
                    for state, content in requests
                ),
                user_keys=("u",),
            ),
        )
        for offset, requests in enumerate(window)
    ]


def slowly_left_out(items: Sequence[Item], states: States, window: int) -> int:
    """Leave out what the vendor has, request by request."""
    skipped = 0
    for item in items:
        for position, one in item.left():
            if states.repeats(one):
                item.delivered |= 1 << position
                skipped += 1
            else:
                states.begin(one, window)
    return skipped


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(UPDATES, st.sets(st.integers(0, 4))), max_size=4))
def test_what_is_sent_of_a_window_is_found_in_one_look(
    windows: list[tuple[list[list[tuple[str | None, bool]]], set[int]]],
) -> None:
    """The same updates are left out, whatever failed before; the same messages are sent."""
    heap = Connection("heap", load_plugin("heap"), {"appId": "11"})
    planner, states = Planner(heap, Quotas(()), States(10)), States(10)
    for number, (window, failing) in enumerate(windows):
        items, same = updating(window), updating(window)
        plan = planner.plan(items, 0.0)
        assert plan.skipped == slowly_left_out(same, states, number)
        assert [item.offset for item in plan.finished] == [i.offset for i in same if not i.left()]
        sent = {item.offset for step in plan.steps for item in step.items}
        assert sent == {item.offset for item in same if item.left()}
        assert [item.left() for item in items] == [item.left() for item in same]
        for item in same:
            for _, one in item.left():
                states.end(one, delivered=item.offset not in failing)
        for item in items:
            fate = planner.forget if item.offset in failing else planner.all_delivered
            fate([item])


def test_a_message_that_was_not_sent_ends_no_update_of_another() -> None:
    """One that is given up while it waits leaves alone what is under way for the same state."""
    heap = Connection("heap", load_plugin("heap"), {"appId": "11"})
    planner = Planner(heap, Quotas(()), States(10))
    sent, waiting, repeat = (updating([[("s", True)]]) for _ in range(3))
    planner.plan(sent, 0.0)
    planner.forget(waiting)
    planner.all_delivered(sent)
    assert planner.plan(repeat, 0.0).skipped == 1


MOVES = st.one_of(
    st.tuples(st.just("add"), st.lists(st.sampled_from("abcd"), min_size=1, max_size=2)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 4.0])),
    st.tuples(st.just("take"), st.sampled_from([None, None, 1])),
    st.tuples(st.just("take_one"), st.none()),
    st.tuples(
        st.sampled_from(["end", "end", "again", "later", "together", "apart", "hold"]),
        st.integers(0, 9),
    ),
)


class Scheduled:
    """A schedule without quotas, which goes the quick ways or the slow ones."""

    def __init__(self, *, quickly: bool) -> None:
        self._quickly = quickly
        self._schedule = Schedule(4, linger=1.0, admits_all=quickly)
        self._now = 0.0
        self._count = 0
        self._away: list[list[Item]] = []

    def move(self, move: str, what: Any) -> Any:
        """Do something, and tell what goes out, and when something may."""
        told = None
        match move:
            case "add":
                decision = Decision(message_id="m", result="requests", user_keys=tuple(what))
                self._schedule.add([Item.of(self._count, b"", decision)], self._now)
                self._count += 1
            case "wait":
                self._now += what
            case "take":
                told = self._took(self._schedule.take(self._now, lambda _: None, what))
            case "take_one":
                told = self._took(self._schedule.take_one(self._now, lambda _: None))
            case _ if self._away:
                self._fare(move, self._away.pop(what % len(self._away)))
                self._schedule.answered(self._now)
            case _:
                pass
        schedule = self._schedule
        return told, schedule.wake_at(self._now), len(schedule), schedule.unseen, schedule.parked

    def _took(self, items: list[Item]) -> list[int]:
        self._away += [items] if items else []
        return [item.offset for item in items]

    def _fare(self, fate: str, items: list[Item]) -> None:
        schedule, now = self._schedule, self._now
        match fate:
            case "end" if self._quickly:
                schedule.done_all(items, now)
            case "together":
                schedule.put_together(items, now, now + 1.0)
            case "apart":
                schedule.put_apart(items, now)
            case _:
                for item in items:
                    match fate:
                        case "end":
                            schedule.done(item, now)
                        case "hold":
                            schedule.hold(item, now + 2.0)
                        case _:
                            schedule.put_back(item, now, now + 3.0 * (fate == "later"))


@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, max_size=60))
def test_without_quotas_the_same_messages_go_out_at_the_same_time(
    moves: list[tuple[str, Any]],
) -> None:
    """Whatever comes, and however it fares."""
    quick, slow = Scheduled(quickly=True), Scheduled(quickly=False)
    for move, what in moves:
        assert quick.move(move, what) == slow.move(move, what)


class Unfolded(Quarantine):
    """Keeps the books of every identity from the first message on."""

    def verdict(self, decision: Decision, at: float, *, again: bool = False) -> Any:
        told = super().verdict(decision, at, again=again)
        for identity, seen in self._seen.items():
            if isinstance(seen, _Once):
                self._seen[identity] = _Seen(seen)
        return told


WATCHED = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from([None, "1", "2", "3"]),
        st.sampled_from([(), (("email", "x"),), (("email", "y"),), (("name", "x"),)]),
        st.sampled_from([0.0, 0.0, 1.0, 30.0, 70.0]),
    ),
    max_size=30,
)
"""Messages: user, anonymous id, person, and the seconds since the last one."""

WATCH = QuarantineConfig(anonymous_ids=2, changed_traits=1, period=60.0)


def of_person(user: str, anonymous: str | None, person: tuple[tuple[str, str], ...]) -> Decision:
    return Decision(
        message_id="m",
        result="requests",
        requests=(request(["m"]),),
        user_id=user,
        anonymous_id=anonymous,
        person=person,
    )


@settings(max_examples=300, deadline=None)
@given(WATCHED, st.sampled_from([4, 100]))
def test_an_identity_that_never_changes_is_watched_as_any(
    messages: list[tuple[str, str | None, tuple[tuple[str, str], ...], float]], most: int
) -> None:
    """It is free, caught and forgotten when another would be, and takes as much room."""
    quick, slow = Quarantine(WATCH, (), most), Unfolded(WATCH, (), most)
    now = 0.0
    for user, anonymous, person, pause in messages:
        now += pause
        decision = of_person(user, anonymous, person)
        assert quick.verdict(decision, now) == slow.verdict(decision, now)
        assert quick.remembered == slow.remembered


@settings(max_examples=200, deadline=None)
@given(WATCHED, st.integers(1, 5), st.integers(0, 5))
def test_messages_are_judged_together_as_one_by_one(
    messages: list[tuple[str, str | None, tuple[tuple[str, str], ...], float]],
    at_once: int,
    filtered: int,
) -> None:
    """The same ones are held back, also where one that is not to be sent is among them."""
    together, one_by_one = Watch("heap", WATCH), Watch("heap", WATCH)
    decisions, times, now = [], [], 0.0
    for number, (user, anonymous, person, pause) in enumerate(messages):
        decision = of_person(user, anonymous, person)
        if number % 6 == filtered:
            decision = Decision(message_id="m", result="filtered", user_id=user, person=person)
        decisions.append(decision)
        times.append(now := now + pause)
    alone = [
        one_by_one.judged(decision, at) if decision.result == "requests" else decision
        for decision, at in zip(decisions, times, strict=True)
    ]
    judged: list[Decision] = []
    for start in range(0, len(decisions), at_once):
        end = start + at_once
        judged += together.judged_all(decisions[start:end], times[start:end])
    assert judged == alone


NAMES = st.sampled_from([b"Date", b"date", b"Retry-After", b"X-Name"])
VALUES = st.sampled_from([b"1", b"", b"a, b", "é".encode(), b"\xe9"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_the_headers_of_an_answer_are_read_as_httpx_reads_them(
    raw: list[tuple[bytes, bytes]],
) -> None:
    """Whatever bytes there are, and however often a name is."""
    assert header_texts(raw) == dict(httpx.Headers(raw).items())


@given(
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=2, unique=True), max_size=12),
    st.integers(0, 12),
)
def test_messages_that_come_together_wait_as_if_one_by_one(
    users: list[list[str]], first: int
) -> None:
    """The same messages go out, in the same windows, and the same ones are behind others."""

    def windows_of(parts: Sequence[Sequence[int]]) -> list[list[int]]:
        schedule = Schedule(3, linger=1.0)
        items = [
            Item.of(n, b"", Decision(message_id="m", result="requests", user_keys=tuple(keys)))
            for n, keys in enumerate(users)
        ]
        for part in parts:
            schedule.add([items[n] for n in part], 0.0)
        waiting = [item.blockers for item in items]
        followers = [[one.offset for one in item.followers] for item in items]
        found = [waiting, *followers]
        now = schedule.wake_at(0.0)
        while now is not None:
            taken = schedule.take(now, lambda _: None)
            found.append([item.offset for item in taken])
            schedule.done_all(taken, now)
            now = schedule.wake_at(now)
        return found

    whole = range(len(users))
    assert windows_of([whole[:first], whole[first:]]) == windows_of([[n] for n in whole])
