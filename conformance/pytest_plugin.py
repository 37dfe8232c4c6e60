"""The pytest plugin: one test for each case and check of a `DestinationSuite`, named by its id.

pytest finds it through the entry-point group `pytest11`. It is imported by every run of pytest
in an environment that has the suite, so it imports the rest only when a suite turns up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.bench import Bench
    from conformance.case import Case
    from conformance.checks import Check
    from conformance.known import KnownFailure

_SUITES: pytest.StashKey[dict[type, tuple[Bench, Mapping[str, KnownFailure]]]] = pytest.StashKey()


class RuleUnderTest:
    """A case or check, ready to run."""

    def __init__(self, bench: Bench, rule: Case | Check, known: Mapping[str, KnownFailure]) -> None:
        self.bench = bench
        self.rule = rule
        self.known = known

    def verify(self) -> None:
        """Run it, and end the test as it ended."""
        from conformance.runner import FAILING, asked_by, failure_text, run  # noqa: PLC0415 -- see above

        verdict = run(self.bench, self.rule, self.known)
        if verdict.result in FAILING:
            text = failure_text(verdict, self.rule, asked_by(self.bench))
            pytest.fail(text, pytrace=False)
        if verdict.result == "skipped":
            pytest.skip(verdict.reason)
        if verdict.result == "unobservable":
            pytest.skip(f"unobservable: {verdict.reason}")
        if verdict.result == "unscored_failure":
            pytest.xfail(f"{verdict.reason}: {verdict.difference}")
        if verdict.result == "known_failure":
            pytest.xfail(verdict.reason)
        if verdict.result == "provisional_failure":
            pytest.xfail(f"provisional: {verdict.difference}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each check and each case."""
    for argument in ("conformance_check", "conformance_case"):
        if argument in metafunc.fixturenames and _is_suite(metafunc.cls):
            bench, known = _suite(metafunc)
            chosen = _rules(bench, argument)
            metafunc.parametrize(
                argument,
                [RuleUnderTest(bench, rule, known) for rule in chosen],
                ids=[rule.id.removeprefix("check/") for rule in chosen],
            )


def _is_suite(candidate: type[Any] | None) -> bool:
    from conformance.suite import DestinationSuite  # noqa: PLC0415 -- see above

    return candidate is not None and issubclass(candidate, DestinationSuite)


def _rules(bench: Bench, argument: str) -> tuple[Case, ...] | tuple[Check, ...]:
    from conformance.checks import CHECKS  # noqa: PLC0415 -- see above

    return CHECKS if argument == "conformance_check" else bench.case_set.cases


def _suite(metafunc: pytest.Metafunc) -> tuple[Bench, Mapping[str, KnownFailure]]:
    """Open the bench of a suite's class, once for all its tests."""
    from conformance.bench import open_bench, open_program_bench  # noqa: PLC0415 -- see above
    from conformance.case import CaseError  # noqa: PLC0415
    from conformance.known import KnownFailureError, load_known_failures  # noqa: PLC0415
    from conformance.runner import rules  # noqa: PLC0415

    suite: Any = metafunc.cls
    opened = metafunc.config.stash.setdefault(_SUITES, {})
    if suite not in opened:
        name: Any = getattr(suite, "destination", None)
        command = tuple(getattr(suite, "command", ()))
        if not command and (not isinstance(name, str) or not name):
            raise pytest.Collector.CollectError(f'{suite.__name__}: set destination = "its-name"')
        here = Path(str(metafunc.module.__file__)).parent
        try:
            cases = here / suite.cases if suite.cases else None
            chosen = (cases, suite.settings, suite.requirements)
            if command:
                bench = open_program_bench(command, *chosen, folder=here)
            else:
                bench = open_bench(name, *chosen)
            pyproject = metafunc.config.rootpath / "pyproject.toml"
            ids = {rule.id for rule in rules(bench)}
            opened[suite] = (bench, load_known_failures(pyproject, bench.name, ids))
        except (CaseError, KnownFailureError) as error:
            raise pytest.Collector.CollectError(f"{suite.__name__}: {error}") from None
    return opened[suite]
