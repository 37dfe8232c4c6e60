"""Frozen sets of requirements: the checks and cases of a certain month.

`requirements/2026-11.json` lists them. A destination that pins a date is scored by that set only.
Later checks and cases are run and reported, but fail nothing.

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
    """The requirements of a date.

    Attributes:
        date: the month: `2026-11`.
        checks: the ids of the checks.
        cases: by destination, the ids of its stable cases.
    """

    date: str
    checks: tuple[str, ...]
    cases: Mapping[str, tuple[str, ...]]

    def scores(self, destination: str, rule_id: str) -> bool:
        """Say whether a check or case counts. Cases from outside the suite always count."""
        if rule_id.startswith("check/"):
            return rule_id in self.checks
        return destination not in self.cases or rule_id in self.cases[destination]


def load_requirements(date: str) -> Requirements:
    """Read the set of a date.

    Raises:
        CaseError: there is no such set. The text lists the sets that exist.
    """
    folder = _folder()
    if date not in (known := frozen_dates()):
        raise CaseError(f"requirements {date}: there is no such set; there is {', '.join(known)}")
    return msgspec.json.decode((folder / f"{date}.json").read_bytes(), type=Requirements)


def frozen_dates() -> list[str]:
    """List the dates of all sets, the oldest first."""
    return sorted(path.stem for path in _folder().glob("*.json"))


def freeze(date: str) -> Path:
    """Write the set of all current requirements.

    Raises:
        CaseError: the set exists already. A set never changes.
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
