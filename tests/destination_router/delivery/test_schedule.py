"""The schedule against a model: whatever comes, in whatever order, and however it ends."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from destination_router.delivery.item import Item
from destination_router.delivery.quotas import UNKNOWN, QuotaWait
from destination_router.delivery.schedule import Schedule
from destination_router.pipeline.connection import Decision

WINDOW = 5
users = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=2, unique=True)


class Deliveries(RuleBasedStateMachine):
    """Messages come, go out in windows and end; some are poisoned, quotas open and close."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule(WINDOW, linger=1.0)
        self.now = 0.0
        self.items: list[Item] = []
        self.poisoned: set[Item] = set()
        self.under_way: list[list[Item]] = []
        self.ended: list[Item] = []
        self.closed: dict[str, float] = {}

    # -- what happens ----------------------------------------------------------------------

    @rule(keys=users, poisoned=st.integers(0, 9).map(lambda n: n == 0))
    def add(self, keys: list[str], poisoned: bool) -> None:  # noqa: FBT001 -- drawn, not passed
        decision = Decision(message_id="m", result="requests", user_keys=tuple(keys))
        item = Item.of(len(self.items), b"", decision)
        self.items.append(item)
        if poisoned:
            self.poisoned.add(item)
        self.schedule.add([item], self.now)

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0]))
    def expect(self, seconds: float) -> None:
        self.schedule.expect(self.now + seconds)

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(user=st.sampled_from("abcdef"), seconds=st.sampled_from([0.5, 5.0, UNKNOWN]))
    def use_up_a_quota(self, user: str, seconds: float) -> None:
        self.closed[user] = self.now + seconds

    @rule(most=st.sampled_from([None, None, 1]))
    def take(self, most: int | None) -> None:
        taken = self.schedule.take(self.now, self._admit, most)
        self._check(taken, most)
        if taken:
            self.under_way.append(taken)

    @rule()
    def take_one(self) -> None:
        taken = self.schedule.take_one(self.now, self._admit)
        self._check(taken, 1)
        if taken:
            self.under_way.append(taken)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def answer(self, data: Any) -> None:
        """The vendor answers a window: as a whole, or each message for itself."""
        window = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        fate = data.draw(st.sampled_from(["delivered", "again", "retry", "quota", "each"]))
        if self.poisoned.isdisjoint(window) and fate == "quota":
            until = data.draw(st.sampled_from([self.now + 2.0, UNKNOWN]))
            stalls = data.draw(st.booleans())
            for item in window:
                if stalls:
                    self.schedule.stall(item, QuotaWait("packed", item.keys[0], until))
                else:
                    self.schedule.hold(item, until)
        elif fate == "again":
            self._put_back(window, self.now + data.draw(st.sampled_from([0.0, 3.0])))
        elif fate == "retry":
            self.schedule.put_together(window, self.now, self.now + 3.0)
        elif fate == "each":
            later = data.draw(st.sets(st.sampled_from(window)))
            self._put_back([item for item in window if item in later], self.now + 3.0)
            self._end([item for item in window if item not in later])
        elif self.poisoned.isdisjoint(window) or len(window) == 1:
            self._end(window)
        else:
            self.schedule.put_apart(window, self.now)
        self.schedule.answered(self.now)

    @rule(oldest=st.integers(0, 30))
    def expire(self, oldest: int) -> None:
        """Some that wait have become too old."""
        away = {item for window in self.under_way for item in window}
        wanted = {item for item in self.items[oldest::3] if item not in set(self.ended)}
        taken = self.schedule.take_out(lambda item: item in wanted)
        assert [item.offset for item in taken] == sorted({item.offset for item in taken})
        assert wanted.issuperset(taken)
        assert away.isdisjoint(taken)
        if not away:
            assert wanted == set(taken)
        self._end(taken)

    # -- what must hold --------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert len(self.ended) == len(set(self.ended))
        assert len(self.schedule) == len(self.items) - len(self.ended)

    @invariant()
    def something_always_happens_next(self) -> None:
        if len(self.schedule) and not self.under_way:
            self.schedule.answered(self.now)
            assert self.schedule.wake_at(self.now) is not None

    def teardown(self) -> None:
        """In the end the vendor works, and every message ends."""
        self.closed.clear()
        for window in self.under_way:
            self._put_back(window, self.now)
        self.under_way.clear()
        for _ in range(10 * len(self.items) + 10):
            self.schedule.answered(self.now)
            wake = self.schedule.wake_at(self.now)
            if wake is None:
                break
            self.now = max(self.now, wake)
            taken = self.schedule.take(self.now, self._admit)
            self._check(taken, None)
            if len(taken) > 1 and not self.poisoned.isdisjoint(taken):
                self.schedule.put_apart(taken, self.now)
            else:
                self._end(taken)
        assert sorted(item.offset for item in self.ended) == list(range(len(self.items)))

    def _admit(self, item: Item) -> QuotaWait | None:
        user = item.keys[0]
        until = self.closed.get(user, 0.0)
        return QuotaWait("quota", user, until) if until > self.now else None

    def _check(self, taken: list[Item], most: int | None) -> None:
        assert len(taken) <= (most or WINDOW)
        assert [i.offset for i in taken] == sorted({i.offset for i in taken})
        away = {item for window in self.under_way for item in window}
        done = set(self.ended)
        assert away.isdisjoint(taken)
        assert done.isdisjoint(taken)
        for item in taken:
            earlier = [
                other
                for other in self.items[: item.offset]
                if other not in done and set(other.keys) & set(item.keys)
            ]
            assert set(earlier) <= set(taken), f"{item} goes ahead of {earlier}"

    def _put_back(self, items: list[Item], at: float) -> None:
        for item in items:
            self.schedule.put_back(item, self.now, at)

    def _end(self, items: list[Item]) -> None:
        for item in items:
            self.ended.append(item)
            self.schedule.done(item, self.now)


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_a_group_sleeps_while_its_messages_do() -> None:
    """Where one of a group waits for a time and its neighbour for an answer, nobody looks early."""
    schedule = Schedule(WINDOW, linger=0.0)
    items = [
        Item.of(at, b"", Decision(message_id="m", result="requests", user_keys=(user,)))
        for at, user in enumerate("ab")
    ]
    for item in items:
        schedule.add([item], 0.0)
    schedule.put_apart(schedule.take(0.0, lambda _: None), 0.0)
    together = [*schedule.take(0.0, lambda _: None), *schedule.take(0.0, lambda _: None)]
    schedule.put_together(together, 0.0, 0.0)

    closed = QuotaWait("quota", "b", UNKNOWN)
    taken = schedule.take(0.0, lambda item: closed if item is items[1] else None)
    assert taken == [items[0]]
    schedule.put_back(items[0], 0.0, 3.0)
    schedule.answered(1.0)
    assert schedule.take(1.0, lambda _: None) == [items[1]]
    schedule.done(items[1], 1.0)
    schedule.answered(1.0)
    assert schedule.wake_at(1.0) == 3.0
    assert schedule.take(3.0, lambda _: None) == [items[0]]


