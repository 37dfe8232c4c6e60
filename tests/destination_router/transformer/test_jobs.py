"""The events of a request are decoded together where they can be, and nobody sees a difference."""

from __future__ import annotations

import functools
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conformance.bench import find_cases
from conformance.case import load_cases
from destination_router.contract.records import Reject
from destination_router.pipeline.decoding import Root
from destination_router.transformer import jobs
from destination_router.transformer.destinations import find_destinations
from destination_router.transformer.jobs import DecodedJob, Job, some_jobs
from destination_router.transformer.processing import process

TRACK = {"type": "track", "messageId": "m1", "userId": "u1", "event": "Paid"}
HEAP = {"ID": "d1", "Config": {"appId": "11"}}
BROKEN = {"message": {"type": "track", "userId": {}}}
"""It fits no typed message, so that its whole request is taken apart first."""


class Addressed(msgspec.Struct, rename="camel"):
    """What the compacted form needs of metadata."""

    destination_id: str = ""


def answers(listed: list[dict[str, Any]]) -> list[Any]:
    body = json.dumps(listed).encode()
    found = process("heap", find_destinations()["heap"], body, lambda url: url)
    return list(msgspec.json.decode(found))


def each_job(body: bytes) -> Iterator[Job | DecodedJob]:
    return (job for some in some_jobs(body, 2) for job in some)


def is_typed(message: dict[str, Any]) -> bool:
    try:
        msgspec.json.decode(json.dumps(message), type=Root)
    except msgspec.MsgspecError:
        return False
    return True


@functools.cache
def sent() -> dict[str, list[dict[str, Any]]]:
    """Give the messages of all of Heap's cases, by the settings that they are sent with."""
    folder = find_cases("heap")
    assert folder is not None
    found: dict[str, list[dict[str, Any]]] = {}
    for case in load_cases(folder).cases:
        whole = [message for message in case.sent if is_typed(message)]
        found.setdefault(json.dumps(case.settings, sort_keys=True), []).extend(whole)
    return found


@pytest.mark.parametrize("settings", list(sent()))
def test_both_ways_answer_alike(settings: str) -> None:
    """What a message becomes does not depend on whether its neighbours are in order."""
    destination = {"ID": "d1", "Config": json.loads(settings)}
    listed = [
        {"message": message, "metadata": {"jobId": number}, "destination": destination}
        for number, message in enumerate(sent()[settings])
    ]
    together, apart = answers(listed), answers([*listed, BROKEN])
    assert together == apart[:-1]
    decoded = [isinstance(job, DecodedJob) for job in each_job(json.dumps(listed).encode())]
    assert sum(decoded) >= 0.8 * len(decoded)


def test_there_is_something_to_compare() -> None:
    """Most cases are of messages in order."""
    assert sum(map(len, sent().values())) > 300


def kinds(body: bytes) -> list[type]:
    return [Job if isinstance(job, Job) else DecodedJob for job in each_job(body)]


@pytest.mark.parametrize(
    "body",
    [
        b'[{"message": {"type": "track", "messageId": "m", "context": {"a": "\xff"}}}]',
        b'[{"message": {"type": "track", "messageId": "m"}}, {"message": {"type": "nope"}}]',
        b'[{"message": {"type": "track", "messageId": "m"}}, {}]',
        b'[{"message": {"type": "track", "messageId": "m"}}, {"message": NaN}]',
    ],
    ids=["no text", "no call", "no message", "no JSON"],
)
def test_what_needs_a_closer_look_is_taken_apart(body: bytes) -> None:
    """Each event of such a request is read by itself."""
    assert set(kinds(body)) == {Job}


@pytest.mark.parametrize("odd", [{"type": "nope"}, {"traits": {"plan": "pro"}}], ids=str)
def test_one_that_has_to_be_decoded_by_its_type_stands_alone(odd: dict[str, Any]) -> None:
    """It is of no call, or has a field of another one. Its neighbours are decoded all the same."""
    messages = [TRACK, {**TRACK, **odd}, {**TRACK, "messageId": "m2"}]
    listed = [{"message": message, "destination": HEAP} for message in messages]
    assert kinds(json.dumps(listed).encode()) == [DecodedJob, Job, DecodedJob]
    assert answers(listed) == answers([*listed, BROKEN])[:-1]


def test_a_large_request_is_not_held_in_memory_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded it would take several times its bytes."""
    body = json.dumps([{"message": TRACK}]).encode()
    assert kinds(body) == [DecodedJob]
    monkeypatch.setattr(jobs, "_DECODED_BYTES", len(body) - 1)
    assert kinds(body) == [Job]


@pytest.mark.parametrize("neighbours", [[], [BROKEN]], ids=["decoded", "apart"])
def test_the_text_of_each_event(neighbours: list[dict[str, Any]]) -> None:
    """Whoever asks for an event's JSON gets its own, as it came."""
    messages: list[dict[str, Any]] = [{**TRACK, "messageId": f"m{n}", "z": n} for n in range(3)]
    listed = [{"message": message} for message in messages] + neighbours
    body = json.dumps({"input": listed}, separators=(" , ", " :  ")).encode()
    texts = [job.text() for job in each_job(body)]
    assert [json.loads(text) for text in texts[:3]] == messages
    assert all(text in body for text in texts)


