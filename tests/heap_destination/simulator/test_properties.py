"""Properties: numbers and strings, within their lengths, and the exceptions of each endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Client

LONGEST = "🦊" * 1023
TOO_LONG = "x" * 1024

EVENT = "/api/track", "events"
USER = "/api/add_user_properties", "users"
ACCOUNT = "/api/add_account_properties", "accounts"
PARTNER_EVENT = "/api/integrations/track", "events"
PARTNER_USER = "/api/integrations/add_user_properties", "users"

DOCUMENTED = [EVENT, USER, ACCOUNT]
ALL = [*DOCUMENTED, PARTNER_EVENT, PARTNER_USER]


def body(endpoint: tuple[str, str], properties: dict[str, Any]) -> dict[str, Any]:
    path, plural = endpoint
    if path.startswith("/api/integrations"):
        item: dict[str, Any] = {"user_identifier": {"identity": "ann"}}
        item |= {"custom_properties": properties} | ({"event": "e"} if plural == "events" else {})
        return {"app_id": "11", "library": "server", plural: [item]}
    item = {
        "events": {"event": "e", "identity": "ann"},
        "users": {"identity": "ann"},
        "accounts": {"account_id": "acme"},
    }[plural]
    return {"app_id": "11", **item, "properties": properties}


def where(endpoint: tuple[str, str]) -> str:
    field = "custom_properties" if "integrations" in endpoint[0] else "properties"
    return f"postBody.{endpoint[1]}[0].{field}"


def kept(client: Client, endpoint: tuple[str, str]) -> Any:
    return client.rows(endpoint[1])[0]["properties"]


@pytest.mark.parametrize("endpoint", ALL)
def test_keys_and_values_have_fewer_than_1024_characters(
    client: Client, endpoint: tuple[str, str]
) -> None:
    """1023 code points are accepted, in a key and in a value; 1024 are refused."""
    client.accept(endpoint[0], body(endpoint, {LONGEST: LONGEST}))
    assert kept(client, endpoint) == {LONGEST: LONGEST}
    refusal = client.refusal(endpoint[0], body(endpoint, {"plan": TOO_LONG}))
    assert refusal == f"{where(endpoint)}.plan should NOT be longer than 1023 characters"
    refusal = client.refusal(endpoint[0], body(endpoint, {TOO_LONG: "x"}))
    assert refusal == f"{where(endpoint)} should NOT have a key longer than 1023 characters"


@pytest.mark.parametrize("endpoint", DOCUMENTED)
def test_numbers_stay_numbers(client: Client, endpoint: tuple[str, str]) -> None:
    """A finite number of any size is accepted and kept as one."""
    client.accept(endpoint[0], body(endpoint, {"a": 1, "b": -2.5, "c": 10**30, "d": ""}))
    assert kept(client, endpoint) == {"a": 1, "b": -2.5, "c": 10**30, "d": ""}


@pytest.mark.parametrize("endpoint", DOCUMENTED)
@pytest.mark.parametrize("leaf", [True, False, None, {}, {"b": 1}, 10**400])
def test_undocumented_values_are_refused(
    client: Client, endpoint: tuple[str, str], leaf: Any
) -> None:
    """Booleans, nulls, objects, and numbers that only Infinity could stand for are refused."""
    refusal = client.refusal(endpoint[0], body(endpoint, {"a b": leaf}))
    assert refusal == f"{where(endpoint)}['a b'] should be number,string"


@pytest.mark.parametrize("endpoint", [USER, ACCOUNT])
def test_arrays_are_for_events_alone(client: Client, endpoint: tuple[str, str]) -> None:
    """An array in the properties of a user or an account is refused."""
    refusal = client.refusal(endpoint[0], body(endpoint, {"tags": ["a"]}))
    assert refusal == f"{where(endpoint)}.tags should be number,string"


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (["a", 1, 2.50, 3.0, "b"], "a||1||2.5||3||b"),
        ([], ""),
        (["x" * 1000, "y" * 1000], "x" * 1000 + "||" + "y" * 22),
        ([-0.0, 1e21, 1e20, 1.5e-5, 1e-7, 2**53], "0||1e+21||" + "1" + "0" * 20
         + "||0.000015||1e-7||9007199254740992"),
    ],
)  # fmt: skip
def test_an_array_of_an_event_is_joined(client: Client, array: list[Any], expected: str) -> None:
    """With `||`, numbers as JavaScript prints them, cut at 1024 characters."""
    client.accept(EVENT[0], body(EVENT, {"before": 1, "tags": array, "after": 2}))
    assert kept(client, EVENT) == {"before": 1, "tags": expected, "after": 2}


@pytest.mark.parametrize("item", [None, True, {}, []])
def test_an_array_holds_scalars(client: Client, item: Any) -> None:
    """An array of anything but numbers and strings is refused."""
    refusal = client.refusal(EVENT[0], body(EVENT, {"tags": ["a", item]}))
    assert refusal == f"{where(EVENT)}.tags[1] should be number,string"
    refusal = client.refusal(EVENT[0], body(EVENT, {TOO_LONG: ["a"]}))
    assert refusal == f"{where(EVENT)} should NOT have a key longer than 1023 characters"


@pytest.mark.parametrize("endpoint", [USER, PARTNER_USER])
@pytest.mark.parametrize("name", ["id", "Id", "iD", "ID", "user_id"])
def test_reserved_names_of_user_properties_are_refused(
    client: Client, endpoint: tuple[str, str], name: str
) -> None:
    """A user property may not be called `id`, in any casing, nor `user_id`."""
    refusal = client.refusal(endpoint[0], body(endpoint, {name: "1"}))
    assert refusal == f"{where(endpoint)}.{name} should NOT be the name of a user property"


@pytest.mark.parametrize("endpoint", [EVENT, ACCOUNT, PARTNER_EVENT])
def test_the_names_are_reserved_for_users_alone(client: Client, endpoint: tuple[str, str]) -> None:
    """Events and accounts may have properties of these names."""
    client.accept(endpoint[0], body(endpoint, {"id": "1", "user_id": "2"}))


def test_a_user_id_property_in_another_casing_is_a_property(client: Client) -> None:
    """Only `user_id` exactly is reserved."""
    client.accept(USER[0], body(USER, {"User_Id": "1", "_id": 2}))


@pytest.mark.parametrize("leaf", [1, 1.5, True, None, {}, []])
def test_a_partner_events_properties_are_strings(client: Client, leaf: Any) -> None:
    """Anything else is refused."""
    refusal = client.refusal(PARTNER_EVENT[0], body(PARTNER_EVENT, {"a": leaf}))
    assert refusal == f"{where(PARTNER_EVENT)}.a should be string"


def test_a_partner_users_properties_are_scalars(client: Client) -> None:
    """Numbers, strings, booleans and nulls are accepted, objects and arrays refused."""
    properties = {"a": 1, "b": "c", "d": True, "e": None, "f": 1.5}
    client.accept(PARTNER_USER[0], body(PARTNER_USER, properties))
    assert kept(client, PARTNER_USER) == properties
    for leaf in ({}, []):
        refusal = client.refusal(PARTNER_USER[0], body(PARTNER_USER, {"a": leaf}))
        assert refusal == f"{where(PARTNER_USER)}.a should be string,number,boolean,null"
    refusal = client.refusal(PARTNER_USER[0], body(PARTNER_USER, {TOO_LONG: None}))
    assert refusal == f"{where(PARTNER_USER)} should NOT have a key longer than 1023 characters"
