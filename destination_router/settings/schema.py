"""Reads JSON Schemas of settings: follows references, and finds the secrets of a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from destination_router.contract.records import Json

COMBINATIONS = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else")


def secret_texts(root: Mapping[str, Json], schema: Json, value: Json) -> Iterator[str]:
    """Collect the texts in a value that any part of a schema marks as a secret."""
    if not isinstance(schema, dict):
        return
    if schema.get("writeOnly") is True:
        yield from _texts(value)
        return
    for part in _parts(root, schema):
        yield from secret_texts(root, part, value)
    if isinstance(value, dict):
        for key, item in value.items():
            for part in _property_schemas(schema, key):
                yield from secret_texts(root, part, item)
    elif isinstance(value, list):
        first = schema.get("prefixItems", [])
        for part, item in zip_longest(first[: len(value)], value, fillvalue=schema.get("items")):
            yield from secret_texts(root, part, item)


def _parts(root: Mapping[str, Json], schema: dict[str, Json]) -> list[Json]:
    """List the subschemas that apply to the same value."""
    return [
        *([local(root, schema["$ref"])] if "$ref" in schema else []),
        *(part for keyword in COMBINATIONS for part in schema.get(keyword, ())),
        *(schema.get(keyword) for keyword in _CONDITIONS),
        *schema.get("dependentSchemas", {}).values(),
    ]


def _property_schemas(schema: dict[str, Json], key: str) -> list[Json]:
    patterns = schema.get("patternProperties", {})
    matching = [part for pattern, part in patterns.items() if re.search(pattern, key)]
    return [property_schema(schema, key), *matching]


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def local(root: Mapping[str, Json], reference: str) -> Json:
    """Follow `#/$defs/name`. A settings schema needs no reference to elsewhere."""
    start, *parts = reference.split("/")
    node: Json = root if start == "#" else None
    for part in parts:
        name = part.replace("~1", "/").replace("~0", "~")
        node = node.get(name) if isinstance(node, dict) else None
    return node


def followed(root: Mapping[str, Json], schema: Json) -> dict[str, Json]:
    """Merge a schema with the one that its `$ref` points at. `True` becomes an empty schema."""
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    return schema if reference is None else {**followed(root, local(root, reference)), **schema}


def references(node: Json) -> Iterator[str]:
    """List every `$ref` of a schema, except those in its examples of values."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        for keyword, item in node.items():
            if keyword not in {"default", "const", "enum", "examples"}:
                yield from references(item)


def property_schema(schema: Json, key: str) -> Json:
    """Get the schema of one key of an object."""
    if not isinstance(schema, dict):
        return {}
    field = schema.get("properties", {}).get(key)
    return schema.get("additionalProperties", {}) if field is None else field