def test_the_context_of_each_event() -> None:
    """It is decoded when somebody asks, from the event that it belongs to."""
    listed = [{"message": {**TRACK, "context": {"n": number}}} for number in range(3)]
    found: Iterator[Job | DecodedJob] = each_job(json.dumps(listed).encode())
    contexts = [job.message.context for job in found if isinstance(job, DecodedJob)]
    assert contexts == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_no_request_is_refused_when_asked_for() -> None:
    """Not only when its first event is."""
    with pytest.raises(Reject, match="invalid_json"):
        some_jobs(b"{", 2)


@pytest.mark.parametrize(
    "body",
    [
        b'[{"message":%s,"metadata":{"\xff":{"\xff":"\xed\xa0\x80"}},"destination":%s}]',
        b'[{"message":%s,"metadata":{},"destination":{"\xff":"\xc0\xaf","Config":%s}}]',
        b'{"input":[{"message":%s,"metadata":{"\xff":1}}],"destinations":{"\xff":%s}}',
    ],
)
def test_what_is_echoed_is_utf_8(body: bytes) -> None:
    """A decoder skips over what it does not decode, whatever its bytes."""
    event = b'{"type":"track","messageId":"m","userId":"u","event":"E"}'
    answer = process("heap", find_destinations()["heap"], body % (event, b'{"appId":"11"}'), str)
    assert json.loads(answer.decode())


@pytest.mark.parametrize("messages", [[TRACK], [TRACK, None]], ids=["decoded", "apart"])
def test_metadata_that_names_no_destination_costs_its_neighbours_nothing(messages: Any) -> None:
    """In the compacted form each job is looked at by itself, whatever stands in another one."""
    named = {"destinationId": "d1"}
    odd: list[Any] = [{"destinationId": 5}, [], {}, {"a": named}, {"destinationId": "d3"}]
    listed = [
        {"message": message, "metadata": metadata}
        for message in messages
        for metadata in (named, *odd, {**odd[0], "a": 1}, named)
    ]
    body = json.dumps({"input": listed, "destinations": {"d1": HEAP, "d2": 2}}).encode()
    given = [json.loads(bytes(job.destination)) for job in each_job(body)]
    assert given == [HEAP, *[None] * 6, HEAP] * len(messages)


def test_a_long_end_of_metadata_is_not_copied() -> None:
    """Beside a request of 200 MiB, its copies would take three times as much memory."""
    name = "Ada" * 1_000_000
    metadata = {"jobId": 1, "destinationId": "d1", "name": name}
    items = [{"message": TRACK, "metadata": metadata}]
    body = json.dumps(
        {"input": items, "destinations": {"d1": HEAP}}, separators=(",", ":")
    ).encode()
    tracemalloc.start()
    given = [json.loads(bytes(job.destination)) for job in each_job(body)]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert given == [HEAP]
    assert most < 2 * len(body)


ids = st.sampled_from(["d1", "d2", "", "d\u00e9", 'd"', "d\\", "destinationId"])
names = st.sampled_from(["destinationId", 'a"destinationId', "jobId", "{", "\\"])
anything = st.dictionaries(names, ids | st.dictionaries(names, ids, max_size=2), max_size=3)
# An address that is no text, with one behind it that is one, is not said to be either.
members = anything.filter(lambda one: isinstance(one.get("destinationId", ""), str))
blanks = st.sampled_from([(",", ":"), (", ", ": "), (",", " :")])


@given(
    is_ascii=st.booleans(),
    parts=st.lists(members, min_size=1, max_size=3),
    beginnings=st.lists(members, min_size=1, max_size=12),
    separators=blanks,
)
@example(
    is_ascii=True,
    parts=[{}],
    beginnings=[
        {"destinationId": "d1"},
        {'a"destinationId': "d1"},
        {"a": {"destinationId": "d1"}},
    ],
    separators=(",", ":"),
)
@settings(deadline=None, max_examples=400)
def test_the_address_is_what_a_decoder_reads(
    parts: list[dict[str, Any]],
    beginnings: list[dict[str, Any]],
    separators: tuple[str, str],
    *,
    is_ascii: bool,
) -> None:
    """Whatever else metadata holds: names twice, names as values, names within others, escapes."""

    def written(*found: dict[str, Any]) -> str:
        texts = [json.dumps(one, separators=separators, ensure_ascii=is_ascii) for one in found]
        return "{" + ",".join(filter(None, (text[1:-1] for text in texts))) + "}"

    listed = [written(beginning, *parts) for beginning in beginnings]
    destinations = {"d1": 1, "d2": 2, "d\u00e9": 3, 'd"': 4, "destinationId": 5, "": 6}
    wanted = [address(metadata) for metadata in listed]
    items = ",".join(f'{{"message":{json.dumps(TRACK)},"metadata":{one}}}' for one in listed)
    body = f'{{"input":[{items}],"destinations":{json.dumps(destinations)}}}'
    found = [json.loads(bytes(job.destination)) for job in each_job(body.encode())]
    assert found == [destinations.get(one) for one in wanted]


def address(metadata: str) -> str:
    """Read an address as a decoder does. One that is no text counts as none."""
    try:
        return msgspec.json.decode(metadata, type=Addressed).destination_id
    except msgspec.ValidationError:
        return ""
