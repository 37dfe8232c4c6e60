"""`new`: write a destination that works, as a distribution of its own.

It copies `scaffold/my-destination` or `scaffold/my-node-destination` and replaces their names. Both
are working destinations that the checks and tests of this repository cover.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from destination_router.commands.output import problems_told, talk
from destination_router.faults import UsageError
from destination_router.plugins.loading import installed_plugins

Language = Literal["python", "node"]

_NAMED = "my-destination"
_TEMPLATES: dict[Language, str] = {"python": "my-destination", "node": "my-node-destination"}
_NAME_OF = {"pyproject.toml": 'name = "{}"', "package.json": '"name": "{}"'}
"""The names in the template's files that are replaced."""
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME = 40
_LEFT_BEHIND = re.compile(r"__pycache__|\..*_cache|.*\.egg-info|\.venv")
"""Files that using the template in place leaves in it."""


def new(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The distribution's name. A configuration calls it so, without -destination.",
        ),
    ],
    directory: Annotated[
        Path | None,
        typer.Option(help="The folder to write, new or empty. By default, ./NAME."),
    ] = None,
    language: Annotated[
        Language, typer.Option(help="python: a distribution of its own; node: a program.")
    ] = "python",
) -> None:
    """Write a working destination, for you to build on.

    In Python, it is a distribution with a plugin, its settings, a case, a simulator, tests and CI.
    In Node, it is a program that speaks JSON lines (docs/programs.md).

    Example: destination-router new my-destination
    """
    with problems_told():
        folder = Path(name) if directory is None else directory
        check_name(name)
        write_destination(name, folder, language)
    plugin = plugin_of(name)
    called = "" if plugin == name else f" A configuration calls the destination {plugin}."
    if language == "node":
        talk.print(
            f"Wrote {folder}.{called} Next:\n\n  cd {folder}\n  npm test\n\n"
            "Its hooks are in mapping.mjs.",
            markup=False,
        )
        return
    talk.print(
        f"Wrote {folder}.{called} Next:\n\n"
        f"  cd {folder}\n"
        "  pip install -e '.[dev]'\n"
        f"  destination-router conformance {plugin}\n"
        f"  destination-router demo {plugin}\n\n"
        f"Its hooks are in {package_of(name)}/plugin.py.",
        markup=False,
    )


def plugin_of(name: str) -> str:
    """Derive the plugin's name from a distribution's: `posthog` from `posthog-destination`."""
    return name if name == _NAMED else name.removesuffix("-destination")


def package_of(name: str) -> str:
    """Derive the import package: `my_destination`."""
    return name.replace("-", "_")


def check_name(name: str) -> None:
    """Make sure that a destination may have this name.

    Raises:
        UsageError: it is no name of a distribution and a package, or it is taken.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:_LONGEST_NAME]
        hint = f"; {near.strip('-')} would do" if _NAME.fullmatch(near.strip("-")) else ""
        raise UsageError(
            f"{name!r} cannot be a destination's name: it takes lower-case letters and digits, "
            f"parts joined by a hyphen, a letter first, {_LONGEST_NAME} characters at most{hint}"
        )
    for plugin in installed_plugins():
        if plugin.name == plugin_of(name):
            raise UsageError(
                f"{plugin.origin} offers a destination called {plugin.name!r}: choose another"
            )
    package = package_of(name)
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or find_spec(package):
        raise UsageError(f"Python has something called {package!r} already: try {name}-destination")


def write_destination(name: str, folder: Path, language: Language = "python") -> None:
    """Write a destination of this name.

    Raises:
        UsageError: the folder holds something.
        OSError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder: choose another --directory")
    for parts, text in _template(language):
        path = folder.joinpath(*(_renamed(part, name) for part in parts))
        path.parent.mkdir(parents=True, exist_ok=True)
        if len(parts) == 1 and (named := _NAME_OF.get(parts[0])):
            text = text.replace(named.format(_NAMED), named.format(name), 1)  # noqa: PLW2901
        path.write_text(_renamed(text, name), encoding="utf-8")


def _renamed(text: str, name: str) -> str:
    plugin = plugin_of(name)
    words = plugin.split("-")
    for ours, theirs in (
        ("my-destination", plugin),
        ("my_destination", package_of(name)),
        ("MyDestination", "".join(map(str.capitalize, words))),
        ("My Destination", " ".join(map(str.capitalize, words))),
    ):
        text = text.replace(ours, theirs)
    return text


def _template(language: Language) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each file of a template: the parts of its path, and its text."""
    return _files(files("destination_router") / "scaffold" / _TEMPLATES[language], ())


def _files(folder: Traversable, parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if _LEFT_BEHIND.fullmatch(entry.name):
            continue
        # A real .gitignore would also be obeyed where the template stands.
        name = ".gitignore" if entry.name == "gitignore" else entry.name
        if entry.is_dir():
            yield from _files(entry, (*parts, name))
        else:
            yield (*parts, name), entry.read_text(encoding="utf-8")
