"""Every check can fail: each is shown a destination that breaks its rule, and one that does not."""

from __future__ import annotations

import gzip
import os
import random
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conformance.bench import Bench
from conformance.case import CaseSet, Limit, Source
from conformance.checks import CHECKS
from conformance.checks.hostile import HOSTILE
from conformance.runner import run
from destination_router import Cost, HttpRequest, HttpResponse, Ignored, Note, Outcome, Quota, bulks

MakeBench = Callable[..., Bench]
_SEEN: list[object] = []
URL = "https://vendor.example/events"


def outcome(bench: Bench, check_id: str) -> str:
    """How a check ended, with what it found."""
    check = next(check for check in CHECKS if check.id == check_id)
    verdict = run(bench, check)
    return f"{verdict.result}: {verdict.difference or verdict.reason}"


def request(message: Any, **fields: Any) -> HttpRequest:
    return HttpRequest(
        url="https://vendor.example/events",
        json={"id": message.message_id, "event": message.event, "p": message.properties, **fields},
    )


# -- ways to break a rule, all in on_track ------------------------------------------------------


def _remembers(message: Any) -> list[HttpRequest]:
    _SEEN.append(message)
    return [request(message, n=len(_SEEN))]


def _changes_the_message(message: Any) -> list[HttpRequest]:
    message.properties["seen"] = True
    return [request(message)]


def _reads_a_file(message: Any) -> list[HttpRequest]:
    Path(os.devnull).read_bytes()
    return [request(message)]


def _opens_a_socket(message: Any) -> list[HttpRequest]:
    socket.socket().close()
    return [request(message)]


def _reads_the_clock(message: Any) -> list[HttpRequest]:
    time.time()
    return [request(message)]


def _reads_the_calendar(message: Any) -> list[HttpRequest]:
    datetime.now(tz=UTC)
    return [request(message)]


def _draws(message: Any) -> list[HttpRequest]:
    random.random()
    return [request(message)]


def _sends_nan(message: Any) -> list[HttpRequest]:
    return [request(message, n=float("nan"))]


def _sends_numbers_in_the_query(message: Any) -> list[HttpRequest]:
    return [msgspec.structs.replace(request(message), params={"n": 1})]


def _sends_over_http(message: Any) -> list[HttpRequest]:
    return [msgspec.structs.replace(request(message), url="http://vendor.example/")]


def _sends_a_query(message: Any) -> list[HttpRequest]:
    return [msgspec.structs.replace(request(message), url="https://vendor.example/?a=1")]


def _sends_the_key_in_the_url(message: Any, settings: Any) -> list[HttpRequest]:
    return [msgspec.structs.replace(request(message), params={"key": settings["apiKey"]})]


def _fails_on_lists(message: Any) -> list[HttpRequest]:
    return [request(message, first=[v for v in message.properties.values() if v < "z"])]


def _returns_none() -> None:
    return None


def _ignores_in_silence(message: Any) -> list[HttpRequest]:
    return [request(message)] if message.properties else []


def _ignores_in_a_word(message: Any) -> list[HttpRequest] | Ignored:
    return [request(message)] if message.properties else Ignored("empty")


def _ignores_and_quotes(message: Any) -> list[HttpRequest] | Ignored:
    return Ignored(f"there is no use for {message.event} here")


def _ignores_and_quotes_in_a_note(message: Any) -> list[HttpRequest] | Ignored:
    note = Note("dropped", "event", f"{message.event} is not wanted")
    return Ignored("there is no use for this event", (note,))


def _packs_itself() -> list[HttpRequest]:
    content = gzip.compress(b"{}", mtime=0)
    return [HttpRequest(url=URL, content=content, content_type="application/json", gzip=True)]


def _says_that_it_packs(message: Any) -> list[HttpRequest]:
    return [msgspec.structs.replace(request(message), headers={"content-encoding": "gzip"})]


def _says_two_types() -> list[HttpRequest]:
    headers = {"Content-Type": "text/plain"}
    return [HttpRequest(url=URL, content=b"{}", content_type="application/json", headers=headers)]


