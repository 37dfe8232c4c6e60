"""Describes problems of settings: the path of the field and what to do, never the value."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any, cast

from jsonschema.exceptions import ValidationError

from destination_router.contract.records import Json

HIDDEN = "***"
"""Replaces a secret."""

NOT_BLANK = r"\S"
"""The pattern of a text that is neither empty nor blank."""

_CREDENTIALS = re.compile("//[^/]*@")


def explain(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Turn a validation error into problems that name the field and never quote its value."""
    path = _CREDENTIALS.sub(f"//{HIDDEN}@", ".".join(str(part) for part in error.absolute_path))
    schema = cast("Any", error.schema)
    limit = cast("Any", error.validator_value)
    instance = cast("Any", error.instance)
    match error.validator:
        case "required":
            for name in limit:
                if name not in instance:
                    yield (join_path(path, name), "is required")
        case "additionalProperties":
            known = list(schema.get("properties", {}))
            patterns = schema.get("patternProperties", {})
            for name in instance:
                if name not in known and not any(re.search(p, name) for p in patterns):
                    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
                    yield (join_path(path, name), f"is not known here; {hint}")
        case "type":
            names = limit if isinstance(limit, list) else [limit]
            wanted = " or ".join(_TYPE_NAMES.get(str(name), str(name)) for name in names)
            hint = "; put it in quotes" if "string" in names and _is_number(instance) else ""
            yield (path, f"must be {wanted}, not {article(instance)}{hint}")
        case "enum":
            yield (path, f"must be one of {', '.join(map(json.dumps, limit))}")
        case "const":
            yield (path, f"must be {json.dumps(limit)}")
        case _:
            yield (path, _rule(str(error.validator), limit, schema))


def _rule(validator: str, limit: Any, schema: Any) -> str:
    """Say what a value must be, with the schema's own words and examples if it has some."""
    said = schema if isinstance(schema, dict) else {}
    meaning, examples = said.get("description"), said.get("examples")
    if validator in _AMOUNTS and limit == 1:
        rule = "must not be empty"
    elif validator == "pattern" and limit == NOT_BLANK:
        rule = "must not be blank"
    elif validator in _RULES:
        rule = f"must {_RULES[validator].format(limit)}"
    elif examples:
        rule = f"is not of the form that it needs, such as {json.dumps(examples[0])}"
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
"""Limits that need no explanation."""

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


def article(value: Json) -> str:
    """Name the type of a value for people: `a number`."""
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


def join_path(path: str, part: object) -> str:
    """Join a path and a key: `headers.0`."""
    return f"{path}.{part}" if path else str(part)
