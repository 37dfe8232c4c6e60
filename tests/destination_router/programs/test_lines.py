"""The protocol: every line that goes out and comes in, against its published schema."""

import json
from importlib.resources import files
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from msgspec import Raw

from destination_router import (
    BasicAuth,
    Cost,
    Field,
    HttpRequest,
    HttpResponse,
    Ignored,
    Imported,
    Note,
    Outcome,
    Pairing,
    Quota,
    Reject,
    parse_message,
)
from destination_router.programs.destination import KNOWN_HOOKS
from destination_router.programs.lines import (
    HookError,
    LineError,
    answer_json,
    call_line,
    hello_of,
    made_of,
    message_json,
    outcome_of,
    plain_of,
    reply_of,
    requests_json,
    requests_of,
    values_of,
)

SCHEMA: dict[str, Any] = json.loads(
    files("conformance").joinpath("schema", "subject.v1.json").read_bytes()
)
WHOLE = HttpRequest(
    url="https://vendor.example/events",
    params={"a": "1"},
    headers={"x-a": "1"},
    json={"big": 2**60 + 1, "float": 1.0, "whole": 1, "beyond": 10**30},
    auth=BasicAuth("user", "password"),
    message_ids=("m-1", "m-2"),
    user_key="ada",
    notes=(Note("dropped", "properties.a", "too long"),),
    state_key="ada",
    items=(("m-1",), ("m-2",)),
    costs=(Cost("events", 2, "ada"),),
    bulk_costs=(Cost("events"),),
    pairings=(Pairing(rule="few", key="k", value="v", limit=3, period=60.0, detail="d"),),
    identity="ada",
)


def valid(part: str, line: bytes | Raw) -> Any:
    """Hold JSON against a part of the schema, and read it."""
    value = json.loads(bytes(line))
    schema = {"$ref": f"#/$defs/{part}", "$defs": SCHEMA["$defs"]}
    Draft202012Validator(schema).validate(value)
    return value


def test_the_schema_is_one() -> None:
    """Valid itself, and it knows the hooks that the code knows."""
    validator_for(SCHEMA).check_schema(SCHEMA)
    hooks = SCHEMA["$defs"]["values"]["properties"]["hello"]["properties"]["hooks"]
    assert sorted(hooks["items"]["enum"]) == sorted(KNOWN_HOOKS)
    asked = {each["properties"]["call"]["const"] for each in SCHEMA["$defs"]["question"]["oneOf"]}
    hooks_asked = {name for name in KNOWN_HOOKS if not name.startswith("on_")} | {"on_response"}
    assert asked == hooks_asked | {"hello", "map", "stop"}


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("hello", {"protocol": 1}),
        ("stop", {}),
        *((name, {}) for name in ("settings_schema", "display_names", "fields")),
        ("configure", {"settings": {"a": 1}}),
        *(
            (name, {"settings": 1})
            for name in ("quotas", "window", "origins", "cautions", "client_side")
        ),
        *((name, {"settings": {}}) for name in ("default_subscription", "more_display_names")),
        ("import_settings", {"system": "segment", "config": {}}),
        ("settings_from", {"system": "rudderstack", "config": {}}),
        ("pack", {"settings": {}, "requests": requests_json([WHOLE])}),
        ("on_response", {"settings": {}, **answer_json(WHOLE, HttpResponse(status=200))}),
    ],
)
def test_what_is_asked(call: str, arguments: dict[str, Any]) -> None:
    """Each call, one line."""
    line = call_line(7, call, arguments)
    assert line.count(b"\n") == 1
    told = valid("question", line)
    assert (told["id"], told["call"]) == (7, call)


