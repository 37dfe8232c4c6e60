"""One connection: what it makes of each message, and what it makes of a plugin's mistakes.

Modules: `pipeline/connection.py`, `preparation.py`, `decisions.py`, `packing.py`.
"""

import asyncio
import datetime as dt
import gc
import json
import weakref
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router import (
    BasicAuth,
    BearerAuth,
    HttpRequest,
    HttpResponse,
    Ignored,
    Note,
    Outcome,
    Quota,
    Reject,
    hookimpl,
)
from destination_router.config.router_toml import ConnectionConfig, SharedConfig
from destination_router.delivery.dispatch import declared_quotas
from destination_router.delivery.sender import read_answer
from destination_router.faults import Unanswered
from destination_router.pipeline import connection as connection_module
from destination_router.pipeline.connection import (
    Connection,
    Decision,
    Mapped,
    Refusal,
    configured,
)
from destination_router.pipeline.normalise import normalise
from destination_router.pipeline.packing import packed, windows
from destination_router.pipeline.preparation import Treatment
from destination_router.pipeline.subscriptions.subscriptions import SubscriptionSource
from destination_router.pipeline.transformations.operations import Surroundings
from destination_router.pipeline.transformations.steps import Transformations
from destination_router.plugins.loading import (
    LoadedPlugin,
    PluginError,
    check_destination,
    load_plugin,
)
from destination_router.settings.errors import SettingsError

URL = "https://api.example.com/v1"
PERSONAL = "ada.lovelace@example.com"
Answer = Callable[[Any, Any], Any]


class Acme:
    """A destination that answers a track call as the test wants."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    @hookimpl
    def settings_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "apiKey": {"type": "string", "writeOnly": True},
                "plan": {"type": "string", "default": "free"},
            },
        }

    @hookimpl
    def display_names(self) -> list[str]:
        return ["Acme Cloud"]

    @hookimpl
    def on_identify(self) -> list[HttpRequest]:
        return []

    @hookimpl
    def on_track(self, message: Any, settings: Any) -> Any:
        return self.answer(message, settings)


def loaded(plugin: object) -> LoadedPlugin:
    return check_destination(plugin, "acme", "acme-destination 1.0")


def connection(answer: Answer, name: str = "production", **options: Any) -> Connection:
    return Connection(name, loaded(Acme(answer)), options)


def wire(**fields: Any) -> bytes:
    base = {"type": "track", "messageId": "m1", "userId": "ada", "anonymousId": "anon"}
    return json.dumps({**base, **fields}).encode()


def decide(answer: Answer, **fields: Any) -> Decision:
    return connection(answer).decide(wire(**fields))


def one(message: Any, _: Any) -> list[HttpRequest]:
    return [HttpRequest(url=URL, json={"event": message.event})]


# -- what becomes of a message ------------------------------------------------------------------


def test_a_message_becomes_the_plugins_requests() -> None:
    """The requests go out in the plugin's order, with whose they are filled in."""
    decision = decide(lambda *_: [HttpRequest(url=URL), HttpRequest(url=URL, method="PUT")])
    assert decision == Decision(
        message_id="m1",
        result="requests",
        requests=(
            HttpRequest(url=URL, message_ids=("m1",), user_key="ada"),
            HttpRequest(url=URL, method="PUT", message_ids=("m1",), user_key="ada"),
        ),
        user_keys=("ada", "anon"),
        user_id="ada",
        anonymous_id="anon",
        type="track",
    )


