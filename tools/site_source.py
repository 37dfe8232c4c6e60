"""The pages of the docs site, staged as they lie in the repository.

    python tools/site_source.py build/site-source

Every page is copied to the same path, and so is whatever else a page links to: a link leads to the
same place on the site as in the repository. What the two read differently is written so that both
mean the same.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = ("*.md", "docs/*.md", "examples/**/*.md", "conformance/**/*.md", "deploy/**/*.md")
STYLE = Path("docs/site.css")
LEFT_OUT = {"node_modules", ".venv", "build"}

_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^( *```)(\w+) +(\S+).*$", re.MULTILINE)
_LIST_AT_ONCE = re.compile(r"^(?! *(?:[-*]|\d+\.) )(?!\s)(.*\S.*)\n(?=(?:[-*]|1\.) )", re.MULTILINE)
_OPTION = re.compile(r"(?<!`)`(--?[a-z][a-z-]*(?: [^`\s]{1,20})?)`(?![`{])")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s#]+)(?:#[^)\s]*)?\)|\bsrc=\"([^\"]+)\"")
_TYPED = re.compile(r"^( *)(\$ .*?\S) +# (.+)$", re.MULTILINE)
_WIDTH = 80
"""Characters of code that the site shows beside its menus; what is longer is cut off."""

_BY_FILE = re.compile(r"\[[\w./-]+\.md\]\(([^)\s#:]+\.md)(#[^)\s]*)?\)")
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)


def pages() -> Iterator[Path]:
    """List every page, as a path from the root of the repository."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            within = path.relative_to(ROOT)
            if not LEFT_OUT.intersection(within.parts):
                yield within


def linked(page: Path) -> Iterator[Path]:
    """List the files of the repository that a page links to, beside other pages."""
    text = _CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for found in _LINK.finditer(text):
        target = found[1] or found[2]
        if re.match(r"[a-z]+:", target):
            continue
        path = (ROOT / page.parent / target).resolve()
        if path.is_file() and path.suffix != ".md":
            yield path.relative_to(ROOT)


def as_the_site_reads_it(text: str) -> str:
    """Write a page for Python-Markdown.

    A word behind a fence's language is the title of what it holds, if it is a file's name, and else
    nothing that a reader needs. An option is marked, so that it is not broken at its hyphens. A
    list begins after a blank line. What belongs to a numbered item is indented by four spaces.
    Comments stand above their commands where one is too wide beside its command.
    """
    text = "".join(_widened(text.splitlines(keepends=True)))
    parts = re.split(r"(^ *```.*?^ *```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        _FENCE.sub(_titled, _narrowed(part))
        if part.lstrip().startswith("```")
        else _OPTION.sub(r"`\1`{ .option }", _LIST_AT_ONCE.sub(r"\1\n\n", part))
        for part in parts
    )


def with_titles(page: Path, text: str) -> str:
    """Name a page by its heading where the repository names its file: the site has no files."""

    def named(link: re.Match[str]) -> str:
        heading = _HEADING.search((ROOT / page.parent / link[1]).read_text(encoding="utf-8"))
        return link[0] if heading is None else f"[{heading[1]}]({link[1]}{link[2] or ''})"

    return _BY_FILE.sub(named, text)


def _widened(lines: list[str]) -> Iterator[str]:
    """Indent the parts of numbered items by four spaces, where GitHub is content with three."""
    within_fence = False
    more: str | None = ""  # what lines of this item lack; None until its first part shows that
    for line in lines:
        within_fence ^= line.startswith("```")
        if line.strip() and not line.startswith("   "):
            more = None if not within_fence and re.match(r"\d+\. ", line) else ""
        elif line.strip() and more is None:
            more = "" if line.startswith("    ") else " "
        yield f"{more or ''}{line}" if line.strip() else line


def _narrowed(fence: str) -> str:
    """Put the comments of commands above them, if one is too wide beside its command."""
    if all(len(line) <= _WIDTH for line in fence.splitlines() if _TYPED.match(line)):
        return fence
    return _TYPED.sub(r"\1# \3\n\1\2", fence)


def _titled(fence: re.Match[str]) -> str:
    title = f' title="{fence[3]}"' if "." in fence[3] else ""
    return f"{fence[1]}{fence[2]}{title}"


def stage(folder: Path) -> None:
    """Copy all of it into a folder, which holds nothing else afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in {STYLE, *(each for page in pages() for each in (page, *linked(page)))}:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text = (ROOT / path).read_text(encoding="utf-8")
            text = as_the_site_reads_it(with_titles(path, text))
            target.write_text(text, encoding="utf-8")
        else:
            shutil.copyfile(ROOT / path, target)


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
