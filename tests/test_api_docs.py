"""docs/api.md: every public name has a description, an example that works, and a test."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
import types
from pathlib import Path

import api_docs
import msgspec
import pytest
from api_docs import documented, exported, undocumented, with_api

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SECTIONS = {
    text.partition(" ")[0]: text for text in re.split(r"<!-- api: (?=[\w.]+ -->)", PAGE)[1:]
}
"""What stands from a name's block to the next one's."""

ROUTER_TOML = """
[eventlog]
url = "sqlite:///router.db"

[delivery]
origins = {{ "https://heapanalytics.com" = "{heap}" }}

[[connections]]
name = "heap"
plugin = "heap"
settings = {{ appId = "1234567890" }}
"""


def test_the_page_is_up_to_date() -> None:
    """The reference is drawn from types and docstrings."""
    assert with_api(PAGE) == PAGE


def test_every_exported_name_has_its_place() -> None:
    """Once, and none that is not exported."""
    assert sorted(SECTIONS) == sorted(exported())


@pytest.mark.parametrize("path", list(exported()))
def test_a_name_its_fields_and_its_methods_are_described(path: str) -> None:
    """An exported name without a docstring fails."""
    assert list(undocumented(path)) == []


@pytest.mark.parametrize("path", list(exported()))
def test_a_name_is_tested(path: str) -> None:
    """Somewhere else than by its example, which shows no more than how it is used."""
    name = re.compile(rf"\b{path.rpartition('.')[2]}\b")
    here = {Path(__file__), ROOT / "tests" / "destination_router" / "test_compatibility.py"}
    pinned = ROOT / "tests" / "destination_router" / "test_exported_names.py"
    tests = set(ROOT.glob("tests/**/test_*.py")) - here - {pinned}
    assert any(name.search(each.read_text(encoding="utf-8")) for each in tests)


@pytest.mark.parametrize("path", [path for path in SECTIONS if not path.startswith("conformance.")])
def test_an_example_works(
    path: str, heap_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exported name without an example fails, and so does an example of something else."""
    (tmp_path / "router.toml").write_text(ROUTER_TOML.format(heap=heap_url), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"^```pycon\n(.*?)^```$", SECTIONS[path], re.DOTALL | re.MULTILINE)
    assert re.search(rf"\b{path.rpartition('.')[2]}\b", example)
    test = doctest.DocTestParser().get_doctest(example, {}, path, None, 0)
    said: list[str] = []
    done = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert done.attempted
    assert done.failed == 0, "".join(said)


def test_the_example_of_a_test_file_is_one(tmp_path: Path) -> None:
    """Pytest makes tests of it."""
    section = SECTIONS["conformance.DestinationSuite"]
    (example,) = re.findall(
        r"^```python test_\w+.py\n(.*?)^```$", section, re.DOTALL | re.MULTILINE
    )
    (tmp_path / "test_my_destination.py").write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "schema", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"\d+ passed", done.stdout), done.stdout + done.stderr


class Half(msgspec.Struct):
    """A record.

    Attributes:
        told: what is said of it.
    """

    told: int
    untold: int = 0

    def method(self) -> int:
        return self.told


def test_what_nobody_describes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field, a method, or the whole of it."""
    module = types.ModuleType("made_up")
    module.__file__ = __file__
    monkeypatch.setitem(sys.modules, "made_up", module)
    monkeypatch.setattr(module, "Half", Half, raising=False)
    monkeypatch.setattr(api_docs, "_sources", lambda _: iter(()))
    assert list(undocumented("made_up.Half")) == ["made_up.Half.untold", "made_up.Half.method"]
    assert documented("made_up.Half")[0] is Half