def _sends_the_key_twice_in_the_url(message: Any, settings: Any) -> list[HttpRequest]:
    return [msgspec.structs.replace(request(message), params={"key": ("a", settings["apiKey"])})]


def _loses_properties_in_lines(message: Any) -> list[HttpRequest]:
    line = msgspec.json.encode({"event": message.event}) + b"\n"
    return [HttpRequest(url=URL, content=line, content_type="application/x-ndjson")]


def _loses_properties(message: Any) -> list[HttpRequest]:
    return [HttpRequest(url="https://vendor.example/", json={"event": message.event})]


def _turns_numbers_into_text(message: Any) -> list[HttpRequest]:
    texts = {key: str(value) for key, value in message.properties.items()}
    return [HttpRequest(url="https://vendor.example/", json={"event": message.event, **texts})]


@pytest.mark.parametrize(
    ("check_id", "on_track", "told"),
    [
        ("check/purity-same-output", _remembers, "got 2, expected 3"),
        ("check/purity-input-unchanged", _changes_the_message, "a message that the hook changed"),
        ("check/purity-no-io", _reads_a_file, "open("),
        ("check/purity-no-io", _opens_a_socket, "socket."),
        ("check/purity-no-io", _reads_the_clock, "time.time()"),
        ("check/purity-no-io", _reads_the_calendar, "datetime.now()"),
        ("check/purity-no-io", _draws, "random.random()"),
        ("check/requests-serialisable", _sends_nan, "not JSON compliant"),
        ("check/requests-serialisable", _sends_numbers_in_the_query, "a request that does not fit"),
        ("check/requests-https", _sends_over_http, "an absolute https URL"),
        ("check/requests-https", _sends_a_query, "no query"),
        ("check/requests-no-secret-in-url", _sends_the_key_in_the_url, "params.key"),
        ("check/requests-no-secret-in-url", _sends_the_key_twice_in_the_url, "params.key"),
        ("check/requests-encoding", _packs_itself, "the host packs it"),
        ("check/requests-encoding", _says_that_it_packs, "a header that the host adds"),
        ("check/requests-encoding", _says_two_types, "beside the content_type"),
        ("check/words-to-act-on", _ignores_in_silence, "Ignored(reason)"),
        ("check/words-to-act-on", _ignores_in_a_word, "a sentence that says why"),
        ("check/words-no-personal-value", _ignores_and_quotes, "reason that quotes a value"),
        (
            "check/words-no-personal-value",
            _ignores_and_quotes_in_a_note,
            "note dropped that quotes",
        ),
        ("check/notes-nothing-missing", _loses_properties_in_lines, "missing at properties.total"),
        ("check/robustness-hostile", _fails_on_lists, "TypeError"),
        ("check/robustness-generated", _fails_on_lists, "TypeError"),
        ("check/robustness-hostile", _returns_none, "returned None"),
        ("check/notes-nothing-missing", _loses_properties, "missing at properties.total"),
        ("check/notes-nothing-missing", _turns_numbers_into_text, "missing at properties.total"),
    ],
)
def test_a_hook_that_breaks_a_rule_is_found(
    make_bench: MakeBench, check_id: str, on_track: Callable[..., Any], told: str
) -> None:
    """The check fails, and names what it found."""
    found = outcome(make_bench(on_track=on_track), check_id)
    if on_track is _remembers:
        assert found.startswith("failed: plain.track.requests.0.json.n: got ")
    else:
        assert found.startswith("failed") and told in found, found  # noqa: PT018


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_good_destination_passes(make_bench: MakeBench, check: Any) -> None:
    """A small destination that keeps to the contract fails nothing."""
    assert run(make_bench(), check).result in ("passed", "skipped")


