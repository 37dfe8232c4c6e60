"""Settings other than the defaults: values that the schema allows, one field at a time.

They are every value of an `enum`, both values of a switch, the ends of a range, and every example.
For free text, they are what people type when they are asked for an address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.checks.check import Bed
from conformance.compare import shown
from destination_router.pipeline.connection import Connection
from destination_router.settings.errors import SettingsError

_TYPED = (
    "http://self-hosted.example",
    "https://self-hosted.example/",
    "https://self-hosted.example/path?region=eu",
    "self-hosted.example",
    "A name, with blanks",
    "1",
)


def variants(bed: Bed) -> Iterator[tuple[str, Connection]]:
    """Make a connection for each set of settings that the destination takes, the bench's first."""
    yield "settings", bed.subject.connection(bed.settings)
    for path, value in offered(bed):
        settings = with_setting(bed.settings, path, value)
        try:
            connection = bed.subject.connection(settings)
        except SettingsError:
            continue  # the schema, or `configure`, refuses it with a reason
        yield f"settings.{'.'.join(path)}={shown(value)}", connection


def offered(bed: Bed) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Propose values for fields, by path. Some may be invalid."""
    schema: dict[str, Any] = bed.subject.plugin.hook.settings_schema()
    yield from _of_object(schema, ())


def _of_object(
    schema: dict[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in schema.get("properties", {}).items():
        if not isinstance(field, dict):
            continue
        here = (*path, name)
        for value in _values(field):
            yield here, value
        if field.get("type") == "object" and "properties" in field:
            filled = _filled(field)
            yield here, filled
            for inner, value in _of_object(field, ()):
                yield here, with_setting(filled, inner, value)


def _values(field: dict[str, Any]) -> Iterator[Any]:
    yield from field.get("enum", ())
    yield from field.get("examples", ())
    match field.get("type"):
        case "boolean":
            yield from (True, False)
        case "integer" | "number":
            yield from (field[end] for end in ("minimum", "maximum") if end in field)
        case "string" if "enum" not in field and field.get("writeOnly") is not True:
            yield from _TYPED
        case "array" if isinstance(items := field.get("items"), dict):
            yield from ([value] for value in _values(items))
        case _:
            pass


def _filled(field: dict[str, Any]) -> dict[str, Any]:
    """Fill in what an object requires: an example, or else a guess at what its pattern allows."""
    fields = field.get("properties", {})
    return {name: _any(fields.get(name, {})) for name in field.get("required", ())}


def with_setting(settings: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Copy settings with another value at one path."""
    name, *rest = path
    if not rest:
        return {**settings, name: value}
    inner = settings.get(name)
    return {
        **settings,
        name: with_setting(inner if isinstance(inner, dict) else {}, tuple(rest), value),
    }


def _any(field: dict[str, Any]) -> Any:
    """Choose a value: `1` fits most patterns of text."""
    values = [value for value in _values(field) if value not in _TYPED]
    return values[0] if values else "1"
