"""Computes percentiles of request times from a histogram's counts."""

from __future__ import annotations

from collections.abc import Sequence

from destination_router.delivery.stats import LATENCY_BOUNDS


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the seconds within which a share of requests ended; None if there were none."""
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    lower = 0.0
    for count, upper in zip(counts, (*LATENCY_BOUNDS, LATENCY_BOUNDS[-1] * 2), strict=True):
        if count and wanted <= count:
            return lower + (upper - lower) * wanted / count
        wanted -= count
        lower = upper
    return lower
