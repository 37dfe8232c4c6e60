"""`DestinationSuite`: the whole test file of a destination.

    from conformance import DestinationSuite

    class TestMyDestination(DestinationSuite):
        destination = "my-destination"
        cases = "cases"

The pytest plugin (`pytest_plugin.py`) makes one test of each case and check, named by its id.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol


class Verifiable(Protocol):
    """A case or check, ready to run; the pytest plugin makes them."""

    def verify(self) -> None:
        """Run it, and end the test as it ended."""


class DestinationSuite:
    """Inherit from it, and name a destination.

    Attributes:
        destination: the destination's name, as a configuration has it.
        command: the command of a destination that is a program, in place of `destination`. It runs
            in the folder of the test file.
        cases: the folder of case files, relative to the test file. None takes those that come with
            the suite or with the destination's distribution.
        settings: settings that work, for the checks that need no case. None takes those of the
            first case file.
        requirements: the date of a frozen set (`2026-11`). What came later is reported and fails
            nothing. None takes everything.
    """

    destination: ClassVar[str]
    command: ClassVar[tuple[str, ...]] = ()
    cases: ClassVar[str | None] = None
    settings: ClassVar[dict[str, Any] | None] = None
    requirements: ClassVar[str | None] = None

    def test_check(self, conformance_check: Verifiable) -> None:
        """What every destination must do."""
        conformance_check.verify()

    def test_case(self, conformance_case: Verifiable) -> None:
        """What the destination's cases say."""
        conformance_case.verify()
