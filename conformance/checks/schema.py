"""The settings schema: it is closed, explains each field, has valid defaults and marks secrets.

A host makes a form from it, documents settings by it and hides secrets by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from conformance.checks.check import Bed, Check
from conformance.compare import Difference, shown
from destination_router.settings.errors import SettingsError
from destination_router.settings.validation import load_settings

_SECRET = re.compile(
    r"secret|passw|token|credential|private_?key|api_?key|access_?key|signing_?key|^auth",
    re.IGNORECASE,
)
_SHOUTED = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _closed(bed: Bed) -> Iterator[Difference]:
    for path, schema in _objects(_schema(bed), ""):
        if "properties" in schema and schema.get("additionalProperties") is not False:
            got = shown(schema.get("additionalProperties"))
            yield Difference(_join(path, "additionalProperties"), got, "false")


def _described(bed: Bed) -> Iterator[Difference]:
    for path, field in _fields(_schema(bed), ""):
        for keyword in ("title", "description"):
            text = field.get(keyword)
            if not isinstance(text, str) or not text.strip():
                yield Difference(f"{path}.{keyword}", shown(text), "a text for people")


def _defaults(bed: Bed) -> Iterator[Difference]:
    root = _schema(bed)
    for path, field in _fields(root, ""):
        for keyword, values in (
            ("default", [field["default"]] if "default" in field else []),
            ("examples", field.get("examples", [])),
        ):
            for value in values:
                validator = Draft202012Validator({"$defs": root.get("$defs", {}), **field})
                for error in validator.iter_errors(value):
                    yield Difference(f"{path}.{keyword}", shown(value), error.message)
    try:
        load_settings(root, bed.settings)
    except SettingsError as error:
        yield Difference("settings", str(error), "valid settings")


def _secrets(bed: Bed) -> Iterator[Difference]:
    for path, field in _fields(_schema(bed), ""):
        name = path.rpartition(".")[2]
        spelt = _SHOUTED.sub("_", name)
        if _SECRET.search(spelt) and field.get("writeOnly") is not True:
            got = shown(field.get("writeOnly"))
            yield Difference(f"{path}.writeOnly", got, "true, for its name is that of a secret")


def _schema(bed: Bed) -> dict[str, Any]:
    schema: dict[str, Any] = bed.subject.plugin.hook.settings_schema()
    return schema


def _objects(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk through a schema's objects, the schema itself first."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from _objects(field, _join(path, name))
    for name, definition in schema.get("$defs", {}).items():
        yield from _objects(definition, _join(path, f"$defs.{name}"))
    yield from _objects(schema.get("items"), _join(path, "items"))
    for keyword in ("allOf", "anyOf", "oneOf"):
        for index, part in enumerate(schema.get(keyword, ())):
            yield from _objects(part, _join(path, f"{keyword}.{index}"))


def _fields(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, found in _objects(schema, path):
        for name, field in found.get("properties", {}).items():
            yield _join(place, name), field if isinstance(field, dict) else {}


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


CHECKS = (
    Check(
        id="check/schema-closed",
        title="A setting that does not exist is refused: every object of the schema is closed",
        run=_closed,
    ),
    Check(
        id="check/schema-described",
        title="Every setting has a title and a description",
        run=_described,
    ),
    Check(
        id="check/schema-defaults",
        title="Defaults and examples are valid themselves",
        run=_defaults,
    ),
    Check(
        id="check/schema-secrets",
        title="A setting whose name is that of a secret is writeOnly, so that hosts hide it",
        run=_secrets,
    ),
)
