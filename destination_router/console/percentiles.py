"""How long requests took, from how many took at most so long."""

from __future__ import annotations

from collections.abc import Sequence

from destination_router.delivery.stats import LATENCY_BOUNDS


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Tell below which time a share of requests took, in seconds; None where there were none."""
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