@pytest.mark.parametrize(
    "content_type",
    ["application/x-ndjson", "application/json; charset=utf-8", "application/vnd.vendor+json"],
)
def test_a_body_of_bytes_is_looked_into(make_bench: MakeBench, content_type: str) -> None:
    """A destination that sends lines of JSON is judged as one that sends JSON."""

    def on_track(message: Any) -> list[HttpRequest]:
        line = msgspec.json.encode(request(message).json) + b"\n"
        return [HttpRequest(url=URL, content=line, content_type=content_type, gzip=True)]

    bench = make_bench(on_track=on_track)
    assert outcome(bench, "check/notes-nothing-missing").startswith("passed")


def test_what_nobody_can_look_into_is_not_said_to_lack_anything(make_bench: MakeBench) -> None:
    """XML may hold a value in a form of its own."""

    def on_track() -> list[HttpRequest]:
        return [HttpRequest(url=URL, content=b"<event/>", content_type="application/xml")]

    bench = make_bench(on_track=on_track)
    assert outcome(bench, "check/notes-nothing-missing").startswith("passed")


def test_a_note_explains_what_is_missing(make_bench: MakeBench) -> None:
    """What is left out may be left out, if it is said at its path, or above it."""

    def on_track(message: Any) -> list[HttpRequest]:
        note = Note("dropped", "properties", "this vendor takes none")
        body = {"event": message.event}
        return [HttpRequest(url="https://vendor.example/", json=body, notes=(note,))]

    bench = make_bench(on_track=on_track)
    assert outcome(bench, "check/notes-nothing-missing").startswith("passed")


@pytest.mark.parametrize(
    ("check_id", "change", "told"),
    [
        ("check/schema-closed", {"additionalProperties": True}, "additionalProperties: got true"),
        ("check/schema-described", {"properties": {"a": {"title": "A"}}}, "a.description"),
        ("check/schema-described", {"properties": {"a": True}}, "a.title"),
        (
            "check/schema-defaults",
            {"properties": {"a": {"type": "string", "default": 1}}},
            "a.default: got 1",
        ),
        (
            "check/schema-secrets",
            {"properties": {"accessToken": {"type": "string"}}},
            "accessToken.writeOnly",
        ),
        (
            "check/schema-secrets",
            {"properties": {"http": {"type": "object", "properties": {"password": {}}}}},
            "http.password.writeOnly",
        ),
    ],
)
def test_a_schema_that_breaks_a_rule_is_found(
    make_bench: MakeBench, check_id: str, change: dict[str, Any], told: str
) -> None:
    """The check fails, and names the field."""

    def settings_schema() -> dict[str, Any]:
        return {"type": "object", "additionalProperties": False, "properties": {}, **change}

    found = outcome(make_bench(settings_schema=settings_schema), check_id)
    assert found.startswith("failed"), found
    assert told in found


def test_a_member_that_is_read_and_not_sent_is_found(make_bench: MakeBench) -> None:
    """What nobody reads, the host notes; what is read and left out, the destination has to."""
    assert outcome(make_bench(), "check/members-none-unread").startswith("passed")

    def on_track(message: Any) -> list[HttpRequest]:
        assert message.other("userProperties")
        return [request(message)]

    bench = make_bench(on_track=on_track)
    assert "userProperties.probed" in outcome(bench, "check/members-none-unread")


def test_an_origin_that_is_not_named_is_found(make_bench: MakeBench) -> None:
    """The host would refuse to send it elsewhere."""
    named = make_bench(origins=lambda: ["https://vendor.example"])
    assert outcome(named, "check/origins-named").startswith("passed")
    other = make_bench(origins=lambda: ["https://other.example"])
    assert "an origin that the hook origins names" in outcome(other, "check/origins-named")
    no_origin = make_bench(origins=lambda: ["vendor.example"])
    refused = outcome(no_origin, "check/origins-named")
    assert "origins returned one that is not https://host" in refused
    assert "hooks that return what docs/hooks.md says" in refused


def test_settings_that_do_not_work_are_found(make_bench: MakeBench) -> None:
    """A bench whose settings the schema refuses says so, whatever else fails for it."""
    bench = make_bench(CaseSet(settings={"apiKey": 7}))
    assert "failed: settings: got apiKey: must be text" in outcome(bench, "check/loading")


