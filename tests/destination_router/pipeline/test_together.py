"""Several messages take each step together; each becomes what it becomes alone, by every step.

Modules: `pipeline/connection.py`.
"""

from __future__ import annotations

import functools
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.bench import find_cases
from conformance.case import load_cases
from destination_router.contract.messages import MESSAGE_TYPES
from destination_router.pipeline import connection as connection_module
from destination_router.pipeline.connection import AT_ONCE, Connection, Decision
from destination_router.pipeline.normalise import normalise
from destination_router.plugins.loading import load_plugin
from destination_router.settings.errors import SettingsError

BROKEN = [b"{", b"[]", b'{"type": "nope"}', b'{"type": "track", "userId": {}}', b"\xff"]


@functools.cache
def sent() -> dict[str, list[bytes]]:
    """Give the messages of all of Heap's cases, by the settings that they are sent with."""
    folder = find_cases("heap")
    assert folder is not None
    found: dict[str, list[bytes]] = {}
    for case in load_cases(folder).cases:
        raws = [json.dumps(message).encode() for message in case.sent]
        found.setdefault(json.dumps(case.settings, sort_keys=True), []).extend(raws)
    return {given_settings: raws for given_settings, raws in found.items() if fits(given_settings)}


def fits(given_settings: str) -> bool:
    try:
        return bool(connected(given_settings))
    except SettingsError:
        return False


def connected(given_settings: str = '{"appId": "11"}', **more: Any) -> Connection:
    return Connection("heap", load_plugin("heap"), json.loads(given_settings), **more)


def alone(connection: Connection, raw: bytes) -> Decision:
    return connection.decide(raw)


@pytest.mark.parametrize("given_settings", list(sent()))
def test_together_is_as_alone(given_settings: str) -> None:
    """Whatever stands beside it; more of them than take a step together."""
    connection = connected(given_settings)
    raws = [raw for case in sent()[given_settings] for raw in (case, *BROKEN[:1])] + BROKEN * 5
    raws *= AT_ONCE // len(raws) + 1
    assert len(raws) > AT_ONCE
    assert connection.decide_all(raws) == [alone(connection, raw) for raw in raws]


texts = st.sampled_from(
    ["ada", "", " ada ", "null", "0", "Paid", "a" * 300, "2026-11-22T10:00:00Z"]
)
scalars = texts | st.none() | st.booleans() | st.integers(-3, 2**54) | st.floats(allow_nan=False)
objects = st.dictionaries(
    st.sampled_from(["plan", "name", "email", "id", "a.b", "", "k" * 1100, "anonymousId"]),
    st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["b", "c", ""]), inner, max_size=3)
        ),
        max_leaves=5,
    ),
    max_size=5,
)
times = st.sampled_from(
    [
        *("2026-11-22T10:00:00.000Z", "2026-11-22T10:00:00Z", "2026-11-22 10:00:00+01:00"),
        *("0001-01-01T00:00:00.000Z", "2026-W47-7T10:00:00.000Z", "2026-11-22T24:00:00.000Z"),
        *("1969-12-31T23:59:59.999Z", "2026-13-22T10:00:00.000Z", " 2026-11-22T10:00:00Z", "soon"),
    ]
)
whom: list[Any] = [{}, {"All": True}, {"All": False}, {"Heap": {"identity": "eve"}}]
integrations = st.sampled_from(
    [
        *whom,
        *({"heap": False}, {"Heap": True}),
        *({"All": True, "Heap": {"user_id": "7", "session_id": 8}}, {"all": True}, None, []),
    ]
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(list(MESSAGE_TYPES)), "messageId": texts | st.just("m1")},
    optional={
        **dict.fromkeys(("userId", "anonymousId", "groupId", "previousId", "event"), texts),
        **dict.fromkeys(("name", "category", "email"), scalars),
        **dict.fromkeys(("properties", "traits"), objects),
        **dict.fromkeys(("timestamp", "originalTimestamp", "receivedAt"), times),
        "context": st.fixed_dictionaries({}, optional={"traits": objects, "page": objects}),
        "integrations": integrations,
        "rudderId": texts,
    },
)


@given(st.lists(messages, min_size=1, max_size=6), st.sampled_from(list(sent())))
@settings(deadline=None, max_examples=120)
def test_a_hook_that_is_asked_straight_away_says_what_it_says_else(
    some: list[dict[str, Any]], given_settings: str
) -> None:
    """A connection with nothing between message and hook takes the way of one with something."""
    quick, slow = _both(given_settings)
    raws = [json.dumps(message).encode() for message in some]
    assert quick.decide_all(raws) == [slow.decide(raw) for raw in raws]


@functools.cache
def _both(given_settings: str) -> tuple[Connection, Connection]:
    quick, slow = connected(given_settings), connected(given_settings)
    assert quick._direct
    slow._direct = {}
    return quick, slow


def test_a_message_that_is_decoded_already_is_decided_alike() -> None:
    """As one that is read from its JSON."""
    connection = connected()
    for raws in sent().values():
        for raw in raws:
            decided = connection.decide(raw)
            if decided.result == "requests" and not decided.notes:
                assert connection.decide_message(normalise(raw)) == decided


def test_what_stands_between_a_message_and_its_hook_is_not_left_out() -> None:
    """Only a connection that does nothing to messages before they are mapped asks at once."""
    assert connected(client_side=True)._direct == {}
    assert set(connected()._direct) == set(MESSAGE_TYPES.values())
    elsewhere = connected(sources=["shop"])
    reasons = [d.result for d in elsewhere.decide_all([b"{}", b"{}"], ["shop", "app"])]
    assert reasons == ["rejected", "filtered"]


def test_messages_that_cannot_be_read_together_are_read_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory that is too short for all of them may do for each."""
    if not str(connection_module.__file__).endswith(".py"):
        pytest.skip("compiled, it calls the next step without looking for it")
    connection = connected()
    raws = [*sent()['{"appId": "11"}'][:20], *BROKEN]
    expected = connection.decide_all(raws)

    def too_much(_: object) -> Any:
        raise MemoryError

    monkeypatch.setattr("destination_router.pipeline.connection.well_formed_all", too_much)
    assert connection.decide_all(raws) == expected


@pytest.mark.parametrize("long", [[*range(100)], [7]], ids=["all", "one"])
def test_long_messages_are_not_decoded_all_at_once(long: list[int]) -> None:
    """Decoded, they take six times as much; what is decided of them is the same."""
    connection = connected()
    many = {f"property {n}": {"number": n, "text": "x" * 30} for n in range(4000)}
    raws = [
        json.dumps(
            {
                "type": "track",
                "messageId": f"m{n}",
                "userId": "u",
                "event": "Ordered",
                "integrations": {"All": n % 2 == 1},
                "properties": many if n in long else {"number": n},
            }
        ).encode()
        for n in range(100)
    ]
    filtered = raws[::2]
    tracemalloc.start()
    try:
        connection.decide_all(filtered)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 20_000_000
    assert connection.decide_all(raws) == [alone(connection, raw) for raw in raws]
