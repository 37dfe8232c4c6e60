"""Running: how a case or check ends, and what a failure reads like."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from conformance.bench import Bench
from conformance.case import Case, CaseSet, read_cases
from conformance.checks import CHECKS
from conformance.known import KnownFailure
from conformance.runner import FAILING, failure_text, run, run_all
from conformance.subject import Observation, Unobservable
from destination_router import HttpRequest, HttpResponse, Outcome, Reject

MakeBench = Callable[..., Bench]
MESSAGE = {"type": "track", "messageId": "m-1", "userId": "ada", "event": "E"}
SENT = {
    "url": "https://vendor.example/events",
    "json": {"id": "m-1", "user": "ada", "event": "E", "properties": {}},
}
FORM = {"url": "https://vendor.example/forms", "form": {"data": [{"b": 1, "a": 2}]}}
FORM_SENT = HttpRequest(
    url="https://vendor.example/forms", form={"data": '[{"a": 2, "b": 1}]'}, message_ids=("m-1",)
)
KNOWN = KnownFailure(id="topic/rule", reason="not yet", link="https://example.com/7")


def one_case(**fields: Any) -> CaseSet:
    case = {
        "id": "topic/rule",
        "title": "A track is sent",
        "status": "stable",
        "level": "core",
        "source": {"url": "https://example.com/", "quote": "Sends it.", "retrieved": "2026-11-22"},
        **fields,
    }
    if "message" not in case and "messages" not in case and "response" not in case:
        case["message"] = MESSAGE
    return read_cases({"topic.json": json.dumps({"cases": [case]}).encode()})


def ended(bench: Bench) -> tuple[str, str]:
    verdict = run(bench, bench.case_set.cases[0])
    return verdict.result, str(verdict.difference or verdict.reason)


def test_a_failure_reads_in_three_lines_and_a_command(make_bench: MakeBench) -> None:
    """The case and its rule; where it is documented; what differs; how to run it again."""
    wrong = {**SENT, "json": {**SENT["json"], "event": 1}}  # type: ignore[dict-item]
    bench = make_bench(one_case(expect={"requests": [wrong]}))
    case = bench.case_set.cases[0]
    assert failure_text(run(bench, case), case, "small").split("\n") == [
        "topic/rule: A track is sent",
        "  documented: https://example.com/ (retrieved 2026-11-22): “Sends it.”",
        '  requests.0.json.event: got "E", expected 1',
        "  rerun: destination-router conformance small --case topic/rule",
    ]


def test_a_failure_alone_names_every_place(make_bench: MakeBench) -> None:
    """Among others it names one place and counts the rest; run again by itself, it names all."""
    wrong = {**SENT, "method": "PUT", "json": {**SENT["json"], "event": 1}}  # type: ignore[dict-item]
    bench = make_bench(one_case(expect={"requests": [wrong]}))
    case = bench.case_set.cases[0]
    verdict = run(bench, case)
    assert "(and 1 more)" in failure_text(verdict, case, "small")
    assert failure_text(verdict, case, "small", whole=True).split("\n")[2:4] == [
        '  requests.0.method: got "POST", expected "PUT"',
        '  requests.0.json.event: got "E", expected 1',
    ]


def test_a_failed_check_reads_the_same(make_bench: MakeBench) -> None:
    """A check says where it is explained, and runs again by its id."""
    bench = make_bench(settings_schema=lambda: {"type": "object", "properties": {"a": {}}})
    check = next(check for check in CHECKS if check.id == "check/schema-closed")
    lines = failure_text(run(bench, check), check, "small").split("\n")
    assert lines[1:] == [
        "  documented: docs/conformance.md#the-checks, schema",
        "  additionalProperties: got null, expected false",
        "  rerun: destination-router conformance small --case check/schema-closed",
    ]


@pytest.mark.parametrize(
    ("expect", "on_track", "told"),
    [
        ({"requests": [SENT]}, None, ("passed", "")),
        ({"requests": [SENT, SENT]}, None, ("failed", "requests.1: got nothing, expected")),
        ({"requests": [{**SENT, "method": "PUT"}]}, None, ("failed", 'method: got "POST"')),
        ({"requests": [{**SENT, "headers": {"a": "b"}}]}, None, ("failed", "headers.a: got noth")),
        ({"requests": [SENT], "notes": ["x"]}, None, ("failed", "notes.0: got nothing, expected")),
        ({"ignored": True}, None, ("failed", "result: got 1 request(s): https://vendor.example")),
        ({"ignored": True}, [], ("passed", "")),
        ({"requests": [SENT]}, [], ("failed", "result: got ignored (small makes nothing of")),
        ({"reject": {"code": "no"}}, Reject("no", "Sorry."), ("passed", "")),
        (
            {"reject": {"code": "no"}},
            Reject("nope", "Sorry."),
            ("failed", 'reject.code: got "nope"'),
        ),
        ({"requests": [SENT]}, Reject("no", "Sorry."), ("failed", "got reject no (Sorry.)")),
        ({"requests": [SENT]}, KeyError("a"), ("failed", "got reject plugin_error (KeyError")),
    ],
)
def test_expectations(
    make_bench: MakeBench, expect: dict[str, Any], on_track: Any, told: tuple[str, str]
) -> None:
    """Requests, reject, ignored and notes are each told from the others."""

    def scripted() -> list[HttpRequest]:
        if isinstance(on_track, Exception):
            raise on_track
        return list(on_track)

    hooks = {} if on_track is None else {"on_track": scripted}
    result, difference = ended(make_bench(one_case(expect=expect), **hooks))
    assert result == told[0], difference
    assert told[1] in difference


ANSWER = {
    "status": 429,
    "headers": {"retry-after": "30"},
    "request": {"url": "https://vendor.example/events", "messageIds": ["m-1", "m-2"]},
}


def _all_delivered() -> Outcome:
    return Outcome.delivered()


def _first_only(request: HttpRequest, response: HttpResponse) -> dict[str, Outcome]:
    return {request.message_ids[0]: Outcome.rejected("bad", f"{response.status}")}


@pytest.mark.parametrize(
    ("outcome", "on_response", "told"),
    [
        ({"result": "retry", "code": "http_429", "after": 30}, None, ("passed", "")),
        ({"result": "retry", "code": "http_429"}, None, ("failed", "after: got 30.0, expected nu")),
        ({"result": "delivered"}, None, ("failed", 'outcome.m-1.result: got "retry"')),
        ({"result": "delivered"}, _all_delivered, ("passed", "")),
        (
            {
                "byMessage": {
                    "m-1": {"result": "rejected", "code": "bad", "detail": "429"},
                    "m-2": {"result": "retry", "code": "http_429", "after": 30},
                }
            },
            _first_only,
            ("passed", ""),
        ),
        ({"byMessage": {"m-1": {"result": "delivered"}}}, None, ("failed", "outcome.m-1.result")),
    ],
)
def test_outcomes(
    make_bench: MakeBench, outcome: dict[str, Any], on_response: Any, told: tuple[str, str]
) -> None:
    """An answer counts for each message; where the hook is silent, the host decides."""
    hooks = {} if on_response is None else {"on_response": on_response}
    case_set = one_case(response=ANSWER, expect={"outcome": outcome})
    result, difference = ended(make_bench(case_set, **hooks))
    assert result == told[0], difference
    assert told[1] in difference


@pytest.mark.parametrize(
    ("settings", "expected", "result"),
    [
        ({"apiKey": "k"}, {"valid": True}, "passed"),
        ({"apiKey": 1}, {"valid": True}, "failed"),
        ({"apiKey": 1}, {"valid": False, "errors": ["apiKey"]}, "passed"),
        ({"apiKey": 1}, {"valid": False, "errors": ["other"]}, "failed"),
        ({"apiKey": "k"}, {"valid": False, "errors": ["apiKey"]}, "failed"),
    ],
)
def test_settings(
    make_bench: MakeBench, settings: dict[str, Any], expected: dict[str, Any], result: str
) -> None:
    """Whether settings can be used, and which are at fault."""
    document = {
        "id": "topic/rule",
        "title": "Settings",
        "status": "stable",
        "level": "core",
        "source": {"decision": "x"},
        "settings": settings,
        "expect": {"settings": expected},
    }
    cases = read_cases({"topic.json": json.dumps({"cases": [document]}).encode()})
    assert ended(make_bench(cases))[0] == result


def test_settings_that_a_case_cannot_use_fail_it(make_bench: MakeBench) -> None:
    """A case whose settings are refused says so; it is not skipped."""
    cases = one_case(settings={"apiKey": 1}, expect={"requests": [SENT]})
    result, difference = ended(make_bench(cases))
    assert result == "failed"
    assert difference.startswith("settings: got problems: apiKey: must be text")


def test_messages_are_packed(make_bench: MakeBench) -> None:
    """`messages` run through the plugin's pack; without one the case is skipped."""
    cases = one_case(messages=[MESSAGE, MESSAGE], expect={"requests": [SENT]})
    assert ended(make_bench(cases)) == ("skipped", "small has no pack hook")
    assert ended(make_bench(cases, pack=lambda requests: requests[:1]))[0] == "passed"