def test_a_subscription_that_is_no_text_is_found(make_bench: MakeBench) -> None:
    """Blanks subscribe to nothing."""
    bench = make_bench(default_subscription=lambda: " ")
    assert outcome(bench, "check/loading-subscription").startswith("failed")


def test_a_cost_of_no_quota_is_found(make_bench: MakeBench) -> None:
    """A cost that is booked on a misspelt quota would hold nothing back."""

    def on_track(message: Any) -> list[HttpRequest]:
        return [msgspec.structs.replace(request(message), costs=(Cost("evnets", 1),))]

    quota = Quota(name="events", limit=1, period=60.0)
    bench = make_bench(on_track=on_track, quotas=lambda: [quota])
    found = outcome(bench, "check/loading-quotas")
    assert found == 'failed: plain.track.costs: got "evnets", expected one of ["events"]'


def test_a_quota_that_means_nothing_is_found(make_bench: MakeBench) -> None:
    """A limit of zero would stop everything."""
    bench = make_bench(quotas=lambda: [Quota(name="events", limit=0, period=60.0)])
    assert outcome(bench, "check/loading-quotas").startswith("failed: quotas.0")


def _nothing() -> None:
    return None


def _a_word(request: HttpRequest) -> Any:
    return dict.fromkeys(request.message_ids, "delivered")


def _for_another() -> Any:
    return {"another": Outcome.delivered()}


def _fails_on_what_is_no_json(response: HttpResponse) -> Any:
    return Outcome.rejected(response.json()["code"])


@pytest.mark.parametrize(
    ("on_response", "told"),
    [
        (_nothing, "NoneType"),
        (_a_word, "got str"),
        (_for_another, "'another'"),
        (_fails_on_what_is_no_json, "TypeError"),
    ],
)
def test_an_answer_that_is_no_outcome_is_found(
    make_bench: MakeBench, on_response: Callable[..., Any], told: str
) -> None:
    """Every message gets an Outcome, and only the request's own."""
    assert told in outcome(make_bench(on_response=on_response), "check/robustness-answers")


# -- packing ------------------------------------------------------------------------------------


def _bulks(requests: list[HttpRequest], size: int = 3) -> list[HttpRequest]:
    return [
        HttpRequest(
            url="https://vendor.example/events",
            json={"events": [request.json for request in requests[start : start + size]]},
            message_ids=tuple(i for r in requests[start : start + size] for i in r.message_ids),
            items=tuple(r.message_ids for r in requests[start : start + size]),
        )
        for start in range(0, len(requests), size)
    ]


_LIMIT = Limit(
    url="https://vendor.example/events", items="events", max=3, source=Source(decision="x")
)
_PACKING = [check.id for check in CHECKS if check.id.startswith("check/packing")]


def _delivered() -> Outcome:
    return Outcome.delivered()


def _in_bulks(requests: list[HttpRequest]) -> list[HttpRequest]:
    return _bulks(requests)


def _as_they_are(requests: list[HttpRequest]) -> list[HttpRequest]:
    return list(requests)


def _larger(requests: list[HttpRequest]) -> list[HttpRequest]:
    return _bulks(requests, 4)


def _smaller(requests: list[HttpRequest]) -> list[HttpRequest]:
    return _bulks(requests, 2)


def _backwards(requests: list[HttpRequest]) -> list[HttpRequest]:
    return _bulks(requests[::-1])


def _without_the_last(requests: list[HttpRequest]) -> list[HttpRequest]:
    return _bulks(requests[:-1] or requests)


def _twice(requests: list[HttpRequest]) -> list[HttpRequest]:
    return [*_bulks(requests), *_bulks(requests[:1])]


def _something_from_nothing(requests: list[HttpRequest]) -> list[HttpRequest]:
    return _bulks(requests) or [HttpRequest(url="https://vendor.example/events", json={})]


def _nameless(requests: list[HttpRequest]) -> list[HttpRequest]:
    return [msgspec.structs.replace(bulk, items=()) for bulk in _bulks(requests)]


