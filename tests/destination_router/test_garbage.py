"""Cycles are looked for seldom, and often enough."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from destination_router.garbage import Sweep, seldom

MEGABYTE = 1024 * 1024


class Cycle:
    """An object that holds on to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _by_itself() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def test_a_cycle_goes_with_the_bytes_that_follow_it() -> None:
    """What holds on to requests is let go before they are many, however few objects it is."""
    sweep = Sweep()
    cycle = weakref.ref(Cycle())
    for _ in range(15):
        sweep.saw(MEGABYTE)
    assert cycle() is not None
    sweep.saw(MEGABYTE)
    assert cycle() is None


def test_each_look_is_after_as_many_bytes() -> None:
    """One large request does not make every later one be looked after."""
    sweep = Sweep()
    sweep.saw(100 * MEGABYTE)
    cycle = weakref.ref(Cycle())
    sweep.saw(MEGABYTE)
    assert cycle() is not None


def test_looks_that_find_little_are_less_often_up_to_a_bound() -> None:
    """Cycles that come late hold on to 64 MiB at the most, and the next ones to 16 again."""
    sweep = Sweep()
    gc.collect()
    for _ in range(16 + 32 + 64):
        sweep.saw(MEGABYTE)
    for most in (64, 16):
        cycle = [weakref.ref(Cycle()) for _ in range(500)][-1]
        for _ in range(most - 1):
            sweep.saw(MEGABYTE)
        assert cycle() is not None
        sweep.saw(MEGABYTE)
        assert cycle() is None


def test_a_process_of_our_own_looks_seldom_while_it_serves() -> None:
    """What is loaded is left alone and thresholds are high; afterwards all is as it was."""
    before = gc.get_threshold()
    with seldom():
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
