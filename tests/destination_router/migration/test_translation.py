"""`import`: a router.toml that works, and a sentence for everything that it lacks.

Modules: `translation.py`, `exports.py`, `rudderstack_options.py`, `toml_writing.py`,
`commands/import_.py`.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from destination_router.commands.cli import app
from destination_router.config.router_toml import load_config
from destination_router.contract.messages import MESSAGE_TYPES
from destination_router.faults import UsageError
from destination_router.migration.toml_writing import write_router
from destination_router.migration.translation import imported
from destination_router.pipeline.connection import Decision
from destination_router.service.connections import connect

TRACK_FIELDS = {
    "message_id": {"@path": "$.messageId"},
    "anonymous_id": {"@path": "$.anonymousId"},
    "event": {"@path": "$.event"},
    "properties": {"@path": "$.properties"},
    "timestamp": {"@path": "$.timestamp"},
    "type": {"@path": "$.type"},
    "name": {"@path": "$.name"},
    "traits": {"@path": "$.context.traits"},
}
NO_KEYS = (
    "write keys, which are not in the export; set the environment variable WRITE_KEY to one that "
    "senders use"
)
TRIGGER = 'type = "track" or type = "page" or type = "screen"'

CLUMSY = """
from destination_router import hookimpl

@hookimpl
def settings_schema():
    return {"title": "T", "description": "D", "type": "object", "additionalProperties": False}

@hookimpl
def on_identify(message):
    return []

@hookimpl
def on_track(message):
    return []

@hookimpl
def import_settings(system, config):
    raise KeyError(config["name"])
