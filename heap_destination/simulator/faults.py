"""Failures on demand: rules that say which requests go wrong, and how."""

import math
import random
from collections.abc import Iterator

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: which requests fail, and how. Impossible combinations raise `ValueError`.

    How: give `status` with `headers` and `body`, or `drop_connection`. With `delay` alone, the true
    answer comes late. Which: requests to `path` whose raw body contains `match`. Of these, the
    `next` N, or a random `share`, or all until you clear the faults.

    Attributes:
        status: the status of the answer, from 200 to 599.
        headers: the answer's headers.
        body: the answer's body.
        drop_connection: whether the client gets no answer at all.
        delay: how many seconds the answer is late.
        after: whether Heap acts on the request before its answer is delayed, replaced or lost;
            without it, Heap never sees the request.
        next: how many requests it happens to; None: any number.
        share: how many of them it happens to, from 0 to 1, chosen at random; None: all.
        path: exactly which path; None: any.
        match: what the raw body contains; None: anything.
    """

    status: int | None = None
    headers: dict[str, str] = {}
    body: str = ""
    drop_connection: bool = False
    delay: float = 0.0
    after: bool = False
    next: int | None = None
    share: float | None = None
    path: str | None = None
    match: str | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that could do nothing, or two things at once."""
        if self.status is not None and self.drop_connection:
            raise ValueError("a dropped connection has no status: give status or drop_connection")
        if self.status is None and (self.headers or self.body):
            raise ValueError("headers and body belong to an answer: give its status too")
        if self.status is not None and not 200 <= self.status <= 599:  # noqa: PLR2004 (HTTP's range)
            raise ValueError("status should be from 200 to 599")
        if not (math.isfinite(self.delay) and self.delay >= 0):
            raise ValueError("delay should be a number of seconds, not negative")
        if self.status is None and not self.drop_connection and not self.delay:
            raise ValueError("a fault needs a status, drop_connection or a delay")
        if self.next is not None and self.next < 1:
            raise ValueError("next should be at least 1")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError("share should be from 0 to 1")


class Faults:
    """The rules in force, oldest first. The first that takes a request decides."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._rules: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        """The rules in force; `next` is how many requests each has left."""
        return iter(tuple(self._rules))

    def add(self, fault: Fault) -> None:
        """Put a rule in force after those that are."""
        self._rules.append(fault)

    def clear(self) -> None:
        """Let everything work again."""
        self._rules.clear()

    def take(self, path: str, body: bytes) -> Fault | None:
        """Find the rule for a request, and use up one of its `next`."""
        for index, rule in enumerate(self._rules):
            if self._takes(rule, path, body):
                if rule.next == 1:
                    del self._rules[index]
                elif rule.next is not None:
                    self._rules[index] = msgspec.structs.replace(rule, next=rule.next - 1)
                return rule
        return None

    def _takes(self, rule: Fault, path: str, body: bytes) -> bool:
        return (
            rule.path in {None, path}
            and (rule.match is None or rule.match.encode() in body)
            and (rule.share is None or self._chance.random() < rule.share)
        )
