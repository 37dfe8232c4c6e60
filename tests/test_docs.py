"""Every page: its links lead somewhere, and the files that it names are there."""

import re
import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

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
ELSEWHERE = ("webhook/", "my_destination/", "resource_tracker.py", "site-packages/")
"""Files of a reader's own destination, or of the interpreter's."""
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


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_is_named_is_there(page: str) -> None:
    """What tells newcomers the way through the tree is true to it."""
    named = re.findall(r"`((?:[\w-]+/)*\w+\.py|(?:[a-z_-]+/)+)`", text_of(page))
    places = {*FILES, *(str(parent) for name in FILES for parent in Path(name).parents)}
    for name in named:
        if name.startswith(ELSEWHERE):
            continue
        assert any(f"/{place}".endswith(f"/{name.removesuffix('/')}") for place in places), name


@pytest.mark.parametrize("diagram", [name for name in FILES if name.startswith("docs/diagrams/")])
def test_every_diagram_can_be_read_in_light_and_dark(diagram: str) -> None:
    """It says in words what it shows, has colours for both, and fetches nothing."""
    text = (ROOT / diagram).read_text(encoding="utf-8")
    root = ET.fromstring(text)
    for name in ("title", "desc"):
        assert (root.findtext(f"{{http://www.w3.org/2000/svg}}{name}") or "").strip()
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"(?:href|src)=|url\(http|@import|<script", text)


def test_the_map_gives_whole_paths() -> None:
    """What the map names can be opened as it stands, from the root of a clone."""
    page = text_of("docs/map.md")
    named = re.findall(r"`((?:[\w-]+/)+(?:\w+\.py)?)`", page)
    assert len(named) > 80
    for name in named:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("package", ["destination_router", "heap_destination", "conformance"])
def test_every_folder_of_a_package_is_on_the_map(package: str) -> None:
    """A room that docs/map.md does not name would be missed."""
    page = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    modules = [Path(name) for name in FILES if name.endswith(".py") and "/scaffold/" not in name]
    rooms = {str(path.parent) for path in modules if path.parts[0] == package}
    assert rooms
    assert {room for room in rooms if f"`{room}/`" not in page} == set()


def test_no_two_modules_of_the_router_share_a_name() -> None:
    """A name leads to one module, but for implementations of one interface and settled names."""
    settled = {"__init__.py", "__main__.py", "app.py", "config.py", "schema.py"}
    modules = [
        Path(name)
        for name in FILES
        if name.startswith("destination_router/") and name.endswith(".py")
    ]
    counted = Counter(
        path.name
        for path in modules
        if "scaffold" not in path.parts
        and path.name not in settled
        # Each log brings its own implementations of the interface in `eventlog/`.
        and (path.parent.parent.name != "eventlog" or path.parent.name == "sqlite")
    )
    assert [name for name, count in counted.items() if count > 1] == []