def test_needs_are_hooks(make_bench: MakeBench) -> None:
    """A case that names a hook is skipped where there is none."""
    cases = one_case(needs=["on_page"], expect={"requests": [SENT]})
    assert ended(make_bench(cases)) == ("skipped", "small has no on_page hook")


class _FromOutside:
    """A subject that runs elsewhere: what it makes of a case is all that it shows."""

    name = "elsewhere"
    capabilities = ("settings_schema", "on_identify", "on_track")

    def __init__(self, observed: Observation | None) -> None:
        self.observed = observed

    def observe(self, case: Case) -> Observation:
        if self.observed is None:
            raise Unobservable(f"notes of {case.id} do not come back")
        return self.observed

    def unobservable(self, _check: str) -> str:
        return ""


@pytest.mark.parametrize(
    ("observed", "result"),
    [
        (Observation(result="ignored"), "passed"),
        (Observation(result="reject", code="no"), "failed"),
        (None, "unobservable"),
    ],
)
def test_a_subject_that_runs_elsewhere(observed: Observation | None, result: str) -> None:
    """Its cases run; of what it does not show, it is not said that it passes."""
    cases = one_case(expect={"ignored": True})
    subject = _FromOutside(observed)
    bench = Bench(name="elsewhere", subject=subject, case_set=cases)
    verdicts = list(run_all(bench))
    checks = {verdict.result for verdict in verdicts[:-1]}
    assert verdicts[-1].result == result
    assert checks == {"skipped", "unobservable"}
    assert not {"unobservable"} & FAILING


