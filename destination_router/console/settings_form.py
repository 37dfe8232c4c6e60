"""Makes a form from a destination's JSON Schema, and reads typed settings back from it.

Secrets are never shown. A form sends only text. A reference, which would read an environment
variable or a file of this machine, stays in router.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from destination_router.console.forms import Form
from destination_router.contract.records import Json
from destination_router.faults import UNDECODABLE
from destination_router.settings.references import holds_reference
from destination_router.settings.validation import is_secret

Kind = Literal["text", "number", "boolean", "choice", "secret", "json", "reference"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as a field of a form.

    Attributes:
        name: the setting's name.
        title: the setting's title for people.
        description: what it does.
        kind: the kind of field that it becomes.
        required: whether the schema requires it.
        value: its current value; empty for a secret.
        is_set: whether it is set now.
        choices: the choices, if it is one.
        default: the value that holds if it is not set.
    """

    name: str
    title: str
    description: str
    kind: Kind
    required: bool
    value: str = ""
    is_set: bool = False
    choices: tuple[str, ...] = ()
    default: str = ""


def fields_of(schema: Mapping[str, Json], settings: Mapping[str, Json]) -> list[Field]:
    """List a schema's settings as fields, with their current values."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    required = schema.get("required", [])
    return [
        _field(schema, name, each, settings, required=name in required)
        for name, each in properties.items()
    ]


def _field(
    schema: Mapping[str, Json],
    name: str,
    each: Mapping[str, Any],
    settings: Mapping[str, Json],
    *,
    required: bool,
) -> Field:
    value = settings.get(name)
    kind = _kind(schema, name, each, value)
    return Field(
        name=name,
        title=str(each.get("title", name)),
        description=str(each.get("description", "")),
        kind=kind,
        required=required,
        value="" if kind == "secret" or value is None else _text(value),
        is_set=name in settings,
        choices=tuple(str(choice) for choice in each.get("enum", ())),
        default=_text(each["default"]) if "default" in each and kind != "secret" else "",
    )


def _kind(schema: Mapping[str, Json], name: str, each: Mapping[str, Any], value: Json) -> Kind:
    if holds_reference(value):
        return "reference"
    if is_secret(schema, name):
        return "secret"
    if "enum" in each and all(isinstance(choice, str) for choice in each["enum"]):
        return "choice"
    kinds: dict[str, Kind] = {
        "boolean": "boolean",
        "integer": "number",
        "number": "number",
        "string": "text",
    }
    return kinds.get(str(each.get("type")), "json")


def read_settings(
    schema: Mapping[str, Json], form: Form, prefix: str, now: Mapping[str, Json]
) -> tuple[dict[str, Json], list[str]]:
    """Read settings from a form, and what is wrong with them, by name.

    Args:
        schema: the destination's schema.
        form: the form, whose fields have the settings' names with a prefix.
        prefix: the prefix of their names.
        now: the current settings. Secrets that are left blank and references stay.
    """
    found: dict[str, Json] = {}
    problems: list[str] = []
    for field in fields_of(schema, now):
        text = form.get(f"{prefix}{field.name}").replace("\r\n", "\n").strip()
        if field.kind == "reference" or (field.kind == "secret" and not text):
            if field.name in now:
                found[field.name] = now[field.name]
            continue
        if not text:
            continue
        try:
            value = _typed(field.kind, text)
        except (*UNDECODABLE, OverflowError):
            problems.append(f"{field.name}: is no {_MEANT.get(field.kind, field.kind)}")
            continue
        if holds_reference(value):
            problems.append(f"{field.name}: a reference is read in router.toml alone")
            continue
        found[field.name] = value
    # Settings that the schema does not name stay, and the schema judges them.
    known = schema.get("properties", {})
    found |= {name: value for name, value in now.items() if name not in known}
    return found, problems


_MEANT = {"number": "number", "json": "JSON", "boolean": "true or false"}


def _typed(kind: Kind, text: str) -> Json:
    match kind:
        case "boolean":
            return {"true": True, "false": False}.get(text, text)
        case "number":
            return int(text) if text.lstrip("-").isdecimal() else float(text)
        case "json":
            return msgspec.json.decode(text)
        case _:
            return text


def _text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
