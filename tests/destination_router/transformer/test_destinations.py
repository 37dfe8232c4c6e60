"""Which plugin answers for which of rudder-server's destinations."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import msgspec
import pytest

from destination_router.transformer.destinations import find_destinations
from destination_router.transformer.jobs import Job

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
