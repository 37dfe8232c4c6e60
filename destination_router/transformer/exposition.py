"""The transformer's `/metrics`: its counts in Prometheus's words. Pure.

What each counts is its `# HELP` line; docs/metrics.md is drawn from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from destination_router.transformer.counts import What

_FAMILIES: dict[What, tuple[str, str]] = {
    "received": ("Events that rudder-server asked for, each time", ""),
    "filtered": ("Events that were filtered: not for the connection", ""),
    "rejected": (
        "Events that were rejected; configuration: the destination cannot be used",
        "code",
    ),
    "notes": ("Notes: what mappings changed or left out of events", "code"),
    "delivered": ("Jobs that the vendor took from the proxy", ""),
    "refused": ("Jobs for which the proxy gave another answer, each time, by status", "status"),
}


def exposition(total: Mapping[tuple[What, str, str], int], *, one_process: bool) -> bytes:
    """Write counts in Prometheus's text format.

    Args:
        total: what was counted.
        one_process: whether to add the CPU and memory of this process, which are everybody's.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(total))
    if one_process:
        ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, total: Mapping[tuple[What, str, str], int]) -> None:
        self._total = total

    def collect(self) -> Iterator[Metric]:
        """All families; called once."""
        yield from families(self._total)


def families(total: Mapping[tuple[What, str, str], int]) -> Iterator[Metric]:
    """List every metric family of the counts."""
    for what, (text, label) in _FAMILIES.items():
        labels = ["connection", label] if label else ["connection"]
        family = CounterMetricFamily(f"router_{what}", text, labels=labels)
        for (of, connection, value), count in sorted(total.items()):
            if of == what:
                family.add_metric([connection, value] if label else [connection], count)
        yield family
