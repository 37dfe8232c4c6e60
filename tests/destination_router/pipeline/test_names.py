"""The name of a page or screen, in every shape that SDKs give it, and whoever asks for it."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from destination_router import Page, Screen, parse_message
from destination_router.config.router_toml import ConnectionConfig, SharedConfig
from destination_router.pipeline.connection import Connection, Decision, configured
from destination_router.pipeline.mapping.field_mapping import compile_mapping
from destination_router.pipeline.normalise import normalise, well_formed_already
from destination_router.pipeline.privacy.report import Report
from destination_router.pipeline.subscriptions.conditions import compile_condition
from destination_router.pipeline.transformations.steps import Transformations
from destination_router.plugins.loading import load_plugin

SHAPES = {
    "browser": {"name": "Diagnosis", "properties": {"name": "Diagnosis", "path": "/d"}},
    "server": {"name": "Diagnosis"},
    "app": {"event": "Diagnosis", "properties": {"name": "Diagnosis"}},
    "app, blank root": {"name": " ", "event": "Diagnosis", "properties": {"name": "Diagnosis"}},
    "app, no properties": {"event": "Diagnosis"},
    "properties alone": {"name": None, "properties": {"name": "Diagnosis"}},
    "event beside a nameless property": {"event": "Diagnosis", "properties": {"name": ["x"]}},
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
views = pytest.mark.parametrize("kind", ["page", "screen"])


def wire(kind: str, **shape: Any) -> bytes:
    return json.dumps({"type": kind, "messageId": "m-1", "userId": "ada", **shape}).encode()


def view(kind: str, **shape: Any) -> Page | Screen:
    message = normalise(wire(kind, **shape)).message
    assert isinstance(message, (Page, Screen))
    return message


def transformed(step: dict[str, Any], kind: str, **shape: Any) -> Page | Screen | None:
    message = Transformations([step]).apply(view(kind, **shape)).message
    assert message is None or isinstance(message, (Page, Screen))
    return message


# -- where it stands ----------------------------------------------------------------------------


@views
@shapes
def test_a_name_is_read_wherever_an_sdk_writes_it(kind: str, shape: dict[str, Any]) -> None:
    """It is the root's `name`, else `properties.name`, else `event`."""
    assert view(kind, **shape).name == "Diagnosis"
    assert parse_message(wire(kind, **shape)).to_dict()["name"] == "Diagnosis"


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ({"name": "Root", "event": "E", "properties": {"name": "P"}}, "Root"),
        ({"event": "E", "properties": {"name": "P"}}, "P"),
        ({"event": "E", "properties": {"name": ""}}, "E"),
        ({"properties": {"name": 7}}, "7"),
        ({"properties": {"name": True}}, None),
        ({"event": {"name": "E"}}, None),
        ({"event": 10**400, "properties": {"name": -(10**400)}}, None),
        ({}, None),
    ],
)
def test_the_first_place_with_a_name_counts(shape: dict[str, Any], name: str | None) -> None:
    """What is no text or number names nothing."""
    assert view("screen", **shape).name == name


def test_a_name_is_found_on_every_road() -> None:
    """Messages that need mending, that were decoded with others, or that spell `event` oddly."""
    mended = normalise(wire("screen", event="Diagnosis", userId=5)).message
    decoded = well_formed_already(Screen(message_id="m", properties={"name": "Diagnosis"}))
    escaped = wire("screen", event="Diagnosis").replace(b"event", b"\\u0065vent")
    odd = normalise(escaped).message
    assert [getattr(m, "name", None) for m in (mended, decoded, odd)] == ["Diagnosis"] * 3


def test_what_the_sender_wrote_is_still_known() -> None:
    """A dialect of a system that reads the root alone can tell."""
    message = view("screen", event="Diagnosis")
    assert message.as_sent("name") is None
    assert view("screen", name="").as_sent("name") == ""
    assert "name" not in message.wire


# -- lists and matchers -------------------------------------------------------------------------


