"""docs/simulator.md is true of the simulator."""

import re
from pathlib import Path

import msgspec
from starlette.routing import Mount, Route

from heap_destination.simulator.app import create_simulator
from heap_destination.simulator.faults import Fault

PAGE = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_every_route_of_the_read_side_is_documented() -> None:
    """And none that is not there."""
    (read_side,) = (r for r in create_simulator().routes if getattr(r, "path", "") == "/_simulator")
    assert isinstance(read_side, Mount)
    paths = {f"/_simulator{route.path}" for route in read_side.routes if isinstance(route, Route)}
    assert paths == set(re.findall(r"/_simulator/[a-z]+", PAGE))


def test_every_field_of_a_fault_is_documented() -> None:
    """And none that is not there."""
    table = PAGE.split("| Field | Meaning |")[1]
    names = re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\|([^|]+)\|", table, re.MULTILINE)))
    assert sorted(names) == sorted(field.name for field in msgspec.structs.fields(Fault))
