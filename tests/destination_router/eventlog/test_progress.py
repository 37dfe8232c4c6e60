"""How far a connection is: the mark never passes an event that is not done."""

from hypothesis import given
from hypothesis import strategies as st

from destination_router.eventlog.progress import Progress


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 10**6)), max_size=60),
    foreign=st.sets(st.integers(1, 60)),
)
def test_the_mark_is_below_everything_that_is_out(
    steps: list[tuple[bool, int]], foreign: set[int]
) -> None:
    """Whatever is read and committed in whatever order, low = the oldest that is out, less one."""
    progress = Progress(0)
    out: list[int] = []
    done: set[int] = set()
    through = 0
    for reads, number in steps:
        if reads or not out:
            new = range(through + 1, through + 1 + number % 5)
            own = [offset for offset in new if offset not in foreign]
            through += len(new)
            progress.hand_out(own, through)
            out += own
        else:
            offset = out.pop(number % len(out))
            progress.commit([offset])
            done.add(offset)
        assert progress.low == (min(out) - 1 if out else through)
        assert len(progress.done) == len([o for o in done if o > progress.low])
        assert all(progress.is_done(offset) for offset in done)
        assert all(progress.is_out(offset) and not progress.is_done(offset) for offset in out)


def test_progress_goes_on_where_it_was() -> None:
    """What was done above the mark before a restart is passed over and moves it later."""
    progress = Progress(3, [5, 6, 9])
    progress.hand_out([4, 7], 7)
    assert [progress.is_done(offset) for offset in range(3, 10)] == [
        *(True, False, True, True),
        *(False, False, True),
    ]
    progress.commit([4])
    assert progress.low == 6
    progress.commit([7])
    assert progress.low == 7
    progress.hand_out([8], 9)
    progress.commit([8])
    assert (progress.low, len(progress.done)) == (9, 0)


def test_a_worker_that_begins_again_reads_what_is_out_again() -> None:
    """Handing out the same events twice changes nothing."""
    progress = Progress(0)
    progress.hand_out([1, 2, 3], 3)
    progress.commit([2])
    progress.hand_out([1, 3], 3)
    progress.commit([1])
    assert progress.low == 2