def test_a_provisional_failure_fails_nothing(make_bench: MakeBench) -> None:
    """New cases give a minor version's time."""
    cases = one_case(status="provisional", since="1.1", expect={"ignored": True})
    verdict = run(make_bench(cases), cases.cases[0])
    assert verdict.result == "provisional_failure"
    assert verdict.result not in FAILING


def test_a_known_failure_fails_nothing_until_it_passes(make_bench: MakeBench) -> None:
    """An unexpected pass is a failure: the list must be true."""
    failing = one_case(expect={"ignored": True})
    passing = one_case(expect={"requests": [SENT]})
    known = {"topic/rule": KNOWN}
    failed = run(make_bench(failing), failing.cases[0], known)
    passed = run(make_bench(passing), passing.cases[0], known)
    assert (failed.result, failed.reason) == ("known_failure", "not yet (https://example.com/7)")
    assert passed.result == "unexpected_pass"
    assert passed.result in FAILING
    assert "take it off the list" in failure_text(passed, passing.cases[0], "small")


def test_what_does_not_load_fails_once_and_skips_the_rest() -> None:
    """One error is told once, not three hundred times."""
    cases = one_case(expect={"ignored": True})
    bench = Bench(name="broken", subject=None, load_error="no module", case_set=cases)
    verdicts = list(run_all(bench))
    assert [verdict.result for verdict in verdicts] == [
        "failed",
        *["skipped"] * (len(verdicts) - 1),
    ]
    assert "no module" in str(verdicts[0].difference)


def test_one_rule_alone(make_bench: MakeBench) -> None:
    """`--case` runs one case or check and nothing else."""
    cases = one_case(expect={"requests": [SENT]})
    bench = make_bench(cases)
    assert [verdict.id for verdict in run_all(bench, only="topic/rule")] == ["topic/rule"]
