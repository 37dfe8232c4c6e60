"""Frozen sets of requirements: what the suite asked for in a certain month.

`requirements/2026-11.json` lists the checks and the cases there were. A destination that pins a
date is scored by those alone; what came later is run and reported, and fails nothing.

    python -m conformance.frozen 2026-12     freeze what there is today
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import msgspec

from conformance.case import CaseError


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for at a date.

    Attributes:
        date: the month: `2026-11`.
        checks: the ids of the checks.
        cases: by destination, the ids of its stable cases.
    """

    date: str
    checks: tuple[str, ...]
    cases: Mapping[str, tuple[str, ...]]

    def scores(self, destination: str, rule_id: str) -> bool:
        """Say whether a check or case counts; cases of one's own, kept elsewhere, always do."""
        if rule_id.startswith("check/"):
            return rule_id in self.checks
        return destination not in self.cases or rule_id in self.cases[destination]


def load_requirements(date: str) -> Requirements:
    """Read the set of a date.

    Raises:
        CaseError: there is none; the text names those that there are.
    """
    folder = _folder()
    if date not in (known := frozen_dates()):
        raise CaseError(f"requirements {date}: there is no such set; there is {', '.join(known)}")
    return msgspec.json.decode((folder / f"{date}.json").read_bytes(), type=Requirements)


def frozen_dates() -> list[str]:
    """List the dates of the sets that there are, the oldest first."""
    return sorted(path.stem for path in _folder().glob("*.json"))


def freeze(date: str) -> Path:
    """Write down what the suite asks for now.

    Raises:
        CaseError: the set is there already; a set never changes.
    """
    from conformance.case import load_cases  # noqa: PLC0415 -- the command's alone
    from conformance.checks import CHECKS  # noqa: PLC0415 -- the checks know the bench

    path = _folder() / f"{date}.json"
    if path.exists():
        raise CaseError(f"{path}: it is frozen; choose another date")
    cases = {
        folder.name: tuple(c.id for c in load_cases(folder).cases if c.status == "stable")
        for folder in sorted((_folder().parent / "cases").iterdir())
        if folder.is_dir()
    }
    found = Requirements(date=date, checks=tuple(check.id for check in CHECKS), cases=cases)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return path


def _folder() -> Path:
    return Path(str(files("conformance"))) / "requirements"


if __name__ == "__main__":
    sys.stdout.write(f"{freeze(sys.argv[1])}\n")
