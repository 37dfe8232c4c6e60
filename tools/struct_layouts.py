"""Tells Cython which arguments are structs, where a struct keeps its fields, and what is private.

To read a field of an object that it knows nothing about, Cython asks the object's class, which
takes several times as long as the interpreter takes for a field that it has read before. The
source says in its annotations which arguments are structs. So `hatch_build.py` compiles a copy of
the source in which such annotations name extension types, and all other annotations name none. A
declaration beside the copy says where each of those types keeps its fields. A field is then read
in one step.

A module's own structs are not there yet when the module looks for its types, so Cython only checks
that an object is some struct. That is enough for a method's `self`, and where type checkers see
every caller: in all functions and methods but those that a package exports. A private function that
a module only calls becomes a function of C, and a limit that it only compares with lengths a number
of C. A function that other compiled modules call stays one of Python, and they call it in C.

Where fields lie follows from how Python makes a class with slots. It is looked up here in a real
object, and the size of each class is compared again when a compiled module is imported.
"""

from __future__ import annotations

import ast
import ctypes
import importlib
import types
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_UNTYPED = "object"
_ANY = msgspec.Struct
_MOST = 2**31
_CLOSURES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.GeneratorExp, ast.Yield, ast.YieldFrom),
)
_Place: TypeAlias = tuple[int, int]
"""A line from 1, and the bytes before it in the line."""

# Which structs an annotation may name: a module's own are checked less.
_NONE, _FOREIGN, _ALL = "none", "of other modules", "all"
_TEXT = "what `str(…)` gives, which is no text of a class of its own"


def write_typed(paths: Iterable[Path], folder: Path) -> None:
    """Write what Cython compiles in place of some modules.

    Args:
        paths: of the modules, from the working folder, which is importable.
        folder: where the copies and their declarations go, under the same paths.
    """
    used: set[type[msgspec.Struct]] = set()
    paths = list(paths)
    shared = shared_functions(paths)
    for path in paths:
        text, structs = typed(path)
        name = _name(path)
        own = {struct for struct in structs if struct.__module__ == name}
        used |= structs - own
        copy = folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        _write(copy, text)
        lines = [f"from {_module(s)} cimport {s.__name__} as {_type(s)}\n" for s in structs - own]
        for struct in own:
            layout = f"{_module(struct)}_{struct.__name__}"
            _write(folder / f"{layout}.pxd", own_declaration(struct))
            lines.append(f"from {layout} cimport {_ANY.__name__} as {_type(struct)}\n")
        lines += [f"from {of} cimport {function}\n" for of, function in shared[name]]
        public = {function for each in shared.values() for of, function in each if of == name}
        lines = [*sorted(lines), *limits(path), *private_functions(path)]
        lines += public_functions(path, public)
        _write(copy.with_suffix(".pxd"), "".join(lines))
        for package in (copy.parent, *copy.parent.parents):
            if package == folder:
                break
            _write(package / "__init__.py", "")
    for module in {_module(struct) for struct in used}:
        here = [declaration(struct) for struct in used if _module(struct) == module]
        _write(folder / f"{module}.pxd", "\n".join(sorted(here)))


