"""Resolves `{env = NAME}` and `{file = PATH}`, with which a configuration refers to a secret.

Only the operator may write one. The schema of a setting says how its text is read.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from destination_router.contract.records import Json
from destination_router.faults import file_problem
from destination_router.settings.documents import DocumentError, number_problems, parse_json
from destination_router.settings.errors import Problem, SettingsError
from destination_router.settings.schema import (
    COMBINATIONS,
    followed,
    property_schema,
)
from destination_router.settings.words import join_path


class ReadableByAllWarning(UserWarning):
    """A file that `{file = PATH}` names, such as a key's, can be read by every user."""

    def __init__(self, file: str) -> None:
        super().__init__(
            f"{file} can be read by every user of this machine: if it holds a key, chmod o-r {file}"
        )
        self.file = file


def read_text_setting(schema: Mapping[str, Json], name: str, text: str) -> Json:
    """Read a setting given as text, as on a command line: `appId=11` stays text if so declared.

    Args:
        schema: the schema of the settings.
        name: the setting.
        text: its value; JSON where the schema wants anything but text.
    """
    return _from_text(schema, property_schema(schema, name), text)


def resolved_in(
    root: Mapping[str, Json], value: Json, schema: Json, path: str, problems: list[Problem]
) -> Json:
    """Resolve every reference in a value. One that fails becomes a problem."""
    schema = followed(root, schema)
    if isinstance(value, dict):
        reference = _reference(value)
        if reference is not None:
            text = _read_reference(*reference, path, problems)
            return None if text is None else _from_text(root, schema, text)
        return {
            key: resolved_in(
                root, item, property_schema(schema, key), join_path(path, key), problems
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items", {})
        return [
            resolved_in(root, item, items, join_path(path, index), problems)
            for index, item in enumerate(value)
        ]
    return value


def _reference(value: dict[str, Json]) -> tuple[str, str] | None:
    if len(value) != 1:
        return None
    ((kind, name),) = value.items()
    return (kind, name) if kind in _READERS and isinstance(name, str) else None


def _read_reference(kind: str, name: str, path: str, problems: list[Problem]) -> str | None:
    try:
        return _READERS[kind](name)
    except KeyError:
        detail = f"the environment variable {name} is not set"
        if not _VARIABLE.fullmatch(name):  # it may be the secret itself
            detail = (
                "env names an environment variable, such as API_KEY; what stands there, does not"
            )
        problems.append(Problem(path, detail))
    except (OSError, ValueError) as error:
        problems.append(Problem(path, file_problem(name, error)))
    return None


_VARIABLE = re.compile("[A-Z_][A-Z0-9_]{0,63}")


def _read_environment(name: str) -> str:
    return os.environ[name]


def _read_file(name: str) -> str:
    mode = Path(name).stat().st_mode
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        warnings.warn(ReadableByAllWarning(name), stacklevel=2)
    return Path(name).read_text(encoding="utf-8-sig").rstrip("\r\n")


_READERS: dict[str, Callable[[str], str]] = {"env": _read_environment, "file": _read_file}


def holds_reference(value: Json) -> bool:
    """Tell whether a value contains `{env = NAME}` or `{file = PATH}` anywhere.

    Only the operator may write one: a stranger could read the environment and the disk with it.
    """
    if isinstance(value, dict):
        return _reference(value) is not None or any(map(holds_reference, value.values()))
    return isinstance(value, list) and any(map(holds_reference, value))


def resolve_reference(value: Json, path: str) -> Json:
    """Resolve one `{env = NAME}` or `{file = PATH}` to its text. Return any other value as it is.

    Raises:
        SettingsError: the variable is not set, or the file cannot be read.
    """
    problems: list[Problem] = []
    resolved = resolved_in({}, value, {"type": "string"}, path, problems)
    if problems:
        raise SettingsError(problems)
    return resolved


def _from_text(root: Mapping[str, Json], schema: Json, text: str) -> Json:
    if _takes_text(root, schema):
        return text
    try:
        value = parse_json(text)
    except DocumentError:
        return text
    return text if number_problems(value) else value


def _takes_text(root: Mapping[str, Json], schema: Json) -> bool:
    schema = followed(root, schema)
    kind = schema.get("type")
    if "string" in (kind if isinstance(kind, list) else [kind]):
        return True
    parts = [part for keyword in COMBINATIONS for part in schema.get(keyword, ())]
    return any(_takes_text(root, part) for part in parts)
