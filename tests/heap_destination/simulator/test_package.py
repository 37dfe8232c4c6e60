"""The simulator as a package: what it exports, and that it judges by its own knowledge."""

import ast
from pathlib import Path

import heap_destination.simulator
from heap_destination.simulator import limits

PACKAGE = Path(heap_destination.simulator.__file__).parent


def test_the_exports() -> None:
    """Three names are public."""
    assert heap_destination.simulator.__all__ == ["Fault", "SimulatedHeap", "create_simulator"]


def test_the_simulator_shares_no_code_with_what_it_judges() -> None:
    """It imports nothing of this project but itself."""
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(node.module or "")
    ours = {name for name in imported if name.split(".")[0] in
            {"heap_destination", "destination_router", "conformance"}}  # fmt: skip
    assert ours
    assert {name for name in ours if not name.startswith("heap_destination.simulator")} == set()


def test_every_limit_names_its_source() -> None:
    """A limit without a page is an opinion."""
    table = [
        value for value in vars(limits).values() if isinstance(value, limits.Limit | limits.Rate)
    ]
    assert len(table) >= 11
    assert all(limit.source for limit in table)
