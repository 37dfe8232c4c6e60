"""What the cases cannot say: whatever comes in, Amplitude takes what goes out; costs; imports."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest

from amplitude_destination import limits
from amplitude_destination.fields import FIELDS
from amplitude_destination.migration import import_from, renamed_settings
from amplitude_destination.quotas import quotas_of
from amplitude_destination.settings import AmplitudeSettings
from amplitude_destination.simulator import SimulatedAmplitude
from conformance.checks.generated import generated_messages
from conformance.checks.hostile import HOSTILE
from destination_router import HttpRequest
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin

KEY = "0123456789abcdef0123456789abcdef"
GENERATED = {f"generated-{n}": msgspec.json.encode(m) for n, m in enumerate(generated_messages())}


def connect(**settings: Any) -> Connection:
    return Connection("amplitude", load_plugin("amplitude"), {"apiKey": KEY, **settings})


def requests(connection: Connection, *messages: dict[str, Any]) -> list[HttpRequest]:
    decisions = [connection.decide(msgspec.json.encode(message)) for message in messages]
    return [request for decision in decisions for request in decision.requests]


def offered(amplitude: SimulatedAmplitude, request: HttpRequest) -> tuple[int, Any]:
    path = urlsplit(request.url).path
    if request.form is not None:
        kind, body = "application/x-www-form-urlencoded", urlencode(dict(request.form)).encode()
    else:
        kind, body = "application/json", msgspec.json.encode(request.json)
    return amplitude.answer(path, kind, body)


@pytest.mark.parametrize("settings", [{}, {"minIdLength": 1, "mapUsers": True}])
def test_amplitude_takes_whatever_goes_out(settings: dict[str, Any]) -> None:
    """A message, however odd, is a request that Amplitude accepts unchanged, or is told off."""
    connection, results = connect(**settings), Counter[str]()
    for name, raw in {**HOSTILE, **GENERATED}.items():
        amplitude = SimulatedAmplitude(KEY, lambda: 1_800_000_000.0)
        decision = connection.decide(raw)
        results[decision.result] += 1
        for request in decision.requests:
            status, answer = offered(amplitude, request)
            assert status == 200, (name, answer)
        assert not amplitude.store.truncated, name
    assert min(results["requests"], results["rejected"]) > 100


def group(number: int, **traits: Any) -> dict[str, Any]:
    ids = {"messageId": f"m-{number}", "groupId": f"group-{number}"}
    return {"type": "group", **ids, "traits": {"name": "Acme", **traits}}


def packed(connection: Connection, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    bulks = connection.pack(requests(connection, *messages))
    return [json.loads((bulk.form or {})["identification"]) for bulk in bulks]


def test_groups_in_a_bulk_are_1024() -> None:
    """A group more, and it is another request."""
    sizes = [len(groups) for groups in packed(connect(), [group(n) for n in range(1025)])]
    assert sizes == [1024, 1]


def test_groups_in_a_bulk_have_1024_properties() -> None:
    """All of them together, as Amplitude counts."""
    traits = {f"p{n}": n for n in range(99)}
    sizes = [len(groups) for groups in packed(connect(), [group(n, **traits) for n in range(25)])]
    assert sizes == [10, 10, 5]


def test_groups_in_a_bulk_are_a_megabyte() -> None:
    """Counted as the form goes over the wire, URL-encoded."""
    connection, traits = connect(), {f"p{n}": '"é"' * 300 for n in range(5)}
    bulks = connection.pack(requests(connection, *[group(n, **traits) for n in range(150)]))
    sizes = [len(urlencode(dict(bulk.form or {}))) for bulk in bulks]
    assert 950_000 < max(sizes) <= limits.GROUP_SIZE


def track(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": "m-1", "userId": "user-1", "event": "E", **fields}


@pytest.mark.parametrize("given", [1795341500000, 1795341500000.0, "1795341500000"])
def test_a_session_is_a_number_however_it_is_written(given: object) -> None:
    """Some languages write every number with a fraction."""
    (request,) = requests(connect(), track(integrations={"Amplitude": {"session_id": given}}))
    assert "1795341500000" in str(request.json)
    assert "1795341500000.0" not in str(request.json)


BOTH = {"userId": "user-1", "anonymousId": "device-1"}


@pytest.mark.parametrize(
    ("message", "identities"),
    [
        (track(**BOTH), ["user-1"]),
        (track(**BOTH, context={"campaign": {"source": "ad"}}), ["user-1", "user-1"]),
        (track(userId=None, anonymousId="device-1"), [""]),
        (track(userId="null", anonymousId="device-1"), [""]),
        ({"type": "identify", "messageId": "m-1", "traits": {"a": 1}, **BOTH}, ["user-1"]),
        ({**group(1), **BOTH}, ["", "user-1"]),
        (group(1), [""]),
        ({"type": "alias", "messageId": "m-1", "previousId": "user-0", **BOTH}, ["user-1"]),
    ],
)
def test_a_request_says_whom_amplitude_joins_by_it(
    message: dict[str, Any], identities: list[str]
) -> None:
    """Devices are joined to the user that an event or a mapping names; a group is nobody."""
    made = requests(connect(mapUsers=True), message)
    assert [request.identity for request in made] == identities


@pytest.mark.parametrize("api", ["batch", "httpapi"])
def test_costs_name_the_user_and_the_device(api: Any) -> None:
    """Every cost is a declared quota's; an event takes from its user's and its device's."""
    declared = {q.name: q for q in quotas_of(AmplitudeSettings(api_key=KEY, event_api=api))}
    assert declared["events_per_user"].limit == limits.EVENT_APIS[api].per_second
    identify = {"type": "identify", "messageId": "m-2", "userId": "user-1", "traits": {"a": 1}}
    alias = {"type": "alias", "messageId": "m-3", "userId": "user-1", "previousId": "user-0"}
    taken = []
    for request in requests(
        connect(eventApi=api, mapUsers=True), track(anonymousId="device-1"), identify, alias
    ):
        assert request.costs is not None
        taken.append({cost.quota: cost.key for cost in request.costs})
    assert taken == [
        {"events_per_user": "user-1", "events_per_device": "device-1"},
        {"events_per_user": "user-1", "updates_per_user": "user-1"},
        {"mappings_per_project": ""},
    ]
    assert {quota for costs in taken for quota in costs} <= declared.keys()


