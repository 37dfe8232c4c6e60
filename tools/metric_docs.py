"""The reference of all metrics, drawn from the families that the code serves.

    python tools/metric_docs.py docs/metrics.md            write
    python tools/metric_docs.py --check docs/metrics.md    exit 1 if stale

A block between two comments is replaced:

    <!-- metrics: router -->
    <!-- /metrics -->
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from generated_docs import write_or_check
from prometheus_client.core import Metric

from destination_router.delivery.stats import DeliveryStats
from destination_router.service import metrics
from destination_router.service.metrics import Intake, Snapshot
from destination_router.service.workers_view import ProcessState
from destination_router.transformer import exposition

_BLOCK = re.compile(
    r"(?P<open><!-- metrics: (?P<of>\w+) -->\n).*?(?P<close><!-- /metrics -->)", re.DOTALL
)


def of_router() -> list[Metric]:
    """List the families of a router with a gateway, and with workers in other processes."""
    snapshot = Snapshot(
        intake=Intake(),
        deliveries={"heap": DeliveryStats()},
        lags={},
        letters={},
        lost_letters={},
        expired={},
        failures={},
        alerts={},
        log_bytes=0,
        letter_bytes=0,
        writable=True,
        processes=[ProcessState(share=1, connections=["heap"], works=True)],
    )
    return list(metrics.families(snapshot))


def of_transformer() -> list[Metric]:
    """List the families of the transformer."""
    return list(exposition.families({}))


_OF: dict[str, Callable[[], Iterable[Metric]]] = {
    "router": of_router,
    "transformer": of_transformer,
}


def with_metrics(document: str) -> str:
    """Give a document with its tables of metrics up to date."""

    def drawn(block: re.Match[str]) -> str:
        rows = "".join(map(_row, _OF[block["of"]]()))
        table = f"| Metric | Labels | Type | Unit | Meaning |\n|---|---|---|---|---|\n{rows}"
        return f"{block['open']}\n{table}\n{block['close']}"

    return _BLOCK.sub(drawn, document)


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", ()))
    found = re.search(r"_(seconds|bytes)$", family.name)
    unit = found[1] if found else ""
    return f"| `{name}` | {labels} | {family.type} | {unit} | {family.documentation} |\n"


if __name__ == "__main__":
    write_or_check("Draw the reference of all metrics.", __file__, with_metrics)
