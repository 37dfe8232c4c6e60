"""Robustness: for any input, a destination returns requests or raises Reject."""

from __future__ import annotations

import re
from collections.abc import Iterator

from conformance.checks.check import Bed, Check
from conformance.checks.traffic import (
    Sent,
    case_traffic,
    generated_traffic,
    hostile_traffic,
    plain_traffic,
)
from conformance.compare import Difference
from destination_router import HttpRequest, HttpResponse, Outcome

_CODE = re.compile(r"[a-z][a-z0-9_]*")
_BODIES = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"<html>",
    b'{"error":null}',
    b'{"errors":[{"index":99999999}]}',
    b"postBody.events[99999999].properties should be object",
    b"postBody.events[-1]",
    b"[" * 5000,
    b"x" * 100_000,
)


def _hostile(bed: Bed) -> Iterator[Difference]:
    yield from _breaches(hostile_traffic(bed))


def _generated(bed: Bed) -> Iterator[Difference]:
    yield from _breaches(case_traffic(bed))
    yield from _breaches(generated_traffic(bed))


def _breaches(traffic: Iterator[Sent]) -> Iterator[Difference]:
    wanted = "requests, a Reject, or nothing on purpose"
    for sent in traffic:
        try:
            decision = sent.decide()
        except Exception as error:  # noqa: BLE001 -- anything at all is a finding
            yield Difference(sent.path, f"{type(error).__name__}: {error}", wanted)
            continue
        if decision.reject is None:
            continue
        code, detail = decision.reject.code, decision.reject.detail
        if code == "plugin_error":
            yield Difference(sent.path, detail, wanted)
        elif not _CODE.fullmatch(code) or not detail.strip():
            got = f"Reject({code!r}, {detail!r})"
            yield Difference(sent.path, got, "a code in snake_case and a sentence")


def _answers(bed: Bed) -> Iterator[Difference]:
    hook = bed.subject.plugin.hook
    for sent in plain_traffic(bed):
        for request in sent.decide().requests:
            for status in (100, 200, 204, 301, 400, 401, 404, 413, 422, 429, 500, 501, 503, 599):
                for body in _BODIES:
                    response = HttpResponse(status=status, body=body)
                    settings = sent.connection.settings
                    path = f"{sent.path}.{status}"
                    try:
                        answer = hook.on_response(
                            request=request, response=response, settings=settings
                        )
                    except Exception as error:  # noqa: BLE001 -- anything at all is a finding
                        got = f"{type(error).__name__}: {error}"
                        yield Difference(path, got, "an Outcome for every message")
                        continue
                    yield from _answer_breaches(request, answer, path)


def _answer_breaches(request: HttpRequest, answer: object, path: str) -> Iterator[Difference]:
    if isinstance(answer, dict):
        for message_id, outcome in answer.items():
            if message_id not in request.message_ids:
                yield Difference(path, repr(message_id), "an id of the request's messages")
            if not isinstance(outcome, Outcome):
                yield Difference(path, type(outcome).__name__, "Outcome")
    elif not isinstance(answer, Outcome):
        yield Difference(path, type(answer).__name__, "an Outcome, or one for each message id")


CHECKS = (
    Check(
        id="check/robustness-hostile",
        title="Hostile messages give requests or a Reject, and nothing else",
        run=_hostile,
    ),
    Check(
        id="check/robustness-generated",
        title="Generated messages give requests or a Reject, and nothing else",
        run=_generated,
    ),
    Check(
        id="check/robustness-answers",
        title="Whatever a vendor answers, every message gets an Outcome",
        run=_answers,
        needs=("on_response",),
    ),
)
