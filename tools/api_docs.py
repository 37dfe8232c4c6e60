"""The reference of what is imported from the public modules, drawn from types and docstrings.

    python tools/api_docs.py docs/api.md            write
    python tools/api_docs.py --check docs/api.md    exit 1 if stale

A block between two comments is replaced; the example behind it is written by hand:

    <!-- api: destination_router.HttpRequest -->
    <!-- /api -->
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import msgspec
from docstrings import body, items, of_constant, summary
from generated_docs import write_or_check

PUBLIC = ("destination_router", "heap_destination.simulator", "conformance")
"""The modules that others import from; what each exports is its `__all__`."""

BLOCK = re.compile(
    r"(?P<open><!-- api: (?P<name>[\w.]+) -->\n).*?(?P<close><!-- /api -->)", re.DOTALL
)

_ELSEWHERE = {"Destination": "Each hook, with its arguments: [hooks.md](hooks.md)."}
"""Classes whose members another page lists."""

_ENTERED = ("__aenter__", "__enter__")
_LONGEST = 96
_LONGEST_DEFAULT = 24


class Described(msgspec.Struct, frozen=True):
    """A field or property.

    Attributes:
        name: what it is called.
        type: as Markdown.
        default: as Markdown; a dash where there is none.
        meaning: a sentence; empty where nobody says.
    """

    name: str
    type: str
    default: str
    meaning: str


def exported() -> Iterator[str]:
    """List every public name, with its module."""
    for module in PUBLIC:
        for name in import_module(module).__all__:
            yield f"{module}.{name}"


def with_api(document: str) -> str:
    """Give a document with its reference up to date."""

    def drawn(block: re.Match[str]) -> str:
        return f"{block['open']}\n{section(block['name'])}\n\n{block['close']}"

    return BLOCK.sub(drawn, document)


def section(path: str) -> str:
    """Describe one public name."""
    name = path.rpartition(".")[2]
    value, text = documented(path)
    parts = [f"### {name}", body(text)]
    if name in _ELSEWHERE:
        parts.append(_ELSEWHERE[name])
    elif isinstance(value, ModuleType):
        parts += [_function(name, each) for name, each in _functions(value)]
    elif isinstance(value, type):
        parts += [_table(described(value)), *_methods(value)]
    elif inspect.isfunction(value):
        parts.insert(1, _code(_signature(name, value)))
    elif name == "Message":
        (first, *_) = typing.get_args(value)
        parts += [_table(described(first.__base__)), *_methods(first.__base__)]
    return "\n\n".join(part for part in parts if part)


def documented(path: str) -> tuple[Any, str]:
    """Find a public name's value and its docstring; a constant's stands below its assignment."""
    module_name, _, name = path.rpartition(".")
    module = import_module(module_name)
    value = getattr(module, name)
    if text := next(filter(None, (of_constant(each, name) for each in _sources(module))), ""):
        return value, text
    if isinstance(value, (type, ModuleType)) or inspect.isfunction(value):
        return value, inspect.getdoc(value) or ""
    return value, ""


def described(record: type[Any]) -> list[Described]:
    """List the fields and properties of a class, its own before those of a private base."""
    text = inspect.getdoc(record) or ""
    own = items(record.__dict__.get("__doc__") or "", "Attributes")
    if not issubclass(record, msgspec.Struct):
        attributes = [
            Described(name, _type(record, name), _assigned(record, name), meaning)
            for name, meaning in items(text, "Attributes").items()
        ]
    else:
        attributes = [
            Described(
                field.name, _type(record, field.name), _default(field), own.get(field.name, "")
            )
            for field in msgspec.structs.fields(record)
            if field.name in record.__annotations__
        ] + [
            Described(name, _type(record, name), "computed", own.get(name, ""))
            for name in record.__annotations__
            if name not in record.__struct_fields__ and not name.startswith("_")
        ]
    return attributes + [
        Described(
            name,
            _written(_annotations(each)["return"], each),
            "computed",
            summary(each.__doc__ or ""),
        )
        for name, each in _properties(record)
    ]


def undocumented(path: str) -> Iterator[str]:
    """Name what of a public name has no docstring: itself, its fields, its methods."""
    value, text = documented(path)
    name = path.rpartition(".")[2]
    if not text.strip():
        yield path
    if isinstance(value, ModuleType):
        for function, each in _functions(value):
            if not each.__doc__:
                yield f"{path}.{function}"
    if not isinstance(value, type) or name in _ELSEWHERE:
        return
    for field in described(value):
        if not field.meaning:
            yield f"{path}.{field.name}"
    for method, each in _public(value):
        if inspect.isfunction(each) and not each.__doc__:
            yield f"{path}.{method}"


def _sources(module: ModuleType) -> Iterator[ModuleType]:
    """List a package's module and those that it takes names from."""
    yield module
    for line in inspect.getsource(module).splitlines():
        if found := re.match(r"from ([\w.]+) import", line):
            yield import_module(found[1])


