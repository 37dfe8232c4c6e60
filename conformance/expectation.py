"""Compares what a destination makes of a case's input with what the case expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from conformance.case import Case
from conformance.checks.scalars import field_json
from conformance.compare import Difference, differences
from conformance.subject import Observation, Subject, Unobservable
from destination_router import Outcome
from destination_router.plugins.loading import PluginError
from destination_router.settings.errors import SettingsError


def broken_hook(error: Exception) -> Difference:
    """Tell what came out of a plugin: what a hook raised, or what the host does not take of it."""
    if isinstance(error, PluginError):
        return Difference("", str(error), "hooks that return what docs/hooks.md says")
    return Difference("", f"{type(error).__name__}: {error}", "hooks that raise only Reject")


def case_differences(subject: Subject, case: Case) -> Iterator[Difference]:
    """Run a case, and find every place where the result differs from the expectation.

    Raises:
        Unobservable: what it asks for cannot be seen of this subject.
    """
    try:
        observed = subject.observe(case)
    except SettingsError as error:
        yield Difference("settings", f"problems: {error}", "settings that can be used")
        return
    except Unobservable:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever a plugin raises is a failed case
        yield broken_hook(error)
        return
    wanted = _expected_result(case)
    if observed.result != wanted:
        yield Difference("", _told(observed), _wanted(case))
        return
    if observed.code is None:
        raise Unobservable("it rejects the message, and does not say with which code")
    found = list(differences(_got(case, observed), _expected(case), _ROOTS.get(wanted, wanted)))
    yield from found
    if case.expect.notes is None:
        return
    if observed.notes is None:
        if not found:
            raise Unobservable("it makes what the case expects, and its notes cannot be seen")
    else:
        yield from differences(sorted(observed.notes), sorted(case.expect.notes), "notes")


_ROOTS = {"reject": "reject.code", "settings": "settings.errors"}


def _expected_result(case: Case) -> str:
    expect = case.expect
    if expect.ignored:
        return "ignored"
    names = ("requests", "reject", "outcome", "settings")
    return next(name for name in names if getattr(expect, name) is not None)


def _got(case: Case, observed: Observation) -> Any:
    match observed.result:
        case "requests":
            return _as_asked(observed.requests, case.expect.requests or ())
        case "reject":
            return observed.code
        case "outcome":
            wanted = _expected_outcome(case)
            return {
                message_id: _outcome_json(
                    outcome, with_detail="detail" in wanted.get(message_id, {})
                )
                for message_id, outcome in observed.outcome.items()
            }
        case "settings":
            return {"valid": not observed.errors, "errors": sorted(observed.errors)}
        case _:
            return None


def _as_asked(
    got: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Reduce each request to the fields that a case mentions, in the form that the case uses.

    Fields that the host fills in count only if the case mentions them. A form's field is read as
    JSON if the case writes it as JSON and not as text.
    """
    asked = [*expected, *({} for _ in got[len(expected) :])]
    return [_one_as_asked(request, wanted) for request, wanted in zip(got, asked, strict=False)]


def _one_as_asked(request: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    told = {k: v for k, v in request.items() if k != "pairings" or k in wanted}
    read = {n for n, value in wanted.get("form", {}).items() if not isinstance(value, str)}
    if read and "form" in told:
        told["form"] = {n: field_json(v) if n in read else v for n, v in told["form"].items()}
    return told


def _expected(case: Case) -> Any:
    expect = case.expect
    if expect.requests is not None:
        return [_with_defaults(request) for request in expect.requests]
    if expect.reject is not None:
        return expect.reject.code
    if expect.settings is not None:
        return {"valid": expect.settings.valid, "errors": sorted(expect.settings.errors)}
    return _expected_outcome(case) if expect.outcome is not None else None


def _with_defaults(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"method": "POST", "params": {}, "headers": {}, **request}


def _expected_outcome(case: Case) -> dict[str, dict[str, Any]]:
    if case.expect.outcome is None or case.response is None:
        return {}
    by_message = case.expect.outcome.get("byMessage")
    if by_message is None:
        by_message = dict.fromkeys(case.response.request.message_ids, case.expect.outcome)
    return {
        message_id: {
            "result": "",
            "code": "",
            "after": None,
            "unlessProven": False,
            **_with_float(outcome),
        }
        for message_id, outcome in by_message.items()
    }


def _with_float(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Make waits comparable: `30` and `30.0` seconds are the same."""
    return {k: float(v) if k == "after" else v for k, v in outcome.items()}


def _outcome_json(outcome: Outcome, *, with_detail: bool) -> dict[str, Any]:
    after = None if outcome.after is None else float(outcome.after)
    told = {
        "result": outcome.result,
        "code": outcome.code,
        "after": after,
        "unlessProven": outcome.unless_proven,
    }
    return {**told, "detail": outcome.detail} if with_detail else told


def _told(observed: Observation) -> str:
    match observed.result:
        case "requests":
            urls = ", ".join(str(request["url"]) for request in observed.requests)
            return f"{len(observed.requests)} request(s): {urls}"
        case "reject":
            return f"reject {observed.code or 'without a code'} ({observed.detail})"
        case _:
            return f"{observed.result} ({observed.detail})".removesuffix(" ()")


def _wanted(case: Case) -> str:
    expect = case.expect
    if expect.requests is not None:
        return f"{len(expect.requests)} request(s): " + ", ".join(
            str(request["url"]) for request in expect.requests
        )
    if expect.reject is not None:
        return f"reject {expect.reject.code}"
    return _expected_result(case)
