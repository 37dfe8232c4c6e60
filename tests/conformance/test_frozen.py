"""A destination that pins a date is scored by what the suite asked for then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.bench import Bench, find_cases
from conformance.case import CaseError, load_cases
from conformance.checks import CHECKS
from conformance.frozen import Requirements, freeze, frozen_dates, load_requirements
from conformance.report import build_report, markdown
from conformance.runner import run
from destination_router import HttpRequest

MakeBench = Callable[..., Bench]
CHECK = next(check for check in CHECKS if check.id == "check/requests-https")


def _over_http() -> list[HttpRequest]:
    return [HttpRequest(url="http://vendor.example/")]


def pinned(bench: Bench, *checks: str) -> Bench:
    required = Requirements(date="2026-10", checks=checks, cases={})
    return Bench(name=bench.name, subject=bench.subject, requirements=required)


def test_what_came_later_is_reported_and_fails_nothing(make_bench: MakeBench) -> None:
    """A failure of a later check is shown, and the score is as if it were not there."""
    bench = pinned(make_bench(on_track=_over_http), "check/loading")
    report = build_report(bench, [run(bench, CHECKS[0]), run(bench, CHECK)])
    assert report.summary["unscored_failure"] == 1
    assert (report.result, report.percent) == ("success", 100)
    assert "it came after the requirements of 2026-10" in markdown(report)
    assert "requirements of 2026-10" in markdown(report)


def test_what_was_asked_for_then_counts(make_bench: MakeBench) -> None:
    """A failure of a pinned check is a failure."""
    bench = pinned(make_bench(on_track=_over_http), "check/loading", CHECK.id)
    report = build_report(bench, [run(bench, CHECKS[0]), run(bench, CHECK)])
    assert (report.result, report.percent) == ("failure", 50)


def test_cases_of_ones_own_always_count() -> None:
    """A set knows the suite's cases; those of another distribution are its own business."""
    required = Requirements(date="2026-10", checks=(), cases={"heap": ("track/one",)})
    assert required.scores("heap", "track/one")
    assert not required.scores("heap", "track/two")
    assert required.scores("my-destination", "track/two")


@pytest.mark.parametrize("date", frozen_dates())
def test_what_was_asked_for_once_is_still_there(date: str) -> None:
    """No stable case or check of a frozen set goes away, or its score could not be told."""
    required = load_requirements(date)
    assert set(required.checks) <= {check.id for check in CHECKS}
    for name, ids in required.cases.items():
        folder = find_cases(name)
        assert folder is not None
        assert set(ids) <= {case.id for case in load_cases(folder).cases}


def test_a_set_never_changes() -> None:
    """Freezing a date again is refused."""
    with pytest.raises(CaseError, match="it is frozen; choose another date"):
        freeze(frozen_dates()[0])


def test_a_date_without_a_set() -> None:
    """The error names those that there are."""
    with pytest.raises(CaseError, match=r"requirements 1999-01: there is no such set; there is 20"):
        load_requirements("1999-01")