"""


def segment(mapping: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    subscription = {
        "name": "Track Calls",
        "enabled": True,
        "trigger": TRIGGER,
        "partnerAction": "trackEvent",
        "mapping": TRACK_FIELDS if mapping is None else mapping,
        **more,
    }
    settings = {"appId": "11", "region": "EU"}
    return {
        "name": "Heap",
        "enabled": True,
        "settings": settings,
        "subscriptions": [subscription],
    }


WORKSPACE: dict[str, Any] = {
    "workspaceId": "ws1",
    "sources": [
        {
            "id": "s1",
            "name": "http",
            "writeKey": "wk1",
            "enabled": True,
            "destinations": [
                {
                    "id": "d1",
                    "name": "heap",
                    "enabled": True,
                    "transformations": [{"id": "t1"}],
                    "config": {"appId": "11", "dataResidency": "eu", "eventDelivery": True},
                    "destinationDefinition": {
                        "name": "HEAP",
                        "displayName": "Heap.io",
                        "config": {"supportedMessageTypes": ["identify", "track"]},
                    },
                },
                {"id": "d2", "name": "old", "enabled": False, "config": {}},
                {
                    "id": "d3",
                    "name": "mail",
                    "config": {},
                    "destinationDefinition": {"name": "MAIL"},
                },
            ],
        }
    ],
}


def decided(text: str, message: dict[str, Any], tmp_path: Path) -> Decision:
    path = tmp_path / "router.toml"
    path.write_text(text, encoding="utf-8")
    (connection,) = load_config(path).connections
    return connect(connection).decide(json.dumps({"messageId": "m-00000001", **message}).encode())


PAID = {"type": "track", "userId": "ada", "anonymousId": "a-1", "event": "Paid"}


def test_a_segment_destination_with_defaults_becomes_a_bare_connection(tmp_path: Path) -> None:
    """A saved mapping that repeats the defaults leaves nothing to write."""
    text, lost = imported("segment", segment())
    content = tomllib.loads(text)
    assert content["connections"] == [
        {
            "name": "Heap",
            "plugin": "heap",
            "settings": {"appId": "11", "dialect": "segment", "region": "EU"},
            "subscriptions": [{"name": "Track Calls", "subscription": TRIGGER}],
        }
    ]
    assert lost == [NO_KEYS]
    assert content["gateway"] == {"write_keys": [{"env": "WRITE_KEY"}]}
    (request,) = decided(text, PAID, tmp_path).requests
    assert request.url == "https://c.eu.heap-api.com/api/integrations/track"


def test_a_saved_mapping_is_carried_over(tmp_path: Path) -> None:
    """What differs from the default is overridden, and what it lacks is not sent."""
    mapping = {
        **TRACK_FIELDS,
        "identity": {"@path": "$.userId", "_metadata": {"label": "User"}},
        "properties": {"a": None, "b": {"@if": {"exists": {"@path": "$.x"}, "else": ""}}},
    }
    del mapping["traits"]
    text, lost = imported("segment", segment(mapping))
    assert lost == [NO_KEYS]
    message = {**PAID, "context": {"traits": {"plan": "pro"}}}
    profile, event = decided(text, message, tmp_path).requests
    assert profile.json["properties"] == {"anonymous_id": "a-1"}
    assert event.json["events"][0]["custom_properties"] == {
        "segment_library": "cloud-mode-destination",
        "a": "null",
    }


@pytest.mark.parametrize(
    ("export", "sentences"),
    [
        (
            segment({**TRACK_FIELDS, "event": {"@cohort": 1}}),
            ["Heap: subscription Track Calls: track event: the default in place of its mapping ("],
        ),
        (segment({**TRACK_FIELDS, "x": 1}), ["Heap: subscription Track Calls: field x"]),
        (
            segment({**TRACK_FIELDS, "message_id": None}),
            ["message_id: the default, where it maps nothing to it"],
        ),
        (
            segment(trigger='type = "track" or type = "group"'),
            ["Heap: subscription Track Calls: without its group calls, which its action does not"],
        ),
        (
            [segment(), segment(trigger='type = "group"')],
            [
                "subscription Track Calls: left out: it takes only group calls, and its action",
                "Heap: left out: it has no subscription that could be carried over",
            ],
        ),
        (
            [segment(), segment(trigger='type = "import"')],
            ["subscription Track Calls: left out: it takes no call that there is, and its action"],
        ),
        (
            segment(trigger='type = "track" and userId != true'),
            ['its trigger is written as it is meant there: type = "track" and userId != "true"'],
        ),
        (
            segment(trigger='type = "track" and event = "a" or event = "b"'),
            ['as it is meant there: type = "track" or event = "a" or event = "b"'],
        ),
        ({**segment(), "settings": {"appId": "11", "mode": 1}}, ["Heap: setting mode: unknown"]),
        (
            [segment(), {**segment(), "name": "Old", "enabled": False}],
            ["Old: left out: the destination is switched off"],
        ),
        (
            [segment(), {"name": "Mail", "settings": {}}],
            ["Mail: left out: no installed destination knows"],
        ),
        (
            [segment(), segment(enabled=False)],
            ["left out: it is switched off", "it has no subscription"],
        ),
        (
            [segment(), segment(trigger='type = "')],
            ["its trigger cannot be read: at character 8", "it has no subscription"],
        ),
        ([segment(), segment(partnerAction="other")], ["left out: its action other is not known"]),
        ({**segment(), "filters": [{"if": "x"}]}, ["Heap: its filters, which means nothing here"]),
        (
            {**segment(), "subscriptions": [5, *segment()["subscriptions"]]},
            ["Heap: subscriptions.0: left out: not the object of a subscription"],
        ),
        ([segment(), 5], ["1 of the list: left out: not the object of a destination"]),
    ],
)
def test_what_cannot_be_carried_over_is_said(export: Any, sentences: list[str]) -> None:
    """Nothing is lost in silence, and what is written works all the same."""
    text, lost = imported("segment", export)
    assert tomllib.loads(text)["connections"]
    for sentence in sentences:
        assert any(sentence in one for one in lost), lost


def test_a_plugin_that_fails_at_an_export_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name and the place in its code: no traceback, and nothing that the export holds."""
    (tmp_path / "clumsy.py").write_text(CLUMSY)
    metadata = tmp_path / "clumsy-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: clumsy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[destination_router]\nclumsy = clumsy\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "export.json").write_text(json.dumps({**segment(), "name": "ada@example.com"}))
    arguments = ["import", "segment", str(tmp_path / "export.json"), "--plugin", "clumsy"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "plugin 'clumsy' of clumsy 1.0: import_settings failed: KeyError at " in done.stderr
    assert "clumsy.py:18" in done.stderr
    assert "ada" not in done.stderr


def test_an_export_whose_subscriptions_are_no_list_is_left_out() -> None:
    """It is told as whatever nobody can read is."""
    _, lost = imported("segment", [segment(), {**segment(), "name": "Odd", "subscriptions": 7}])
    assert "Odd: left out: no installed destination knows its settings" in lost


def test_what_holds_for_several_calls_is_said_once() -> None:
    """A field that stands at its default in a track, a page and a screen is one sentence."""
    _, lost = imported("segment", segment({**TRACK_FIELDS, "message_id": None}))
    assert len([sentence for sentence in lost if "message_id" in sentence]) == 1


def test_the_answers_of_segments_api_can_be_laid_together(tmp_path: Path) -> None:
    """A destination and its subscriptions are two answers; a mapping is called `settings` there."""
    whole = segment()
    (subscription,) = whole.pop("subscriptions")
    settings = {**subscription.pop("mapping"), "identity": {"@path": "$.userId"}}
    export = {"destination": whole, "subscriptions": [{**subscription, "settings": settings}]}
    for content in (export, {"data": export}):
        text, lost = imported("segment", content)
        assert lost == [NO_KEYS]
        event = decided(text, PAID, tmp_path).requests[-1].json["events"][0]
        assert event["user_identifier"] == {"identity": "ada"}


def test_an_export_without_subscriptions_says_so() -> None:
    """The defaults are used, which nobody may take for what was saved."""
    export = segment()
    del export["subscriptions"]
    _, lost = imported("segment", export)
    assert "Heap: the default subscriptions: its own are not in the export" in lost


def test_two_destinations_of_one_name_get_two() -> None:
    """A connection's name is its own."""
    text, _ = imported("segment", {"data": {"destinations": [segment(), segment()]}})
    assert [c["name"] for c in tomllib.loads(text)["connections"]] == ["Heap", "Heap 2"]


def test_a_workspace_configuration_becomes_a_router(tmp_path: Path) -> None:
    """RudderStack's destinations, write keys and supported types are carried over."""
    text, lost = imported("rudderstack", WORKSPACE)
    content = tomllib.loads(text)
    assert content["gateway"] == {"write_keys": ["wk1"]}
    assert content["connections"][0]["settings"] == {
        "appId": "11",
        "dialect": "rudderstack",
        "region": "EU",
    }
    assert lost == [
        "old: left out: the destination is switched off",
        "heap: its transformations; write them anew",
        "heap: config eventDelivery: unknown here",
        "mail: left out: no installed destination knows its settings",
    ]
    assert decided(text, PAID, tmp_path).requests[0].json["identity"] == "ada"
    page = decided(text, {"type": "page", "userId": "ada"}, tmp_path)
    assert page.result == "filtered"  # rudder-server filters by a list of types


def workspace(**config: Any) -> Any:
    """A workspace with one Heap destination that has these options."""
    whole = json.loads(json.dumps(WORKSPACE))
    heap = whole["sources"][0]["destinations"][0]
    whole["sources"][0]["destinations"] = [heap]
    heap |= {"transformations": [], "config": {"appId": "11", **config}}
    return whole


@pytest.mark.parametrize(
    "options",
    [
        {"connectionMode": "device"},
        {"connectionMode": {"web": "device", "ios": "cloud"}},
        {"useNativeSDK": True},
        {"useNativeSDK": {"web": True}},
    ],
)
def test_what_browsers_load_by_themselves_they_go_on_loading(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """RudderStack's device mode is `clientSide`: what happens in browsers is not sent twice."""
    text, lost = imported("rudderstack", workspace(**options))
    assert (tomllib.loads(text)["connections"][0]["clientSide"], lost) == (True, [])
    assert decided(text, {**PAID, "channel": "web"}, tmp_path).result == "filtered"


@pytest.mark.parametrize(
    "options",
    [
        {"connectionMode": {"web": "cloud"}, "useNativeSDK": {"web": False}},
        {
            "eventFilteringOption": "disable",
            "whitelistedEvents": [{"eventName": "Paid"}],
            "blacklistedEvents": [{"eventName": ""}],
        },
        {"oneTrustCookieCategories": {"web": [{"oneTrustCookieCategory": ""}]}},
        {"consentManagement": {"web": []}},
    ],
)
def test_an_option_that_is_not_used_is_not_told(options: dict[str, Any]) -> None:
    """RudderStack's app saves the empty form of each."""
    text, lost = imported("rudderstack", workspace(**options))
    assert (tomllib.loads(text)["connections"][0].get("clientSide"), lost) == (None, [])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {
                "eventFilteringOption": "blacklistedEvents",
                "blacklistedEvents": [{"eventName": "Seen"}],
            },
            "heap: its blacklistedEvents: RudderStack's SDKs filter by them in device mode alone",
        ),
        (
            {"connectionMode": {"android": "device", "ios": "device"}},
            "heap: device mode of android, ios: only browsers load",
        ),
        (
            {
                "oneTrustCookieCategories": {
                    "web": [{"oneTrustCookieCategory": "C0002"}],
                    "android": [{"oneTrustCookieCategory": "C0003"}],
                }
            },
            "heap: oneTrustCookieCategories: differs by the kind of source; here it holds for all",
        ),
    ],
)
def test_an_option_that_does_not_hold_here_is_told(options: dict[str, Any], told: str) -> None:
    """What went out to nobody there must not go out here in silence."""
    _, (sentence,) = imported("rudderstack", workspace(**options))
    assert sentence.startswith(told)


