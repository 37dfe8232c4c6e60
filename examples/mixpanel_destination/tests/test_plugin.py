"""What the cases cannot say: sizes, orders, refusals of configurations that cases do not have."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from destination_router import HttpRequest, HttpResponse, Note, Outcome, Reject, parse_message
from mixpanel_destination import plugin
from mixpanel_destination.properties import EVENT, USER, fitted
from mixpanel_destination.settings import MixpanelSettings

SETTINGS = MixpanelSettings(token="a-project-token")
TIME = "2026-11-22T10:00:00.000Z"


def parsed(**fields: Any) -> Any:
    message = {"messageId": "m-1", "userId": "ada", "timestamp": TIME, **fields}
    return parse_message(msgspec.json.encode(message))


def settings(**changes: Any) -> MixpanelSettings:
    return msgspec.structs.replace(SETTINGS, **changes)


@pytest.mark.parametrize(
    ("call", "message", "code"),
    [
        (plugin.on_group, parsed(type="group", groupId="acme"), "missing_group_key"),
        (plugin.on_alias, parsed(type="alias", previousId="a"), "alias_not_supported"),
    ],
)
def test_who_subscribes_to_what_cannot_be_is_told(
    call: Callable[..., list[HttpRequest]], message: Any, code: str
) -> None:
    """The default subscription leaves these calls out; another gets a reason and what to do."""
    with pytest.raises(Reject) as told:
        call(message, SETTINGS)
    assert told.value.code == code


@pytest.mark.parametrize(
    ("changes", "calls"),
    [
        ({}, {"identify", "track", "page", "screen"}),
        ({"group_key": "c"}, {"identify", "track", "page", "screen", "group"}),
        ({"id_merge": "original"}, {"identify", "track", "page", "screen", "alias"}),
    ],
)
def test_the_project_says_which_calls_are_of_use(changes: dict[str, str], calls: set[str]) -> None:
    """Groups need a key, aliases another identity merge than simplified."""
    text = plugin.default_subscription(settings(**changes))
    assert {part.split('"')[1] for part in text.split(" or ")} == calls


def test_an_event_of_a_megabyte_is_rejected() -> None:
    """Each of its lists fits; together they do not."""
    large = {f"p{n}": ["x" * 200] * 38 for n in range(140)}
    with pytest.raises(Reject) as told:
        plugin.on_track(parsed(type="track", event="E", properties=large), SETTINGS)
    assert (told.value.code, told.value.path) == ("too_large", "properties")


def test_a_profile_of_a_megabyte_is_rejected() -> None:
    """A profile's lists may be larger than an event's, but not all of them."""
    large = {f"p{n}": ["x" * 250] * 250 for n in range(20)}
    with pytest.raises(Reject) as told:
        plugin.on_identify(parsed(type="identify", traits=large), SETTINGS)
    assert (told.value.code, told.value.path) == ("too_large", "traits")


def test_a_profile_has_at_most_2000_properties() -> None:
    """The first are sent, and that is reported."""
    traits = {f"p{n}": n for n in range(2001)}
    (request,) = plugin.on_identify(parsed(type="identify", traits=traits), SETTINGS)

    assert len(request.json[0]["$set"]) == 2000
    assert [(note.code, note.path) for note in request.notes] == [("truncated", "traits")]


@pytest.mark.parametrize("name", sorted(USER.renamed))
def test_no_reserved_or_known_name_is_sent_as_it_is(name: str) -> None:
    """It goes out under another name, with a note."""
    notes: list[Note] = []
    assert fitted({name: "x"}, USER, "traits", notes) == {USER.renamed[name]: "x"}
    assert [(note.code, note.path) for note in notes] == [("renamed", f"traits.{name}")]


def test_a_name_is_not_taken_by_a_null() -> None:
    """Where Mixpanel's own name is there without a value, the other value is sent."""
    notes: list[Note] = []
    assert fitted({"$email": None, "email": "x"}, USER, "traits", notes) == {"$email": "x"}
    assert [note.code for note in notes] == ["dropped", "renamed"]


