"""In HIPAA mode nothing that was not allowlisted leaves the pipeline, whatever the message.

Modules: `pipeline/privacy/hipaa.py`.
"""

import base64
import json
import re
from collections.abc import Iterator
from functools import cache, partial
from typing import Any
from urllib.parse import quote

import leaks
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router import Field, HttpRequest, Message, Note, Reject, hookimpl
from destination_router.config.router_toml import ConnectionConfig, SharedConfig
from destination_router.pipeline.connection import Connection, Decision, configured
from destination_router.pipeline.paths import everything
from destination_router.plugins.loading import check_destination, load_plugin

ALLOW = {
    "events": ["Paid"],
    "pages": ["Home", ""],
    "screens": ["Home"],
    "properties": ["plan", "items.sku", "address.city", "link", "open.*"],
    "traits": ["plan", "address.city"],
    "group_traits": ["plan"],
    "context": ["page.url", "page.path", "locale", "app.name"],
    "integrations": ["session_id"],
    "root": ["note"],
}
PRIVACY = {"allow": ALLOW, "identifiers": ["properties.email", "traits.email", "context.device.id"]}
NAMES = {"plan", "items", "sku", "address", "city", "link", "open", "page", "url", "path"}
KEYS = {"keys": {"v1": {"env": "MASKING_KEY_1"}}}
CALLS = ("identify", "track", "page", "screen", "group", "alias")


class Gossip:
    """A destination that tells everyone everything it can get hold of."""

    @hookimpl
    def settings_schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": False, "properties": {}}

    @hookimpl
    def fields(self) -> dict[str, list[Field]]:
        field = Field(name="extra", type="object", description="anything")
        return {call: [field] for call in CALLS}

    @hookimpl
    def on_identify(self, message: Message) -> list[HttpRequest]:
        return told(message)

    @hookimpl
    def on_track(self, message: Message) -> list[HttpRequest]:
        if message.other("note") == "ok-reject":
            raise Reject("gossip", json.dumps(everything(message)))
        return told(message)

    @hookimpl
    def on_page(self, message: Message) -> list[HttpRequest]:
        return told(message)

    @hookimpl
    def on_screen(self, message: Message) -> list[HttpRequest]:
        return told(message)

    @hookimpl
    def on_group(self, message: Message) -> list[HttpRequest]:
        return told(message)

    @hookimpl
    def on_alias(self, message: Message) -> list[HttpRequest]:
        return told(message)


def told(message: Message) -> list[HttpRequest]:
    words = repr((message, message.__dict__, message.context_json))
    body = [everything(message), message.to_dict(), message.wire, message.context]
    body += [message.context_traits, message.mapped, message.integrations]
    body += [message.options("gossip"), words]
    notes = (Note("gossip", words, words),)
    return [HttpRequest(url="https://vendor.example", json=body, notes=notes)]


@pytest.fixture(autouse=True, scope="module")
def _key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKING_KEY_1", "0123456789abcdef0123456789abcdef")
        yield


@cache
def gossip() -> Connection:
    """A HIPAA connection, with a mapping that asks for the whole message."""
    whole = {"extra": {"@path": "$"}}
    config = ConnectionConfig(
        name="production",
        plugin="gossip",
        mapping=dict.fromkeys(CALLS, whole),
        privacy={"mode": "hipaa", **PRIVACY},
        shared=SharedConfig(privacy={**PRIVACY, **KEYS}),
        transformations=(
            {"copy": {"properties.secret": "properties.copied", "userId": "traits.id"}},
            {"builtin": {"properties.ip": "context.ip"}},
            {"convert": {"properties.age": "integer"}},
        ),
    )
    return configured(config, check_destination(Gossip(), "gossip", "gossip 1.0"))


# -- any message --------------------------------------------------------------------------------

SECRETS = st.one_of(
    st.text(st.characters(exclude_categories=["Cc"]), min_size=8, max_size=24).map("Zq{}".format),
    st.from_regex(r"[a-z]{6,12}\.[a-z]{6,12}@example\.com", fullmatch=True),
    st.from_regex(r"[a-z]{8,12}", fullmatch=True).map(
        lambda t: base64.b64encode(t.encode()).decode()
    ),
    st.text(min_size=8, max_size=16).map(lambda t: "Zq" + quote(t.encode("utf-8", "replace"))),
)
NUMBERS = st.integers(min_value=10**9, max_value=10**15)
LEAVES = SECRETS | NUMBERS
KEYS_OF = SECRETS  # a name on the lists would let what stands there pass, as it should
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS_OF, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(SECRETS, TREES, max_size=2)
"""Small, because a message has a score of each: Hypothesis throws away a message that takes it more
than 8 KB of choices, and fails a test of which that is true too often. It was of two in five."""