@pytest.mark.parametrize(
    ("ids", "user_key"),
    [
        ({}, "ada"),
        ({"userId": None}, "anon"),
        ({"userId": None, "anonymousId": None}, "m1"),
    ],
)
def test_a_request_is_in_the_order_of_its_messages_user(ids: dict[str, Any], user_key: str) -> None:
    """The userId counts, else the anonymousId; a message with neither stands alone."""
    assert decide(one, **ids).requests[0].user_key == user_key


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"user_key": ""}, (("m1",), "")),
        ({"user_key": "account-7"}, (("m1",), "account-7")),
        ({"message_ids": ("m1", "m0")}, (("m1", "m0"), "ada")),
        ({"message_ids": ("m0",), "user_key": "x"}, (("m0",), "x")),
    ],
)
def test_what_a_plugin_says_of_a_request_is_kept(
    given_: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    """The host fills in only what the plugin leaves open."""
    (request,) = decide(lambda *_: [HttpRequest(url=URL, **given_)]).requests
    assert (request.message_ids, request.user_key) == expected


def test_no_requests_mean_that_the_message_was_ignored_on_purpose() -> None:
    """`[]` is filtered, with a reason."""
    decision = decide(lambda *_: [])
    assert (decision.result, decision.reason) == (
        "filtered",
        "acme makes nothing of this track call",
    )


def test_a_destination_says_why_it_ignores_a_message() -> None:
    """Its reason and its notes are the decision's; a secret that stands in them is hidden."""
    note = Note("dropped", "traits", "there is no use for them")
    made = connection(
        lambda *_: Ignored("it has no plan secret-key-1", (note,)), apiKey="secret-key-1"
    )
    decision = made.decide(wire())
    assert (decision.result, decision.requests, decision.reject) == ("filtered", (), None)
    assert decision.reason == "it has no plan ***"
    assert decision.notes == (note,)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Ignored(" "), "on_track returned an Ignored without a reason"),
        (Ignored(5), "an Ignored that does not fit: Expected `str`, got `int` - at `$.reason`"),  # type: ignore[arg-type]
        (Ignored("a reason", (PERSONAL,)), "an Ignored that does not fit"),  # type: ignore[arg-type]
        (
            Ignored("a reason", ({"code": "dropped", "path": PERSONAL, "detail": "it"},)),  # type: ignore[arg-type]
            "an Ignored that does not fit: a dict in place of a record - at `$.notes`",
        ),
    ],
)
def test_a_reason_that_is_none_is_the_plugins_mistake(answer: Any, words: str) -> None:
    """Nobody could act on it."""
    decision = decide(lambda *_: answer)
    assert decision.reject is not None
    assert decision.reject.code == "plugin_error"
    assert words in decision.reject.detail
    assert PERSONAL not in decision.reject.detail


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (HttpRequest(url=URL, gzip=1), "Expected `bool`, got `int` - at `$.gzip`"),  # type: ignore[arg-type]
        (
            HttpRequest(url=URL, content="a", content_type="b"),
            "does not fit: content is str, not bytes",
        ),  # type: ignore[arg-type]
        (HttpRequest(url=URL, params={"a": (1,)}), "at `$.params[...][0]`"),  # type: ignore[dict-item]
    ],
)
def test_bodies_and_parameters_are_of_their_types(answer: Any, words: str) -> None:
    """Else a request would fail when it is sent, every time again."""
    decision = decide(lambda *_: [answer])
    assert decision.reject is not None
    assert words in decision.reject.detail


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("auth", {"scheme": "basic", "username": PERSONAL}),
        ("notes", ({"code": "dropped", "path": "a", "detail": PERSONAL},)),
        ("costs", ({"quota": "events", "key": PERSONAL},)),
        ("bulk_costs", ({"quota": "events", "key": PERSONAL},)),
        ("pairings", ({"rule": "r", "key": PERSONAL, "value": "v", "limit": 1},)),
    ],
)
def test_an_object_with_the_keys_of_a_record_is_none(name: str, record: Any) -> None:
    """Else credentials would not be sent, and whoever reads a note or a cost would fail at it."""
    decision = decide(ill_fitting(**{name: record}))
    assert decision.reject is not None
    words = f"that does not fit: a dict in place of a record - at `$.{name}`"
    assert decision.reject.detail == f"on_track returned a request {words}"


@pytest.mark.parametrize("kind", ["page", "screen", "group", "alias"])
def test_a_call_that_the_plugin_has_no_hook_for_is_filtered(kind: str) -> None:
    """A destination is not bothered with calls that it does not know."""
    decision = decide(one, type=kind)
    assert (decision.result, decision.type) == ("filtered", kind)
    assert decision.reason == f"acme has no use for {kind} calls"


@pytest.mark.parametrize("name", ["Production", "ACME", "acme cloud"])
def test_integrations_keep_a_message_away_by_any_name(name: str) -> None:
    """The connection's name, the plugin's and its display names count."""
    decision = decide(one, integrations={name: False})
    assert (decision.result, decision.reason) == ("filtered", f"integrations.{name} is false")
    assert decide(one, integrations={"All": False, name: True}).result == "requests"


def test_a_plugins_rejection_is_the_messages() -> None:
    """Code and detail are those that the plugin gave."""

    def answer(*_: Any) -> Any:
        raise Reject("missing_event", "name what the user did", "event")

    decision = decide(answer)
    assert (decision.result, decision.requests) == ("rejected", ())
    assert decision.reject is not None
    assert decision.reject.code == "missing_event"
    assert decision.reject.detail == "event: name what the user did"


@pytest.mark.parametrize("code", ["no ada@example.com", "Ada", "x" * 41, "", None, ["ada"]])
def test_a_code_that_is_no_plain_word_is_not_told(code: Any) -> None:
    """A code becomes a label of metrics and a word in logs: no value of a user's shall be one."""
    refused = decide(raising(Reject(code, "send another")))
    assert refused.reject == Refusal("rejected", "send another")
    noted = decide(lambda *_: [HttpRequest(url="https://x.example", notes=(Note(code, "a", "b"),))])
    assert noted.notes == (Note("noted", "a", "b"),)
    told = connection(one).told(Outcome("rejected", code=code, detail="no"))
    assert told == Outcome.rejected("rejected" if code else "", "no")