def test_the_events_own_properties_come_before_the_context() -> None:
    """Where there are too many, it is the context that is left out."""
    own = {f"p{n}": n for n in range(249)}
    context = {"os": {"name": "iOS"}}
    message = parsed(type="track", event="E", properties=own, context=context)
    (request,) = plugin.on_track(message, SETTINGS)

    assert request.json[0]["properties"].keys() >= own.keys()
    assert "$os" not in request.json[0]["properties"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, -(2**63) - 1, 10**400])
def test_a_number_that_json_cannot_hold_is_left_out(value: float) -> None:
    """Wherever it stands, with a note."""
    notes: list[Note] = []
    found = fitted({"a": value, "l": [value, 1]}, EVENT, "properties", notes)

    assert found == {"l": [1]}
    assert [note.path for note in notes] == ["properties.a", "properties.l.0"]


def test_the_requests_of_a_message_stand_in_the_order_of_packing() -> None:
    """The host matches what was packed to what was made by their order."""
    chosen = settings(group_key="company_id")
    identify = parsed(type="identify", anonymousId="anon-1", traits={"plan": "pro"})
    group = parsed(type="group", groupId="acme", traits={"n": 1})
    for singles in (plugin.on_identify(identify, chosen), plugin.on_group(group, chosen)):
        signed = [msgspec.structs.replace(one, message_ids=("m-1",)) for one in singles]
        assert [one.url for one in plugin.pack(signed)] == [one.url for one in singles]


BOTH = {"anonymousId": "0d4f7a52-8f0c-4f2e-9d7e-2a6a5f0c9b11"}
UNKNOWN = {**BOTH, "userId": None}


@pytest.mark.parametrize(
    ("merge", "message", "identities"),
    [
        ("simplified", parsed(type="track", event="E", **BOTH), ["ada"]),
        ("simplified", parsed(type="track", event="E", **UNKNOWN), [""]),
        ("simplified", parsed(type="track", event="E", **{**BOTH, "userId": "null"}), [""]),
        ("simplified", parsed(type="identify", traits={"a": 1}, **BOTH), ["ada", "ada"]),
        ("simplified", parsed(type="group", groupId="g", traits={"a": 1}), ["ada", ""]),
        ("original", parsed(type="identify", traits={"a": 1}, **BOTH), ["ada", "ada"]),
        ("original", parsed(type="identify", traits={"a": 1}, **UNKNOWN), [""]),
        ("original", parsed(type="alias", previousId="anon-1"), ["ada"]),
    ],
)
def test_a_request_says_whom_mixpanel_joins_by_it(
    merge: Any, message: Any, identities: list[str]
) -> None:
    """Devices are joined to the user that an event or a profile names; a group is nobody."""
    chosen = settings(id_merge=merge, group_key="company_id", identify_event="Identified")
    made = getattr(plugin, f"on_{type(message).__name__.lower()}")(message, chosen)
    assert [request.identity for request in made] == identities


def test_identical_traits_have_the_same_state() -> None:
    """The host may skip a repeat; the group in a profile is part of the same state."""
    chosen = settings(group_key="company_id")
    (traits,) = plugin.on_identify(parsed(type="identify", traits={"plan": "pro"}), chosen)
    (member,) = plugin.on_group(parsed(type="group", groupId="acme"), chosen)

    assert traits.state_key == member.state_key == "user:ada"


def test_a_message_with_a_refused_event_is_refused_where_another_is_stored() -> None:
    """Of several items of one message, the worst counts."""
    request = HttpRequest(
        url="https://api.mixpanel.com/import",
        message_ids=("a", "b"),
        items=(("a",), ("b",), ("a",)),
    )
    body = {"failed_records": [{"index": 0, "field": "f", "message": "m"}]}
    answer = HttpResponse(status=400, body=msgspec.json.encode(body))

    assert plugin.on_response(request, answer) == {
        "a": Outcome.rejected("invalid_event", "f: m"),
        "b": Outcome.delivered(),
    }


def test_a_service_account_is_a_secret() -> None:
    """Both secrets of the settings are marked for hosts to hide."""
    fields = plugin.settings_schema()["properties"]
    assert fields["token"]["writeOnly"]
    assert fields["serviceAccount"]["properties"]["secret"]["writeOnly"]