def _write(path: Path, text: str) -> None:
    """Write what a file does not hold yet: Cython compiles anew what is newer than its C."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def typed(path: Path) -> tuple[str, set[type[msgspec.Struct]]]:
    """Rewrite the annotations within a module's functions; every line keeps its number.

    Returns:
        The source for Cython, and the structs that it names.
    """
    text = path.read_bytes()
    tree, scope = ast.parse(text), importlib.import_module(_name(path))
    lines = text.splitlines(keepends=True)
    used: set[type[msgspec.Struct]] = set()
    written: list[tuple[_Place, _Place, str]] = []
    for annotation, which in _annotations(tree, scope).items():
        struct, is_optional = _struct(annotation, scope)
        name = "str" if which == _TEXT else _UNTYPED
        allowed = which == _ALL or (which == _FOREIGN and not _is_own(struct, scope))
        if struct is not None and allowed:
            used.add(struct)
            name = _type(struct) + " | None" * is_optional
        written.append((*_place(annotation), name))
    for argument, struct in _selves(tree, scope):
        used.add(struct)
        _, end = _place(argument)
        written.append((end, end, f": {_type(struct)}"))
    # From the end, so that places before it stay what they are.
    for (first, start), (last, stop), name in sorted(written, reverse=True):
        before, after = lines[first - 1][:start], lines[last - 1][stop:]
        lines[first - 1 : last] = [before + name.encode() + after, *([b"\n"] * (last - first))]
    return b"".join(lines).decode(), used


def _annotations(tree: ast.Module, scope: Any) -> dict[ast.expr, str]:
    """Find the annotations that Cython would take for types.

    Returns:
        Those of arguments, of local variables and of what functions return; what each may name.
        What is returned is an object for whoever calls, so its type would only be checked.
    """
    exported = _exported(scope)
    found: dict[ast.expr, str] = {}
    for function in ast.walk(tree):
        if not isinstance(function, Function):
            continue
        arguments = set(ast.walk(function.args))
        for node in ast.walk(function):
            if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
                is_public = node in arguments and function.name in exported
                found[node.annotation] = _FOREIGN if is_public else _ALL
            match node:
                case ast.AnnAssign(annotation=ast.Name("str"), value=ast.Call(ast.Name("str"))):
                    found[node.annotation] = _TEXT
        if function.returns is not None:
            found[function.returns] = _NONE
    return found


def _selves(tree: ast.Module, scope: Any) -> Iterator[tuple[ast.arg, type[msgspec.Struct]]]:
    """Find the first arguments of the methods of a module's own structs.

    A struct that a package exports has methods that anybody may call by its class, with anything
    for `self`: `map(HttpResponse.json, answers)`. What is missing there is only slower.
    """
    package = _package(scope)
    found = {**vars(scope), **vars(package)}
    exported = [found.get(name) for name in getattr(package, "__all__", ())]
    kinds = [each for each in exported if isinstance(each, msgspec.StructMeta)]
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        struct: Any = getattr(scope, node.name)
        for method in node.body if isinstance(struct, msgspec.StructMeta) else ():
            if isinstance(method, Function) and method.args.args[:1]:
                first = method.args.args[0]
                is_callable = not (method.name.startswith("_") or method.decorator_list)
                is_public = is_callable and any(issubclass(kind, struct) for kind in kinds)
                if first.arg == "self" and first.annotation is None and not is_public:
                    yield first, struct


def _package(scope: Any) -> types.ModuleType:
    """Find the package of a module. It is asked for no name that it imports on first use.

    Such an import may need a distribution that is only being built.
    """
    return importlib.import_module(scope.__name__.partition(".")[0])


def _exported(scope: Any) -> set[str]:
    package = _package(scope)
    return {*vars(package), *getattr(package, "__all__", ())}


def _place(node: ast.expr | ast.arg) -> tuple[_Place, _Place]:
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def private_functions(path: Path) -> list[str]:
    """Declare as functions of C what a module calls, and neither it nor anybody else hands around.

    A private name is nobody else's; `tests/test_compiled.py` looks for those who break that rule.
    """
    tree, scope = ast.parse(path.read_bytes()), importlib.import_module(_name(path))
    declared = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _is_plain(node) and _is_only_called(node, tree):
            arguments = [f"{_argument_type(each, scope)} {each.arg}" for each in node.args.args]
            is_bool = isinstance(node.returns, ast.Name) and node.returns.id == "bool"
            kind, failed = ("bint", " except -1") if is_bool else ("object", "")
            declared.append(f"cdef {kind} {node.name}({', '.join(arguments)}){failed}\n")
    return declared


def public_functions(path: Path, names: Collection[str]) -> list[str]:
    """Declare as functions of C, and of Python too, what other modules call."""
    tree, scope = ast.parse(path.read_bytes()), importlib.import_module(_name(path))
    exported = _exported(scope)
    declared = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in names:
            first = len(node.args.args) - len(node.args.defaults)
            arguments = []
            for at, each in enumerate(node.args.args):
                kind = _argument_type(each, scope, may_be_own=node.name not in exported)
                arguments.append(f"{kind} {each.arg}" + "=*" * (at >= first))
            declared.append(f"cpdef object {node.name}({', '.join(arguments)})\n")
    return declared


def shared_functions(paths: Iterable[Path]) -> dict[str, list[tuple[str, str]]]:
    """Find the functions that a compiled module calls in another one.

    Such a call does not look into a module's dictionary: `tests/test_compiled.py` looks for those
    who replace one there. A call with an argument by its name is not of that kind.

    Returns:
        By a module's name, the modules and names of the functions that it calls.
    """
    modules = {_name(path): ast.parse(path.read_bytes()) for path in paths}
    functions: dict[tuple[str, str], ast.FunctionDef] = {
        (name, node.name): node
        for name, tree in modules.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and _is_simple(node)
    }
    found: dict[str, list[tuple[str, str]]] = {}
    for name, tree in modules.items():
        scope = importlib.import_module(name)
        found[name] = []
        for node in tree.body:
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                meant = getattr(scope, alias.asname or alias.name)
                key = (getattr(meant, "__module__", ""), getattr(meant, "__name__", ""))
                function = functions.get(key)
                if function is not None and key[1] == alias.name and alias.asname is None:
                    calls = _calls(alias.name, tree)
                    if calls and all(_fits(call, function) for call in calls):
                        found[name].append(key)
    return found


def _calls(name: str, tree: ast.Module) -> list[ast.Call]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call) and _is_name(n.func, name)]


def _fits(call: ast.Call, function: ast.FunctionDef) -> bool:
    """Whether a call has all arguments in order, as C wants them."""
    most = len(function.args.args)
    return (
        not call.keywords
        and most - len(function.args.defaults) <= len(call.args) <= most
        and not any(isinstance(argument, ast.Starred) for argument in call.args)
    )


def _is_plain(function: ast.FunctionDef) -> bool:
    """Whether a function is private, and needs no more than C has, not even defaults."""
    return function.name.startswith("_") and not function.args.defaults and _is_simple(function)


def _is_simple(function: ast.FunctionDef) -> bool:
    """Whether a function is such as C has: without closures, and with arguments in order."""
    arguments = function.args
    return (
        not function.decorator_list
        and not (arguments.vararg or arguments.kwarg)
        and not (arguments.kwonlyargs or arguments.posonlyargs)
        and not any(
            isinstance(node, _CLOSURES) for part in function.body for node in ast.walk(part)
        )
    )


def _is_only_called(function: ast.FunctionDef, tree: ast.Module) -> bool:
    """Whether every use of a function's name is a call of it, with all arguments in order."""
    calls = {call.func for call in _calls(function.name, tree) if _fits(call, function)}
    uses = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == function.name]
    return calls.issuperset(uses)


