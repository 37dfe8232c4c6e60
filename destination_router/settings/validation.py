"""Resolves references in settings, fills in defaults, and checks them against the schema.

It reports all problems at once, each with its path. No problem quotes a value, because a setting
may be a secret.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from destination_router.contract.records import Json
from destination_router.settings.documents import number_problems, out_of_bounds
from destination_router.settings.errors import Problem, SettingsError
from destination_router.settings.references import resolved_in
from destination_router.settings.schema import (
    followed,
    local,
    property_schema,
    references,
    secret_texts,
)
from destination_router.settings.words import article, explain


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
    problems = _unusable(raw)
    resolved = resolved_in(schema, dict(raw), schema, "", problems)
    settings: dict[str, Json] = _with_defaults(schema, schema, resolved)
    told = {problem.path for problem in problems}
    validator = Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(settings), key=lambda e: [str(p) for p in e.path]):
        problems.extend(_problems_of(error, told))
    if problems:
        # Each missing field is an error of its own in jsonschema, and names all of them.
        raise SettingsError(list(dict.fromkeys(problems)))
    return settings


def load_some_settings(schema: Mapping[str, Json], raw: Mapping[str, Json]) -> dict[str, Json]:
    """Prepare settings to which others will be added. `load_settings` can then check the whole.

    Returns:
        A new dict: references resolved, each setting valid by itself.

    Raises:
        SettingsError: every variable that is not set, every file that cannot be read, and every
            setting that the schema does not know or whose value it refuses.
    """
    problems = _unusable(raw)
    resolved: dict[str, Json] = resolved_in(schema, dict(raw), schema, "", problems)
    told = {problem.path for problem in problems}
    for error in Draft202012Validator(schema).iter_errors(resolved):
        # Any other error of the whole may be mended by what is added.
        if error.path or error.validator == "additionalProperties":
            problems.extend(_problems_of(error, told))
    if problems:
        raise SettingsError(problems)
    return resolved


def _unusable(raw: Mapping[str, Json]) -> list[Problem]:
    """Find problems that no schema can express: `nan` and `inf`.

    Raises:
        SettingsError: the settings are nested too deeply, or a number is too large.
    """
    beyond = out_of_bounds(dict(raw))
    if beyond is not None:
        raise SettingsError([beyond])
    return number_problems(dict(raw))


def _problems_of(error: ValidationError, told: Collection[str]) -> Iterator[Problem]:
    """Explain an error, unless it is about a reference that failed and is reported already."""
    for path, detail in explain(error):
        if path not in told:
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


def is_secret(schema: Mapping[str, Json], name: str) -> bool:
    """Tell whether the schema marks a setting `writeOnly`."""
    return followed(schema, property_schema(schema, name)).get("writeOnly") is True


def secret_values(schema: Mapping[str, Json], settings: Mapping[str, Json]) -> frozenset[str]:
    """Collect the values that the schema marks `writeOnly`, at any depth, as text."""
    return frozenset(text for text in secret_texts(schema, schema, settings) if text)


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
