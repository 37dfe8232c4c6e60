"""Decides whether a vendor counts as dead, and when to ask again. Pure: time is an argument."""

from __future__ import annotations

from typing import Literal

CircuitState = Literal["closed", "open", "half_open"]


class Circuit:
    """Opens after a number of failures in a row. Then one request at a time probes the vendor.

    A failure is no answer, or one that asks for a retry and says nothing of a single message.

    Args:
        failures: how many in a row open it.
        first_wait: how long it stays open at first, in seconds; it doubles with every probe that
            fails.
        longest_wait: the most that it stays open before a probe, in seconds.
    """

    def __init__(self, failures: int, first_wait: float, longest_wait: float) -> None:
        self._limit = failures
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._failures = 0
        self._until = 0.0
        self._probing = False
        self._asked_to_wait_until = 0.0

    def state(self, now: float) -> CircuitState:
        """Return the state of the circuit."""
        if self._failures < self._limit:
            return "closed"
        return "open" if now < self._until and not self._probing else "half_open"

    def opens_at(self, now: float) -> float | None:
        """Say when requests may go out: `now`, later, or None (after the probe's answer)."""
        if self._failures >= self._limit:
            return None if self._probing else max(now, self._until, self._asked_to_wait_until)
        return max(now, self._asked_to_wait_until)

    def may_send(self, now: float) -> bool:
        """Tell whether requests that have begun may go on."""
        return self.state(now) != "open" and now >= self._asked_to_wait_until

    def begin(self) -> None:
        """Note that requests go out. While the circuit is open, this is the probe."""
        self._probing = self._failures >= self._limit

    def succeed(self) -> None:
        """Note a sign of life."""
        self._failures = 0
        self._probing = False

    def fail(self, now: float, chance: float) -> None:
        """Note a failure.

        Args:
            now: seconds on any clock.
            chance: from 0 to 1; spreads the probes of many routers.
        """
        self._failures += 1
        self._probing = False
        if self._failures >= self._limit:
            doublings = min(self._failures - self._limit, 30)
            wait = min(self._longest_wait, self._first_wait * 2.0**doublings)
            self._until = now + wait * (0.5 + chance / 2)

    def cease(self) -> None:
        """Note that a probe ended without a request."""
        self._probing = False

    def wait_until(self, at: float) -> None:
        """Obey a vendor that asks everyone to wait."""
        self._asked_to_wait_until = max(self._asked_to_wait_until, at)