def test_notes_are_collected_in_order() -> None:
    """First what was changed to make the message well-formed, then each request's notes."""
    first, second, third = (Note("dropped", f"properties.{key}", "null") for key in "abc")

    def answer(*_: Any) -> list[HttpRequest]:
        return [HttpRequest(url=URL, notes=(first, second)), HttpRequest(url=URL, notes=(third,))]

    decision = decide(answer, userId=7)
    converted, *rest = decision.notes
    assert (converted.code, converted.path) == ("converted", "userId")
    assert rest == [first, second, third]


@pytest.mark.parametrize("result", [[], None])
def test_notes_of_the_first_step_are_kept_whatever_comes_of_the_message(result: object) -> None:
    """A filtered or a rejected message tells what was changed too."""
    assert [note.path for note in decide(lambda *_: result, userId=7).notes] == ["userId"]


def test_options_are_found_under_the_plugins_name() -> None:
    """What a sender says to a connection by its own name reaches the plugin under the plugin's."""
    seen: list[dict[str, Any]] = []

    def answer(message: Any, _: Any) -> list[HttpRequest]:
        seen.append(message.options("acme", "Acme Cloud"))
        return []

    for integrations in (
        {"PRODUCTION": {"list": 1}, "Acme": {"list": 2}},
        {"Acme": {"list": 2}},
        {"Acme Cloud": {"list": 3}, "production": True},
        {"acme": {"list": 2}, "ACME": {"list": 3}, "production": {"list": 4}},
    ):
        decide(answer, integrations=integrations)
    assert [options["list"] for options in seen] == [1, 2, 3, 4]


def test_a_message_that_is_well_formed_already_is_decided_alike() -> None:
    """A host that has normalised a message once need not do so for each connection."""
    both = connection(one)
    assert both.decide_message(normalise(wire())) == both.decide(wire())


# -- unreadable messages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "code", "message_id"),
    [
        (wire(properties=5), "invalid_type", "m1"),
        (wire(type="extract"), "unsupported_type", "m1"),
        (wire(type="extract", messageId=" m2 "), "unsupported_type", "m2"),
        (wire(type="extract", messageId=7), "unsupported_type", "7"),
        (wire(type="extract", messageId={}), "unsupported_type", "given"),
        (wire(type="extract", messageId=None), "unsupported_type", "given"),
        (wire(type="extract", messageId=True), "unsupported_type", "given"),
        (b'{"messageId":"m1","type":"extract","n":NaN}', "unsupported_type", "m1"),
        (b'{"messageId":"m1","type":"extract","n":"\xff"}', "unsupported_type", "m1"),
        (b'{"n":' + b"[" * 10_000 + b"]" * 10_000 + b',"messageId":"m1"}', "too_deep", "m1"),
        (b'{"messageId":"m1"', "invalid_json", "given"),
        (b"[]", "not_an_object", "given"),
        (b"\xff", "invalid_json", "given"),
    ],
)
def test_a_message_that_cannot_be_read_is_rejected_under_its_id(
    raw: bytes, code: str, message_id: str
) -> None:
    """A sender finds the rejection by the messageId that it gave, if it can be read at all."""
    decision = connection(one).decide(raw, message_id="given")
    assert decision.reject is not None
    assert (decision.result, decision.reject.code) == ("rejected", code)
    assert decision.message_id == message_id


def test_without_any_id_the_rejection_has_none() -> None:
    """Nothing is made up for what cannot be read."""
    assert connection(one).decide(b"[]").message_id == ""


# -- a plugin's mistakes ------------------------------------------------------------------------


def ill_fitting(**fields: Any) -> Answer:
    return lambda *_: [HttpRequest(**{"url": URL, **fields})]