def test_those_who_ask_take_turns() -> None:
    """Every user asks before one asks again, those among what failed together too."""
    schedule = Schedule(WINDOW, linger=0.0)
    for at, user in enumerate("abcaab"):
        keys = (user,)
        decision = Decision(message_id="m", result="requests", user_keys=keys)
        schedule.add([Item.of(at, b"", decision)], 0)
    schedule.put_together(schedule.take(0.0, lambda _: None, 2), 0.0, 0.0)

    asked = []
    for _ in range(7):
        (item,) = schedule.take_one(0.0, lambda _: None)
        asked.append(item.offset)
        schedule.put_back(item, 0.0, 0.0)
    assert asked == [0, 1, 2, 0, 1, 2, 0]


def test_a_window_waits_for_what_is_at_hand() -> None:
    """Until it is full, or until that has not come in time."""
    schedule = Schedule(WINDOW, linger=1.0)
    items = [
        Item.of(at, b"", Decision(message_id="m", result="requests", user_keys=(f"{at}",)))
        for at in range(WINDOW + 1)
    ]
    schedule.add(items[:2], 0.0)
    schedule.expect(3.0)
    assert schedule.take(2.0, lambda _: None) == []
    assert schedule.wake_at(2.0) == 3.0
    schedule.add(items[2:], 2.0)
    assert schedule.take(2.0, lambda _: None) == items[:WINDOW]
    assert schedule.take(3.0, lambda _: None) == items[WINDOW:]


def test_any_number_may_have_ended_behind_one_that_goes_again() -> None:
    """A vendor may refuse the first of a bulk for now, and take all others of the same user."""
    schedule = Schedule(5000, linger=0.0)
    decision = Decision(message_id="m", result="requests", user_keys=("a",))
    items = [Item.of(at, b"", decision) for at in range(5001)]
    schedule.add(items[:5000], 0.0)
    assert schedule.take(0.0, lambda _: None) == items[:5000]
    schedule.put_back(items[0], 0.0, 0.0)
    schedule.done_all(items[1:5000], 0.0)
    schedule.add(items[5000:], 0.0)
    assert schedule.take(0.0, lambda _: None) == [items[0], items[5000]]


@settings(max_examples=200, deadline=None)
@given(
    offsets=st.permutations(range(8)),
    blocked=st.sets(st.sampled_from(range(8))),
    pauses=st.sets(st.sampled_from(range(8))),
)
def test_messages_of_strangers_go_in_order_however_they_come(
    offsets: list[int], blocked: set[int], pauses: set[int]
) -> None:
    """Only one user's messages have to come in order. Some wait for that user's, which end late."""
    schedule = Schedule(100, linger=0.0)
    first = item_of(-1, "ada")
    schedule.add([first], 0.0)
    assert schedule.take(0.0, admitted) == [first]
    waiting: list[Item] = []
    for place, offset in enumerate(offsets):
        is_hers = offset in blocked and all(item.offset < offset for item in waiting)
        item = item_of(offset, "ada" if is_hers else str(offset))
        waiting += [item] if is_hers else []
        schedule.add([item], 0.0)
        if place in pauses and not first.ended:
            schedule.done(first, 0.0)
    if not first.ended:
        schedule.done(first, 0.0)
    taken = schedule.take(0.0, admitted)
    assert [item.offset for item in taken] == sorted(offsets)


def item_of(offset: int, user: str) -> Item:
    return Item.of(offset, b"", Decision(message_id="m", result="requests", user_keys=(user,)))


def admitted(_: Item) -> None:
    return None
