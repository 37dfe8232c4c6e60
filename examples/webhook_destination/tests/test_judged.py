"""Whatever comes in, what goes out is what the simulated receiver takes: they share no code."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router import BasicAuth, BearerAuth, HttpRequest, Ignored, Reject, parse_message
from webhook_destination import plugin

URL = "https://hooks.example/in"
SIGNED: dict[str, Any] = {"signature": {"secret": "a-shared-secret"}}
CHOSEN: dict[str, dict[str, Any]] = {
    "plain": {},
    "signed": SIGNED,
    "segment": {"format": "segment", **SIGNED},
    "form": {"body": "form", **SIGNED},
    "lines": {"body": "ndjson", "batch": {"maxEvents": 3}, **SIGNED},
    "batch": {"batch": {"maxEvents": 3}, "bearerToken": "t", **SIGNED},
    "headers": {
        "headers": [{"from": "X-Key", "to": "k"}],
        "basicAuth": {"username": "u", "password": "p"},
    },
    "base64": {
        "signature": {"secret": "s", "encoding": "base64", "prefix": "v1=", "header": "X-S"}
    },
    "get": {"webhookMethod": "GET"},
}

names = st.sampled_from(["", "x-key", "x-signature", "host", "x-a", "é"]) | st.text(max_size=6)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("\u2028")
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(names, values, max_size=4)
paths = st.one_of(
    st.none(),
    st.sampled_from(["/a b", "?q=1&q=2", "@x.example", "\\x", URL, "//x", ":8/", "/é#f", 7]),
    st.text(max_size=8),
)
messages = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["identify", "track", "page", "screen", "group", "alias"]),
        "messageId": st.just("m-1"),
        "userId": st.none() | st.text(max_size=8),
        "anonymousId": st.none() | st.text(max_size=8),
        "previousId": st.just("p"),
        "groupId": st.just("g"),
        "event": st.none() | st.text(max_size=8),
        "properties": objects,
        "traits": objects,
        "context": objects,
        "header": st.none() | objects,
        "fullPath": paths,
        "appendPath": paths,
    }
)


def judged(hook: Any, request: HttpRequest) -> int:
    """Put a request to the simulated receiver as a host would send it."""
    assert request.url.startswith("https://hooks.example")
    headers = dict(request.headers)
    options: dict[str, Any] = {"params": dict(request.params), "headers": headers}
    if request.content is not None:
        options["content"] = request.content
        headers["content-type"] = request.content_type
    if isinstance(request.auth, BearerAuth):
        headers["authorization"] = f"Bearer {request.auth.token}"
    if isinstance(request.auth, BasicAuth):
        options["auth"] = (request.auth.username, request.auth.password)
    path = request.url.removeprefix("https://hooks.example") or "/"
    return int(hook.request(request.method, f"/x{path}", **options).status_code)


@pytest.mark.parametrize("choice", CHOSEN)
def test_arbitrary_messages_become_what_is_taken_or_a_reason(
    simulated: Callable[..., Any], choice: str
) -> None:
    """Requests that the receiver takes, an Ignored, or a Reject: never anything else."""
    chosen = plugin.configure({"webhookUrl": URL, **CHOSEN[choice]})
    app = plugin.simulator(chosen)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.lists(messages, min_size=1, max_size=4))
    def holds(given_messages: list[dict[str, Any]]) -> None:
        hook = simulated()
        hook.app = app
        singles: list[HttpRequest] = []
        for number, message in enumerate(given_messages):
            with contextlib.suppress(Reject):
                parsed = parse_message(json.dumps({**message, "messageId": f"m-{number}"}).encode())
                made = plugin.on_track(parsed, chosen)
                singles += [] if isinstance(made, Ignored) else made
        stamped = [
            msgspec.structs.replace(single, message_ids=(f"m-{n}",))
            for n, single in enumerate(singles)
        ]
        assert {judged(hook, single) for single in stamped} <= {200}
        assert {judged(hook, packed) for packed in plugin.pack(stamped, chosen)} <= {200}

    holds()
