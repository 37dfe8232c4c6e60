"""Applies a connection's own field mapping, before the plugin's hook runs.

It evaluates only overridden fields. Each value replaces the part of the message that its field
stands for, and is made well-formed there. So a plugin sees a message like any other.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from destination_router.contract.messages import (
    MESSAGE_TYPES,
    Message,
    revised,
    with_mapped,
    with_mended,
    with_origin_of,
)
from destination_router.contract.records import Field, Json, Note, Reject
from destination_router.pipeline.mapping.directives import message_compiler
from destination_router.pipeline.normalise import MENDS, Normalised, mend_part
from destination_router.pipeline.paths import UNDEFINED, Evaluate
from destination_router.settings.documents import out_of_bounds
from destination_router.settings.errors import Problem, SettingsError
from destination_router.settings.words import join_path

Overrides = Mapping[str, Mapping[str, Json]]
"""`{"track": {"identity": {"@path": "$.traits.email"}}}`."""


class _Override(msgspec.Struct, frozen=True):
    """One overridden field: its declaration, its path in the configuration, and its function."""

    field: Field
    path: str
    evaluate: Evaluate


class FieldMapping:
    """A compiled field mapping.

    Args:
        overrides: for each call, its fields and their mappings.
        fields: what the plugin's `fields` declares.
        where: the path of the mapping in the configuration, for problems and notes.

    Raises:
        SettingsError: with every problem and its path.
    """

    def __init__(
        self, overrides: Overrides, fields: Mapping[str, Sequence[Field]], where: str = "mapping"
    ) -> None:
        beyond = out_of_bounds(dict(overrides))
        if beyond is not None:  # compiling and evaluating it would go down into it
            raise SettingsError([Problem(join_path(where, beyond.path), beyond.detail)])
        problems: list[Problem] = []
        self._calls: dict[str, tuple[_Override, ...]] = {}
        for call, mappings in overrides.items():
            path = f"{where}.{call}"
            if call not in fields:
                problems.append(Problem(path, _unknown(call, fields)))
            elif compiled := tuple(_compiled(mappings, fields[call], path, problems)):
                self._calls[call] = compiled
        if problems:
            raise SettingsError(problems)

    def apply(self, message: Message) -> Normalised:
        """Replace the overridden fields. A call without any is returned as it is.

        Raises:
            Reject: the part cannot hold a value, or the message is nested too deeply.
        """
        overrides = self._calls.get(message.__struct_config__.tag)  # type: ignore[arg-type]
        if overrides is None:
            return Normalised(message)
        try:
            values = [(override, override.evaluate(message)) for override in overrides]
        except RecursionError:
            raise Reject("too_deep", "send less deeply nested JSON") from None
        return _rewritten(message, values)


def compile_mapping(mapping: Json, path: str = "") -> Evaluate:
    """Compile one mapping to a function from a message to a JSON value, or UNDEFINED.

    Raises:
        SettingsError: with every problem and its path in the mapping.
    """
    problems: list[Problem] = []
    evaluate = message_compiler(problems).compile(mapping, path)
    if problems:
        raise SettingsError([Problem(p.path.removeprefix("."), p.detail) for p in problems])
    return evaluate


def _compiled(
    mappings: Mapping[str, Json], fields: Sequence[Field], path: str, problems: list[Problem]
) -> Iterable[_Override]:
    by_name = {field.name: field for field in fields}
    for name, mapping in mappings.items():
        field = by_name.get(name)
        if field is None:
            problems.append(Problem(f"{path}.{name}", _unknown(name, by_name)))
        elif field.default is None or mapping != field.default:  # the default costs nothing
            where = f"{path}.{name}"
            yield _Override(field, where, message_compiler(problems).compile(mapping, where))


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"
    return f"is not known here; {hint}"


def _rewritten(message: Message, values: list[tuple[_Override, Any]]) -> Normalised:
    notes: list[Note] = []
    kind = _kind(message, values, notes)
    changes: dict[str, Any] = {}
    mapped: dict[str, Any] = {}
    mended: dict[str, tuple[Any, Any]] = {}
    for override, found in values:
        value = None if found is UNDEFINED else found
        part, path = override.field.part, override.path
        if part == "type":
            continue
        placed = mend_part(kind, part, value, path, notes) if part else {}
        if placed == {"message_id": None}:
            notes.append(Note("dropped", path, "it gave no id; the message keeps its own"))
            continue
        changes.update(placed)
        if placed:
            mapped[part] = value
            mended[part] = (value, next(iter(placed.values())))
        elif part:  # such as context.traits
            mapped[part] = MENDS[override.field.type](value, path, notes)
        else:
            mend = MENDS[override.field.type]
            given = None if value is None else mend(value, path, notes)
            mapped[override.field.name] = given
            mended[override.field.name] = (value, given)
    rewritten = with_mapped(_as(kind, message, changes, notes), mapped)
    return Normalised(with_mended(rewritten, mended), tuple(notes))


def _kind(message: Message, values: list[tuple[_Override, Any]], notes: list[Note]) -> str:
    """Find the call that a message is after its mapping."""
    kind = str(message.__struct_config__.tag)
    for override, value in values:
        if override.field.part == "type" and value != kind:
            if isinstance(value, str) and value in MESSAGE_TYPES:
                return value
            notes.append(Note("dropped", override.path, "it gave no call; the message keeps its"))
    return kind


def _as(kind: str, message: Message, changes: dict[str, Any], notes: list[Note]) -> Message:
    """Copy a message with changes, as another call if the mapping says so."""
    wanted = MESSAGE_TYPES[kind]
    if isinstance(message, wanted):
        return revised(message, **changes)
    values = {}
    for field in msgspec.structs.fields(wanted):
        if hasattr(message, field.name):
            values[field.name] = getattr(message, field.name)
        elif field.encode_name in message.wire:
            wire = message.wire[field.encode_name]
            values |= mend_part(kind, field.encode_name, wire, field.encode_name, notes)
    return with_origin_of(wanted(**{**values, **changes}), message)