def raising(error: BaseException) -> Answer:
    def answer(*_: Any) -> Any:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda *_: None, "on_track returned None; return Ignored(reason) to ignore a message"),
        (lambda *_: HttpRequest(url=URL), "on_track returned HttpRequest; return a list of"),
        (lambda *_: (HttpRequest(url=URL),), "on_track returned tuple; return a list of"),
        (lambda *_: {"url": PERSONAL}, "on_track returned dict; return a list of"),
        (lambda *_: [{"url": PERSONAL}], "a list that holds dict, not HttpRequest"),
        (lambda *_: [HttpRequest(url=URL), None], "a list that holds NoneType, not HttpRequest"),
        (lambda *_: [HttpRequest(url=URL, json=object())], "a body that is not JSON (TypeError)"),
        (
            lambda *_: [HttpRequest(url=URL, json={"a": "\ud800"})],
            "a body that is not JSON (UnicodeEncodeError)",
        ),
        (
            lambda *_: [HttpRequest(url=URL, form={"a": "\ud800"})],
            "a body that is not JSON (UnicodeEncodeError)",
        ),
        (ill_fitting(url=5), "that does not fit: Expected `str`, got `int` - at `$.url`"),
        (ill_fitting(form={"a": 1}), "does not fit: Expected `str`, got `int`"),
        (ill_fitting(headers=None), "does not fit: Expected `object`, got `null`"),
        (ill_fitting(notes=None), "does not fit: Expected `array`, got `null`"),
        (ill_fitting(notes=[PERSONAL]), "does not fit: Expected `object`"),
        (ill_fitting(notes="\ud800"), "does not fit: text that is not Unicode - at `$.notes`"),
        (
            lambda *_: Ignored("because", notes=cast("Any", "\ud800")),
            "Ignored that does not fit: text that is not Unicode - at `$.notes`",
        ),
        (ill_fitting(url=f"{URL}/\ud800"), "a request that has a URL that is not"),
        (ill_fitting(params={"q": "\ud800"}), "a parameter or a credential that is not text"),
        (ill_fitting(params={"\ud800": ("q",)}), "a parameter or a credential that is not text"),
        (ill_fitting(auth=BasicAuth("\ud800")), "a parameter or a credential that is not text"),
        (ill_fitting(auth=BearerAuth(cast("Any", 5))), "or a credential that is not text"),
        (ill_fitting(auth=BearerAuth("a\nb")), "a bearer token that is not visible ASCII"),
        (ill_fitting(content=b"", content_type="a\nb"), "a content_type that is not visible"),
        (
            ill_fitting(content=b"ada"),
            f"bytes need a type: give `content_type` beside `content` ({__file__}:",
        ),
        (
            ill_fitting(json=1, form={"a": "b"}),
            f"a request has one body: give `json` or `form`, not both ({__file__}:",
        ),
        (raising(ValueError(f"bad address: {PERSONAL}")), "ValueError at "),
        (raising(KeyError(PERSONAL)), "KeyError at "),
        (raising(RecursionError(PERSONAL)), "RecursionError at "),
    ],
)
def test_a_plugins_mistake_is_told_without_what_is_personal(answer: Any, words: str) -> None:
    """The author learns what is wrong and where; the user's data is not in the words."""
    decision = decide(answer, event=PERSONAL)
    assert decision.reject is not None
    assert (decision.result, decision.reject.code) == ("rejected", "plugin_error")
    assert words in decision.reject.detail
    assert PERSONAL not in str(decision)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raising(Reject("too_long", "cut \ud800", "name")), "name: cut \N{REPLACEMENT CHARACTER}"),
        (raising(Reject("too_long", cast("Any", 5))), "(int in place of words)"),
        (lambda *_: Ignored("no \ud800"), "no \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_plugins_words_are_text_in_any_case(answer: Any, words: str) -> None:
    """They are written into logs, dead letters and answers, each with other messages' words."""
    decision = decide(answer)
    told = decision.reason if decision.reject is None else decision.reject.detail
    assert told == words


def test_what_the_host_keeps_books_of_is_looked_at_by_whoever_keeps_them() -> None:
    """Costs that are none stop a router, which counts them, and nobody who only wants requests."""
    wrong = connection(ill_fitting(costs=["much"]))
    assert isinstance(wrong.map(wire()), Mapped)
    assert wrong.decide(wire()).result == "rejected"


def test_a_message_is_mapped_as_it_is_decided() -> None:
    """Whoever only wants the requests gets those of the decision, with what HTTP would carry."""
    right = connection(one)
    mapped, decision = right.map(wire(event="Signed Up")), right.decide(wire(event="Signed Up"))
    assert isinstance(mapped, Mapped)
    assert [request.json for request in mapped.requests] == [
        request.json for request in decision.requests
    ]
    assert mapped.contents == [b'{"event":"Signed Up"}']
    assert mapped.anonymous_id == decision.anonymous_id
    assert right.map(b"no JSON") == right.decide(b"no JSON")


def test_an_exceptions_whereabouts_are_told() -> None:
    """The last line of the traceback is enough to find the mistake."""
    decision = decide(raising(LookupError(PERSONAL)))
    assert decision.reject is not None
    assert f"LookupError at {__file__}:" in decision.reject.detail


def test_a_mistake_with_one_message_does_not_harm_the_next() -> None:
    """A poisoned message is rejected, its neighbours are delivered."""

    def answer(message: Any, _: Any) -> list[HttpRequest]:
        return [HttpRequest(url=URL, json=1 // len(message.event))]

    both = connection(answer)
    assert [both.decide(wire(event=event)).result for event in ("", "e")] == [
        "rejected",
        "requests",
    ]


any_text = st.text(st.characters(exclude_categories=()), max_size=6)
any_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
answers = any_values | st.lists(
    st.builds(
        HttpRequest,
        url=any_values,
        json=any_values,
        params=any_values,
        headers=any_values,
        notes=any_values,
        message_ids=any_values,
        user_key=any_values,
    )
    | st.builds(
        HttpRequest,
        url=st.just(URL),
        json=any_values,
        params=st.dictionaries(any_text, any_text),
        message_ids=st.lists(any_text).map(tuple),
        user_key=st.none() | any_text,
    )
    | any_values,
    max_size=3,
)


@given(answers)
@settings(deadline=None)
def test_whatever_a_plugin_returns_is_a_decision(answer: Any) -> None:
    """Deciding never raises: an answer is requests that can be sent, nothing, or a mistake."""
    decision = decide(lambda *_: answer)
    if decision.result == "rejected":
        assert decision.reject is not None
        assert decision.reject.code == "plugin_error"
    else:
        assert decision.requests == tuple(
            HttpRequest(
                url=request.url,
                json=request.json,
                params=request.params,
                headers=request.headers,
                notes=request.notes,
                message_ids=request.message_ids or ("m1",),
                user_key="ada" if request.user_key is None else request.user_key,
            )
            for request in answer
        )


# -- settings and secrets -----------------------------------------------------------------------


def test_a_plugin_without_configure_receives_the_settings_themselves() -> None:
    """Validated, with defaults filled in."""
    seen: list[Any] = []
    answering = connection(lambda _, given_: seen.append(given_) or [], apiKey="k")
    answering.decide(wire())
    assert seen == [{"apiKey": "k", "plan": "free"}]


def test_settings_that_the_schema_refuses_make_no_connection() -> None:
    """A connection exists only with settings that are valid."""
    with pytest.raises(SettingsError, match="apiKye: is not known here; did you mean apiKey"):
        connection(one, apiKye="k")


class Configured(Acme):
    def __init__(self, outcome: Any) -> None:
        super().__init__(lambda _, given_: [HttpRequest(url=URL, json=given_)])
        self.outcome = outcome

    @hookimpl
    def configure(self, settings: Any) -> Any:
        if isinstance(self.outcome, type):
            raise self.outcome(f"wrong: {settings['apiKey']}")
        return self.outcome


def test_configure_makes_what_the_other_hooks_receive() -> None:
    """It is called once, and its answer is handed to every hook."""
    decision = Connection("c", loaded(Configured("typed")), {"apiKey": "k"}).decide(wire())
    assert decision.requests[0].json == "typed"


def test_settings_that_configure_refuses_are_a_settings_error_without_secrets() -> None:
    """The plugin's words are shown, a secret that they quote is not, not even as the cause."""
    with pytest.raises(SettingsError) as caught:
        Connection("c", loaded(Configured(ValueError)), {"apiKey": "s3cret-key"})
    assert str(caught.value) == "wrong: ***"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (KeyError, "configure failed: KeyError at "),
        (None, "configure returned None; return what the other hooks shall receive"),
    ],
)
def test_a_configure_that_is_broken_is_the_plugins_fault(outcome: Any, words: str) -> None:
    """A mistake in `configure` names the plugin and its distribution."""
    with pytest.raises(PluginError) as caught:
        Connection("c", loaded(Configured(outcome)), {"apiKey": "s3cret-key"})
    assert "plugin 'acme' of acme-destination 1.0: " in str(caught.value)
    assert words in str(caught.value)
    assert "s3cret-key" not in str(caught.value)


def test_secrets_are_hidden_wherever_a_decision_is_shown() -> None:
    """Rejections, notes and requests do not quote what the schema marks `writeOnly`."""

    def rejecting(*_: Any) -> Any:
        raise Reject("refused", "the key s3cret-key is not good", "apiKey")

    rejected = connection(rejecting, apiKey="s3cret-key").decide(wire())
    assert rejected.reject is not None
    assert rejected.reject.detail == "apiKey: the key *** is not good"

    note = Note("dropped", "properties.s3cret-key", "it is s3cret-key")
    request = HttpRequest(url=URL, json={"key": "s3cret-key"}, notes=(note,))
    answering = connection(lambda *_: [request], apiKey="s3cret-key")
    decision = answering.decide(wire())
    assert decision.notes == (Note("dropped", "properties.***", "it is ***"),)
    assert answering.shown(decision.requests[0])["json"] == {"key": "***"}
    assert decision.requests[0].json == {"key": "s3cret-key"}


def test_a_body_may_hold_what_the_hosts_encoder_can_write() -> None:
    """A time or a set in a body goes out as JSON."""
    moment = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    assert decide(lambda *_: [HttpRequest(url=URL, json={"at": moment})]).result == "requests"


# -- packing ------------------------------------------------------------------------------------


class Packing(Acme):
    @hookimpl
    def pack(self, requests: list[HttpRequest], settings: Any) -> list[HttpRequest]:
        return [HttpRequest(url=URL, json=[request.json for request in requests] + [settings])]


def test_requests_are_packed_by_the_plugin_if_it_can() -> None:
    """Without a `pack` they stay as they are."""
    requests = [HttpRequest(url=URL, json=1), HttpRequest(url=URL, json=2)]
    assert connection(one).pack(requests) == requests
    packing = Connection("c", loaded(Packing(one)), {})
    assert packing.pack(requests) == [HttpRequest(url=URL, json=[1, 2, {"plan": "free"}])]


@pytest.mark.parametrize(
    ("source", "result"),
    [("web", "requests"), ("shop", "filtered"), (None, "requests")],
)
def test_a_connection_takes_the_sources_that_it_names(source: str | None, result: str) -> None:
    """A message without one, of a file or an older log, passes; who is left out is told."""
    connection = Connection("heap", load_plugin("heap"), {"appId": "11"}, sources=["web", "tv"])
    decision = connection.decide(
        b'{"type": "track", "userId": "u", "event": "E", "messageId": "m"}', source=source
    )
    assert (decision.result, decision.message_id) == (result, "m")
    if result == "filtered":
        assert decision.reason == "source shop is not among the connection's sources"


def test_without_a_list_every_source_is_taken() -> None:
    """And an empty list takes none."""
    assert Connection("heap", load_plugin("heap"), {"appId": "11"}).takes_source("any")
    none = Connection("heap", load_plugin("heap"), {"appId": "11"}, sources=[])
    assert not none.takes_source("any")


# -- what is raised stays here ------------------------------------------------------------------


class Odd(BaseException):
    """What nobody expects to be raised."""


FAILURES = [MemoryError, RecursionError, SystemExit, ZeroDivisionError, Odd]
PASSING = [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit]
failures = pytest.mark.parametrize("failure", FAILURES)


def failing(error: type[BaseException]) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error(PERSONAL)

    return fail


@pytest.fixture(
    params=[
        *("hook", "preparation", "normalise", "mapping", "glance", "records", "content"),
        "transformation",
    ]
)
def breaking(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[BaseException]], Connection]:
    """Make a connection in which one step of deciding raises what it is told to."""

    def broken(error: type[BaseException]) -> Connection:
        fail, where = failing(error), "destination_router.pipeline.connection"
        match request.param:
            case "hook":
                return connection(fail)
            case "preparation":
                made = connection(one)
                monkeypatch.setattr(made, "_direct", {})
                monkeypatch.setattr(made._preparation, "prepare", fail)
                return made
            case "transformation":
                steps = Transformations(
                    [{"code": "x"}],
                    Surroundings(
                        load=lambda _: fail,
                    ),
                )
                treatment = Treatment(own=steps)
                return Connection("production", loaded(Acme(one)), {}, treatment=treatment)
            case "mapping":
                made = connection(one)
                monkeypatch.setattr(made, "_direct", {})
                monkeypatch.setattr(made, "_taken", fail)
                return made
            case step:
                if not str(connection_module.__file__).endswith(".py"):
                    pytest.skip("compiled, it calls the next step without looking for it")
                if step in {"records", "content"}:  # as of a request that is not plain
                    monkeypatch.setattr(f"{where}.passes_at_a_glance", lambda *_: False)
                name = {
                    "glance": "passes_at_a_glance",
                    "records": "check_records",
                    "content": "contents",
                    "normalise": "well_formed",
                }.get(step, step)
                monkeypatch.setattr(f"{where}.{name}", fail)
                return connection(one)

    return broken