def test_every_call_has_fields() -> None:
    """What a mapping may override is named for all six calls."""
    assert FIELDS.keys() == {"identify", "track", "page", "screen", "group", "alias"}


def test_the_key_is_shown_nowhere() -> None:
    """Neither in a request as it is shown, nor in a note or a rejection."""
    connection = connect(mapUsers=True)
    for raw in (*HOSTILE.values(), msgspec.json.encode(track(properties={KEY: None}))):
        decision = connection.decide(raw)
        shown = [connection.shown(request) for request in decision.requests]
        assert KEY not in str((shown, decision.notes, decision.reject))


def test_a_note_is_short_whatever_the_sender_called_it() -> None:
    """A path longer than 200 characters is shown by its beginning."""
    for length, shown in ((189, "properties." + "k" * 189), (190, "properties." + "k" * 189 + "…")):
        message = msgspec.json.encode(track(properties={"k" * length: None}))
        (left,) = connect().decide(message).notes
        assert left.path == shown


SEGMENT = {
    "metadata": {"slug": "actions-amplitude"},
    "settings": {"apiKey": KEY, "secretKey": "s", "endpoint": "europe"},
    "subscriptions": [{"name": "Track Calls"}],
}
RUDDERSTACK = {
    "destinationDefinition": {"name": "AM"},
    "config": {
        "apiKey": KEY,
        "residencyServer": "EU",
        "groupTypeTrait": "type",
        "trackNames": False,
    },
}


def test_segments_settings() -> None:
    """Key and region are taken over; what is not is told."""
    found = import_from("segment", SEGMENT)
    assert found.settings == {"apiKey": KEY, "region": "EU"}
    assert found.lost == (
        "setting secretKey: unknown here",
        "its subscriptions and their mappings",
    )


def test_rudderstacks_settings() -> None:
    """Key and region are taken over, and ids of any length, as there; what is not is told."""
    found = import_from("rudderstack", RUDDERSTACK)
    assert found.settings == {"apiKey": KEY, "region": "EU", "minIdLength": 1}
    assert found.lost == ("setting groupTypeTrait: unknown here",)


@pytest.mark.parametrize(
    ("system", "config", "told"),
    [
        ("segment", {**SEGMENT, "metadata": {"slug": "mixpanel"}}, "not Amplitude's"),
        ("rudderstack", {**RUDDERSTACK, "destinationDefinition": {}}, "not Amplitude's"),
        ("rudderstack", {**RUDDERSTACK, "config": {}}, "no apiKey"),
        ("mparticle", SEGMENT, "not known"),
    ],
)
def test_what_is_not_amplitudes(system: str, config: dict[str, Any], told: str) -> None:
    """Another vendor's export, or one without a key, is refused with a reason."""
    with pytest.raises(ValueError, match=told):
        import_from(system, config)


@pytest.mark.parametrize(
    ("config", "region"),
    [({"residencyServer": "standard"}, "US"), ({"residencyServer": "eu"}, "EU"), ({}, None)],
)
def test_the_transformers_configuration(config: dict[str, Any], region: str | None) -> None:
    """RudderStack's configuration names the region in its own words."""
    assert renamed_settings("rudderstack", config).get("region") == region