def test_consent_is_carried_over() -> None:
    """RudderStack's newer form by provider, and the older ones of OneTrust and ketch."""
    text, lost = imported(
        "rudderstack",
        workspace(
            consentManagement={
                "web": [
                    {
                        "provider": "custom",
                        "resolutionStrategy": "or",
                        "consents": [{"consent": "c1"}, {"consent": ""}],
                    },
                    {"provider": "oneTrust", "resolutionStrategy": "", "consents": []},
                ]
            },
            oneTrustCookieCategories={"web": [{"oneTrustCookieCategory": "C0002"}]},
            ketchConsentPurposes=[{"purpose": "ads"}],
        ),
    )
    assert lost == []
    assert tomllib.loads(text)["connections"][0]["consent"] == [
        {"provider": "custom", "categories": ["c1"], "resolution": "or"},
        {"provider": "oneTrust", "categories": ["C0002"], "resolution": "and", "legacy": True},
        {"provider": "ketch", "categories": ["ads"], "resolution": "or", "legacy": True},
    ]


def test_without_a_list_of_types_nothing_is_filtered(tmp_path: Path) -> None:
    """A page then reaches the mapping, which refuses it."""
    workspace = json.loads(json.dumps(WORKSPACE))
    workspace["sources"][0]["destinations"][0]["destinationDefinition"]["config"] = {}
    text, _ = imported("rudderstack", workspace)
    assert decided(text, {"type": "page", "userId": "ada"}, tmp_path).result == "rejected"