def _misnamed(requests: list[HttpRequest]) -> list[HttpRequest]:
    return [msgspec.structs.replace(bulk, items=bulk.items[::-1]) for bulk in _bulks(requests)]


def _emptied(requests: list[HttpRequest]) -> list[HttpRequest]:
    packed = _bulks(requests)
    requests.clear()
    return packed


def _changed(requests: list[HttpRequest]) -> list[HttpRequest]:
    for each in requests:
        each.json["packed"] = True
    return _bulks(requests)


@pytest.mark.parametrize(
    "limits",
    [
        (),
        (msgspec.structs.replace(_LIMIT, url="https://vendor.example/users"),),
        (msgspec.structs.replace(_LIMIT, items="users"),),
    ],
)
def test_bulks_that_nothing_holds_to_a_size_are_found(
    make_bench: MakeBench, limits: tuple[Limit, ...]
) -> None:
    """Whoever packs says what the vendor takes, of each kind of bulk, or nobody has looked."""
    bench = make_bench(CaseSet(limits=limits), pack=_in_bulks)
    found = outcome(bench, "check/packing-limits")
    assert found.startswith(
        "failed: https://vendor.example/events: got bulks of any size, expected"
    )
    assert "limits" in found


def test_a_pack_that_makes_no_bulks_needs_no_limits(make_bench: MakeBench) -> None:
    """It may but fold or sort: every request still carries one message."""
    bench = make_bench(pack=_as_they_are)
    assert outcome(bench, "check/packing-limits").startswith("passed")


@pytest.mark.parametrize("check_id", _PACKING)
def test_good_packing_passes(make_bench: MakeBench, check_id: str) -> None:
    """Bulks of three, in order, break no rule."""
    bench = make_bench(CaseSet(limits=(_LIMIT,)), pack=_in_bulks, on_response=_delivered)
    assert outcome(bench, check_id).startswith("passed")


@pytest.mark.parametrize(
    ("check_id", "pack", "told"),
    [
        ("check/packing-ids-kept", _without_the_last, "got 0 time(s), expected 1 time(s)"),
        ("check/packing-ids-kept", _twice, "got 2 time(s), expected 1 time(s)"),
        ("check/packing-ids-kept", _something_from_nothing, "pack([]): got 1 request(s)"),
        ("check/packing-one", _twice, "got 2 request(s)"),
        ("check/packing-one", _changed, "what has the effect of"),
        ("check/packing-order", _backwards, "ahead of turn-0-0-0 (identify)"),
        ("check/packing-limits", _larger, "got 4 items, expected at most 3"),
        ("check/packing-limits", _smaller, "got at most 2 items, expected up to 3"),
        ("check/packing-items", _nameless, "items: got 0 named, expected 3, as in the body"),
        ("check/packing-items", _misnamed, "got 'many-"),
        ("check/packing-input-unchanged", _emptied, "requests that pack changed"),
        ("check/packing-input-unchanged", _changed, "requests that pack changed"),
    ],
)
def test_packing_that_breaks_a_rule_is_found(
    make_bench: MakeBench,
    check_id: str,
    pack: Callable[[list[HttpRequest]], list[HttpRequest]],
    told: str,
) -> None:
    """The check fails, and says what was lost, doubled or out of order."""
    bench = make_bench(CaseSet(limits=(_LIMIT,)), pack=pack, on_response=_delivered)
    found = outcome(bench, check_id)
    assert found.startswith("failed"), found
    assert told in found


_LIMIT_IN_BYTES = Limit(
    url="https://vendor.example/events", max=3, max_bytes=20_000, source=Source(decision="x")
)


def _pack_within(most_bytes: int) -> Callable[[list[HttpRequest]], list[HttpRequest]]:
    """Pack up to three requests, and so many bytes, into a body that is a list."""

    def pack(requests: list[HttpRequest]) -> list[HttpRequest]:
        return bulks(
            requests,
            item=lambda request: request.json,
            body=lambda items: items,
            most=3,
            most_bytes=most_bytes,
        )

    return pack


