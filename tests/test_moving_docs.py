"""docs/moving.md: every configuration in it works, and every row of what differs is so."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from destination_router.config.router_toml import parse_config
from destination_router.pipeline.connection import Connection, Decision
from destination_router.pipeline.subscriptions.subscriptions import SubscriptionSource
from destination_router.plugins.loading import load_plugin
from destination_router.service.connections import connect
from destination_router.transformer.destinations import find_destinations
from destination_router.transformer.processing import process

TEXT = (Path(__file__).parent.parent / "docs" / "moving.md").read_text(encoding="utf-8")
CONFIGURATIONS = [
    block for block in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL) if "[[conn" in block
]
HEAD = '[[connections]]\nname = "h"\nplugin = "heap"\n[connections.settings]\nappId = "1"\n'
LINES = re.findall(r"\| `((?:event|properties) = .*?)`(?: \||:)", TEXT)
PAID = {
    "type": "track",
    "messageId": "m-00000001",
    "userId": "ada",
    "event": "Paid",
    "properties": {"total": 9},
    "context": {"ip": "::1"},
}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_configuration_can_be_copied(configuration: str) -> None:
    """What the page tells a reader to write is a router's configuration."""
    for connection in parse_config(tomllib.loads(configuration)).connections:
        connect(connection)


def test_freshpaints_transformations_have_their_line() -> None:
    """Each line of the table does what its row says."""
    assert len(LINES) == 4
    made = []
    for line in LINES:
        (config,) = parse_config(
            tomllib.loads(f"{HEAD}[connections.mapping.track]\n{line}\n")
        ).connections
        body = connect(config).decide(json.dumps(PAID).encode()).requests[0].json
        made.append((body["event"], body["properties"]))
    assert made == [
        ("Bought", {"total": 9}),
        ("paid", {"total": 9}),
        ("Paid", {"total": 9, "plan": "pro", "ip": "::1"}),
        ("Paid", {"total": 9}),
    ]


@pytest.mark.parametrize("system", ["Segment", "Syft", "RudderStack", "Freshpaint"])
def test_every_system_has_its_page(system: str) -> None:
    """Someone who comes from it finds a section of their own."""
    assert f"\n## {system}\n" in TEXT


# -- what differs all the same: the column "Here" -----------------------------------------------


def decided(dialect: str, takes: str = "", **fields: Any) -> Decision:
    sources = [SubscriptionSource(subscription=takes)] if takes else []
    connection = Connection("h", load_plugin("heap"), {"appId": "1", "dialect": dialect}, sources)
    message = {"type": "track", "messageId": "m-00000001", "anonymousId": "a", "event": "Paid"}
    return connection.decide(json.dumps({**message, **fields}).encode())


def event(decision: Decision) -> Any:
    return decision.requests[0].json["events"][0]


def transformed(*messages: dict[str, Any], **config: Any) -> list[dict[str, Any]]:
    """Ask the transformer as rudder-server does."""
    destination = {"ID": "d", "Name": "h", "Config": {"dialect": "rudderstack", **config}}
    jobs = [
        {"message": {**PAID, **message}, "metadata": {}, "destination": destination}
        for message in messages
    ]
    body = process("heap", find_destinations()["heap"], json.dumps(jobs).encode(), str)
    answers: list[dict[str, Any]] = json.loads(body)
    return answers


def body(answer: dict[str, Any]) -> Any:
    return answer["output"]["body"]["JSON"]


def type_row() -> None:
    assert [decided(d, type="TRACK").result for d in ("segment", "segment-cloud")] == [
        "requests",
        "requests",
    ]
    assert [decided("rudderstack", type=kind).result for kind in ("TRACK", " track")] == [
        "rejected",
        "rejected",
    ]
    assert decided("segment", type="nope").result == "rejected"


def message_id_row() -> None:
    assert event(decided("segment", messageId=" m-1 "))["idempotency_key"] == "m-1"
    assert event(decided("segment", messageId=5))["idempotency_key"] == "5"
    made = [event(decided("segment", messageId=None))["idempotency_key"] for _ in range(2)]
    assert made[0] == made[1] != ""


def null_context_row() -> None:
    assert decided("segment", context=None).result == "requests"


def large_numbers_row() -> None:
    numbers = {"a": 2**53 + 1, "b": -(2**53) - 1, "c": 10**20 + 1}
    assert decided("rudderstack", properties=numbers).requests[0].json["properties"] == numbers
    assert body(transformed({"properties": numbers}, appId="1")[0])["properties"] == numbers
    identify = decided("segment-cloud", type="identify", userId="u", traits=numbers)
    (user,) = identify.requests[0].json["users"]
    assert user["custom_properties"] == numbers


