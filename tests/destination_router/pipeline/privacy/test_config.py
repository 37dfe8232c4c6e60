"""What is wrong with the protection stops the connection, and every mistake is told."""

from pathlib import Path
from typing import Any

import pytest

from destination_router.config.router_toml import ConnectionConfig, SharedConfig, parse_config
from destination_router.gateway.source_config import device_destinations
from destination_router.pipeline.connection import Connection, configured
from destination_router.plugins.loading import PluginError, load_plugin
from destination_router.service.checking import check_config
from destination_router.settings.errors import TableError

ALLOW = {"events": ["Paid"], "properties": ["plan"]}
KEYS = {"v1": {"env": "MASKING_KEY_1"}}
TRACK = b'{"type":"track","messageId":"m1","userId":"ada","event":"Paid","properties":{"plan":"p"}}'


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKING_KEY_1", "0123456789abcdef0123456789abcdef")


def connection(own: dict[str, Any], shared: dict[str, Any], **more: Any) -> Connection:
    config = ConnectionConfig(
        name="production",
        plugin="heap",
        settings={"appId": "11"},
        privacy=own,
        shared=SharedConfig(privacy=shared),
        **more,
    )
    return configured(config, load_plugin("heap"))


def problems(own: dict[str, Any], shared: dict[str, Any], **more: Any) -> list[str]:
    with pytest.raises(TableError) as refused:
        connection(own, shared, **more)
    return [str(problem) for problem in refused.value.problems]


def test_every_mistake_is_told_with_its_place() -> None:
    """One start tells all that is wrong with both tables, and quotes no key."""
    own = {
        "mode": "HIPAA",
        "allow": {"propertys": [], "properties": ["*", "a..b", 1], "context": ["traits.x"]},
        "identifiers": ["email", "traits.*"],
        "key": {},
    }
    shared = {
        "mode": "hipaa",
        "keys": {"v1": "0123456789abcdef0123456789abcdef"},
        "allow": {"root": ["userId"], "events": ["*"], "traits": ["a.*", "b*"]},
    }
    a_path = "write a path such as plan, address.city or items.*; * alone passes all"
    assert problems(own, shared) == [
        "privacy.key: is not known here; known: mode, keys, allow, identifiers",
        'privacy.mode: must be "hipaa"; without it, nothing is protected',
        'privacy.keys.v1: write {env = "NAME"} or {file = "PATH"}, never the key itself',
        (
            "privacy.allow.propertys: is not known here; known: events, pages, screens, "
            "properties, traits, group_traits, context, integrations, root"
        ),
        "privacy.allow.properties: write a list of text",
        "privacy.allow.context.0: a user's traits have their own list: traits",
        (
            "privacy.identifiers.0: begin with one of properties, traits, group_traits, context, "
            "integrations, root: traits.email"
        ),
        f"privacy.identifiers.1: {a_path}",
        "[privacy] allow.events: write each name in full; * would let all pass",
        f"[privacy] allow.traits.1: {a_path}",
        "[privacy] allow.root.0: userId is no other field: it has rules of its own",
    ]


AS_JSON = ['{"events": 1}', "[]", "null", '{"a":' * 100_000]


@pytest.mark.parametrize("content", [None, "events = ", *AS_JSON])
def test_a_list_that_cannot_be_read_stops_the_connection(
    tmp_path: Path, content: str | None
) -> None:
    """A list in a file of its own is read when the connection is made, or nothing starts."""
    path = tmp_path / ("allow.json" if content in AS_JSON else "a.toml")
    if content is not None:
        path.write_text(content)
    own = {"mode": "hipaa", "allow": {"file": str(path)}}
    assert [text.partition(":")[0] for text in problems(own, {"keys": KEYS, "allow": ALLOW})] in (
        ["privacy.allow"],
        ["privacy.allow.events"],
    )


def test_a_list_may_stand_in_a_file(tmp_path: Path) -> None:
    """What a reviewer signs off can be a file of its own."""
    (tmp_path / "allow.toml").write_text('events = ["Paid"]\nproperties = ["plan"]\n')
    own = {"mode": "hipaa", "allow": {"file": str(tmp_path / "allow.toml")}}
    decision = connection(own, {"keys": KEYS, "allow": ALLOW}).decide(TRACK)
    assert decision.requests[0].json["properties"] == {"plan": "p"}  # type: ignore[index]


def test_browsers_do_not_get_around_hipaa_mode() -> None:
    """A connection that browsers load by themselves would send events past the protection."""
    own, shared = {"mode": "hipaa", "allow": ALLOW}, {"keys": KEYS, "allow": ALLOW}
    assert problems(own, shared, client_side=True) == [
        "clientSide: browsers would send events around the protection: drop it, or privacy.mode"
    ]
    private = connection(own, shared)
    private.client_side = True
    with pytest.raises(PluginError, match="HIPAA mode"):
        device_destinations([private])


def test_check_tells_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator reads the table and the key of each mistake, the router's own once."""
    monkeypatch.delenv("MASKING_KEY_1")
    path = tmp_path / "router.toml"
    path.write_text(
        '[gateway]\nwrite_keys = ["k"]\n[privacy]\nmode = "hipaa"\nallow = 1\n'
        "[privacy.keys]\nv1 = {env = 'MASKING_KEY_1'}\n"
        + "".join(
            f'[[connections]]\nname = "{name}"\nplugin = "heap"\nsettings = {{appId = "1"}}\n'
            '[[connections.transformations]]\nupper = "x"\n[connections.privacy.allow]\n'
            for name in ("a", "b")
        )
    )
    missing = "the environment variable MASKING_KEY_1 is not set"
    problems = check_config(path).problems
    assert {problem.partition(": ")[0] for problem in problems} == {str(path)}
    assert [problem.partition(": ")[2] for problem in problems] == [
        f"[[connections]] 'a' privacy.keys.v1: {missing}",
        '[privacy] allow: write a table of lists, or {file = "allow.toml"}',
        "[[connections]] 'a' transformations.0.upper: write a list of text",
        f"[[connections]] 'b' privacy.keys.v1: {missing}",
        "[[connections]] 'b' transformations.0.upper: write a list of text",
    ]


def test_references_wait_for_the_connection() -> None:
    """A command that makes no connection needs no key."""
    content = {
        "privacy": {"keys": {"v1": {"env": "NOT_SET_ANYWHERE"}}},
        "transformations": [{"delete": ["properties.a"]}],
        "connections": [{"name": "a", "plugin": "heap"}],
    }
    (found,) = parse_config(content).connections
    assert found.shared.privacy == content["privacy"]
    assert found.shared.transformations == tuple(content["transformations"])
