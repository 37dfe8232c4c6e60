"""What stands under examples/ is what a stranger could have written."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SIBLINGS = sorted(path.parent for path in EXAMPLES.glob("*_destination/pyproject.toml"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_there_are_siblings() -> None:
    """Vendors that differ from Heap show that the contract fits them."""
    names = ("amplitude", "mixpanel", "webhook")
    assert {path.name for path in SIBLINGS} >= {f"{name}_destination" for name in names}


@pytest.mark.parametrize("sibling", SIBLINGS, ids=lambda path: path.name)
def test_a_sibling_uses_only_what_is_exported(sibling: Path) -> None:
    """A package imports `destination_router`, none of its modules, and no other destination."""
    ours = {"conformance", "destination_router", "heap_destination", *(s.name for s in SIBLINGS)}
    found = {
        name
        for path in (sibling / sibling.name).rglob("*.py")
        for name in imported(path)
        if name.partition(".")[0] in ours - {sibling.name}
    }
    assert found == {"destination_router"}


@pytest.mark.parametrize("sibling", SIBLINGS, ids=lambda path: path.name)
def test_a_sibling_simulator_shares_no_code_with_what_it_judges(sibling: Path) -> None:
    """A mistake in the plugin must not hide behind the same mistake in the simulator."""
    simulator = f"{sibling.name}.simulator"
    found = {
        name
        for path in (sibling / sibling.name / "simulator").rglob("*.py")
        for name in imported(path)
        if name.partition(".")[0] in {sibling.name, "destination_router"}
    }
    assert found
    assert {name for name in found if not name.startswith(simulator)} == set()


@pytest.mark.parametrize("sibling", SIBLINGS, ids=lambda path: path.name)
def test_a_sibling_is_checked_as_the_repository_is(sibling: Path) -> None:
    """It loosens neither the linter nor the types, and its cases are installed with it."""
    with (sibling / "pyproject.toml").open("rb") as file:
        pyproject = tomllib.load(file)
    assert {"ruff", "mypy"} & pyproject["tool"].keys() == set()
    assert list((sibling / sibling.name / "cases").glob("*.json"))