def prototype_row() -> None:
    odd = {"__proto__": {"a": "x"}, "b": "y"}
    told = transformed({"properties": odd}, {}, appId="1")
    assert [body(answer)["properties"] for answer in told] == [
        {"__proto__.a": "x", "b": "y"},
        PAID["properties"],
    ]
    assert {"__proto__.a", "b"} <= event(decided("segment", properties=odd))[
        "custom_properties"
    ].keys()


def residency_row() -> None:
    told = [transformed({}, appId="1", dataResidency=given)[0] for given in ("EU", "eu", "US")]
    hosts = [answer["output"]["endpoint"].split("/")[2] for answer in told]
    assert hosts[0] == hosts[1] != hosts[2]


def app_id_row() -> None:
    told = [transformed({}, **config)[0] for config in ({}, {"appId": "x"}, {"appId": ""})]
    assert ["appId" in answer["error"] for answer in told] == [True] * 3


def app_id_number_row() -> None:
    assert body(transformed({}, appId=11)[0])["app_id"] == "11"


def lists_row() -> None:
    for odd in ({"traits": [{"id": "x"}]}, {"context": [{"traits": {"id": "x"}}]}):
        assert decided("rudderstack", **odd).requests[0].json["identity"] == "a"


def hipaa_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "0123456789abcdef0123456789abcdef")
    allowed = "allow = { events = ['Paid'] }\n"
    private = f"{HEAD}dialect = 'segment'\n[connections.privacy]\nmode = 'hipaa'\n{allowed}"
    keys = "[connections.privacy.keys]\nv1 = { env = 'KEY' }\n"
    (config,) = parse_config(tomllib.loads(f"[privacy]\n{allowed}{private}{keys}")).connections
    for given, result in (({}, "requests"), ("", "rejected"), ("x", "rejected")):
        told = connect(config).decide(
            json.dumps({**PAID, "anonymousId": "a", "properties": given}).encode()
        )
        assert told.result == result


def name_row() -> None:
    screen = {"type": "screen", "event": None, "properties": {"name": "Home"}}
    assert decided("segment", 'name = "Home"', **screen).result == "requests"


def traits_row() -> None:
    identify = {"type": "identify", "userId": "u", "context": {"traits": {"plan": "pro"}}}
    assert decided("segment", 'traits.plan = "pro"', **identify).result == "requests"


def sdk_traits_row() -> None:
    for library, sent in (("RudderLabs Android Library", ["pro"]), ("analytics-next", [])):
        context = {"traits": {"plan": "pro"}, "library": {"name": library}}
        told = decided("segment", type="identify", userId="u", context=context)
        properties = told.requests[0].json["properties"]
        assert [properties[name] for name in ("plan",) if name in properties] == sent


def integrations_row() -> None:
    for given in ([], None):
        told = [decided(d, integrations=given).result for d in ("heap", "segment", "segment-cloud")]
        assert told == ["requests"] * 3
        assert decided("rudderstack", integrations=given).result == "filtered"


ROWS = {
    "differs-type": type_row,
    "differs-message-id": message_id_row,
    "differs-null-context": null_context_row,
    "differs-large-numbers": large_numbers_row,
    "differs-prototype": prototype_row,
    "differs-residency": residency_row,
    "differs-app-id": app_id_row,
    "differs-app-id-number": app_id_number_row,
    "differs-lists": lists_row,
    "differs-name": name_row,
    "differs-traits": traits_row,
    "differs-sdk-traits": sdk_traits_row,
    "differs-integrations": integrations_row,
}


@pytest.mark.parametrize("anchor", ROWS)
def test_a_row_of_what_differs_is_so_here(anchor: str) -> None:
    """What the column "Here" says is what the router does."""
    ROWS[anchor]()


def test_fields_of_the_wrong_type_are_rejected_in_hipaa_mode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They could not be masked."""
    hipaa_row(monkeypatch)


def test_every_row_of_what_differs_has_its_test() -> None:
    """And its anchor, which scripts/differential names."""
    table = TEXT.partition("\n## What differs in every dialect\n")[2].partition("\n\n#")[0]
    rows = table.strip().splitlines()[2:]
    anchors = [re.findall(r'^\| <a id="(differs-[a-z-]+)"></a>', row) for row in rows]
    assert [anchor for (anchor,) in anchors] != []
    assert {anchor for (anchor,) in anchors} == {*ROWS, "differs-hipaa"}