MESSAGES: list[dict[str, Any]] = [
    {"type": "track", "messageId": "m", "event": "E", "properties": {"a": 2**60 + 1, "b": 1.0}},
    {"type": "track", "messageId": "m"},
    {"type": "identify", "messageId": "m", "userId": "u", "context": {"traits": {"a": 1}}},
    {"type": "page", "messageId": "m", "name": "N", "email": "a@b.example", "timestamp": "x"},
    {"type": "screen", "messageId": "m", "context": {"page": []}, "integrations": {"All": True}},
    {"type": "group", "messageId": "m", "groupId": 5},
    {"type": "alias", "messageId": "m", "previousId": "p"},
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["type"])
def test_a_message_keeps_the_contract_s_promises(message: dict[str, Any]) -> None:
    """Objects are objects, ids are text, and an identify has its traits."""
    raw = message_json(parse_message(message), None)
    line = call_line(1, "map", {"settings": {}, "messages": [raw]})
    (asked,) = valid("question", line)["messages"]
    if message["type"] == "identify":
        assert asked["message"]["traits"] == {"a": 1}
    if "email" in message:
        assert asked["message"]["email"] == "a@b.example"


def test_numbers_cross_as_they_are_written() -> None:
    """An integer that no float holds, and 1.0 beside 1: as text of JSON, both ways."""
    numbers = b'{"a":9007199254740993,"b":1.0,"c":1,"d":123456789012345678901234567890,"e":0.1}'
    message = parse_message(b'{"type":"track","messageId":"m","properties":%s}' % numbers)
    raw = bytes(message_json(message, None))
    assert b'"properties":%s' % numbers in raw
    (request,) = made_of(Raw(b'{"requests":[{"url":"https://v.example","json":%s}]}' % numbers))
    assert msgspec.json.encode(request.json) == numbers


def test_requests_cross_whole() -> None:
    """Every field of a request comes back as it went."""
    raw = requests_json([WHOLE])
    valid("request", msgspec.json.encode(msgspec.json.decode(raw, type=list[Raw])[0]))
    assert requests_of(raw) == [WHOLE]
    form = HttpRequest(url="https://vendor.example/events", form={"a": "1"})
    assert requests_of(requests_json([form])) == [form]
    lines = HttpRequest(
        url="https://vendor.example/events",
        params={"id": ("1", "2"), "q": "1"},
        content=b"\xff\n",
        content_type="a/b",
        gzip=True,
    )
    raw = requests_json([lines])
    valid("request", msgspec.json.encode(msgspec.json.decode(raw, type=list[Raw])[0]))
    assert requests_of(raw) == [lines]


def test_what_is_made_of_a_message() -> None:
    """Requests, nothing, a rejection, or a failure."""
    for text in (b'{"requests":[]}', b'{"ignored":{}}'):
        valid("made", text)
        assert made_of(Raw(text)) == []
    ignored = b'{"ignored":{"reason":"no use","notes":[{"code":"c","path":"p","detail":"d"}]}}'
    valid("made", ignored)
    assert made_of(Raw(ignored)) == Ignored("no use", (Note("c", "p", "d"),))
    refused = Raw(b'{"reject":{"code":"missing_event","detail":"name it","path":"event"}}')
    valid("made", refused)
    with pytest.raises(Reject, match="missing_event: event: name it"):
        made_of(refused)


@pytest.mark.parametrize(
    ("error", "place"),
    [
        ({"type": "TypeError", "at": "mapping.mjs:12"}, "TypeError at mapping.mjs:12"),
        ({"type": "TypeError"}, "TypeError"),
        ({}, "an error"),
        ({"type": "ada@example.com is wrong", "at": "ada lovelace:1"}, "an error"),
        ({"type": "E", "at": "ada lovelace"}, "E"),
    ],
)
def test_of_a_failure_only_its_kind_and_place_are_told(error: dict[str, str], place: str) -> None:
    """What looks like anything else is kept back, and so are the words."""
    raw = Raw(json.dumps({"error": {"detail": "ada@example.com", **error}}).encode())
    valid("made", raw)
    with pytest.raises(HookError) as failed:
        made_of(raw)
    assert failed.value.place == place
    assert str(failed.value) == "ada@example.com"