@pytest.mark.parametrize(
    ("system", "content"),
    [
        ("mparticle", {}),
        ("segment", {}),
        ("segment", 5),
        ("segment", [{"name": "x", "settings": {}}]),
        ("rudderstack", {}),
        ("rudderstack", []),
    ],
)
def test_what_is_no_export_is_refused(system: str, content: Any) -> None:
    """A file that holds nothing of use says so."""
    with pytest.raises(UsageError):
        imported(system, content)


def test_the_command_writes_a_file_and_tells_the_rest(tmp_path: Path) -> None:
    """Data goes to the file, talk to standard error."""
    source, target = tmp_path / "settings.json", tmp_path / "router.toml"
    source.write_text(json.dumps(segment(trigger='type = "track" or type = "alias"')))
    done = CliRunner().invoke(app, ["import", "segment", str(source), "-o", str(target)])
    assert done.exit_code == 0, done.output
    assert load_config(target).connections[0].plugin == "heap"
    again = CliRunner().invoke(app, ["import", "segment", str(source)])
    assert again.stdout.strip() == target.read_text(encoding="utf-8").strip()
    source.write_text("{")
    assert CliRunner().invoke(app, ["import", "segment", str(source)]).exit_code == 2


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """What was written into it by hand since is not lost, and nobody else reads its write keys."""
    source, target = tmp_path / "export.json", tmp_path / "router.toml"
    source.write_text(json.dumps(WORKSPACE))
    arguments = ["import", "rudderstack", str(source), "--output", str(target)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert target.stat().st_mode & 0o777 == 0o600
    target.write_text("mine")
    again = CliRunner().invoke(app, arguments)
    assert (again.exit_code, target.read_text()) == (2, "mine")


def test_toml_holds_whatever_json_does() -> None:
    """Odd keys, quotes and control characters survive the way through TOML."""
    odd = {"a b": 'say "hi"\n', "ü.x": {"\x7f": [1, 2.5, True, {}]}, "": "\\"}
    connection = {"name": "x", "plugin": "heap", "settings": odd}
    text = write_router({}, [connection])
    assert tomllib.loads(text)["connections"][0]["settings"] == odd
    assert len(MESSAGE_TYPES) == 6