@views
@shapes
def test_conditions_and_mappings_see_the_name(kind: str, shape: dict[str, Any]) -> None:
    """A subscription, a condition of a step and a mapping are given the same name."""
    message = view(kind, **shape)
    for text in ('name = "Diagnosis"', 'match(name, "Diag*")', 'contains(name, "agno")'):
        assert compile_condition(text)(message)
    assert not compile_condition("name = null")(message)
    assert compile_mapping({"@path": "$.name"})(message) == "Diagnosis"
    assert compile_mapping({"@template": "{{name}}"})(message) == "Diagnosis"


def test_a_condition_sees_traits_where_an_sdk_writes_them() -> None:
    """RudderStack's SDKs write an identify's traits in its context alone."""
    message = parse_message(
        {"type": "identify", "messageId": "m", "context": {"traits": {"plan": "pro"}}}
    )
    assert compile_condition('traits.plan = "pro"')(message)
    assert compile_mapping({"@path": "$.traits.plan"})(message) == "pro"


@views
@shapes
def test_drop_and_keep_see_the_name(kind: str, shape: dict[str, Any]) -> None:
    """A page or screen is dropped or kept by its name, wherever it stands."""
    assert transformed({"drop_events": ["Diag*"]}, kind, **shape) is None
    assert transformed({"keep_events": ["Home"]}, kind, **shape) is None
    assert transformed({"keep_events": ["Diagnosis"]}, kind, **shape) is not None


@views
@shapes
@pytest.mark.parametrize("operation", [{"delete": ["name"]}, {"mask": {"name": 0}}])
def test_what_hides_a_name_hides_it_everywhere(
    operation: dict[str, Any], kind: str, shape: dict[str, Any]
) -> None:
    """No copy of it is left in what a destination can read."""
    message = transformed(operation, kind, **shape)
    assert message is not None
    assert "Diagnosis" not in repr((message, message.wire, message.to_dict(), message.name))


@views
@pytest.mark.parametrize("paths", [["properties.name"], ["properties.*"]])
@pytest.mark.parametrize("shape", ["browser", "app", "properties alone"])
def test_what_deletes_the_property_deletes_the_name(
    shape: str, paths: list[str], kind: str
) -> None:
    """A name that stands in the properties is the same name at the root."""
    message = transformed({"delete": paths}, kind, **SHAPES[shape])
    assert message is not None
    assert "Diagnosis" not in repr((message, message.wire, message.to_dict()))


def test_another_name_stays() -> None:
    """A property that says something else is no copy of the name."""
    message = transformed(
        {"delete": ["properties.name"]}, "page", name="Home", properties={"name": "Mine"}
    )
    assert message is not None
    assert (message.name, message.properties) == ("Home", {})


def test_a_constant_name_is_the_only_one() -> None:
    """Where the old name stood, the new one stands."""
    message = transformed({"constant": {"name": "Home"}}, "screen", **SHAPES["app"])
    assert message is not None
    assert (message.name, message.properties) == ("Home", {"name": "Home"})
    assert message.wire["event"] == "Home"


def test_a_category_is_changed_in_both_places() -> None:
    """SDKs for browsers write it at the root and in the properties."""
    message = transformed(
        {"upper": ["category"]}, "page", category="docs", properties={"category": "docs"}
    )
    assert message is not None
    assert (message.category, message.properties) == ("DOCS", {"category": "DOCS"})


def test_a_trait_in_the_context_is_the_users_own() -> None:
    """A change of `context.traits` is a change of an identify's `traits`."""
    message = parse_message(
        {"type": "identify", "messageId": "m", "context": {"traits": {"ssn": "078-05-1120"}}}
    )
    done = Transformations([{"delete": ["context.traits.ssn"]}]).apply(message).message
    assert done is not None
    assert "078-05-1120" not in repr((done, done.wire, done.to_dict(), done.context_traits))


# -- HIPAA mode ---------------------------------------------------------------------------------


