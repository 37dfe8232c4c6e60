"""How far a connection is, written into a commit: nothing is lost in what brokers take.

Modules: `marks.py`, `offsets.py`.
"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router.eventlog.kafka.marks import MOST_CHARACTERS, Mark, read, written
from destination_router.eventlog.kafka.offsets import (
    by_partition,
    offset_of,
    partition_of,
    place_of,
)


@given(first=st.integers(0, 10**9), gaps=st.lists(st.integers(1, 10**6), max_size=300))
def test_what_is_written_is_read_again(first: int, gaps: list[int]) -> None:
    """Every hole, wherever it is."""
    done, at = [], first
    for gap in gaps:
        at += gap
        done.append(at)
    mark = Mark(first, tuple(done))
    text = written(mark)
    assert len(text) <= MOST_CHARACTERS
    assert read(first, text) == mark


def test_what_brokers_would_refuse_is_cut_at_its_upper_end() -> None:
    """What is left out is delivered again after a crash; nothing is taken for done that is not."""
    chance = random.Random(1)
    done = tuple(number for number in range(1, 100_000) if chance.random() < 0.5)
    text = written(Mark(0, done))
    assert len(text) <= MOST_CHARACTERS
    kept = read(0, text).done
    assert 1000 < len(kept) < len(done)
    assert kept == done[: len(kept)]


@pytest.mark.parametrize("text", ["garbage", "1", "1zzzz", '{"version": 9}'])
def test_what_another_program_wrote_is_refused(text: str) -> None:
    """It is not taken for a place."""
    with pytest.raises(ValueError, match="metadata"):
        read(0, text)


@given(partition=st.integers(0, 1000), offset=st.integers(0, 2**47))
def test_a_place_is_one_number(partition: int, offset: int) -> None:
    """It tells partition and offset again, and fits what SQLite keeps."""
    place = place_of(partition, offset)
    assert (partition_of(place), offset_of(place)) == (partition, offset)
    assert 0 <= place < 2**63
    assert place_of(0, offset) == offset
    assert by_partition([place]) == {partition: [offset]}
