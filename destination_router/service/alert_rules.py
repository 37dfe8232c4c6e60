"""Decides which alerts are due, from what a process sees. Pure: time is an argument.

An alert begins and ends with its state. The rules compare what the receiver knows with what is
true. So a receiver that was away learns the current state, and never hears of an alert that is over
by then. For each kind and connection, at most one alert is due in an interval, however often its
state changes. docs/on-call.md has an entry for each kind.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from destination_router.config.router_toml import AlertsConfig
from destination_router.delivery.attempts import POISONED
from destination_router.delivery.quarantine import CODE
from destination_router.delivery.stats import DeliveryStats

State: TypeAlias = Literal["connection_held", "circuit_open", "log_not_writable"]
"""Kinds that last as long as a state."""

Counted: TypeAlias = Literal[
    "dead_letters",
    "quarantined_identity",
    "poisoned",
    "worker_failed",
    "events_expired",
    "dead_letters_lost",
]
"""Kinds that last while enough events happen within the period."""

Kind: TypeAlias = State | Counted

Key: TypeAlias = tuple[Kind, str]
"""A kind, and the name of the connection; empty for the log."""

_OVER_AFTER = 5.0
"""The seconds without a sight of a hold after which it is over.

After a reload or a restart of a worker's process, nobody knows for a moment that a vendor refuses a
connection.
"""

_MOST_CODES = 5
_BUCKETS = 60


class Meaning(msgspec.Struct, frozen=True):
    """The text of an alert of one kind.

    Attributes:
        summary: what is wrong, in a sentence.
        command: what to type first.
    """

    summary: str
    command: str


MEANINGS: dict[Kind, Meaning] = {
    "connection_held": Meaning(
        "The vendor or the plugin's program takes nothing. Messages wait in the log.",
        "destination-router check --live",
    ),
    "circuit_open": Meaning(
        "The vendor has not answered for a while. Messages wait in the log.",
        "destination-router connections list",
    ),
    "dead_letters": Meaning(
        "Many messages become dead letters.",
        "destination-router dead-letters list --since 1h",
    ),
    "log_not_writable": Meaning(
        "The event log takes no new events. Senders get 503.",
        "curl http://127.0.0.1:8080/health",
    ),
    "quarantined_identity": Meaning(
        "Too many people carry one identity. Its messages become dead letters.",
        "destination-router dead-letters show --code quarantined_identity --content --limit 1",
    ),
    "worker_failed": Meaning(
        "The router met an error of its own. The connection starts again after a few seconds.",
        "destination-router connections list",
    ),
    "poisoned": Meaning(
        "A message broke the router or its destination each time, and was given up.",
        "destination-router dead-letters show --code poisoned",
    ),
    "events_expired": Meaning(
        "Events waited longer than max_age and became dead letters.",
        "destination-router dead-letters list --code expired",
    ),
    "dead_letters_lost": Meaning(
        "Dead letters were deleted for want of room.",
        "destination-router dead-letters list",
    ),
}
"""Every kind."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a process at one moment.

    Attributes:
        held: the codes of current holds, by connection.
        silent: connections whose circuit is not closed.
        writable: whether the log takes events.
        counts: how often each thing has happened since the start of the process, by kind and
        connection, and by code; empty if it has none.
    """

    held: Mapping[str, Collection[str]] = {}
    silent: Collection[str] = ()
    writable: bool = True
    counts: Mapping[tuple[Counted, str], Mapping[str, int]] = {}


_OF_LETTERS: dict[str, Counted] = {CODE: "quarantined_identity", POISONED: "poisoned"}
"""Kinds that are dead letters with a code."""


def sight(
    deliveries: Mapping[str, DeliveryStats],
    *,
    letters: Mapping[tuple[str, str], int],
    lost_letters: Mapping[tuple[str, str], int],
    expired: Mapping[str, int],
    failures: Mapping[str, int],
) -> Sight:
    """Collect what a process sees.

    Args:
        deliveries: the stats of its connections.
        letters: dead letters that it has made, by connection and code.
        lost_letters: dead letters that it deleted for want of room, by the same.
        expired: events that passed `max_age` there, by connection.
        failures: how often its workers failed, by connection.
    """
    counts: dict[tuple[Counted, str], dict[str, int]] = {}
    for (name, code), count in letters.items():
        counts.setdefault(("dead_letters", name), {})[code] = count
        if code in _OF_LETTERS:
            counts[_OF_LETTERS[code], name] = {"": count}
    for (name, code), count in lost_letters.items():
        counts.setdefault(("dead_letters_lost", name), {})[code] = count
    counts |= {("events_expired", name): {"": count} for name, count in expired.items()}
    counts |= {("worker_failed", name): {"": count} for name, count in failures.items()}
    holds = {
        name: [code for code, lasts in stats.holds.items() if lasts]
        for name, stats in deliveries.items()
    }
    return Sight(
        held={name: codes for name, codes in holds.items() if codes},
        silent=[name for name, stats in deliveries.items() if stats.circuit != "closed"],
        counts=counts,
    )


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning or the end of an alert.

    Attributes:
        kind: what is wrong.
        connection: the connection; empty for the log.
        begins: whether it begins; otherwise it ends.
        since: when it began, on the clock of the rules.
        codes: its codes, the most frequent first.
        count: how many within the period; None if nothing is counted.
    """

    kind: Kind
    connection: str
    begins: bool
    since: float
    codes: tuple[str, ...] = ()
    count: int | None = None


