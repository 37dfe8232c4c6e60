"""A connection's settings: references resolved, defaults filled, checked against the schema.

All problems are told at once, each with its path, and none of them quotes a value: a setting may
be a secret.
"""

from __future__ import annotations

import copy
import difflib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from destination_router.faults import file_problem
from destination_router.model import Json

HIDDEN = "***"
"""What stands in the place of a secret."""


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
        problems.extend(p for p in _explain(error) if p.path not in unresolved)
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
            problems.extend(p for p in _explain(error) if p.path not in unresolved)
    if problems:
        raise SettingsError(problems)
    return resolved


def check_schema(schema: Any) -> str | None:
    """Say what keeps a value from being a usable settings schema, or None."""
    if not isinstance(schema, dict):
        return f"it is {_article(schema)}, not a JSON Schema object"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"it is not valid JSON Schema 2020-12 at /{'/'.join(map(str, error.absolute_path))}"
    if schema.get("type") != "object":
        return 'its "type" is not "object"'
    for reference in _references(schema):
        if _local(schema, reference) is None:
            return f'it has nothing at "$ref": {json.dumps(reference)}; point into #/$defs'
    return None


def read_text_setting(schema: Mapping[str, Json], name: str, text: str) -> Json:
    """Read a setting given as text, as on a command line: `appId=11` stays text if so declared.

    Args:
        schema: the schema of the settings.
        name: the setting.
        text: its value; JSON where the schema wants anything but text.
    """
    return _from_text(schema, _property_schema(schema, name), text)


def is_secret(schema: Mapping[str, Json], name: str) -> bool:
    """Tell whether the schema marks a setting `writeOnly`."""
    return _followed(schema, _property_schema(schema, name)).get("writeOnly") is True


def secret_values(schema: Mapping[str, Json], settings: Mapping[str, Json]) -> frozenset[str]:
    """Collect the values that the schema marks `writeOnly`, as text, however deep they stand."""
    return frozenset(text for text in _secrets(schema, schema, settings) if text)


# -- references ---------------------------------------------------------------------------------


