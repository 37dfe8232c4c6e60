"""Failures on demand: rules that say which requests go wrong, and how."""

from __future__ import annotations

import random

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule.

    Attributes:
        status: what the client is told.
        body: with which body; None: a word about it as JSON.
        match: only requests whose body contains this text.
        after: whether the request is acted on first, and only its answer lost.
        path: whose requests go wrong; None: all of them.
        next: how many; None: all of them.
        share: how many of them by chance, from 0 to 1.
    """

    status: int
    body: str | None = None
    match: str = ""
    after: bool = False
    path: str | None = None
    next: int | None = None
    share: float = 1.0


class Faults:
    """The rules in force. The first that takes a request decides."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._rules: list[Fault] = []

    def put(self, rules: list[Fault]) -> None:
        """Replace the rules in force."""
        self._rules = rules

    def take(self, path: str, body: bytes) -> Fault | None:
        """Find the rule for a request, and use up one of its `next`."""
        for place, rule in enumerate(self._rules):
            fits = rule.path in (None, path) and rule.match.encode() in body
            if fits and self._chance.random() < rule.share:
                if rule.next is not None:
                    left = [msgspec.structs.replace(rule, next=rule.next - 1)] * (rule.next > 1)
                    self._rules[place : place + 1] = left
                return rule
        return None
