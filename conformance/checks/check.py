"""What a check is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from conformance.bench import Bench
from conformance.compare import Difference
from conformance.subject import PluginSubject


class Bed(msgspec.Struct, frozen=True, kw_only=True):
    """What a check is given: a destination that loads, and its bench."""

    bench: Bench
    subject: PluginSubject

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that work."""
        return self.bench.settings


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the contract, and the function that looks for breaches.

    Attributes:
        id: `check/purity-no-io`; never the id of a case.
        title: the rule, as a sentence.
        run: yields a difference for each breach.
        needs: the hooks without which the check does not apply.
        vendor: whether it judges what a vendor would make of a request.
    """

    id: str
    title: str
    run: Callable[[Bed], Iterator[Difference]]
    needs: tuple[str, ...] = ()
    vendor: bool = False

    @property
    def documented(self) -> str:
        """Where the rule is explained."""
        topic = self.id.partition("/")[2].partition("-")[0]
        return f"docs/conformance.md#the-checks, {topic}"
