"""A connection as an object: pure, and the same for every host.

Modules: `hosting/host_connection.py`, `configuration.py`, `wire_message.py`.
"""

from __future__ import annotations

import base64
import gzip
from types import MappingProxyType, SimpleNamespace
from typing import Any

import msgspec
import pytest

import heap_destination.plugin
from destination_router import (
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    HostedConnection,
    HttpRequest,
    HttpResponse,
    Ignored,
    Outcome,
    RenderedRequest,
    connect,
    hookimpl,
    parse_message,
)

URL = "https://v.example/a"
EVENT = {"type": "track", "messageId": "m-1", "userId": "ada", "event": "Program Published"}
HEAP = connect("heap", {"appId": "11"})


@pytest.mark.parametrize(
    "message",
    [EVENT, msgspec.json.encode(EVENT), msgspec.json.encode(EVENT).decode(), parse_message(EVENT)],
)
def test_a_message_may_come_in_any_form(message: Any) -> None:
    """The decision is the same."""
    decision = HEAP.decide(message)
    assert (decision.result, decision.message_id) == ("requests", "m-1")
    (request,) = decision.requests
    assert request.json["event"] == "Program Published"
    assert request.message_ids == ("m-1",)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({**EVENT, "userId": None}, "missing_identity"),
        (b"{", "invalid_json"),
        ("[]", "not_an_object"),
        ({"when": object()}, "invalid_json"),
        (5, "invalid_json"),
    ],
)
def test_what_cannot_be_sent_is_a_decision_too(message: Any, code: str) -> None:
    """Nothing raises; a bad message takes no neighbour along."""
    decision = HEAP.decide(message)
    assert decision.result == "rejected"
    assert decision.reject is not None
    assert decision.reject.code == code


def test_a_message_without_an_id_has_the_same_one_every_time() -> None:
    """A repeat is known for one, and nothing is drawn by chance."""
    bare = {"type": "track", "userId": "ada", "event": "E"}
    first, again, other = (HEAP.decide(each).message_id for each in (bare, bare, {**bare, "a": 1}))
    assert first == again != other


def test_what_is_filtered_says_why() -> None:
    """In the destination's own words."""
    alias = {"type": "alias", "messageId": "m-1", "userId": "ada", "previousId": "a"}
    decision = connect("heap", {"appId": "11"}, subscription='type = "alias"').decide(alias)
    assert decision.result == "filtered"
    assert "anonymousEvents" in (decision.reason or "")


def test_requests_are_packed_and_their_answer_is_read() -> None:
    """A bulk carries its messages, and each gets its outcome."""
    decided = [HEAP.decide({**EVENT, "messageId": f"m-{n}"}) for n in range(3)]
    (bulk,) = HEAP.pack(request for each in decided for request in each.requests)
    assert bulk.message_ids == ("m-0", "m-1", "m-2")
    assert HEAP.outcomes(bulk, HttpResponse(status=200)) == dict.fromkeys(
        bulk.message_ids, Outcome.delivered()
    )
    waits = HEAP.outcomes(bulk, HttpResponse(status=503, headers={"retry-after": "7"}))
    assert {(one.result, one.after) for one in waits.values()} == {("retry", 7.0)}
    assert HEAP.pack([]) == []


@pytest.mark.parametrize(
    "destination", ["heap", "heap_destination.plugin", heap_destination.plugin]
)
def test_a_destination_is_found_by_entry_point_or_module(destination: Any) -> None:
    """It is called the same."""
    heap = connect(destination, {"appId": "11"})
    assert isinstance(heap, HostedConnection)
    assert heap.name == "heap"


@pytest.mark.parametrize(
    ("destination", "settings", "more", "problems"),
    [
        ("haep", {}, {}, ("no plugin called 'haep' is installed; did you mean 'heap'?",)),
        ("no.such", {}, {}, ("module 'no.such' does not import: ModuleNotFoundError: No module",)),
        (SimpleNamespace(), {}, {}, ("settings_schema",)),
        ("heap", {"appId": "x"}, {"subscription": "type ="}, ("appId: ", "subscription: ")),
        (
            "heap",
            {"appId": "x"},
            {
                "mapping": {"track": {"identiy": 1}},
                "transformations": [{"drop": []}],
                "privacy": {"mode": "hipaa"},
            },
            (
                "appId: ",
                "mapping.track.identiy: ",
                "transformations.0: drop",
                "privacy.allow: ",
                "privacy.keys: ",
            ),
        ),
        (
            "heap",
            {"appId": "11"},
            {"consent": [{"provider": "oneTrus", "categories": ["a"]}], "privacy": 3},
            ("consent.0.provider: ", "privacy: must be a table"),
        ),
        (
            "heap",
            {"appId": "11"},
            {"subscriptions": [{"subscription": 'type = "track"'}], "mapping": {}},
            ("subscriptions: stands beside",),
        ),
        ("heap", {"region": "MARS", "colour": 1}, {}, ("appId: ", "region: ", "colour: ")),
    ],
)
def test_everything_that_is_wrong_is_told_at_once(
    destination: Any, settings: Any, more: Any, problems: tuple[str, ...]
) -> None:
    """In words that name the setting, and show no value."""
    with pytest.raises(ConfigurationError) as caught:
        connect(destination, settings, **more)
    assert len(caught.value.problems) == len(problems)
    assert all(any(words in told for told in caught.value.problems) for words in problems)
    assert "MARS" not in str(caught.value)