@failures
def test_nothing_that_is_raised_leaves_a_decision(
    failure: type[BaseException], breaking: Callable[[type[BaseException]], Connection]
) -> None:
    """The message is rejected with the place of the failure and none of its words."""
    decision = breaking(failure).decide(wire(event="Paid"))
    assert (decision.result, decision.message_id) == ("rejected", "m1")
    assert decision.reject is not None
    assert decision.reject.code in {"plugin_error", "transformation_error"}
    assert failure.__name__ in decision.reject.detail
    assert PERSONAL not in repr(decision)


@pytest.mark.parametrize("passing", PASSING)
def test_what_ends_the_process_on_purpose_passes(
    passing: type[BaseException], breaking: Callable[[type[BaseException]], Connection]
) -> None:
    """Ctrl-C and cancellation are nobody's bug."""
    made = breaking(passing)
    with pytest.raises(passing):
        made.decide(wire(event="Paid"))


@pytest.mark.parametrize("direct", [True, False])
def test_what_passes_is_held_by_no_cycle(
    direct: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    """A question to a program holds its message, and Python looks for cycles seldom."""
    made = connection(failing(Unanswered))
    if not direct:
        made._direct = {}
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(Unanswered) as raised:
            made.decide(wire(event="Paid"))
        error = weakref.ref(raised.value)
        del raised
        assert error() is None
    finally:
        gc.enable()


@failures
def test_packing_survives_whatever_pack_raises(failure: type[BaseException]) -> None:
    """What it breaks goes out as it was."""

    class Packing(Acme):
        @hookimpl
        def pack(self) -> Any:
            raise failure

    made = Connection("production", loaded(Packing(one)), {})
    singles = [HttpRequest(url=URL, json={}, message_ids=("m1",))]
    assert packed(made, singles) == singles


@failures
def test_configure_that_fails_is_the_plugins_error(failure: type[BaseException]) -> None:
    """Whoever asked is told so, and goes on."""

    class Configured(Acme):
        @hookimpl
        def configure(self) -> Any:
            raise failure

    with pytest.raises(PluginError, match="configure failed"):
        Connection("production", loaded(Configured(one)), {})


@failures
def test_a_default_subscription_that_fails_is_the_plugins_error(
    failure: type[BaseException],
) -> None:
    """So is it where a connection is made of it."""

    class Subscribed(Acme):
        @hookimpl
        def default_subscription(self) -> Any:
            raise failure

    with pytest.raises(PluginError, match="default_subscription failed"):
        Connection("production", loaded(Subscribed(one)), {})


@pytest.mark.parametrize("answer", [None, 7, [7], {"track": 7}, {"track": [{"name": "x"}]}])
def test_fields_of_the_wrong_type_are_the_plugins_error(answer: Any) -> None:
    """Whoever maps one is told so, and not of a place in the router."""

    class WithFields(Acme):
        @hookimpl
        def fields(self) -> Any:
            return answer

    source = SubscriptionSource(mapping={"track": {"x": "y"}})
    with pytest.raises(PluginError, match="fields did not return a dict of lists of Field"):
        Connection("production", loaded(WithFields(one)), {}, [source])


class OddAnswers(Acme):
    """A destination whose hooks about delivery raise, or give what is no answer."""

    failure: type[BaseException] | None = None
    declared: Any = ("one a second",)

    @hookimpl
    def on_response(self) -> Any:
        return self._give({"m1": "delivered"})

    @hookimpl
    def quotas(self) -> Any:
        return self._give(self.declared)

    def _give(self, answer: object) -> object:
        if self.failure is not None:
            raise self.failure
        return answer


@pytest.mark.parametrize("failure", [None, *FAILURES])
def test_an_answer_is_read_whatever_on_response_does(
    failure: type[BaseException] | None,
) -> None:
    """By the default, where the plugin's own view fails or is none."""
    plugin = OddAnswers(one)
    plugin.failure = failure
    made = Connection("production", loaded(plugin), {})
    request = HttpRequest(url=URL, json={}, message_ids=("m1",))
    outcomes = read_answer(made, request, HttpResponse(status=204))
    assert outcomes == {"m1": Outcome.delivered()}


@pytest.mark.parametrize("failure", [None, *FAILURES])
def test_a_connection_starts_whatever_quotas_does(failure: type[BaseException] | None) -> None:
    """Without limits of the plugin's own; the vendor's answers still hold."""
    plugin = OddAnswers(one)
    plugin.failure = failure
    quotas = declared_quotas(Connection("production", loaded(plugin), {}))
    assert quotas.reserve(quotas.costs(HttpRequest(url=URL, json={})), 0.0) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "returned NoneType; return a list of Quota"),
        ([{"name": "ada"}], "returned a list that holds dict, not Quota"),
        (
            [Quota(name="a", limit=cast("Any", "ada"), period=1.0)],
            "returned a Quota that does not fit: Expected `int`, got `str` - at `$.limit`",
        ),
        (
            [Quota(name="a", limit=1, period=cast("Any", "\ud800"))],
            "returned a Quota that does not fit: text that is not Unicode - at `$.period`",
        ),
    ],
)
def test_quotas_that_are_none_are_told_as_the_plugins_mistake(
    answer: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By the field's name, and not by a place in the router."""
    plugin = OddAnswers(one)
    plugin.declared = answer
    declared_quotas(Connection("production", loaded(plugin), {}))
    assert caplog.messages == [f"quotas of acme-destination 1.0 {words}"]


# -- names that depend on the settings ------------------------------------------------------------


class Successor(Acme):
    """A destination that is called otherwise on another plan."""

    @hookimpl
    def more_display_names(self, settings: Any) -> list[str]:
        return ["Former Name"] if settings["plan"] == "free" else []


def in_hipaa_mode(plan: str) -> Connection:
    config = ConnectionConfig(
        name="production",
        plugin="acme",
        settings={"plan": plan},
        privacy={
            "mode": "hipaa",
            "keys": {"v1": {"env": "MASKING_KEY_1"}},
            "allow": {"events": ["Paid"], "integrations": ["session"]},
        },
        shared=SharedConfig(privacy={"allow": {"events": ["Paid"], "integrations": ["session"]}}),
    )
    seen = Successor(lambda message, _: [HttpRequest(url=URL, json=message.options("acme"))])
    return configured(config, loaded(seen))


@pytest.mark.parametrize(("plan", "told"), [("free", {"session": 7}), ("paid", {})])
def test_a_name_that_the_settings_add_counts_in_hipaa_mode(
    plan: str, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a message says to the connection under it passes, within the allowlist."""
    monkeypatch.setenv("MASKING_KEY_1", "0123456789abcdef0123456789abcdef")
    said = {"Former Name": {"session": 7, "secret": "x"}}
    decision = in_hipaa_mode(plan).decide(wire(event="Paid", integrations=said))
    assert [request.json for request in decision.requests] == [told]
    optout = in_hipaa_mode(plan).decide(wire(event="Paid", integrations={"Former Name": False}))
    assert optout.result == ("filtered" if plan == "free" else "requests")


@pytest.mark.parametrize("stated", [0, -1, True, "1000", None, 1.5])
def test_a_window_that_holds_nothing_is_refused(stated: Any) -> None:
    """It is found when the connection is made, not when its first message comes."""

    class Stating(Acme):
        @hookimpl
        def window(self) -> Any:
            return stated

    with pytest.raises(PluginError, match="window did not return a whole number of messages"):
        Connection("acme", check_destination(Stating(one), "acme", "acme 1.0"), {})


WRONG_TEXTS = ["Acme", None, 3, [3], b"Acme", {"Acme": 1}, ["\ud800"]]
HOOKS_OF_SETTINGS = ["origins", "cautions", "more_display_names", "window", "takes_any_type"]


def stating(hook: str, answer: Callable[[], Any]) -> Connection:
    """A connection of a plugin with one hook that the settings alone decide."""

    def hooked(_: Any) -> Any:
        return answer()

    hooked.__name__ = hook
    plugin = type("Stating", (Acme,), {hook: hookimpl(hooked)})
    return Connection("acme", check_destination(plugin(one), "acme", "acme 1.0"), {})


@pytest.mark.parametrize("told", WRONG_TEXTS)
@pytest.mark.parametrize("hook", ["origins", "cautions", "more_display_names"])
def test_what_is_no_list_of_text_is_the_plugins_error(hook: str, told: Any) -> None:
    """It is found when the connection is made; a text would be one for each letter."""
    with pytest.raises(PluginError, match=f"'acme' of acme 1.0: {hook} did not return a list"):
        stating(hook, lambda: told)


@pytest.mark.parametrize("told", ["te", "", "ftp://vendor.example", "//vendor.example", "http://["])
def test_an_origin_that_is_none_is_the_plugins_error(told: str) -> None:
    """No request could go there, and no entry of `origins` would match it."""
    with pytest.raises(PluginError, match=r"origins returned one that is not https://host"):
        stating("origins", lambda: ["https://vendor.example", told])


@pytest.mark.parametrize("hook", HOOKS_OF_SETTINGS)
def test_a_hook_that_raises_before_any_message_is_the_plugins_error(hook: str) -> None:
    """It is named, and what it says is not told: it may quote a setting."""
    with pytest.raises(PluginError, match=f"'acme' of acme 1.0: {hook} failed: ") as raised:
        stating(hook, lambda: {}["s3cret"])
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("told", [3, b'type = "track"', ['type = "track"']])
def test_a_default_subscription_that_is_no_text_is_the_plugins_error(told: Any) -> None:
    """It is found when the connection is made."""

    class Telling(Acme):
        @hookimpl
        def default_subscription(self) -> Any:
            return told

    with pytest.raises(PluginError, match="default_subscription did not return text"):
        Connection("acme", check_destination(Telling(one), "acme", "acme 1.0"), {})


def test_a_pack_sees_no_more_than_its_window() -> None:
    """A message is in one window with all of its requests."""
    seen: list[list[str]] = []

    class Stating(Acme):
        @hookimpl
        def window(self) -> int:
            return 2

        @hookimpl
        def pack(self, requests: list[HttpRequest]) -> list[HttpRequest]:
            seen.append([request.message_ids[0] for request in requests])
            return requests

    made = Connection("acme", check_destination(Stating(one), "acme", "acme 1.0"), {})
    singles = [HttpRequest(url=URL, message_ids=(name,)) for name in "aabccde"]
    assert packed(made, singles) == singles
    assert seen == [list("aab"), list("ccd"), list("e")]
    assert list(windows([], 2)) == []


def test_what_a_mapping_gives_a_destination_is_shown_beside_the_message() -> None:
    """An identity is no part of a message, and a mapping of it changes what is sent."""
    mapping = {"track": {"identity": {"@path": "$.properties.email"}}}
    config = ConnectionConfig(
        name="mapped", plugin="heap", settings={"appId": "11"}, mapping=mapping
    )
    mapped = configured(config, load_plugin("heap"))
    message = wire(event="Paid", properties={"email": "ada@example.com"})
    *_, step = mapped.explained(message)
    assert step.before is not None
    assert step.after == {**step.before, "_mapped": {"identity": "ada@example.com"}}
    (request,) = mapped.decide(message).requests
    assert request.json is not None
    assert request.json["identity"] == "ada@example.com"