_quoted = partial(quote, safe="", errors="replace")
SPELT = st.sampled_from([str, _quoted, lambda text: _quoted(_quoted(text))])
LEADS = st.sampled_from(
    ["https://", "//", "https:\\\\", "\ufeffhttps://", "ht\ntps:/", " HTTPS:///"]
)
ENDS = st.sampled_from(["?q=", "#", ";v=", "&q=", "%3Fq=", "%253f", "\uff1fq=", "\\u003fq=", "/?/"])
"""What begins what a URL carries."""


@st.composite
def urls(draw: st.DrawFn) -> str:
    """A URL with secrets wherever it carries something: a new kind of string, known by its mark."""
    first, second = (draw(SPELT)(draw(SECRETS)) for _ in range(2))
    # What stands before the first at sign that is no host's is cut by the URL's own rules.
    user = first.replace("/", "-").replace("\\", "-").replace("?", "-").replace("#", "-")
    return draw(
        st.sampled_from(
            [
                f"{draw(LEADS)}{user}@ok.example/ok{draw(ENDS)}{second}",
                f"{draw(LEADS)}{user}:{user}%40ok.example",
                f"{user}:{user}@ok.example/ok",
                f"mailto:{user}@ok.example{draw(ENDS)}{second}",
                f"/ok{draw(ENDS)}{second}",
            ]
        )
    )


def carried(url: str) -> set[str]:
    """What of such a URL is a secret: its longest words, as they stand in it."""
    words = re.split(r"https|HTTPS|mailto|ok\.example|q=|v=|u003f|[^\w.+-]", url)
    return {word for word in words if len(word) > 7}


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """A message full of secrets, in the places where they stand and where they should not."""
    properties = {
        **draw(OBJECTS),
        "email": draw(SECRETS),
        "secret": draw(TREES),
        "age": draw(LEAVES),
        "link": draw(urls()),
        "plan": draw(st.just("ok-plan") | urls()),
        "items": [{"sku": "ok-sku", **draw(OBJECTS)}, draw(LEAVES)],
        "address": {"city": draw(st.just("ok-city") | OBJECTS), **draw(OBJECTS)},
        "address.street": draw(LEAVES),
    }
    traits = {"plan": draw(st.just("ok-plan") | OBJECTS), "email": draw(SECRETS), **draw(OBJECTS)}
    context = {
        **draw(OBJECTS),
        "ip": draw(SECRETS),
        "userAgent": draw(SECRETS),
        "device": {"id": draw(LEAVES), "advertisingId": draw(SECRETS)},
        "location": draw(OBJECTS),
        "locale": "ok-locale",
        "page": {"url": draw(urls()), "search": draw(SECRETS), "path": draw(urls())},
        "traits": traits,
    }
    options = {**draw(OBJECTS), "session_id": "ok-session", "identity": draw(SECRETS)}
    return {
        **draw(OBJECTS),
        "type": draw(st.sampled_from(CALLS) | SECRETS),
        "messageId": draw(LEAVES),
        "userId": draw(LEAVES),
        "anonymousId": draw(LEAVES),
        "groupId": draw(LEAVES),
        "previousId": draw(LEAVES),
        "event": draw(st.just("Paid") | SECRETS),
        "name": draw(st.just("Home") | SECRETS),
        "category": draw(SECRETS),
        "channel": draw(SECRETS),
        "timestamp": draw(st.just("2026-11-22T00:00:00Z") | LEAVES),
        "sentAt": draw(SECRETS),
        "request_ip": draw(SECRETS),
        "note": draw(st.sampled_from(["ok-note", "ok-reject"])),
        "properties": draw(st.just(properties) | TREES),
        "traits": draw(st.just(traits) | TREES),
        "context": draw(st.just(context) | TREES),
        "integrations": draw(st.just({"All": True, "production": options}) | TREES),
    }


def secrets_of(message: dict[str, Any]) -> set[str]:
    """Every string of a message that is no name or value which the allowlists pass."""
    found = set(leaks.strings(message)) - {message["type"]} | {message["type"]} - set(CALLS)
    known = {"Paid", "Home", "2026-11-22T00:00:00Z", "True", *NAMES, *ALLOW, *ALLOW["context"]}
    fields = {"properties", "traits", "context", "integrations", "type", "request_ip", "note"}
    links = {text for text in found if "ok.example" in text or text.startswith("/ok")}
    parts = {part for url in links for part in carried(url)}
    return {
        text
        for text in found - links | parts
        if len(text) > 7 and text not in known | fields and not text.startswith("ok-")
    } - _SPELT


