"""The documented endpoints, rule by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Client

APP = {"app_id": "11"}
EVENT = {"event": "Signed Up", "identity": "ann"}
PATHS = [
    "/api/track",
    "/api/add_user_properties",
    "/api/v1/identify",
    "/api/add_account_properties",
    "/api/integrations/track",
    "/api/integrations/add_user_properties",
]


def track(**fields: Any) -> dict[str, Any]:
    return {**APP, **EVENT, **fields}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b"\xff", b"[" * 9000]
)
def test_a_body_is_json(client: Client, path: str, body: Any) -> None:
    """Bad JSON, NaN and Infinity among it, is refused."""
    assert client.refusal(path, body) == "postBody should be valid JSON"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [[], b"null", "text", 1])
def test_a_body_is_an_object(client: Client, path: str, body: Any) -> None:
    """Any other JSON is refused."""
    assert client.refusal(path, body) == "postBody should be object"


@pytest.mark.parametrize("path", PATHS)
def test_app_id_is_required(client: Client, path: str) -> None:
    """A body without app_id is refused."""
    assert client.refusal(path, {}) == "postBody should have required property 'app_id'"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("app_id", [11, None, 11.0, ["11"]])
def test_app_id_is_a_string(client: Client, path: str, app_id: Any) -> None:
    """A number is refused, as is anything else that is no string."""
    assert client.refusal(path, {"app_id": app_id}) == "postBody.app_id should be string"


@pytest.mark.parametrize("app_id", ["1a", " 11", "11\n", "-1", "٣"])
def test_app_id_is_digits(client: Client, app_id: Any) -> None:
    """ASCII digits, and nothing else."""
    expected = 'postBody.app_id should match pattern "^[0-9]+$"'
    assert client.refusal("/api/track", track(app_id=app_id)) == expected


def test_app_id_is_not_empty(client: Client) -> None:
    """An empty app_id is refused."""
    expected = "postBody.app_id should NOT be shorter than 1 characters"
    assert client.refusal("/api/track", track(app_id="")) == expected


def test_a_complete_event_is_accepted(client: Client) -> None:
    """Every documented field at once."""
    fields = {"session_id": "7", "timestamp": "2026-11-01T00:00:00Z", "idempotency_key": "k"}
    client.accept("/api/track", track(properties={"a": 1, "b": "c"}, **fields))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": None}, ".event should be string"),
        ({"event": ""}, ".event should NOT be shorter than 1 characters"),
        ({"event": "e" * 1025}, ".event should NOT be longer than 1024 characters"),
        ({"identity": None}, ".identity should be string"),
        ({"identity": 7}, ".identity should be string"),
        ({"identity": ""}, ".identity should NOT be shorter than 1 characters"),
        ({"identity": "i" * 256}, ".identity should NOT be longer than 255 characters"),
        ({"user_id": "1"}, " should have exactly one of 'identity' and 'user_id'"),
        ({"session_id": 7}, ".session_id should be string"),
        ({"properties": []}, ".properties should be object"),
        ({"properties": None}, ".properties should be object"),
        ({"idempotency_key": ""}, ".idempotency_key should NOT be shorter than 1 characters"),
        ({"idempotency_key": 5}, ".idempotency_key should be string"),
        ({"userId": "1"}, " should NOT have additional properties: 'userId'"),
        ({"library": "server"}, " should NOT have additional properties: 'library'"),
    ],
)
def test_a_single_event_is_named_as_the_first_of_a_bulk(
    client: Client, fields: dict[str, Any], expected: str
) -> None:
    """What breaks a rule of a field is refused in the words of `events[0]`, alone or in a bulk."""
    assert client.refusal("/api/track", track(**fields)) == "postBody.events[0]" + expected
    bulk = {**APP, "events": [EVENT, {**EVENT, **fields}]}
    assert client.refusal("/api/track", bulk) == "postBody.events[1]" + expected
    assert client.rows("events") == []


def test_an_event_has_a_name(client: Client) -> None:
    """An event without `event` is refused."""
    expected = "postBody.events[0] should have required property 'event'"
    assert client.refusal("/api/track", {**APP, "identity": "ann"}) == expected


def test_an_event_has_an_identifier(client: Client) -> None:
    """An event without identity and user_id is refused."""
    expected = "postBody.events[0] should have exactly one of 'identity' and 'user_id'"
    assert client.refusal("/api/track", {**APP, "event": "e"}) == expected


def test_lengths_count_code_points(client: Client) -> None:
    """The longest event name and identity are accepted, whatever their size in UTF-8 or UTF-16."""
    client.accept("/api/track", track(event="🦊" * 1024, identity="é" * 255))


@pytest.mark.parametrize("user_id", ["0", "7", str(2**53 - 1)])
def test_user_id_is_a_53_bit_number(client: Client, user_id: str) -> None:
    """A numeric string from 0 to 2^53 - 1 is accepted."""
    client.accept("/api/track", {**APP, "event": "e", "user_id": user_id})


@pytest.mark.parametrize("user_id", [str(2**53), "-1", "1.0", "abc", "1e3", "9" * 5000, "٣", " 1"])
def test_a_user_id_outside_53_bits_is_refused(client: Client, user_id: str) -> None:
    """Anything but a numeric string from 0 to 2^53 - 1 is refused."""
    body = {**APP, "event": "e", "user_id": user_id}
    expected = "postBody.events[0].user_id should be a numeric string from 0 to 9007199254740991"
    assert client.refusal("/api/track", body) == expected


def test_a_user_id_is_no_json_number(client: Client) -> None:
    """A number on the wire is refused."""
    body = {**APP, "event": "e", "user_id": 7}
    assert client.refusal("/api/track", body) == "postBody.events[0].user_id should be string"


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-11-01",
        "2026-11-01T10:00",
        "2026-11-01T10:00:00",
        "2026-11-01T10:00:00.123Z",
        "2026-11-01T10:00:00.123456789+05:30",
        "1969-01-01T00:00:00-0800",
        "9999-12-31T23:59:59Z",
    ],
)
def test_a_timestamp_is_iso_8601(client: Client, timestamp: Any) -> None:
    """A date or a time of any age, and of the future, is accepted and kept as it is."""
    client.accept("/api/track", track(timestamp=timestamp))
    assert client.rows("events")[0]["timestamp"] == timestamp


@pytest.mark.parametrize(
    "timestamp",
    ["now", "2026-13-01", "2026-02-30T00:00:00Z", "2026-11-01 10:00:00", "1793520000", "20261101"],
)
def test_another_timestamp_is_refused(client: Client, timestamp: Any) -> None:
    """What is no date, and no form that a web browser would read, is refused."""
    expected = 'postBody.events[0].timestamp should match format "date-time" (ISO 8601)'
    assert client.refusal("/api/track", track(timestamp=timestamp)) == expected


@pytest.mark.parametrize("timestamp", [None, 1793520000])
def test_a_timestamp_is_a_string(client: Client, timestamp: Any) -> None:
    """Neither null nor a number is a timestamp."""
    expected = "postBody.events[0].timestamp should be string"
    assert client.refusal("/api/track", track(timestamp=timestamp)) == expected


BULKS = [
    ("/api/track", "events", {}, EVENT),
    ("/api/add_user_properties", "users", {}, {"identity": "ann"}),
    ("/api/add_account_properties", "accounts", {}, {"account_id": "acme"}),
    (
        "/api/integrations/track",
        "events",
        {"library": "server"},
        {"event": "e", "user_identifier": {"anonymous_id": "a"}},
    ),
    (
        "/api/integrations/add_user_properties",
        "users",
        {"library": "server"},
        {"user_identifier": {"identity": "ann"}},
    ),
]


@pytest.mark.parametrize(("path", "plural", "envelope", "item"), BULKS)
def test_a_bulk_has_1_to_1000_items(
    client: Client, path: str, plural: str, envelope: dict[str, Any], item: Any
) -> None:
    """1000 items are accepted; none, 1001, and what is no array are refused."""
    client.heap.rate_limits = False
    client.accept(path, {**APP, **envelope, plural: [item] * 1000})
    refusals = {
        "should NOT have more than 1000 items": [item] * 1001,
        "should NOT have fewer than 1 items": [],
        "should be array": {},
    }
    for expected, items in refusals.items():
        refusal = client.refusal(path, {**APP, **envelope, plural: items})
        assert refusal == f"postBody.{plural} {expected}"


@pytest.mark.parametrize(("path", "plural", "envelope", "item"), BULKS)
def test_one_bad_item_refuses_the_whole_bulk(
    client: Client, path: str, plural: str, envelope: dict[str, Any], item: Any
) -> None:
    """The refusal names the item by its index, and nothing is stored."""
    body = {**APP, **envelope, plural: [item, item, item, None]}
    assert client.refusal(path, body) == f"postBody.{plural}[3] should be object"
    assert client.rows("events") == client.rows("users") == client.rows("accounts") == []


@pytest.mark.parametrize(("path", "plural", "envelope", "item"), BULKS)
def test_a_bulk_has_no_other_fields(
    client: Client, path: str, plural: str, envelope: dict[str, Any], item: Any
) -> None:
    """A field beside the items is refused, be it an item's own."""
    body = {**APP, **envelope, plural: [item], "event": "e"}
    expected = "postBody should NOT have additional properties: 'event'"
    assert client.refusal(path, body) == expected
    body = {**APP, **envelope, plural: [{**item, "app_id": "11"}]}
    expected = f"postBody.{plural}[0] should NOT have additional properties: 'app_id'"
    assert client.refusal(path, body) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, " should have required property 'identity'"),
        ({"identity": 7}, ".identity should be string"),
        ({"identity": "i" * 256}, ".identity should NOT be longer than 255 characters"),
        ({"identity": "ann", "user_id": "1"}, " should NOT have additional properties: 'user_id'"),
        ({"identity": "ann", "properties": []}, ".properties should be object"),
        ({"identity": "ann", "properties": None}, ".properties should be object"),
    ],
)
def test_a_user_is_an_identity_and_properties(
    client: Client, fields: dict[str, Any], expected: str
) -> None:
    """Anything else is refused, in the words of `users[...]`."""
    path = "/api/add_user_properties"
    assert client.refusal(path, {**APP, **fields}) == "postBody.users[0]" + expected
    bulk = {**APP, "users": [{"identity": "bob"}] * 3 + [fields]}
    assert client.refusal(path, bulk) == "postBody.users[3]" + expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, " should have required property 'account_id'"),
        ({"account_id": 7}, ".account_id should be string"),
        ({"account_id": ""}, ".account_id should NOT be shorter than 1 characters"),
        ({"account_id": "acme", "plan": 1}, " should NOT have additional properties: 'plan'"),
        ({"account_id": "acme", "properties": []}, ".properties should be object"),
    ],
)  # fmt: skip
def test_an_account_is_an_account_id_and_properties(
    client: Client, fields: dict[str, Any], expected: str
) -> None:
    """Anything else is refused, in the words of `accounts[0]`."""
    refusal = client.refusal("/api/add_account_properties", {**APP, **fields})
    assert refusal == "postBody.accounts[0]" + expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"user_id": None}, ".user_id should be string"),
        ({"user_id": str(2**53)}, ".user_id should be a numeric string from 0 to 9007199254740991"),
        ({"identity": "i" * 256}, ".identity should NOT be longer than 255 characters"),
        ({"timestamp": "soon"}, '.timestamp should match format "date-time" (ISO 8601)'),
        ({"properties": {}}, " should NOT have additional properties: 'properties'"),
    ],
)
def test_identify_is_a_user_id_and_an_identity(
    client: Client, fields: dict[str, Any], expected: str
) -> None:
    """Both are required; a timestamp may be there, and nothing else."""
    merge = {**APP, "user_id": "7", "identity": "ann"}
    client.accept("/api/v1/identify", {**merge, "timestamp": "2026-11-01T10:00:00Z"})
    assert client.refusal("/api/v1/identify", {**merge, **fields}) == "postBody" + expected
    for missing in ("user_id", "identity"):
        body = {name: value for name, value in merge.items() if name != missing}
        expected = f"postBody should have required property '{missing}'"
        assert client.refusal("/api/v1/identify", body) == expected