class _Told(msgspec.Struct, frozen=True):
    """The last alert of a kind and connection that the receiver got, and when."""

    alert: Alert
    at: float


class AlertRules:
    """Knows what is wrong now, and what the receiver knows.

    Args:
        settings: the thresholds. They may be replaced.
        seen: a state whose counts are not counted again; None: everything counts.
    """

    def __init__(self, settings: AlertsConfig, seen: Sight | None = None) -> None:
        self.settings = settings
        # Also of connections that a reload took away: one that comes again brings its counts along.
        self._counted = {} if seen is None else dict(seen.counts)
        self._windows: dict[tuple[Counted, str], _Window] = {}
        self._held: dict[str, tuple[Collection[str], float]] = {}
        self._silent_since: dict[str, float] = {}
        self._lasting: dict[Key, Alert] = {}
        self._told: dict[Key, _Told] = {}

    def look(self, sight: Sight, now: float) -> None:
        """Take in what a process sees.

        Args:
            sight: what it sees.
            now: seconds on a clock that never goes back.
        """
        found = [*self._states(sight, now), *self._happenings(sight, now)]
        self._lasting = {(alert.kind, alert.connection): self._as_begun(alert) for alert in found}

    def due(self, now: float, most: int) -> list[Alert]:
        """List the alerts that the receiver should get now.

        Args:
            now: on the same clock.
            most: how many at most.
        """
        interval = self.settings.interval
        self._told = {
            key: told
            for key, told in self._told.items()
            if told.alert.begins or now - told.at < interval
        }
        free = {key: told.alert for key, told in self._told.items() if now - told.at >= interval}
        begun = [alert for key, alert in self._lasting.items() if key not in self._told]
        ended = [
            msgspec.structs.replace(alert, begins=False)
            for key, alert in free.items()
            if key not in self._lasting
        ]
        return [*begun, *ended][:most]

    def told(self, alerts: Iterable[Alert], now: float) -> None:
        """Note that the receiver has taken alerts."""
        for alert in alerts:
            self._told[alert.kind, alert.connection] = _Told(alert, now)

    def forget_told(self) -> None:
        """Begin again with another receiver. It gets every alert that lasts."""
        self._told.clear()

    def _as_begun(self, alert: Alert) -> Alert:
        known = self._lasting.get((alert.kind, alert.connection))
        return alert if known is None else msgspec.structs.replace(alert, since=known.since)

    def _states(self, sight: Sight, now: float) -> Iterable[Alert]:
        self._held |= {name: (codes, now) for name, codes in sight.held.items()}
        for name, (codes, seen_at) in list(self._held.items()):
            if now - seen_at < _OVER_AFTER:
                yield _begun("connection_held", name, now, codes=sorted(codes))
            else:
                del self._held[name]
        self._silent_since = {name: self._silent_since.get(name, now) for name in sight.silent}
        for name, since in self._silent_since.items():
            if now - since >= self.settings.circuit_open:
                yield _begun("circuit_open", name, since)
        if not sight.writable:
            yield _begun("log_not_writable", "", now)

    def _happenings(self, sight: Sight, now: float) -> Iterable[Alert]:
        period = self.settings.period
        for key, codes in sight.counts.items():
            if new := _risen(self._counted.get(key, {}), codes):
                self._windows.setdefault(key, _Window()).add(new, now, period / _BUCKETS)
        self._counted |= {key: dict(codes) for key, codes in sight.counts.items()}
        for key in list(self._windows):
            kind, name = key
            window = self._windows[key]
            window.forget(now - period)
            if not window.count:
                del self._windows[key]
            elif window.count >= self._enough(kind):
                yield _begun(kind, name, now, codes=window.codes(), count=window.count)

    def _enough(self, kind: Counted) -> int:
        return self.settings.dead_letters if kind == "dead_letters" else 1


class _Window:
    """Recent counts by code."""

    def __init__(self) -> None:
        self.count = 0
        self._total: Counter[str] = Counter()
        self._buckets: deque[tuple[float, Counter[str]]] = deque()

    def add(self, codes: Mapping[str, int], now: float, width: float) -> None:
        if not self._buckets or now - self._buckets[-1][0] >= width:
            self._buckets.append((now, Counter()))
        self._buckets[-1][1].update(codes)
        self._total.update(codes)
        self.count += sum(codes.values())

    def forget(self, until: float) -> None:
        """Drop what happened until then."""
        while self._buckets and self._buckets[0][0] <= until:
            _, codes = self._buckets.popleft()
            self._total -= codes
            self.count -= codes.total()

    def codes(self) -> list[str]:
        """List the most frequent ones first."""
        return [code for code, _ in self._total.most_common(_MOST_CODES) if code]


def _begun(
    kind: Kind,
    connection: str,
    since: float,
    *,
    codes: Sequence[str] = (),
    count: int | None = None,
) -> Alert:
    return Alert(
        kind=kind,
        connection=connection,
        begins=True,
        since=since,
        codes=tuple(codes[:_MOST_CODES]),
        count=count,
    )


def _risen(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Compute by how much counts have risen. A count that fell has begun again at 0."""
    risen = {}
    for code, count in after.items():
        known = before.get(code, 0)
        new = count - known if count >= known else count
        if new:
            risen[code] = new
    return risen
