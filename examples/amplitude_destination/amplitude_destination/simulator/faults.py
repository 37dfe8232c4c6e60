"""Failures on demand: rules that say which requests go wrong, and how."""

from __future__ import annotations

import random

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: an answer in place of Amplitude's own.

    Attributes:
        status: of the answer.
        body: of the answer.
        headers: of the answer.
        after: Amplitude acts on the request first, and only its answer is lost.
        next: for how many requests; None for all until the faults are cleared.
        share: of how many, by chance, from 0 to 1.
        path: only those to this path.
        match: only those whose body contains this.
    """

    status: int
    body: str = ""
    headers: dict[str, str] = {}
    after: bool = False
    next: int | None = None
    share: float = 1.0
    path: str | None = None
    match: str = ""


class Faults:
    """The rules in force; the first that takes a request decides."""

    def __init__(self, chance: random.Random) -> None:
        self.rules: list[Fault] = []
        self._chance = chance

    def take(self, path: str, body: bytes) -> Fault | None:
        """Find the rule for a request, and use up one of its `next`."""
        for index, rule in enumerate(self.rules):
            fits = rule.path in (None, path) and rule.match.encode() in body
            if not fits or self._chance.random() >= rule.share:
                continue
            if rule.next is not None:
                left = rule.next - 1
                self.rules[index : index + 1] = (
                    [msgspec.structs.replace(rule, next=left)] if left else []
                )
            return rule
        return None
