"""Keeps the rate limits that a destination declares. Pure: time is an argument.

A quota is a sliding window, the strictest reading of "so many a minute": a sender that keeps within
it keeps within any fixed window. A request's costs are reserved before it goes out, and count for
one period from the moment its answer is in. The vendor counted them before that moment, so this
window never frees a place earlier than the vendor's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from destination_router.contract.bodies import request_bytes
from destination_router.contract.records import Cost, HttpRequest, Quota

Costs = Sequence[Cost]
UNKNOWN = math.inf
"""The time when there is room is unknown: the answers to requests under way decide it."""

_MARGIN = 0.01
"""Seconds that are added to a period, because the vendor's clock differs."""


class QuotaWait(msgspec.Struct, frozen=True):
    """The quota that holds a request back, and until when.

    Attributes:
        quota: the name of the quota that is used up.
        key: the budget's key; empty for the whole connection's.
        until: the earliest time to try again; `UNKNOWN`: after the next answer.
    """

    quota: str
    key: str
    until: float


class Quotas:
    """The budgets of one connection.

    Args:
        quotas: the quotas that the destination declares.
    """

    def __init__(self, quotas: Iterable[Quota]) -> None:
        self._quotas = {quota.name: quota for quota in quotas}
        self._budgets = {name: _Budgets(quota) for name, quota in self._quotas.items()}

    @property
    def are_none(self) -> bool:
        """Whether the destination declares no limit, so that nothing has a cost."""
        return not self._quotas

    def costs(self, request: HttpRequest) -> Costs:
        """Return the costs of a request that is sent as it is."""
        if request.costs is None:
            return self._default_costs(request, request.user_key or "")
        return self._known(request.costs)

    def bulk_costs(self, request: HttpRequest) -> Costs:
        """Return the costs that a single request adds to its later bulk.

        The number of requests is known only after packing. So unless the destination says
        otherwise, only events and bytes count before it.
        """
        if request.bulk_costs is not None:
            return self._known(request.bulk_costs)
        costs = self.costs(request)
        if request.costs is not None:
            return costs
        return [cost for cost in costs if self._quotas[cost.quota].unit != "requests"]

    def reserve(self, costs: Costs, now: float) -> QuotaWait | None:
        """Reserve a request's costs, all or none.

        Returns:
            None if there was room, otherwise the quota without room.
        """
        for cost in costs:
            until = self._budgets[cost.quota].free_at(cost.key, cost.amount, now)
            if until > now:
                return QuotaWait(cost.quota, cost.key, until)
        for cost in costs:
            self._budgets[cost.quota].reserve(cost.key, cost.amount)
        return None

    def settle(self, costs: Costs, now: float) -> None:
        """Count reserved costs: the answer has come or never will."""
        for cost in costs:
            self._budgets[cost.quota].settle(cost.key, cost.amount, now)

    def release(self, costs: Costs) -> None:
        """Give back the reserved costs of a request that was never sent."""
        for cost in costs:
            self._budgets[cost.quota].reserve(cost.key, -cost.amount)

    def seconds_for(self, share: float, now: float) -> float:
        """Return the least seconds that it takes to send as much again, or a share of it.

        Budgets of single users do not count, because it is unknown how much will come for each.

        Args:
            share: the share of all that was sent so far.
            now: seconds.
        """
        return max((each.seconds_for(share, now) for each in self._budgets.values()), default=0.0)

    def use(self, now: float) -> dict[str, tuple[int, int]]:
        """Return the use and the limit of each quota of the whole connection, by name."""
        return {
            name: (self._budgets[name].used("", now), quota.limit)
            for name, quota in self._quotas.items()
            if quota.scope == "connection"
        }

    def _default_costs(self, request: HttpRequest, key: str) -> Costs:
        return [
            Cost(
                quota.name,
                _AMOUNTS[quota.unit](request),
                key if quota.scope == "user" else "",
            )
            for quota in self._quotas.values()
        ]

    def _known(self, costs: Costs) -> Costs:
        # A cost for an undeclared quota limits nothing.
        return [cost for cost in costs if cost.quota in self._budgets]


_AMOUNTS: dict[str, Callable[[HttpRequest], int]] = {
    "requests": lambda _: 1,
    "events": lambda request: max(1, len(request.message_ids)),
    "bytes": request_bytes,
}
"""A request's cost in each unit, unless it says otherwise."""


class _Budget:
    """One budget: the costs counted in the last period, and the reserved ones."""

    __slots__ = ("counted", "entries", "reserved")

    def __init__(self) -> None:
        self.entries: deque[tuple[float, int]] = deque()
        self.counted = 0
        self.reserved = 0


class _Budgets:
    """All budgets of one quota. Unused ones take no memory."""

    def __init__(self, quota: Quota) -> None:
        self._limit = quota.limit
        self._period = quota.period + _MARGIN
        self._spent = 0
        self._budgets: dict[str, _Budget] = {}
        self._expiries: deque[tuple[float, str]] = deque()

    def free_at(self, key: str, amount: int, now: float) -> float:
        """Return when an amount fits: `now` or later. More than the limit fits an empty budget."""
        self._forget(now)
        budget = self._budgets.get(key)
        if budget is None:
            return now
        excess = budget.counted + budget.reserved + min(amount, self._limit) - self._limit
        if excess <= 0:
            return now
        for at, freed in budget.entries:
            excess -= freed
            if excess <= 0:
                return at
        return UNKNOWN

    def used(self, key: str, now: float) -> int:
        self._forget(now)
        budget = self._budgets.get(key)
        return 0 if budget is None else budget.counted + budget.reserved

    def reserve(self, key: str, amount: int) -> None:
        budget = self._budgets.setdefault(key, _Budget())
        budget.reserved += amount
        self._drop_if_unused(key, budget)

    def settle(self, key: str, amount: int, now: float) -> None:
        budget = self._budgets[key]
        budget.reserved -= amount
        budget.counted += amount
        if not key:
            self._spent += amount
        budget.entries.append((now + self._period, amount))
        self._expiries.append((now + self._period, key))

    def seconds_for(self, share: float, now: float) -> float:
        """Return the least seconds that it takes to send a share of what was sent so far."""
        self._forget(now)
        budget = self._budgets.get("")
        taken = 0 if budget is None else budget.counted + budget.reserved
        beyond = self._spent * share + taken - self._limit
        return max(0.0, beyond / self._limit * self._period)

    def _forget(self, now: float) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            _, key = self._expiries.popleft()
            budget = self._budgets[key]
            _, amount = budget.entries.popleft()
            budget.counted -= amount
            self._drop_if_unused(key, budget)

    def _drop_if_unused(self, key: str, budget: _Budget) -> None:
        if not budget.counted and not budget.reserved and not budget.entries:
            del self._budgets[key]
