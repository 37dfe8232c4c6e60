"""A short run of scripts/siege: the good connection goes on beside a bad vendor and bad senders."""

import asyncio
import math
from pathlib import Path
from types import ModuleType

import pytest
from program_file import imported
from waiting import PATIENCE


@pytest.fixture(scope="module")
def siege() -> ModuleType:
    """The program, imported by its path."""
    return imported(Path(__file__).with_name("siege.py"))


@pytest.mark.parametrize("attack", ["garbage", "slow"])
def test_the_good_connection_goes_on(siege: ModuleType, tmp_path: Path, attack: str) -> None:
    """Each event of the good sender arrives, and what is printed was measured.

    How soon it arrives is for scripts/siege to say, on a machine that has nothing else to do.
    """
    result = asyncio.run(siege.run(attack, 1.0, tmp_path, within=PATIENCE))
    assert result.sent > 0
    assert result.late == 0
    assert 0 < result.p99 < math.inf
    assert 0 < result.ready < math.inf
    assert 0 < result.megabytes < siege.MOST_MEGABYTES
    assert 0 < result.stop < math.inf


def test_each_attack_is_there(siege: ModuleType) -> None:
    """Those of the vendor, those of senders, and quiet, to compare with."""
    assert (
        *("drip", "early", "endless", "bomb", "reset", "silence"),
        *("garbage", "cookies", "headers", "redirect", "words"),
    ) == siege.VENDORS
    assert siege.SENDERS == ("slow", "half", "floods", "batches", "bodies")
    assert len(siege.NAMES) == len(set(siege.NAMES)) == 17


def test_what_breaks_a_promise_is_named(siege: ModuleType) -> None:
    """Late events, much memory, a slow end, a slow answer."""
    fine = {"attack": "x", "sent": 9, "late": 0, "p99": 9e9, "ready": 9, "megabytes": 9, "stop": 9}
    assert siege.Result(**fine).wrong == []
    bad = {"late": 1, "ready": 1001, "megabytes": 401, "stop": math.inf}
    assert siege.Result(**{**fine, **bad}).wrong == ["late", "ready", "megabytes", "stop"]