def _resolve(
    root: Mapping[str, Json], value: Json, schema: Json, path: str, problems: list[Problem]
) -> Json:
    schema = _followed(root, schema)
    if isinstance(value, dict):
        reference = _reference(value)
        if reference is not None:
            text = _read_reference(*reference, path, problems)
            return None if text is None else _from_text(root, schema, text)
        return {
            key: _resolve(root, item, _property_schema(schema, key), _join(path, key), problems)
            for key, item in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items", {})
        return [
            _resolve(root, item, items, _join(path, index), problems)
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
    schema = _followed(root, schema)
    kind = schema.get("type")
    if "string" in (kind if isinstance(kind, list) else [kind]):
        return True
    parts = [part for keyword in _COMBINATIONS for part in schema.get(keyword, ())]
    return any(_takes_text(root, part) for part in parts)


# -- defaults -----------------------------------------------------------------------------------


def _with_defaults(root: Mapping[str, Json], schema: Json, value: Json) -> Json:
    schema = _followed(root, schema)
    if isinstance(value, list):
        return [_with_defaults(root, schema.get("items"), item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, field in schema.get("properties", {}).items():
        if name not in filled:
            followed = _followed(root, field)
            if "default" not in followed:
                continue
            filled[name] = copy.deepcopy(followed["default"])
        filled[name] = _with_defaults(root, field, filled[name])
    return filled


# -- problems, in words -------------------------------------------------------------------------


_CREDENTIALS = re.compile("//[^/]*@")


def _explain(error: ValidationError) -> Iterator[Problem]:
    """Turn a validation error into problems that name the field and never quote its value."""
    path = _CREDENTIALS.sub(f"//{HIDDEN}@", ".".join(str(part) for part in error.absolute_path))
    schema = cast("Any", error.schema)
    limit = cast("Any", error.validator_value)
    instance = cast("Any", error.instance)
    match error.validator:
        case "required":
            for name in limit:
                if name not in instance:
                    yield Problem(_join(path, name), "is required")
        case "additionalProperties":
            known = list(schema.get("properties", {}))
            patterns = schema.get("patternProperties", {})
            for name in instance:
                if name not in known and not any(re.search(p, name) for p in patterns):
                    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
                    yield Problem(_join(path, name), f"is not known here; {hint}")
        case "type":
            names = limit if isinstance(limit, list) else [limit]
            wanted = " or ".join(_TYPE_NAMES.get(str(name), str(name)) for name in names)
            hint = "; put it in quotes" if "string" in names and _is_number(instance) else ""
            yield Problem(path, f"must be {wanted}, not {_article(instance)}{hint}")
        case "enum":
            yield Problem(path, f"must be one of {', '.join(map(json.dumps, limit))}")
        case "const":
            yield Problem(path, f"must be {json.dumps(limit)}")
        case _:
            yield Problem(path, _rule(str(error.validator), limit, schema))


def _rule(validator: str, limit: Any, schema: Any) -> str:
    """Say what a value must be: in the schema's own words, where it has some beside the rule."""
    meaning = schema.get("description") if isinstance(schema, dict) else None
    if validator in _AMOUNTS and limit == 1:
        rule = "must not be empty"
    elif validator in _RULES:
        rule = f"must {_RULES[validator].format(limit)}"
    elif meaning:
        rule = "is not of the form that it needs"
    else:
        rule = f"does not satisfy {validator} {json.dumps(limit)}"
    return f"{rule}. {meaning}" if meaning else rule


_RULES = {
    "minimum": "be at least {}",
    "maximum": "be at most {}",
    "exclusiveMinimum": "be more than {}",
    "exclusiveMaximum": "be less than {}",
    "minLength": "have at least {} characters",
    "maxLength": "have at most {} characters",
    "minItems": "have at least {} items",
    "maxItems": "have at most {} items",
    "minProperties": "have at least {} entries",
    "maxProperties": "have at most {} entries",
    "multipleOf": "be a multiple of {}",
}
"""Limits that say enough by themselves."""

_AMOUNTS = frozenset({"minLength", "minItems", "minProperties"})

_TYPE_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a table",
    "array": "a list",
    "null": "null",
}


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _article(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return f"a {type(value).__name__}"


# -- secrets ------------------------------------------------------------------------------------

_COMBINATIONS = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else")


def _secrets(root: Mapping[str, Json], schema: Json, value: Json) -> Iterator[str]:
    """Collect what any part of a schema that speaks of a value calls a secret."""
    if not isinstance(schema, dict):
        return
    if schema.get("writeOnly") is True:
        yield from _texts(value)
        return
    for part in _parts(root, schema):
        yield from _secrets(root, part, value)
    if isinstance(value, dict):
        for key, item in value.items():
            for part in _property_schemas(schema, key):
                yield from _secrets(root, part, item)
    elif isinstance(value, list):
        first = schema.get("prefixItems", [])
        for part, item in zip_longest(first[: len(value)], value, fillvalue=schema.get("items")):
            yield from _secrets(root, part, item)


def _parts(root: Mapping[str, Json], schema: dict[str, Json]) -> list[Json]:
    """List the schemas within a schema that speak of the same value."""
    return [
        *([_local(root, schema["$ref"])] if "$ref" in schema else []),
        *(part for keyword in _COMBINATIONS for part in schema.get(keyword, ())),
        *(schema.get(keyword) for keyword in _CONDITIONS),
        *schema.get("dependentSchemas", {}).values(),
    ]


def _property_schemas(schema: dict[str, Json], key: str) -> list[Json]:
    patterns = schema.get("patternProperties", {})
    matching = [part for pattern, part in patterns.items() if re.search(pattern, key)]
    return [_property_schema(schema, key), *matching]


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _local(root: Mapping[str, Json], reference: str) -> Json:
    """Follow `#/$defs/name`; a reference to elsewhere is nothing that a settings schema needs."""
    start, *parts = reference.split("/")
    node: Json = root if start == "#" else None
    for part in parts:
        name = part.replace("~1", "/").replace("~0", "~")
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _followed(root: Mapping[str, Json], schema: Json) -> dict[str, Json]:
    """Lay a schema over what its `$ref` points at; a schema that says nothing is empty."""
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    return schema if reference is None else {**_followed(root, _local(root, reference)), **schema}


def _references(node: Json) -> Iterator[str]:
    """List every `$ref` of a schema, but not those in what it gives as an example of a value."""
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        for keyword, item in node.items():
            if keyword not in {"default", "const", "enum", "examples"}:
                yield from _references(item)


def _property_schema(schema: Json, key: str) -> Json:
    if not isinstance(schema, dict):
        return {}
    field = schema.get("properties", {}).get(key)
    return schema.get("additionalProperties", {}) if field is None else field


def _join(path: str, part: object) -> str:
    return f"{path}.{part}" if path else str(part)