def private(
    monkeypatch: pytest.MonkeyPatch, identifiers: Sequence[str] = (), **allow: Any
) -> Connection:
    monkeypatch.setenv("MASKING_KEY_1", "0123456789abcdef" * 2)
    lists = {"pages": ["Home"], "screens": ["Home"], "properties": ["name", "plan"], **allow}
    privacy = {
        "mode": "hipaa",
        "allow": lists,
        "identifiers": list(identifiers),
        "keys": {"v1": {"env": "MASKING_KEY_1"}},
    }
    config = ConnectionConfig(
        name="heap",
        plugin="heap",
        settings={"appId": "11"},
        privacy=privacy,
        shared=SharedConfig(privacy={"allow": lists}),
    )
    return configured(config, load_plugin("heap"))


@views
@shapes
@pytest.mark.parametrize("others", [["Home"], ["Home", ""]])
def test_a_name_that_is_not_listed_does_not_go_out(
    kind: str, shape: dict[str, Any], others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else passes: pages without a name, and the property `name`."""
    connection = private(monkeypatch, pages=others, screens=others)
    decision = connection.decide(wire(kind, **shape))
    assert decision.result == "filtered"
    assert "Diagnosis" not in repr(decision)
    assert b"Diagnosis" not in connection.kept(wire(kind, **shape))


@views
@shapes
def test_a_name_that_is_listed_goes_out(
    kind: str, shape: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app's screen is found on the list as a browser's page is."""
    connection = private(monkeypatch, pages=["Diagnosis"], screens=["Diagnosis"])
    assert connection.decide(wire(kind, **shape)).result == "requests"


@views
@pytest.mark.parametrize("second", ["Diagnosis", ["Diagnosis"], [["Diagnosis"]], 7, True])
def test_a_second_name_has_to_be_listed_too(
    kind: str, second: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is listed takes no other name along in its properties."""
    decision = private(monkeypatch).decide(
        wire(kind, name="Home", properties={"name": second, "plan": "pro"})
    )
    (event,) = sent(decision)
    assert event["properties"] == {"name": "Home", "plan": "pro"}
    assert "properties.name" in [note.path for note in decision.notes]


def test_a_second_name_that_is_an_identifier_goes_out_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It needs no list of names: it is none any more, nor is it when it comes back masked."""
    privacy = private(monkeypatch, identifiers=["properties.name"]).treatment.privacy
    assert privacy is not None
    masked, _ = privacy.apply(view("page", name="Home", properties={"name": "Diagnosis"}))
    again, _ = privacy.reapply(masked)
    for message in (masked, again):
        assert isinstance(message, Page)
        assert message.properties["name"].startswith("v1_")


def test_a_report_counts_names_where_the_lists_find_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it proposes for an app's screens are their names, not the empty one."""
    privacy = private(monkeypatch).treatment.privacy
    assert privacy is not None
    report = Report(privacy.allowed, people=1)
    report.add(view("screen", **SHAPES["app"]))
    assert [row.name for row in report.rows() if row.list == "screens"] == ["Diagnosis"]


# -- destinations -------------------------------------------------------------------------------


def sent(decision: Decision) -> list[dict[str, Any]]:
    assert decision.result == "requests", decision
    return [request.json for request in decision.requests if isinstance(request.json, dict)]


def event_properties(settings: dict[str, Any], kind: str, shape: dict[str, Any]) -> Any:
    connection = Connection("heap", load_plugin("heap"), {"appId": "11", **settings})
    body = sent(connection.decide(wire(kind, anonymousId="anon-1", **shape)))[-1]
    events = body.get("events") or [body]
    return events[0].get("properties", events[0].get("custom_properties"))


@shapes
def test_heap_is_told_the_name_of_a_screen(shape: dict[str, Any]) -> None:
    """Heap's own dialect sends it as the property `name`."""
    assert event_properties({}, "screen", shape)["name"] == "Diagnosis"


@pytest.mark.parametrize("dialect", ["segment", "segment-cloud"])
def test_a_dialect_reads_what_its_system_reads(dialect: str) -> None:
    """Segment's destinations know no name but the root's."""
    assert "name" not in event_properties({"dialect": dialect}, "screen", {"event": "Diagnosis"})
    assert event_properties({"dialect": dialect}, "screen", {"name": "Diagnosis"})["name"]
