"""Whatever is thrown at the router, Heap gets what it accepts, or the sender gets a code."""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from heap_destination.simulator import create_simulator

CONNECTIONS = [
    Connection("heap", load_plugin("heap"), {"appId": "11", **more})
    for more in (
        {},
        {"anonymousEvents": "stitch", "accountIdProperty": "company", "region": "EU"},
        {"anonymousEvents": "reject"},
    )
]
SIMULATOR = create_simulator(rate_limits=False).state.heap

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["x" * 1024, "\N{GRINNING FACE}" * 1100, "null", "0", "", " ", "k" * 300])
)
keys = st.text(max_size=8) | st.sampled_from(
    ["id", "ID", "_id", "user_id", "Email", "email", "a", "a.b", "", "n" * 1024]
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(keys, json_values, max_size=6)
ids = st.sampled_from(["ada", "null", "Guest", "0", " ada ", "x" * 256, "", 7, None]) | scalars
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["identify", "track", "page", "screen", "group", "alias"])},
    optional={
        "messageId": ids,
        "userId": ids,
        "anonymousId": ids,
        "groupId": ids,
        "previousId": ids,
        "event": st.text(max_size=10) | st.just("e" * 1025) | json_values,
        "name": json_values,
        "category": json_values,
        "properties": objects | json_values,
        "traits": objects | json_values,
        "context": st.fixed_dictionaries({"traits": objects | json_values}) | json_values,
        "timestamp": st.datetimes().map(str) | json_values,
        "originalTimestamp": json_values,
        "integrations": st.fixed_dictionaries(
            {},
            optional={
                "All": json_values,
                "Heap": st.fixed_dictionaries(
                    {}, optional={"identity": ids, "user_id": ids, "session_id": ids}
                ),
            },
        )
        | json_values,
    },
)


def check(raw: bytes) -> None:
    for connection in CONNECTIONS:
        decision = connection.decide(raw)
        match decision.result:
            case "requests":
                assert decision.requests
                for request in decision.requests:
                    path = request.url.removeprefix(connection.settings.base_url)
                    body = msgspec.json.encode(request.json)
                    answer = SIMULATOR.answer(request.method, path, body)
                    assert (answer.status, answer.body) == (200, "{}")
            case "rejected":
                assert decision.reject is not None
                assert decision.reject.code
                assert decision.reject.code != "plugin_error"
            case "filtered":
                assert decision.reason


@settings(max_examples=400, deadline=None)
@given(messages)
def test_near_messages(message: dict[str, Any]) -> None:
    """A message of any shape becomes requests that the simulated Heap accepts, or a code."""
    check(json.dumps(message).encode())


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_any_json(value: Any) -> None:
    """Any JSON value gets an answer."""
    check(json.dumps(value).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    """Any bytes get an answer."""
    check(raw)
