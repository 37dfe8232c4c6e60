"""Loading: the host finds the destination by its name, and its hooks have valid signatures."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks.check import Bed, Check
from conformance.checks.traffic import plain_traffic
from conformance.compare import Difference, shown
from destination_router import Quota
from destination_router.settings.errors import SettingsError


def _settings(bed: Bed) -> Iterator[Difference]:
    try:
        bed.subject.connection(bed.settings)
    except SettingsError as error:
        yield Difference(
            "settings", str(error), "settings that work: those of the first case file's defaults"
        )


def _subscription(bed: Bed) -> Iterator[Difference]:
    settings = bed.subject.connection(bed.settings).settings
    text = bed.subject.plugin.hook.default_subscription(settings=settings)
    if not isinstance(text, str) or not text.strip():
        yield Difference("default_subscription", shown(text), "FQL, as text")


def _quotas(bed: Bed) -> Iterator[Difference]:
    connection = bed.subject.connection(bed.settings)
    quotas = bed.subject.plugin.hook.quotas(settings=connection.settings)
    if not isinstance(quotas, list):
        yield Difference("quotas", type(quotas).__name__, "a list of Quota")
        return
    for index, quota in enumerate(quotas):
        if not isinstance(quota, Quota):
            yield Difference(f"quotas.{index}", type(quota).__name__, "Quota")
        elif quota.limit < 1 or quota.period <= 0 or not quota.name:
            yield Difference(f"quotas.{index}", repr(quota), "a name, a limit and a period")
    names = {quota.name for quota in quotas if isinstance(quota, Quota)}
    for sent in plain_traffic(bed):
        for request in sent.decide().requests:
            for cost in (*(request.costs or ()), *(request.bulk_costs or ())):
                if cost.quota not in names:
                    path = f"{sent.path}.costs"
                    yield Difference(path, shown(cost.quota), f"one of {shown(sorted(names))}")


CHECKS = (
    Check(
        id="check/loading",
        title="The entry point loads, its hooks have the contract's signatures, it has settings",
        run=_settings,
    ),
    Check(
        id="check/loading-subscription",
        title="The default subscription is text",
        run=_subscription,
        needs=("default_subscription",),
    ),
    Check(
        id="check/loading-quotas",
        title="Quotas have a name, a limit and a period, and costs are theirs",
        run=_quotas,
        needs=("quotas",),
    ),
)
