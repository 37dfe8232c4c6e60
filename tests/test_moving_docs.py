"""docs/moving.md: every configuration in it works."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from destination_router.config.router_toml import parse_config
from destination_router.service.connections import connect

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
