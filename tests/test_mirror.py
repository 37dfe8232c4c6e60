"""A module's test is found by its name and place."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROUTER = ROOT / "destination_router"
TESTS = ROOT / "tests" / "destination_router"
MODULES = [
    path.relative_to(ROUTER)
    for path in sorted(ROUTER.rglob("*.py"))
    if not path.name.startswith("__") and "scaffold" not in path.parts
]
_NAMED = re.compile(r"`((?:\w+/)*\w+\.py)`")


def named_in(room: Path) -> set[str]:
    """The modules that docstrings of a room's test files name, as paths below the router."""
    named: set[str] = set()
    for path in room.glob("test_*.py"):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        here = path.parent.relative_to(TESTS)
        for name in _NAMED.findall(text):
            named |= {name, str(here / name)}
    return named


ALL_NAMED = {name for room in (TESTS, *TESTS.rglob("*/")) for name in named_in(room)}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_modules_test_is_found(module: Path) -> None:
    """`tests/.../test_<module>.py`, or a test file whose docstring names the module."""
    own = TESTS / module.parent / f"test_{module.stem.rstrip('_')}.py"
    assert own.exists() or str(module) in ALL_NAMED, f"no test file {own}, and none names {module}"
