"""The hold against a model: when a vendor that takes nothing is asked again, and by what."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from destination_router.delivery.hold import Hold

FIRST, LONGEST = 10.0, 300.0


class Vendor(RuleBasedStateMachine):
    """A vendor refuses and takes, and a router asks whenever it may."""

    def __init__(self) -> None:
        super().__init__()
        self.hold = Hold(FIRST, LONGEST)
        self.now = 0.0
        self.held = False
        self.asking = False
        self.refused_in_a_row = 0
        self.next_at = 0.0

    # -- what happens ----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.5, 60.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.hold.opens_at(self.now) == self.now)
    @rule()
    def send(self) -> None:
        self.hold.begin()
        self.asking = self.held

    @rule()
    def refuse(self) -> None:
        """An answer holds the connection: to what asked, or to what had set off before."""
        began = self.hold.refuse("http_401", self.now)
        assert began is not self.held
        if not self.held or self.asking:
            self.refused_in_a_row = 1 if began else self.refused_in_a_row + 1
            self.next_at = self.now + min(LONGEST, FIRST * 2 ** (self.refused_in_a_row - 1))
        self.held, self.asking = True, False

    @rule()
    def take(self) -> None:
        """The vendor takes something: what asked, or what had set off before."""
        ended = self.hold.take()
        assert ended is (self.held and self.asking)
        if ended:
            self.held = self.asking = False

    @rule()
    def end_without_an_answer(self) -> None:
        self.hold.cease(self.now)
        if self.asking:
            self.next_at = self.now + min(LONGEST, FIRST * 2 ** (self.refused_in_a_row - 1))
        self.asking = False

    @precondition(lambda self: self.held)
    @rule()
    def be_told_to_ask(self) -> None:
        self.hold.ask(self.now)
        self.next_at = self.now
        self.refused_in_a_row = 1

    # -- what must hold --------------------------------------------------------------------

    @invariant()
    def it_is_held_until_something_that_asked_is_taken(self) -> None:
        assert (self.hold.code is not None) is self.held
        assert self.hold.asking is self.asking

    @invariant()
    def it_opens_after_its_wait_and_for_one_at_a_time(self) -> None:
        opens = self.hold.opens_at(self.now)
        if not self.held:
            assert opens == self.now
        elif self.asking:
            assert opens is None
        else:
            assert opens == max(self.now, self.next_at)

    @invariant()
    def what_has_set_off_goes_on_only_where_it_asks(self) -> None:
        assert self.hold.may_send() is (not self.held or self.asking)


TestVendor = Vendor.TestCase
TestVendor.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_the_waits_double_up_to_the_longest() -> None:
    """A key that nobody mends is asked about every five minutes."""
    hold = Hold(FIRST, LONGEST)
    hold.refuse("http_401", 0.0)
    now, waits = 0.0, []
    for _ in range(7):
        opens = hold.opens_at(now)
        assert opens is not None
        waits.append(opens - now)
        now = opens
        hold.begin()
        hold.refuse("http_401", now)
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


def test_a_hold_of_a_former_run_is_asked_at_once() -> None:
    """A restart is how many a key is mended."""
    hold = Hold(FIRST, LONGEST)
    hold.go_on("http_401", 7.0)
    assert hold.opens_at(7.0) == 7.0
    hold.begin()
    assert (hold.opens_at(7.0), hold.take(), hold.opens_at(7.0)) == (None, True, 7.0)
