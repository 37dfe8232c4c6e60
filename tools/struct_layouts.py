"""Tells Cython which arguments are structs, and where a struct keeps its fields.

To read a field of an object that it knows nothing about, Cython asks the object's class, which
takes several times as long as the interpreter takes for a field that it has read before. The
source says in its annotations which arguments are structs. So `hatch_build.py` compiles a copy of
the source in which such annotations name extension types, and all other annotations name none. A
declaration beside the copy says where each of those types keeps its fields. A field is then read
in one step.

Where fields lie follows from how Python makes a class with slots. It is looked up here in a real
object, and the size of each class is compared again when a compiled module is imported.
"""

from __future__ import annotations

import ast
import ctypes
import importlib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_UNTYPED = "object"


def write_typed(paths: Iterable[Path], folder: Path) -> None:
    """Write what Cython compiles in place of some modules.

    Args:
        paths: of the modules, from the working folder, which is importable.
        folder: where the copies and their declarations go, under the same paths.
    """
    used: set[type[msgspec.Struct]] = set()
    for path in paths:
        text, structs = typed(path)
        used |= structs
        copy = folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
        imports = [f"from {_module(s)} cimport {s.__name__} as {_type(s)}\n" for s in structs]
        copy.with_suffix(".pxd").write_text("".join(sorted(imports)), encoding="utf-8")
        for package in (copy.parent, *copy.parent.parents):
            if package == folder:
                break
            (package / "__init__.py").touch()
    for module in {_module(struct) for struct in used}:
        here = [declaration(struct) for struct in used if _module(struct) == module]
        (folder / f"{module}.pxd").write_text("\n".join(sorted(here)), encoding="utf-8")


def typed(path: Path) -> tuple[str, set[type[msgspec.Struct]]]:
    """Rewrite the annotations within a module's functions; every line keeps its number.

    Returns:
        The source for Cython, and the structs that it names.
    """
    text = path.read_bytes()
    scope = importlib.import_module(".".join(path.with_suffix("").parts))
    lines = text.splitlines(keepends=True)
    used: set[type[msgspec.Struct]] = set()
    # From the end, so that places before it stay what they are.
    annotations = _annotations(ast.parse(text))
    for annotation in sorted(annotations, key=_place, reverse=True):
        struct, is_optional = _struct(annotation, scope)
        name = _UNTYPED
        if struct is not None and annotations[annotation]:
            used.add(struct)
            name = _type(struct) + " | None" * is_optional
        first, last = annotation.lineno - 1, (annotation.end_lineno or 0) - 1
        before = lines[first][: annotation.col_offset]
        after = lines[last][annotation.end_col_offset :]
        lines[first : last + 1] = [before + name.encode() + after, *([b"\n"] * (last - first))]
    return b"".join(lines).decode(), used


def _annotations(tree: ast.Module) -> dict[ast.expr, bool]:
    """Find the annotations that Cython would take for types.

    Returns:
        Those of arguments, of local variables and of what functions return; whether one may name a
        struct. What is returned is an object for whoever calls, so its type would only be checked.
    """
    found: dict[ast.expr, bool] = {}
    for function in ast.walk(tree):
        if not isinstance(function, Function):
            continue
        for node in ast.walk(function):
            if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
                found[node.annotation] = True
        if function.returns is not None:
            found[function.returns] = False
    return found


def _place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _struct(annotation: ast.expr, scope: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """Find the struct that an annotation means, if any, and whether it may be None.

    Of several structs it is the one that all of them are made from. One that the module defines
    itself is not there yet when the module looks for its types.
    """
    meant = _meant(annotation, scope)
    kinds = [kind for kind in meant if kind is not None]
    if not kinds or not all(isinstance(kind, msgspec.StructMeta) for kind in kinds):
        return None, False
    for base in kinds[0].__mro__:
        if all(issubclass(kind, base) for kind in kinds):
            if base is msgspec.Struct or base.__module__ == scope.__name__:
                break
            return base, None in meant
    return None, False


def _meant(annotation: ast.expr, scope: Any) -> list[Any]:
    """List what an annotation allows."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*_meant(left, scope), *_meant(right, scope)]
        case ast.Constant(value=None):
            return [None]
        case ast.Name(id=name):
            found = getattr(scope, name, object)
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            found = getattr(getattr(scope, module, None), name, object)
        case _:
            return [object]
    return list(found.__args__) if isinstance(found, types.UnionType) else [found]


def fields_in_memory(struct: type[msgspec.Struct]) -> list[str]:
    """List a struct's fields in the order in which its objects keep them.

    Raises:
        TypeError: an object of it keeps them elsewhere.
    """
    fields: list[str] = []
    for base in reversed(struct.__mro__):  # Python sorts the slots of each class
        if isinstance(base, msgspec.StructMeta):
            fields += sorted(set(base.__struct_fields__) - set(fields))
    # One whose values are not looked at, as `__post_init__` would.
    unchecked = {"__post_init__": lambda _: None}
    made = msgspec.defstruct(struct.__name__, [], bases=(struct,), namespace=unchecked)
    one = made(**dict.fromkeys(fields))
    marks = [object() for _ in fields]
    for field, mark in zip(fields, marks, strict=True):
        msgspec.structs.force_setattr(one, field, mark)
    kept = (ctypes.c_void_p * len(fields)).from_address(id(one) + object.__basicsize__)
    if list(kept) != [id(mark) for mark in marks]:
        raise TypeError(f"{struct.__name__} keeps its fields in another order than {fields}")
    return fields


def declaration(struct: type[msgspec.Struct]) -> str:
    """Declare a struct as an extension type, in Cython's words."""
    fields = fields_in_memory(struct)
    name = _type(struct)
    members = "".join(f" PyObject *f_{field};" for field in fields)
    rest = (struct.__basicsize__ - object.__basicsize__) // _POINTER - len(fields)
    if rest:
        members += f" void *rest[{rest}];"
    return (
        "cdef extern from *:\n"
        f'    """\n    typedef struct {{ PyObject_HEAD{members} }} {name};\n    """\n'
        f"    ctypedef class {struct.__module__}.{struct.__name__}"
        f" [object {name}, check_size error]:\n"
        + "".join(f'        cdef object {field} "f_{field}"\n' for field in fields)
    )


def _module(struct: type[msgspec.Struct]) -> str:
    return "layouts_" + struct.__module__.replace(".", "_")


def _type(struct: type[msgspec.Struct]) -> str:
    return f"{struct.__name__}_Layout"
