"""Docstrings in Google's form, taken apart and written as Markdown. Pure."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from itertools import pairwise
from types import ModuleType

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):\n((?:[ ]{4}.*\n?|\n)+)", re.MULTILINE)
_ITEM = re.compile(r"^(?=[\w.]+: )", re.MULTILINE)
_TITLES = {"Args": "Arguments", "Returns": "Returns", "Raises": "Raises"}


def body(text: str) -> str:
    """Give a docstring without its section `Attributes`, the other sections as Markdown."""
    return _SECTION.sub(_listed, inspect.cleandoc(text) + "\n").strip()


def summary(text: str) -> str:
    """Give what stands before the sections of a docstring, as one line."""
    return " ".join(_SECTION.sub("", inspect.cleandoc(text) + "\n").split())


def items(text: str, section: str) -> Mapping[str, str]:
    """Read what a section of a docstring says of each name, as one line."""
    found: dict[str, str] = {}
    for each in _SECTION.finditer(inspect.cleandoc(text) + "\n"):
        if each[1] == section:
            for item in _ITEM.split(inspect.cleandoc(each[2])):
                name, _, meaning = " ".join(item.split()).partition(": ")
                if name:
                    found[name] = meaning
    return found


def of_constant(module: ModuleType, name: str) -> str:
    """Read the text that stands below the assignment of a module's constant, if there is one."""
    for statement, following in pairwise(ast.parse(inspect.getsource(module)).body):
        if (
            name in _assigned(statement)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            return str(following.value.value)
    return ""


def _assigned(statement: ast.stmt) -> list[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _listed(section: re.Match[str]) -> str:
    """Turn a section of a docstring into a paragraph, or into a list where it names things."""
    if section[1] == "Attributes":
        return ""
    text = inspect.cleandoc(section[2])
    title = _TITLES[section[1]]
    found = [" ".join(item.split()) for item in _ITEM.split(text) if item.strip()]
    if section[1] == "Returns":
        return f"{title}: {' '.join(found)}\n\n"
    listed = [f"- `{item.replace(': ', '`: ', 1)}\n" for item in found]
    return f"{title}:\n\n{''.join(listed)}\n"