@pytest.mark.parametrize("check_id", ["check/packing-bytes", "check/packing-limits"])
def test_packing_within_bytes_passes(make_bench: MakeBench, check_id: str) -> None:
    """A body that itself is the list may be as long, and as large, as the limit says."""
    case_set = CaseSet(limits=(_LIMIT_IN_BYTES,))
    assert outcome(make_bench(case_set, pack=_pack_within(20_000)), check_id).startswith("passed")


@pytest.mark.parametrize(
    ("most_bytes", "told"),
    [(40_000, "expected at most 20000"), (9_000, "expected up to 20000")],
)
def test_packing_beyond_its_bytes_is_found(
    make_bench: MakeBench, most_bytes: int, told: str
) -> None:
    """Bodies that are larger than the vendor takes, or needlessly smaller, fail the check."""
    bench = make_bench(CaseSet(limits=(_LIMIT_IN_BYTES,)), pack=_pack_within(most_bytes))
    found = outcome(bench, "check/packing-bytes")
    assert found.startswith("failed"), found
    assert told in found


_FORM_LIMIT_IN_BYTES = msgspec.structs.replace(_LIMIT_IN_BYTES, items="events")


def _track_as_form(message: Any) -> list[HttpRequest]:
    event = {"id": message.message_id, "properties": message.properties}
    return [HttpRequest(url=_LIMIT.url, form=_form([event]))]


def _form(events: list[Any]) -> dict[str, str]:
    return {"key": "k", "events": msgspec.json.encode(events).decode()}


def _pack_forms_within(most_bytes: int) -> Callable[[list[HttpRequest]], list[HttpRequest]]:
    """Pack up to three requests, and so many bytes, into a form whose field holds the list."""

    def pack(requests: list[HttpRequest]) -> list[HttpRequest]:
        forms = [request for request in requests if request.form is not None]
        others = [request for request in requests if request.form is None]
        return others + bulks(
            forms,
            item=lambda request: msgspec.json.decode((request.form or {})["events"])[0],
            body=_form,
            most=3,
            most_bytes=most_bytes,
        )

    return pack


@pytest.mark.parametrize("check_id", ["check/packing-bytes", "check/packing-limits"])
def test_packing_forms_within_bytes_passes(make_bench: MakeBench, check_id: str) -> None:
    """A form may be as large, URL-encoded, as the limit says."""
    case_set = CaseSet(limits=(_FORM_LIMIT_IN_BYTES,))
    bench = make_bench(case_set, pack=_pack_forms_within(20_000), on_track=_track_as_form)
    assert outcome(bench, check_id).startswith("passed")


@pytest.mark.parametrize(
    ("most_bytes", "told"),
    [(40_000, "expected at most 20000"), (9_000, "expected up to 20000")],
)
def test_packing_forms_beyond_their_bytes_is_found(
    make_bench: MakeBench, most_bytes: int, told: str
) -> None:
    """Forms that are larger than the vendor takes, or needlessly smaller, fail the check."""
    bench = make_bench(
        CaseSet(limits=(_FORM_LIMIT_IN_BYTES,)),
        pack=_pack_forms_within(most_bytes),
        on_track=_track_as_form,
    )
    found = outcome(bench, "check/packing-bytes")
    assert found.startswith("failed"), found
    assert told in found


def test_there_are_hostile_messages_enough() -> None:
    """At least 50, all different."""
    assert len(set(HOSTILE.values())) == len(HOSTILE) >= 50


def test_a_check_that_cannot_run_fails(make_bench: MakeBench) -> None:
    """An exception out of a hook is a failure of the check, not of the suite."""

    def quotas() -> list[Quota]:
        raise ZeroDivisionError("oops")

    found = outcome(make_bench(quotas=quotas), "check/loading-quotas")
    assert (
        found
        == "failed: result: got ZeroDivisionError: oops, expected hooks that raise only Reject"
    )
