"""A connection's settings: references resolved, defaults filled, checked against the schema.

All problems are told at once, each with its path, and none of them quotes a value: a setting may
be a secret.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from destination_router.contract.records import Json
from destination_router.faults import file_problem
from destination_router.settings.schema import (
    COMBINATIONS,
    followed,
    local,
    property_schema,
    references,
    secret_texts,
)
from destination_router.settings.words import article, explain, join_path


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a setting: its path (`appId`, `headers.0.name`) and why."""

    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}" if self.path else self.detail


class SettingsError(ValueError):
    """Settings that cannot be used, with every problem at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class TableError(SettingsError):
    """What stands beside a connection's settings cannot be used: paths begin at its table.

    Its subscriptions and mappings, transformations, privacy.
    """


def load_settings(schema: Mapping[str, Json], raw: Mapping[str, Json]) -> dict[str, Json]:
    """Make settings ready for a plugin.

    Args:
        schema: the plugin's `settings_schema`.
        raw: settings as configured; `{env = NAME}` and `{file = PATH}` may stand for any value.

    Returns:
        A new dict: references resolved, defaults filled in, valid against the schema.

    Raises:
        SettingsError: with every problem that was found.
    """
    problems: list[Problem] = []
    resolved = _resolve(schema, dict(raw), schema, "", problems)
    settings: dict[str, Json] = _with_defaults(schema, schema, resolved)
    unresolved = {problem.path for problem in problems}
    validator = Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(settings), key=lambda e: [str(p) for p in e.path]):
        problems.extend(_problems_of(error, unresolved))
    if problems:
        # Each missing field is an error of its own in jsonschema, and names all of them.
        raise SettingsError(list(dict.fromkeys(problems)))
    return settings


def load_some_settings(schema: Mapping[str, Json], raw: Mapping[str, Json]) -> dict[str, Json]:
    """Make settings ready to which others will be added: `load_settings` can then check the whole.

    Returns:
        A new dict: references resolved, each setting valid by itself.

    Raises:
        SettingsError: every variable that is not set, every file that cannot be read, and every
            setting that the schema does not know or whose value it refuses.
    """
    problems: list[Problem] = []
    resolved: dict[str, Json] = _resolve(schema, dict(raw), schema, "", problems)
    unresolved = {problem.path for problem in problems}
    for error in Draft202012Validator(schema).iter_errors(resolved):
        # Any other error of the whole may be mended by what is added.
        if error.path or error.validator == "additionalProperties":
            problems.extend(_problems_of(error, unresolved))
    if problems:
        raise SettingsError(problems)
    return resolved


def _problems_of(error: ValidationError, unresolved: Collection[str]) -> Iterator[Problem]:
    """Tell an error, unless it is about a reference that could not be resolved, which is told."""
    for path, detail in explain(error):
        if path not in unresolved:
            yield Problem(path, detail)


def check_schema(schema: Any) -> str | None:
    """Say what keeps a value from being a usable settings schema, or None."""
    if not isinstance(schema, dict):
        return f"it is {article(schema)}, not a JSON Schema object"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"it is not valid JSON Schema 2020-12 at /{'/'.join(map(str, error.absolute_path))}"
    if schema.get("type") != "object":
        return 'its "type" is not "object"'
    for reference in references(schema):
        if local(schema, reference) is None:
            return f'it has nothing at "$ref": {json.dumps(reference)}; point into #/$defs'
    return None


def read_text_setting(schema: Mapping[str, Json], name: str, text: str) -> Json:
    """Read a setting given as text, as on a command line: `appId=11` stays text if so declared.

    Args:
        schema: the schema of the settings.
        name: the setting.
        text: its value; JSON where the schema wants anything but text.
    """
    return _from_text(schema, property_schema(schema, name), text)


def is_secret(schema: Mapping[str, Json], name: str) -> bool:
    """Tell whether the schema marks a setting `writeOnly`."""
    return followed(schema, property_schema(schema, name)).get("writeOnly") is True


def secret_values(schema: Mapping[str, Json], settings: Mapping[str, Json]) -> frozenset[str]:
    """Collect the values that the schema marks `writeOnly`, as text, however deep they stand."""
    return frozenset(text for text in secret_texts(schema, schema, settings) if text)


# -- references ---------------------------------------------------------------------------------


def _resolve(
    root: Mapping[str, Json], value: Json, schema: Json, path: str, problems: list[Problem]
) -> Json:
    schema = followed(root, schema)
    if isinstance(value, dict):
        reference = _reference(value)
        if reference is not None:
            text = _read_reference(*reference, path, problems)
            return None if text is None else _from_text(root, schema, text)
        return {
            key: _resolve(root, item, property_schema(schema, key), join_path(path, key), problems)
            for key, item in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items", {})
        return [
            _resolve(root, item, items, join_path(path, index), problems)
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
    return Path(name).read_text(encoding="utf-8").rstrip("\r\n")


_READERS: dict[str, Callable[[str], str]] = {"env": _read_environment, "file": _read_file}


def holds_reference(value: Json) -> bool:
    """Tell whether `{env = NAME}` or `{file = PATH}` stands anywhere in a value.

    Only who runs the router may write one: to a stranger it would open the environment and disk.
    """
    if isinstance(value, dict):
        return _reference(value) is not None or any(map(holds_reference, value.values()))
    return isinstance(value, list) and any(map(holds_reference, value))


def resolve_reference(value: Json, path: str) -> Json:
    """Resolve one `{env = NAME}` or `{file = PATH}` to its text; else a value stands for itself.

    Raises:
        SettingsError: the variable is not set, or the file cannot be read.
    """
    problems: list[Problem] = []
    resolved = _resolve({}, value, {"type": "string"}, path, problems)
    if problems:
        raise SettingsError(problems)
    return resolved


def _from_text(root: Mapping[str, Json], schema: Json, text: str) -> Json:
    if _takes_text(root, schema):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _takes_text(root: Mapping[str, Json], schema: Json) -> bool:
    schema = followed(root, schema)
    kind = schema.get("type")
    if "string" in (kind if isinstance(kind, list) else [kind]):
        return True
    parts = [part for keyword in COMBINATIONS for part in schema.get(keyword, ())]
    return any(_takes_text(root, part) for part in parts)


# -- defaults -----------------------------------------------------------------------------------


def _with_defaults(root: Mapping[str, Json], schema: Json, value: Json) -> Json:
    schema = followed(root, schema)
    if isinstance(value, list):
        return [_with_defaults(root, schema.get("items"), item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, field in schema.get("properties", {}).items():
        if name not in filled:
            whole = followed(root, field)
            if "default" not in whole:
                continue
            filled[name] = copy.deepcopy(whole["default"])
        filled[name] = _with_defaults(root, field, filled[name])
    return filled