@pytest.mark.parametrize(
    ("value", "part", "words"),
    [
        (b"{}", "made", "is one of requests, reject, ignored and error"),
        (b'{"requests":[],"ignored":{}}', "made", "is one of"),
        (b'{"requests":[{}]}', "made", "missing required field `url`"),
        (b'{"requests":[{"url":1}]}', "made", "Expected `str`, got `int`"),
        (b'{"requests":[{"url":"u","body":{}}]}', "made", "unknown field `body`"),
        (b'{"requests":[{"url":"u","json":1,"form":{}}]}', "made", "not both"),
        (b"null", "made", "Expected `object`"),
    ],
)
def test_what_does_not_fit(value: bytes, part: str, words: str) -> None:
    """Is told with the place; the schema refuses it too."""
    with pytest.raises(LineError, match=words):
        made_of(Raw(value))
    schema = {"$ref": f"#/$defs/{part}", "$defs": SCHEMA["$defs"]}
    assert not Draft202012Validator(schema).is_valid(json.loads(value))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"console.log says hello", "is not JSON: standard output holds answers alone"),
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 5000, "a line does not fit"),
        (b'{"id":1,"value":' + b"[" * 5000, "is not JSON"),
        (b'{"id":2,"value":1}', "line 1 was asked and line 2 answered"),
        (b'{"id":1}', "has one of value, invalid and error"),
        (b'{"id":1,"value":1,"invalid":"x"}', "has one of"),
        (b'{"id":1,"value":1,"more":1}', "unknown field `more`"),
        (b'{"id":"1","value":1}', "Expected `int`"),
    ],
)
def test_what_is_no_answer(line: bytes, words: str) -> None:
    """Says how, without quoting the line."""
    with pytest.raises(LineError, match=words):
        reply_of(line, 1)


def test_as_many_answers_as_messages() -> None:
    """One for each, or nobody knows which is whose."""
    assert len(values_of(Raw(b"[{},{}]"), 2)) == 2
    with pytest.raises(LineError, match="2 messages and 1 answers"):
        values_of(Raw(b"[{}]"), 2)


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ({"result": "delivered"}, Outcome.delivered()),
        ({"result": "retry", "after": 3, "code": "busy"}, Outcome.retry(3, code="busy")),
        (
            {"m-1": {"result": "held", "code": "key", "unlessProven": True}},
            {"m-1": Outcome.held("key", unless_proven=True)},
        ),
        ({}, {}),
    ],
)
def test_outcomes(value: Any, outcome: Any) -> None:
    """One for all, or one by message id."""
    raw = Raw(msgspec.json.encode(value))
    schema = {**SCHEMA["$defs"]["values"]["properties"]["on_response"], "$defs": SCHEMA["$defs"]}
    Draft202012Validator(schema).validate(value)
    assert outcome_of(raw) == outcome
    with pytest.raises(LineError, match="on_response"):
        outcome_of(Raw(b'{"result":"sent"}'))


def test_values_that_depend_on_settings_alone() -> None:
    """Are typed as the contract has them."""
    quota = b'[{"name":"q","limit":5,"period":1.5,"unit":"events","scope":"user"}]'
    wanted = Quota(name="q", limit=5, period=1.5, unit="events", scope="user")
    assert plain_of("quotas", Raw(quota)) == [wanted]
    field = b'{"track":[{"name":"n","type":"string","description":"d","part":"event"}]}'
    named = Field(name="n", type="string", description="d", part="event")
    assert plain_of("fields", Raw(field)) == {"track": [named]}
    assert plain_of("import_settings", Raw(b'{"settings":{}}')) == Imported(settings={})
    with pytest.raises(LineError, match="origins: Expected `array`"):
        plain_of("origins", Raw(b'"https://a.example"'))


def test_hello() -> None:
    """A protocol that nobody speaks here, and a name that nobody could write, are refused."""
    told = {"protocol": 1, "name": "small", "version": "1.0", "hooks": ["on_track"]}
    assert hello_of(Raw(msgspec.json.encode(told))).name == "small"
    for change, words in (({"protocol": 2}, "version 2"), ({"name": " a"}, "blanks around")):
        with pytest.raises(LineError, match=words):
            hello_of(Raw(msgspec.json.encode({**told, **change})))
