"""The directives of the mapping language, each compiled to a function (`compiler.py`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from destination_router.contract import javascript
from destination_router.contract.records import Json, Reject
from destination_router.pipeline.mapping.compiler import Compiler, Directive, constant
from destination_router.pipeline.mapping.liquid import compile_template
from destination_router.pipeline.paths import UNDEFINED, Evaluate, of_message
from destination_router.settings.errors import Problem

FLAT_CHARACTERS = 10_000_000
"""The most characters of flattened names, because each repeats the names above it."""

_UP_TO_BRACES = re.compile(r"([^}]*+)(\}+|\Z)")
_TEMPLATE_CHARACTERS = 1_000
_RENDERED_CHARACTERS = 1_000_000
"""Bounds of a template in a message. `@liquid` has the same bounds."""


def message_compiler(problems: list[Problem]) -> Compiler:
    """Make a compiler for mappings that start at a message.

    Args:
        problems: gets each problem.
    """
    return Compiler(DIRECTIVES, of_message, problems)


def _path(compiler: Compiler, value: Json, path: str) -> Evaluate:
    if isinstance(value, str):
        return compiler.read(value)
    if not isinstance(value, dict):
        return compiler.refuse(path, "must be text, such as $.properties.name")
    inner = compiler.compile(value, path)
    read = compiler.read

    def evaluate(data: Any) -> Any:
        found = inner(data)
        return read(found)(data) if isinstance(found, str) else UNDEFINED

    return evaluate


def _template(compiler: Compiler, value: Json, path: str) -> Evaluate:
    read = compiler.read
    if isinstance(value, str):
        return _rendering(value, read, path)
    if not isinstance(value, dict):
        return compiler.refuse(path, "must be text, such as Hello {{traits.name}}")
    inner = compiler.compile(value, path)

    def evaluate(data: Any) -> Any:
        found = inner(data)
        if not isinstance(found, str):
            return UNDEFINED
        if len(found) > _TEMPLATE_CHARACTERS:
            detail = f"a template has at most {_TEMPLATE_CHARACTERS} characters"
            raise Reject("too_large", detail, path)
        return _rendering(found, read, path)(data)

    return evaluate


def _rendering(template: str, read: Callable[[str], Evaluate], path: str) -> Evaluate:
    parts: list[Evaluate] = []
    end = 0
    for start, stop, name in _placeholders(template):
        parts.append(constant(template[end:start]))
        parts.append(read(name.strip()))
        end = stop
    rest = template[end:]

    def evaluate(data: Any) -> str:
        texts: list[str] = []
        room = _RENDERED_CHARACTERS
        for part in parts:
            texts.append(_shown(part(data)))
            room -= len(texts[-1])
            if room < 0:
                detail = f"the template gives more than {_RENDERED_CHARACTERS} characters"
                raise Reject("too_large", detail, path)
        return "".join(texts) + rest

    return evaluate


def _placeholders(template: str) -> Iterator[tuple[int, int, str]]:
    """Find `{{name}}` and `{{{name}}}`, with the beginning, the end and the name of each.

    A name holds any character but a closing brace, and begins at the first two opening ones.
    """
    for found in _UP_TO_BRACES.finditer(template):
        start = found[1].find("{{")
        name, closing = found[1][start + 2 :], len(found[2])
        if start < 0 or not name or closing < 2:  # noqa: PLR2004 -- braces come in twos and threes
            continue
        braces = 2
        if closing > 2 and name[0] == "{" and len(name) > 1:  # noqa: PLR2004
            braces, name = 3, name[1:]
        yield found.start() + start, found.start(2) + braces, name


def _shown(value: Any) -> str:
    return "" if value is None or value is UNDEFINED else javascript.text(value)


def _literal(_compiler: Compiler, value: Json, _path: str) -> Evaluate:
    return constant(value)


def _if(compiler: Compiler, value: Json, path: str) -> Evaluate:
    options = compiler.options(value, path, (), ("exists", "blank", "then", "else"))
    if options is None:
        return constant(UNDEFINED)
    key = "exists" if "exists" in options else "blank"
    if key not in options:
        return compiler.refuse(path, "needs exists or blank")
    holds = _exists if key == "exists" else _is_not_blank
    subject = compiler.compile(options[key], f"{path}.{key}")
    then, otherwise = (
        compiler.compile(options[branch], f"{path}.{branch}")
        if branch in options
        else constant(UNDEFINED)
        for branch in ("then", "else")
    )
    return lambda data: then(data) if holds(subject(data)) else otherwise(data)


def _exists(value: Any) -> bool:
    return value is not UNDEFINED and value is not None


def _is_not_blank(value: Any) -> bool:
    """Tell whether a value is not blank by JavaScript's loose `value != ''`."""
    if value is UNDEFINED or value is None:
        return False
    if isinstance(value, list):
        return javascript.text(value) != ""
    return isinstance(value, dict) or bool(value)


