"""The transformer's `/metrics`: its counts in Prometheus's words. Pure.

The names, their labels and what they count stand in docs/rudderstack.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from destination_router.transformer.counts import What

_FAMILIES: dict[What, tuple[str, str]] = {
    "received": ("Events that rudder-server asked for", ""),
    "filtered": ("Events that were not for the connection", ""),
    "rejected": ("Events that were rejected", "code"),
    "notes": ("What mappings changed or left out", "code"),
    "delivered": ("Jobs that the vendor took from the proxy", ""),
    "refused": ("Jobs that the proxy told otherwise, each time", "status"),
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
        for what, (text, label) in _FAMILIES.items():
            labels = ["connection", label] if label else ["connection"]
            family = CounterMetricFamily(f"router_{what}", text, labels=labels)
            for (of, connection, value), count in sorted(self._total.items()):
                if of == what:
                    family.add_metric([connection, value] if label else [connection], count)
            yield family
