"""The list of slow tests, which `scripts/test --fast` leaves out, drawn from a run of all tests.

    scripts/test --junit-xml build/tests.xml
    python tools/slow_tests.py build/tests.xml    writes tests/slow.txt

A test function is slow if the first of its parameter sets took half a second or more. The quickest
one of a folder never is: `scripts/test --fast` enters every folder.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parent.parent
LISTED = ROOT / "tests" / "slow.txt"
SLOW_SECONDS = 0.5


def slow(durations: Mapping[str, float]) -> list[str]:
    """Choose the slow ones.

    Args:
        durations: of test functions (`tests/room/test_x.py::test_y`), in seconds.
    """
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for name in durations:
        folders[str(Path(name.partition("::")[0]).parent)].append(name)
    quickest = {min(names, key=durations.__getitem__) for names in folders.values()}
    return sorted(
        name for name, took in durations.items() if took >= SLOW_SECONDS and name not in quickest
    )


def durations(report: Path) -> dict[str, float]:
    """Read how long the first parameter set of each test function took, from a JUnit report."""
    found: dict[str, float] = {}
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 -- pytest has written it
        name = f"{_path(case.get('classname', ''))}::{case.get('name', '').partition('[')[0]}"
        if case.find("skipped") is None:
            found.setdefault(name, float(case.get("time", 0)))
    return found


def listed(lines: Iterable[str]) -> frozenset[str]:
    """Read the list."""
    return frozenset(line.strip() for line in lines if line.strip() and line[0] != "#")


def _path(dotted: str) -> str:
    """Tell the file from the class within it."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        path = Path(*parts[:end]).with_suffix(".py")
        if (ROOT / path).is_file():
            return "::".join([path.as_posix(), *parts[end:]])
    return dotted


if __name__ == "__main__":
    head = "# Drawn by tools/slow_tests.py: what `scripts/test --fast` leaves out.\n"
    names = slow(durations(Path(sys.argv[1])))
    LISTED.write_text(head + "".join(f"{name}\n" for name in names), encoding="utf-8")