_SPELT = frozenset(
    {
        "messageId", "anonymousId", "previousId", "timestamp", "category", "userAgent",
        "advertisingId", "location", "session_id", "identity", "production", "address.street",
    }
)  # fmt: skip
"""Names that the message format or the configuration writes: no secrets, whoever sends them."""


def outputs(connection: Connection, raw: bytes) -> list[str]:
    """Everything that comes out of the pipeline for a message, as text."""
    decision = connection.decide(raw)
    kept = connection.kept(raw)
    again = connection.decide(kept)
    steps = connection.steps(raw)
    shown = [connection.shown(r) for d in (decision, again) for r in d.requests]
    return [
        repr(decision),
        msgspec.json.encode([decision, again, shown, steps]).decode(),
        kept.decode(),
        repr(again),
        repr(steps),
    ]


@settings(deadline=None, max_examples=60)
@given(messages())
def test_no_secret_leaves_the_pipeline(message: dict[str, Any]) -> None:
    """No string that was not allowlisted occurs in a request, note, rejection or dead letter."""
    secrets = secrets_of(message)
    found = leaks.leaked(secrets, outputs(gossip(), json.dumps(message).encode()))
    assert not found


@settings(deadline=None, max_examples=60)
@given(messages(), st.integers(min_value=1, max_value=400))
def test_no_secret_leaves_an_unreadable_message(message: dict[str, Any], end: int) -> None:
    """What cannot be read cannot be masked, so nothing of it is kept."""
    raw = json.dumps(message).encode()[:-end] + b"\xff"
    assert not leaks.leaked(secrets_of(message), outputs(gossip(), raw))


@settings(deadline=None, max_examples=60)
@given(messages())
def test_no_secret_leaves_a_real_destination(message: dict[str, Any]) -> None:
    """The same, through the rules of a destination that people use."""
    config = ConnectionConfig(
        name="production",
        plugin="heap",
        settings={"appId": "11"},
        privacy={"mode": "hipaa", **PRIVACY},
        shared=SharedConfig(privacy={**PRIVACY, **KEYS}),
    )
    connection = configured(config, load_plugin("heap"))
    raw = json.dumps(message).encode()
    assert not leaks.leaked(secrets_of(message), outputs(connection, raw))


def test_a_message_of_another_source_is_named_by_its_masked_id() -> None:
    """As one that the connection takes: traces show the id of both."""
    config = ConnectionConfig(
        name="heap",
        plugin="heap",
        settings={"appId": "11"},
        sources=("shop",),
        privacy={"mode": "hipaa", "allow": {"events": ["Paid"]}},
        shared=SharedConfig(privacy={"allow": {"events": ["Paid"]}, **KEYS}),
    )
    made = configured(config, load_plugin("heap"))
    raw = b'{"type": "track", "userId": "u", "event": "Paid", "messageId": "ada@example.com 1"}'
    taken, elsewhere = made.decide_all([raw, raw], ["shop", "app"])
    assert (taken.result, elsewhere.result) == ("requests", "filtered")
    assert elsewhere.message_id == taken.message_id
    assert "ada" not in repr(elsewhere)


def test_the_search_finds_what_it_looks_for() -> None:
    """Without HIPAA mode the same message leaks, in each encoding that is looked for."""
    config = ConnectionConfig(name="open", plugin="gossip")
    connection = configured(config, check_destination(Gossip(), "gossip", "gossip 1.0"))
    message = {"type": "track", "event": "Paid", "userId": "Zq-ada-lovelace"}
    decision: Decision = connection.decide(json.dumps(message).encode())
    assert leaks.leaked({"Zq-ada-lovelace"}, [repr(decision)])
    for hidden in (
        base64.b64encode(b"xZq-ada-lovelace!").decode(),
        "ZQ-ADA-LOVELACE",
        b"Zq-ada-lovelace".hex(),
    ):
        assert leaks.leaked({"Zq-ada-lovelace"}, [hidden])
    assert leaks.leaked({"Zq ada@é"}, [quote("Zq ada@é")])


def test_what_is_allowlisted_passes() -> None:
    """Protection is no reason to lose what may be seen."""
    properties = {"plan": "ok-plan", "items": [{"sku": "ok-sku", "x": 1}], "open": {"a": {"b": 1}}}
    message = {"type": "track", "event": "Paid", "userId": "ada", "properties": properties}
    decision = gossip().decide(json.dumps(message).encode())
    (request,) = decision.requests
    seen = request.json[0]  # type: ignore[index]
    kept = {"plan": "ok-plan", "items": [{"sku": "ok-sku"}], "open": {"a": {"b": 1}}}
    assert (seen["event"], seen["properties"]) == ("Paid", kept)