def _case(compiler: Compiler, value: Json, path: str) -> Evaluate:
    options = compiler.options(value, path, ("operator", "value"))
    if options is None or not compiler.choice(
        options["operator"], f"{path}.operator", "lower", "upper"
    ):
        return constant(UNDEFINED)
    subject = compiler.compile(options["value"], f"{path}.value")
    change = str.lower if options["operator"] == "lower" else str.upper

    def evaluate(data: Any) -> Any:
        found = subject(data)
        return change(found) if isinstance(found, str) else found

    return evaluate


def _replace(compiler: Compiler, value: Json, path: str) -> Evaluate:
    known = ("replacement", "global", "ignorecase", "pattern2", "replacement2")
    options = compiler.options(value, path, ("value", "pattern"), known)
    if options is None:
        return constant(UNDEFINED)
    subject = compiler.compile(options["value"], f"{path}.value")
    count = 0 if compiler.flag(options, "global", path, default=True) else 1
    flags = (
        re.IGNORECASE if compiler.flag(options, "ignorecase", path, default=False) else re.NOFLAG
    )
    pairs: list[tuple[re.Pattern[str], str]] = []
    for number in ("", "2"):
        pattern = compiler.text(options, f"pattern{number}", "", path)
        replacement = compiler.text(options, f"replacement{number}", "", path)
        if pattern:
            plain = replacement.replace("\\", r"\\")  # a backslash stands for itself
            pairs.append((re.compile(re.escape(pattern), flags), plain))
        elif not number:
            compiler.refuse(f"{path}.pattern", "must be text of at least one character")

    def evaluate(data: Any) -> Any:
        found = subject(data)
        if isinstance(found, (bool, int, float)):
            found = javascript.text(found)
        if not isinstance(found, str):
            return ""
        for pattern, replacement in pairs:
            found = pattern.sub(replacement, found, count=count)
        return found

    return evaluate


def _array_path(compiler: Compiler, value: Json, path: str) -> Evaluate:
    if not isinstance(value, list) or not 1 <= len(value) <= 2:  # noqa: PLR2004 -- path and shape
        return compiler.refuse(path, "must be a list of a path and, if wanted, a shape")
    source = value[0]
    root = (
        compiler.read(source) if isinstance(source, str) else compiler.compile(source, f"{path}.0")
    )
    shape = value[1] if len(value) > 1 else None
    if shape is not None and not isinstance(shape, dict):
        return compiler.refuse(f"{path}.1", "must be an object: what each item becomes")
    if not shape:
        return root
    item_shape = compiler.over_values().compile(shape, f"{path}.1")

    def evaluate(data: Any) -> Any:
        found = root(data)
        if isinstance(found, dict):
            found = [found]
        if not isinstance(found, list):
            return found
        shaped = [item_shape(item) for item in found]
        return [None if item is UNDEFINED else item for item in shaped]

    return evaluate


def _merge(compiler: Compiler, value: Json, path: str) -> Evaluate:
    options = compiler.options(value, path, ("objects", "direction"))
    if options is None or not compiler.choice(
        options["direction"], f"{path}.direction", "right", "left"
    ):
        return constant(UNDEFINED)
    if not isinstance(options["objects"], list):
        return compiler.refuse(f"{path}.objects", "must be a list")
    parts = [
        compiler.compile(part, f"{path}.objects.{i}") for i, part in enumerate(options["objects"])
    ]
    if options["direction"] == "left":
        parts.reverse()

    def evaluate(data: Any) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for part in parts:
            merged.update(_members(part(data)))
        return merged

    return evaluate


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """List the members of an object or list by key, as JavaScript does. Other values have none."""
    if isinstance(value, dict):
        yield from javascript.in_order(value).items()
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield str(index), item


