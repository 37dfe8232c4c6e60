"""What a compiled wheel compiles: `[tool.hatch.build.targets.wheel.hooks.custom]`."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOOK = CONFIG["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]


def test_nothing_is_compiled_unless_somebody_asks() -> None:
    """`pip install` needs no C compiler."""
    assert HOOK["enable-by-default"] is False


@pytest.mark.parametrize("path", HOOK["modules"])
def test_what_is_compiled_is_there_and_holds_no_hooks(path: str) -> None:
    """Pluggy reads the signatures of hooks, and the loader takes plain functions only."""
    source = (ROOT / path).read_text(encoding="utf-8")
    assert "@hookimpl" not in source
    assert "@hookspec" not in source
