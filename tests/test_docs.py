"""Every page: its links lead somewhere, and the files that it names are there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
).stdout.split("\n")
FILES = [name for name in LISTED if name] or [
    str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if ".venv" not in path.parts
]
PAGES = [name for name in FILES if name.endswith(".md") and "/scaffold/" not in name]
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def text_of(page: str) -> str:
    return _FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What can be linked to in a page: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", text_of(str(page)), re.MULTILINE)
    bare = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    names = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in bare]
    return {*names, *re.findall(r'<a (?:id|name)="([^"]+)"', text_of(str(page)))}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """To a file of the repository and, if it says so, to a heading in it."""
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", text_of(page)):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.resolve().relative_to(ROOT)), target


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_module_that_is_named_is_there(page: str) -> None:
    """What tells newcomers the way through the tree is true to it."""
    named = re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py|(?:[a-z_-]+/)+[a-z_-]*)`", text_of(page))
    places = {*FILES, *(str(parent) for name in FILES for parent in Path(name).parents)}
    assert named
    for name in named:
        assert any(f"/{place}".endswith(f"/{name.removesuffix('/')}") for place in places), name


def test_every_room_of_the_router_is_on_the_map() -> None:
    """A package of the router that docs/architecture.md does not name would be missed."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {Path(name).parts[1] for name in FILES if name.startswith("destination_router/")}
    rooms = {name for name in packages if (ROOT / "destination_router" / name).is_dir()}
    assert {room for room in rooms if f"`{room}/`" not in page} <= {"__pycache__"}
