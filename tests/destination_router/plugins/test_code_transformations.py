"""Transformations in code are found by entry point, and refused where they break the contract."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from destination_router import parse_message
from destination_router.contract.hookspecs import TRANSFORMATIONS
from destination_router.plugins.code_transformations import load_transformation
from destination_router.plugins.loading import PluginError

MESSAGE = parse_message({"type": "track", "messageId": "m1", "event": "Paid"})


def point(name: str, module: str) -> EntryPoint:
    return EntryPoint(name, module, TRANSFORMATIONS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "code_broken", raising=False)
    return tmp_path


def test_a_module_is_loaded_by_its_name(folder: Path) -> None:
    """An implementation takes only the arguments that it names."""
    (folder / "code_dropping.py").write_text(
        "from destination_router import hookimpl\n"
        "@hookimpl\ndef transform_message(message):\n    return None\n"
    )
    transform = load_transformation("dropping", [point("dropping", "code_dropping")])
    assert transform(MESSAGE, "production") is None


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("raise ValueError('no')", "does not import: code_broken: ValueError: no"),
        ("def transform_message(message): ...", "no @hookimpl above it"),
        ("@hookimpl\ndef transform_message(messages): ...", "breaks the contract"),
        ("@hookimpl\nasync def transform_message(message): ...", "is not a plain function"),
        ("@hookimpl\ndef transform(message): ...", "it needs `def transform_message"),
    ],
)
def test_what_breaks_the_contract_is_told(folder: Path, source: str, problem: str) -> None:
    """A mistake is found when the connection is made, with the transformation's name."""
    (folder / "code_broken.py").write_text(f"from destination_router import hookimpl\n{source}\n")
    with pytest.raises(PluginError, match="'broken'") as refused:
        load_transformation("broken", [point("broken", "code_broken")])
    assert problem in str(refused.value)


def test_a_name_is_offered_once() -> None:
    """Of two, nobody knows which is meant; a name that is nearly right is suggested."""
    points = [point("one", "code_a"), point("one", "code_b")]
    with pytest.raises(PluginError, match="offered twice: code_a and code_b"):
        load_transformation("one", points)
    with pytest.raises(PluginError, match="did you mean one"):
        load_transformation("onee", points)
