"""What a compiled wheel compiles: `[tool.hatch.build.targets.wheel.hooks.custom]`."""

import ast
import contextlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import struct_layouts

ROOT = Path(__file__).parent.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOOK = CONFIG["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
PATHS = [Path(path) for path in HOOK["modules"]]


def test_nothing_is_compiled_unless_somebody_asks() -> None:
    """`pip install` needs no C compiler."""
    assert HOOK["enable-by-default"] is False


@pytest.mark.parametrize("path", HOOK["modules"])
def test_what_is_compiled_is_there_and_holds_no_hooks(path: str) -> None:
    """Pluggy reads the signatures of hooks, and the loader takes plain functions only."""
    source = (ROOT / path).read_text(encoding="utf-8")
    assert "@hookimpl" not in source
    assert "@hookspec" not in source


# -- what Cython is told of structs (`tools/struct_layouts.py`) ----------------------------------


_Function = TypeVar("_Function", ast.FunctionDef, ast.AsyncFunctionDef)


class _Unannotated(ast.NodeTransformer):
    """Takes the annotations out of functions, which are all that Cython's copy may change."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: _Function) -> _Function:
        node.returns = None
        for inner in ast.walk(node):
            if isinstance(inner, ast.AnnAssign):
                inner.annotation = ast.Constant(None)
        self.generic_visit(node)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815


@pytest.fixture
def _from_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # as a build is run


@pytest.mark.usefixtures("_from_root")
@pytest.mark.parametrize("path", HOOK["modules"])
def test_what_is_compiled_differs_from_the_source_in_annotations_alone(path: str) -> None:
    """It means the same, and a traceback names the lines of the source."""
    source = Path(path).read_text(encoding="utf-8")
    text, _ = struct_layouts.typed(Path(path))
    assert len(text.splitlines()) == len(source.splitlines())
    trees = [_Unannotated().visit(ast.parse(each)) for each in (source, text)]
    assert ast.dump(trees[0]) == ast.dump(trees[1])


@pytest.mark.usefixtures("_from_root")
def test_nobody_else_uses_a_function_that_becomes_one_of_c() -> None:
    """It is in no module's dictionary: it can be neither imported nor replaced."""
    private = {
        (path.removesuffix(".py").replace("/", "."), line.split("(")[0].split()[-1])
        for path in HOOK["modules"]
        for line in struct_layouts.private_functions(Path(path))
    }
    assert ("destination_router.pipeline.normalise", "_is_normal") in private
    files = _our_files()
    assert len(files) > 500
    for file in files:
        assert private.isdisjoint(_named(ast.parse(file.read_bytes()))), file


def _our_files() -> list[Path]:
    # What a build or an environment holds is not ours, and may go while it is looked through.
    ours = [each for each in ROOT.iterdir() if each.name not in {".venv", "build", "dist"}]
    return [file for each in ours if each.is_dir() for file in each.rglob("*.py")]


def _named(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """List the names that a file takes from modules: by import, as attributes, and in texts."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    modules[alias.asname or alias.name] = f"{module}.{alias.name}"
                    yield module, alias.name
            case ast.Constant(value=str(text)):
                module, _, name = text.rpartition(".")
                yield module, name
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in modules:
                yield modules[name], attribute
            case ast.Call(args=[ast.Name(id=name), ast.Constant(value=str(attribute)), *_]):
                yield modules.get(name, ""), attribute


@pytest.mark.usefixtures("_from_root")
def test_only_what_is_called_and_no_closure_becomes_a_function_of_c(tmp_path: Path) -> None:
    """C has neither closures nor functions that are handed around."""
    (tmp_path / "called_in_c.py").write_text(
        "def _called(one: str, two: bool) -> bool:\n    return two\n\n"
        "def _handed(one: str) -> str:\n    return one\n\n"
        "def _later(one: str) -> object:\n    return lambda: one\n\n"
        "def _with(one: str, two: str = '') -> str:\n    return one\n\n"
        "def public(one: str) -> list[object]:\n"
        "    _called(one, True), _later(one), _with(one)\n    return [_handed(one), _handed]\n",
        encoding="utf-8",
    )
    with contextlib.chdir(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        declared = struct_layouts.private_functions(Path("called_in_c.py"))
    assert declared == ["cdef bint _called(object one, object two) except -1\n"]


REPLACED_IN_SOURCE = {("destination_router.pipeline.connection", "well_formed_all")}
"""By tests that skip where it is compiled."""


@pytest.mark.usefixtures("_from_root")
def test_nobody_replaces_a_function_that_another_module_calls_in_c() -> None:
    """Its caller does not look for it in a module's dictionary, so it would not notice."""
    shared = struct_layouts.shared_functions(PATHS)
    fixed = {(caller, name) for caller, called in shared.items() for _, name in called}
    fixed.update(each for called in shared.values() for each in called)
    fixed -= REPLACED_IN_SOURCE
    assert ("heap_destination.identity", "placeholder_reason") in fixed
    assert ("destination_router.contract.placeholders", "placeholder_reason") in fixed
    for file in _our_files():
        assert fixed.isdisjoint(_replaced(ast.parse(file.read_bytes()))), file


def _replaced(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """List the names of modules that a file sets: by assignment, by `setattr`, and by a text."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            modules.update({alias.asname or alias.name: alias.name for alias in node.names})
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Store()):
                yield modules.get(name, ""), attribute
            case ast.Call(args=[ast.Name(id=name), ast.Constant(value=str(attribute)), *_]):
                yield modules.get(name, ""), attribute
            case ast.Call(args=[ast.Constant(value=str(text)), *_]):
                module, _, name = text.rpartition(".")
                yield module, name


_CALLED = """
def both(one: str, two: str = "") -> str:
    return one + two

def later(one: str) -> object:
    return lambda: one

def by_name(one: str, *, two: str) -> str:
    return one + two

def spread(one: str) -> str:
    return one

def unused(one: str) -> str:
    return one
"""
_CALLER = """
from called_across import both, by_name, later, spread, unused

def call() -> object:
    return both("1"), both("1", "2"), later("1"), by_name("1", two="2"), spread(*"1"), [unused]
"""


@pytest.fixture
def _across(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stand where one module calls another."""
    (tmp_path / "called_across.py").write_text(_CALLED, encoding="utf-8")
    (tmp_path / "caller_across.py").write_text(_CALLER, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


ACROSS = (Path("called_across.py"), Path("caller_across.py"))


@pytest.mark.usefixtures("_across")
def test_a_function_is_called_in_c_where_all_arguments_are_in_order() -> None:
    """C has neither closures nor arguments by name, and what nobody calls needs no declaration."""
    shared = struct_layouts.shared_functions(ACROSS)
    assert shared == {"called_across": [], "caller_across": [("called_across", "both")]}
    assert struct_layouts.public_functions(ACROSS[0], ["both"]) == [
        "cpdef object both(object one, object two=*)\n"
    ]


@pytest.mark.usefixtures("_from_root")
def test_only_limits_of_lengths_become_numbers_of_c() -> None:
    """A number that is compared with a value of Python stays one of Python."""
    declared = struct_layouts.limits(Path("heap_destination/properties.py"))
    assert declared == ["cdef Py_ssize_t KEY_CHARACTERS\n", "cdef Py_ssize_t VALUE_CHARACTERS\n"]


@pytest.mark.usefixtures("_from_root")
def test_a_field_is_read_where_its_struct_keeps_it() -> None:
    """Each declared struct is looked at in an object: a wrong order would be read amiss."""
    for path in HOOK["modules"]:
        for struct in struct_layouts.typed(Path(path))[1]:
            declared = struct_layouts.declaration(struct)
            assert all(
                f'object {field} "f_{field}"' in declared for field in struct.__struct_fields__
            )


class First(msgspec.Struct):
    """A struct with fields that are not in the order of their names."""

    zeal: int
    amount: int


class Second(First, frozen=True):
    """One with more of them, which come after the first one's, whatever they are called."""

    aim: int


def test_an_inherited_field_comes_first() -> None:
    """Python sorts the slots of each class, and adds them to those of the class before."""
    assert struct_layouts.fields_in_memory(Second) == ["amount", "zeal", "aim"]


class Checked(First):
    """One that looks at its values."""

    def __post_init__(self) -> None:
        """Refuse what is no number."""
        abs(self.amount)


def test_a_struct_that_looks_at_its_values_is_looked_at_too() -> None:
    """Its object is made of what no field allows."""
    assert struct_layouts.fields_in_memory(Checked) == ["amount", "zeal"]


def test_an_order_that_is_not_so_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another interpreter may lay objects out in another way."""
    monkeypatch.setattr(struct_layouts, "sorted", lambda names: sorted(names)[::-1], raising=False)
    with pytest.raises(TypeError, match="First keeps its fields in another order"):
        struct_layouts.fields_in_memory(First)


@pytest.mark.usefixtures("_from_root")
def test_cython_gets_structs_for_types_and_nothing_else() -> None:
    """A float would round whole numbers, and a dict would refuse its own kinds."""
    assert "_user(message: Identify_Layout, settings: HeapSettings_Layout)" in _typed("plain.py")
    assert "def number_text(number: object) -> object:" in _typed("properties.py")
    assert "message: _Message_Layout" in _typed("identity.py")  # any of the six calls
    assert "def _flatten(run: _Flattening_Layout, items: object" in _typed("properties.py")
    times = struct_layouts.typed(Path("destination_router/contract/times.py"))[0]
    assert "written: str = str(text)" in times
    assert "def is_time(text: object) -> object:" in times


@pytest.mark.usefixtures("_from_root")
def test_a_method_that_anybody_may_call_by_its_class_asks_what_it_is_called_with() -> None:
    """`HttpResponse.json` of another struct would read memory that is not its own."""
    records = struct_layouts.typed(Path("destination_router/contract/records.py"))[0]
    assert "def json(self) -> object:" in records
    assert "def text(self: HttpResponse_Layout) -> object:" in records  # a property
    assert "def __post_init__(self: HttpRequest_Layout) -> object:" in records
    messages = struct_layouts.typed(Path("destination_router/contract/messages.py"))[0]
    assert "def options(self, *names: object) -> object:" in messages


def test_what_is_not_compiled_is_not_imported_for_it(tmp_path: Path) -> None:
    """A build has no distribution yet, whose version the sender asks for as it is imported."""
    code = (
        "import sys; from pathlib import Path; from struct_layouts import write_typed; "
        f"write_typed(map(Path, {HOOK['modules']!r}), Path({str(tmp_path)!r})); "
        "print(*(name for name in sys.modules if name.startswith('destination_router.')))"
    )
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tools'}"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    imported = done.stdout.decode().split()
    assert "destination_router.pipeline.decisions" in imported
    assert not [name for name in imported if ".hosting" in name or name.endswith(".sender")]


def _typed(name: str) -> str:
    return struct_layouts.typed(Path("heap_destination", name))[0]
