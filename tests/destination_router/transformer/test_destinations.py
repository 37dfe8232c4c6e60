"""Which plugin answers for which of rudder-server's destinations."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import msgspec
import pytest

from destination_router.transformer.destinations import find_destinations
from destination_router.transformer.jobs import Job
from destination_router.transformer.processing import process
from destination_router.transformer.router_batches import batch_jobs

PLUGIN = """
from destination_router import hookimpl

@hookimpl
def settings_schema():
    return {{"type": "object", "additionalProperties": False, "properties": {{}}}}

@hookimpl
def display_names():
    return {names}

@hookimpl
def on_identify():
    return []

@hookimpl
def on_track():
    return []
"""


def test_a_destination_is_found_by_its_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rudder-server's type may be a display name; a plugin's own name comes before another's."""
    monkeypatch.syspath_prepend(str(tmp_path))
    points = []
    for name, others in (("first", ["FST", "Second", "First Cloud"]), ("second", [])):
        (tmp_path / f"typed_{name}.py").write_text(PLUGIN.format(names=others))
        points.append(EntryPoint(name, f"typed_{name}", "destination_router"))
    found = find_destinations(found=points)

    assert found.keys() == {"first", "fst", "second"}
    assert found["fst"] is found["first"] is not found["second"]


UNFIT = """
from destination_router import HttpRequest, hookimpl

@hookimpl
def settings_schema():
    return {"type": "object", "additionalProperties": False, "properties": {}}

@hookimpl
def on_identify():
    return []

@hookimpl
def on_track(message):
    plain = HttpRequest(url="https://vendor.example/in", json={"event": message.event})
    params = {"id": ("1", "2")} if message.event == "Unfit" else {"id": "1"}
    return [plain, HttpRequest(url="https://vendor.example/in", params=params)]
"""


def test_what_rudderstacks_output_cannot_carry_is_rejected_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all of its event's requests, and its neighbours go on; in both parts of the protocol."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "unfit_destination.py").write_text(UNFIT)
    found = find_destinations(
        found=[EntryPoint("unfit", "unfit_destination", "destination_router")]
    )
    jobs = [
        {
            "message": {"type": "track", "messageId": f"m-{n}", "userId": "u", "event": event},
            "metadata": {"jobId": n},
            "destination": {"ID": "d", "Name": "unfit", "Config": {}},
        }
        for n, event in enumerate(("E", "Unfit", "E"))
    ]

    answer = json.loads(process("unfit", found["unfit"], json.dumps(jobs).encode(), str))
    assert [each["statusCode"] for each in answer] == [200, 200, 400, 200, 200]
    words = "not_for_rudderstack: params: RudderStack's output cannot repeat a query parameter: id"
    assert answer[2]["error"] == words

    asked = json.dumps({"input": jobs, "destType": "unfit"}).encode()
    batches = json.loads(batch_jobs("unfit", found["unfit"], asked, str))["output"]
    told = {each["metadata"][0]["jobId"]: each.get("error") for each in batches}
    assert told == {0: None, 1: words, 2: None}


@pytest.mark.parametrize("depth", [300, 480, 600, 800, 960, 5000])
def test_a_configuration_may_be_as_deep_as_it_likes(depth: int) -> None:
    """It is refused, or not, and its neighbours are none the worse."""
    deep = msgspec.Raw(b'{"Config": {"appId": "11", "q": %s1%s}}' % (b"[" * depth, b"]" * depth))
    prepared = find_destinations()["heap"].prepare(Job(destination=deep))
    assert (
        prepared.connection is not None
        or "Config" in prepared.problem
        or "read" in prepared.problem
    )


# -- configuration that depends on the message --------------------------------------------------

APP = {"appId": "{{ event.properties.app || 12 }}"}


def app_and_properties(
    properties: dict[str, object], **record_fields: object
) -> tuple[str, object]:
    """Say which appId an event goes to, and which of its properties are left."""
    message = {"type": "track", "messageId": "m-1", "userId": "u", "event": "E"}
    destination = {"ID": "d", "Name": "heap", "Config": {"dialect": "rudderstack", **APP}}
    job = {
        "message": {**message, "properties": properties},
        "metadata": {},
        "destination": {**destination, **record_fields},
    }
    heap = find_destinations()["heap"]
    (answer,) = json.loads(process("heap", heap, json.dumps([job]).encode(), lambda url: url))
    if "output" not in answer:
        return answer["error"], None
    body = answer["output"]["body"]["JSON"]
    return body["app_id"], body["properties"]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"app": "77"}, ("77", {})),
        ({"app": "77", "a": 1}, ("77", {"a": 1})),
        ({"app": 0}, ("0", {})),
        ({"app": None}, ("12", {"app": None})),
        ({}, ("12", {})),
    ],
)
def test_what_a_configuration_reads_is_taken_out_of_the_message(
    properties: dict[str, object], expected: tuple[str, object]
) -> None:
    """As rudder-transformer does; the default counts for what is absent or null alone."""
    assert app_and_properties(properties) == expected


def test_a_configuration_that_is_not_dynamic_stays_as_it_is() -> None:
    """`hasDynamicConfig: false` says that a template is plain text, which is no App ID."""
    error, _ = app_and_properties({"app": "77"}, hasDynamicConfig=False)
    assert error.startswith("Config.appId:")