def test_what_stands_beside_the_settings_of_a_router_toml_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the same words, and it does the same."""
    monkeypatch.setenv("MASKING_KEY", "0123456789abcdef" * 4)
    event = {
        **EVENT,
        "properties": {"plan": "pro", "city": "Ulm"},
        "traits": {"email": "a@b.example"},
    }

    def sent(**tables: Any) -> list[Any]:
        return [
            each.json for each in connect("heap", {"appId": "11"}, **tables).decide(event).requests
        ]

    (mapped,) = sent(mapping={"track": {"identity": {"@path": "$.traits.email"}}})
    assert mapped["identity"] == "a@b.example"
    (transformed,) = sent(transformations=[{"delete": ["properties.city"]}])
    assert transformed["properties"] == {"plan": "pro"}
    (private,) = sent(
        privacy={
            "mode": "hipaa",
            "allow": {"events": [EVENT["event"]], "properties": ["plan"]},
            "keys": {"v1": {"env": "MASKING_KEY"}},
        }
    )
    assert private["properties"] == {"plan": "pro"}
    assert "ada" not in private["identity"]
    assert sent(consent=[{"provider": "ketch", "categories": ["a"], "when_absent": "filter"}]) == []
    subscriptions = [{"subscription": 'event = "Another"'}, {"subscription": 'type = "track"'}]
    assert len(sent(subscriptions=subscriptions)) == 1
    assert len(sent(subscriptions=tuple(subscriptions))) == 1
    assert sent(mapping=MappingProxyType({"track": {"identity": "eve"}}))[0]["identity"] == "eve"


def test_a_secret_is_looked_up_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are those of a router.toml."""
    monkeypatch.setenv("HEAP_APP_ID", "4711")
    (request,) = connect("heap", {"appId": {"env": "HEAP_APP_ID"}}).decide(EVENT).requests
    assert request.json["app_id"] == "4711"


@pytest.mark.parametrize(
    ("request_", "headers", "content"),
    [
        (HttpRequest(url=URL, json={"a": 1}), {"Content-Type": "application/json"}, b'{"a":1}'),
        (HttpRequest(url="https://v.example/a", form={"a": "b c"}, headers={"X": "1"}),
         {"X": "1", "Content-Type": "application/x-www-form-urlencoded"}, b"a=b+c"),
        (HttpRequest(url="https://v.example/a", content=b"\xff", content_type="a/b"),
         {"Content-Type": "a/b"}, b"\xff"),
        (HttpRequest(url=URL, auth=BearerAuth("t")), {"Authorization": "Bearer t"}, None),
        (HttpRequest(url="https://v.example/a", auth=BasicAuth("u", "p")),
         {"Authorization": "Basic " + base64.b64encode(b"u:p").decode()}, None),
    ],
)  # fmt: skip
def test_a_request_is_rendered_for_any_client(
    request_: HttpRequest, headers: dict[str, str], content: bytes | None
) -> None:
    """With its type and its credentials, which its representation does not show."""
    rendered = HEAP.rendered(request_)
    assert isinstance(rendered, RenderedRequest)
    assert (rendered.method, rendered.url) == ("POST", "https://v.example/a")
    assert (rendered.headers, rendered.content) == (headers, content)
    assert "Authorization" not in repr(rendered)
    packed = HEAP.rendered(msgspec.structs.replace(request_, gzip=True, params={"i": ("1", "2")}))
    assert packed.url == "https://v.example/a?i=1&i=2"
    if content is not None:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.content or b"") == content


def test_a_module_of_ones_own_is_a_destination() -> None:
    """It need not be installed."""

    @hookimpl
    def settings_schema() -> dict[str, Any]:
        return {"type": "object", "additionalProperties": False, "properties": {}}

    @hookimpl
    def on_track() -> Ignored:
        return Ignored("there is no use for events here")

    module = SimpleNamespace(
        __name__="own", settings_schema=settings_schema, on_track=on_track, on_identify=on_track
    )
    assert connect(module, {}).decide(EVENT).reason == "there is no use for events here"