def _transform(compiler: Compiler, value: Json, path: str) -> Evaluate:
    options = compiler.options(value, path, ("apply", "mapping"))
    if options is None:
        return constant(UNDEFINED)
    for key in ("apply", "mapping"):
        if not isinstance(options[key], dict):
            return compiler.refuse(f"{path}.{key}", "must be an object")
    apply = compiler.compile(options["apply"], f"{path}.apply")
    mapping = compiler.over_values().compile(options["mapping"], f"{path}.mapping")
    return lambda data: mapping(apply(data))


def _flatten(compiler: Compiler, value: Json, path: str) -> Evaluate:
    options = compiler.options(value, path, ("value", "separator"), ("omitArrays",))
    if options is None:
        return constant(UNDEFINED)
    subject = compiler.compile(options["value"], f"{path}.value")
    separator = compiler.text(options, "separator", ".", path)
    omit_arrays = compiler.flag(options, "omitArrays", path, default=False)
    if not separator:
        return compiler.refuse(f"{path}.separator", "must be text of at least one character")
    containers = (dict,) if omit_arrays else (dict, list)

    def flat(value: Any, prefix: str, room: list[int]) -> Iterator[tuple[str, Any]]:
        room[0] -= len(prefix) * len(value)  # which its members' names repeat
        if room[0] < 0:
            detail = f"names of nested fields come to more than {FLAT_CHARACTERS} characters"
            raise Reject("too_large", detail, path)
        for key, item in _members(value):
            name = f"{prefix}{separator}{key}" if prefix else key
            if isinstance(item, containers):
                yield from flat(item, name, room)
            else:
                yield name, item

    def evaluate(data: Any) -> Any:
        found = subject(data)
        return dict(flat(found, "", [FLAT_CHARACTERS])) if isinstance(found, containers) else found

    return evaluate


def _json(compiler: Compiler, value: Json, path: str) -> Evaluate:
    options = compiler.options(value, path, ("mode", "value"))
    if options is None or not compiler.choice(options["mode"], f"{path}.mode", "encode", "decode"):
        return constant(UNDEFINED)
    subject = compiler.compile(options["value"], f"{path}.value")
    change = _encoded if options["mode"] == "encode" else _decoded
    return lambda data: change(subject(data))


def _encoded(value: Any) -> Any:
    return UNDEFINED if value is UNDEFINED else javascript.json_text(value, all_digits=True)


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return value


def _liquid(compiler: Compiler, value: Json, path: str) -> Evaluate:
    if not isinstance(value, str):
        return compiler.refuse(path, "must be text")
    try:
        render = compile_template(value)
    except ValueError as error:
        return compiler.refuse(path, str(error))
    whole = compiler.read("$")

    def evaluate(data: Any) -> Any:
        values = whole(data)
        text = render(values if isinstance(values, Mapping) else {})
        return UNDEFINED if text is None else text

    return evaluate


def _exclude_when_null(compiler: Compiler, value: Json, path: str) -> Evaluate:
    subject = compiler.compile(value, path)
    return lambda data: _without_nulls(subject(data))


def _without_nulls(value: Any) -> Any:
    """Leave out null, and the nulls of objects within objects, as Segment does."""
    if value is None:
        return UNDEFINED
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


DIRECTIVES: dict[str, Directive] = {
    "@path": _path,
    "@template": _template,
    "@literal": _literal,
    "@if": _if,
    "@case": _case,
    "@replace": _replace,
    "@arrayPath": _array_path,
    "@merge": _merge,
    "@transform": _transform,
    "@flatten": _flatten,
    "@json": _json,
    "@liquid": _liquid,
    "@excludeWhenNull": _exclude_when_null,
}
"""Every directive of the language."""
