"""Which plugin answers for which of rudder-server's destinations."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from destination_router.surfaces.rudderstack.destinations import find_destinations

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
