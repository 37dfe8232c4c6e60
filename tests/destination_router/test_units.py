"""Durations and sizes as people write them."""

import pytest

from destination_router.units import seconds, size_in_bytes


@pytest.mark.parametrize(
    ("written", "expected"),
    [("250ms", 0.25), ("30s", 30.0), ("5m", 300.0), ("12h", 43200.0), ("1.5d", 129600.0), (7, 7.0)],
)
def test_a_duration_is_in_seconds(written: object, expected: float) -> None:
    """A bare number is one already."""
    assert seconds(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"), [("64MB", 64 << 20), ("1KB", 1024), ("0.5GB", 1 << 29), (9, 9)]
)
def test_a_size_is_in_bytes(written: object, expected: int) -> None:
    """1 KB is 1024 bytes."""
    assert size_in_bytes(written) == expected


@pytest.mark.parametrize("written", ["", "5", "5 m", "m5", "5w", "-1s"])
def test_what_is_no_amount_is_refused(written: str) -> None:
    """Without guessing at the unit."""
    with pytest.raises(ValueError, match="not an amount in"):
        seconds(written)