def _functions(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, value in vars(module).items():
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_":
            yield name, value


def _public(record: type[Any]) -> Iterator[tuple[str, Any]]:
    """List a class's own members that others use, unwrapped."""
    for name, value in vars(record).items():
        if not name.startswith("_") or name in _ENTERED:
            yield name, getattr(value, "__func__", value)


def _properties(record: type[Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, value in _public(record):
        function = getattr(value, "fget", None) or getattr(value, "func", None)
        if function is not None:
            yield name, function


def _methods(record: type[Any]) -> Iterator[str]:
    for name, value in _public(record):
        if inspect.isfunction(value):
            given = vars(record)[name]
            above = "@classmethod\n" if isinstance(given, classmethod) else ""
            yield _function(name, value, above)


def _function(name: str, function: Callable[..., Any], above: str = "") -> str:
    return f"{_code(above + _signature(name, function))}\n\n{body(function.__doc__ or '')}"


def _signature(name: str, function: Callable[..., Any]) -> str:
    """Write a function's head as its source would have it, on one line or on several."""
    signature = inspect.signature(function)
    start = "async def" if inspect.iscoroutinefunction(function) else "def"
    returned = signature.return_annotation
    end = "" if returned is signature.empty else f" -> {_plain(returned)}"
    arguments = list(_arguments(signature))
    text = f"{start} {name}({', '.join(arguments)}){end}"
    if len(text) <= _LONGEST:
        return text
    return f"{start} {name}(\n" + "".join(f"    {each},\n" for each in arguments) + f"){end}"


def _arguments(signature: inspect.Signature) -> Iterator[str]:
    bare = True
    for name, each in signature.parameters.items():
        if name in {"self", "cls"}:
            continue
        if each.kind is each.VAR_POSITIONAL:
            bare = False
        elif each.kind is each.KEYWORD_ONLY and bare:
            bare = False
            yield "*"
        stars = "*" if each.kind is each.VAR_POSITIONAL else ""
        text = f"{stars}{name}: {_plain(each.annotation)}"
        yield text if each.default is each.empty else f"{text} = {_briefly(each.default)}"


def _briefly(default: object) -> str:
    """Write a default, or dots where it says nothing to a reader."""
    text = repr(default).replace("'", '"')
    return text if len(text) < _LONGEST_DEFAULT and not text.startswith("<") else "..."


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _table(found: list[Described]) -> str:
    if not found:
        return ""
    rows = [
        f"| `{each.name}` | {each.type} | {each.default} | {_cell(each.meaning)} |\n"
        for each in found
    ]
    return "| Field | Type | Default | Meaning |\n|---|---|---|---|\n" + "".join(rows).rstrip()


def _cell(text: str) -> str:
    return (text[:1].upper() + text[1:]).replace("|", "\\|")


def _annotations(value: Any) -> dict[str, Any]:
    return getattr(value, "__annotations__", {})


def _type(record: type[Any], name: str) -> str:
    return _written(_annotations(record).get(name, ""), record)


def _written(annotation: Any, owner: Any) -> str:
    """Write a type for a reader: alternatives by `or`, names that nobody can import in full."""
    text = _plain(annotation)
    known = getattr(import_module(owner.__module__), text, None) if text.isidentifier() else None
    if typing.get_origin(known) is typing.Literal:
        text = str(known).removeprefix("typing.")
    text = re.sub(r"^(?:ClassVar|Final)\[(.*)\]$", r"\1", text)
    if choices := re.fullmatch(r"Literal\[(.*)\]", text):
        return " or ".join(f"`{each.strip()}`".replace("'", '"') for each in choices[1].split(","))
    parts = _alternatives(text)
    if not text:
        return ""
    return " or ".join("none" if part == "None" else _coded(part) for part in parts)


def _alternatives(text: str) -> list[str]:
    """Cut a type at the bars that stand outside of brackets."""
    parts, depth, part = [], 0, ""
    for sign in text:
        depth += (sign in "[(") - (sign in "])")
        if sign == "|" and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += sign
    return [*parts, part.strip()]


def _coded(text: str) -> str:
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def _plain(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:collections\.abc|typing|destination_router[\w.]*)\.(?=[A-Z])", "", text)


def _assigned(record: type[Any], name: str) -> str:
    value = vars(record).get(name, msgspec.NODEFAULT)
    return "required" if value is msgspec.NODEFAULT else _shown(value)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT:
        factory: Any = field.default_factory
        value = factory()
    return _shown(value)


def _shown(value: object) -> str:
    return "none" if value is None else f"`{value!r}`".replace("'", '"')


if __name__ == "__main__":
    write_or_check("Draw the reference of the public modules.", __file__, with_api)