def _argument_type(argument: ast.arg, scope: Any, *, may_be_own: bool = True) -> str:
    struct = None if argument.annotation is None else _struct(argument.annotation, scope)[0]
    if struct is None or (_is_own(struct, scope) and not may_be_own):
        return _UNTYPED
    return _type(struct)


def limits(path: Path) -> list[str]:
    """Declare as numbers of C the imported ones that a module compares with lengths alone."""
    tree, scope = ast.parse(path.read_bytes()), importlib.import_module(_name(path))
    imported = {
        name.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.asname is None and name.name.isupper()
        if type(value := getattr(scope, name.name)) is int and 0 <= value <= _MOST
    }
    compared = [
        [node.left, *node.comparators] for node in ast.walk(tree) if isinstance(node, ast.Compare)
    ]
    found = set()
    for name in imported:
        mine = [terms for terms in compared if any(_is_name(term, name) for term in terms)]
        if mine and all(_is_length(term) or _is_name(term, name) for t in mine for term in t):
            found.add(name)
    return [f"cdef Py_ssize_t {name}\n" for name in sorted(found)]


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_length(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    return isinstance(node, ast.Call) and _is_name(node.func, "len")


def _is_own(struct: type[msgspec.Struct] | None, scope: Any) -> bool:
    return struct is not None and bool(struct.__module__ == scope.__name__)


def _struct(annotation: ast.expr, scope: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """Find the struct that an annotation means, if any, and whether it may be None.

    Of several structs it is the one that all of them are made from.
    """
    meant = _meant(annotation, scope)
    kinds = [kind for kind in meant if kind is not None]
    if not kinds or not all(isinstance(kind, msgspec.StructMeta) for kind in kinds):
        return None, False
    for base in kinds[0].__mro__:
        if all(issubclass(kind, base) for kind in kinds):
            if base is msgspec.Struct:
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
    members = "".join(f" PyObject *f_{field};" for field in fields)
    rest = (struct.__basicsize__ - object.__basicsize__) // _POINTER - len(fields)
    if rest:
        members += f" void *rest[{rest}];"
    places = {field: f"f_{field}" for field in fields}
    return _extension_type(struct, f"{_module(struct)}_{struct.__name__}", members, places)


def own_declaration(struct: type[msgspec.Struct]) -> str:
    """Declare a struct for the module that defines it: as any struct, of which no size is known."""
    places = {field: f"f[{number}]" for number, field in enumerate(fields_in_memory(struct))}
    name = f"own_{_module(struct)}_{struct.__name__}"
    return _extension_type(_ANY, name, " PyObject *f[];", places)


def _extension_type(checked: type, name: str, members: str, places: dict[str, str]) -> str:
    return (
        "cdef extern from *:\n"
        f'    """\n    typedef struct {{ PyObject_HEAD{members} }} {name};\n    """\n'
        f"    ctypedef class {checked.__module__}.{checked.__name__}"
        f" [object {name}, check_size error]:\n"
        + "".join(f'        cdef object {field} "{place}"\n' for field, place in places.items())
    )


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def _module(struct: type[msgspec.Struct]) -> str:
    return "layouts_" + struct.__module__.replace(".", "_")


def _type(struct: type[msgspec.Struct]) -> str:
    return f"{struct.__name__}_Layout"
