"""Cycles are looked for seldom, and often enough."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from destination_router.transformer.garbage import Sweep

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
        sweep.answered(MEGABYTE)
    assert cycle() is not None
    sweep.answered(MEGABYTE)
    assert cycle() is None


def test_each_look_is_after_as_many_bytes() -> None:
    """One large request does not make every later one be looked after."""
    sweep = Sweep()
    sweep.answered(100 * MEGABYTE)
    cycle = weakref.ref(Cycle())
    sweep.answered(MEGABYTE)
    assert cycle() is not None
