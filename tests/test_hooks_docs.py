"""docs/hooks.md: every hook is documented, asked for by the host, and used by a destination."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hook_docs import with_hooks

from destination_router import Reject, parse_message
from destination_router.contract.hookspecs import Destination
from destination_router.contract.messages import MESSAGE_TYPES
from destination_router.plugins.breaches import HOOKS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
CALLS = {f"on_{kind}" for kind in MESSAGE_TYPES}


def destinations() -> list[Path]:
    """The sources of every destination in the repository."""
    folders = [ROOT / "heap_destination", *(ROOT / "examples").glob("*_destination")]
    return [path for folder in folders for path in folder.rglob("*.py")]


def implemented(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and "hookimpl" in map(
            ast.unparse, node.decorator_list
        ):
            yield node.name


def test_the_page_is_up_to_date() -> None:
    """The reference is drawn from the contract."""
    assert with_hooks(PAGE) == PAGE


def test_the_mapping_that_the_page_shows_works() -> None:
    """A message and settings in; requests out, or a rejection."""
    (code,) = re.findall(r"```python\n(from .*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "hooks.md", "exec"), names)
    paid = '{"type": "track", "userId": "ada", "event": "Paid", "properties": {"total": 9}}'
    (request,) = names["on_track"](parse_message(paid), {})
    assert request.json == {"event": "Paid", "total": 9}
    with pytest.raises(Reject):
        names["on_track"](parse_message('{"type": "track", "userId": "ada"}'), {})
    ada = '{"type": "identify", "userId": "ada", "traits": {"plan": "pro"}}'
    (request,) = names["on_identify"](parse_message(ada), {})
    assert request.json == {"id": "ada", "plan": "pro"}


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_has_a_section_with_its_signature(name: str) -> None:
    """Each hook and each of its arguments stands on the page, with more than a name."""
    (section,) = re.findall(rf"### {name}(?:, required)?\n(.*?)(?=\n###|\n<!--)", PAGE, re.DOTALL)
    signature = re.findall(rf"def {name}\((.*?)\) ->", section)
    assert [re.findall(r"(\w+): ", arguments) for arguments in signature] == [list(HOOKS[name])]
    (_, text) = section.rsplit("```\n", 1)
    assert len(text.split()) >= 5
    assert (inspect.getdoc(getattr(Destination, name)) or "?").splitlines()[0] in text


def test_every_hook_is_used_by_a_destination() -> None:
    """A hook that no destination needs is not a hook but a guess."""
    used = {name for path in destinations() for name in implemented(path)}
    assert HOOKS.keys() - used == set()


def test_every_hook_is_asked_for_by_the_host() -> None:
    """A hook that the host never calls would be implemented in vain."""
    sources = [path.read_text() for path in (ROOT / "destination_router").rglob("*.py")]
    asks = r"(?:\.hook\.|\._stated(?:_texts)?\(\")(\w+)"
    asked = {name for source in sources for name in re.findall(asks, source)}
    assert HOOKS.keys() - asked == CALLS
