"""What a mutant is, and how it is applied: to the source of a plugin, or to what a hook returns.

The plugin under test is a fresh copy of all its modules; the one that others use stays as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from conformance.bench import Bench, bench_for
from conformance.case import Case, CaseSet
from conformance.checks import CHECKS, Check
from conformance.runner import FAILING, run
from conformance.subject import PluginSubject
from destination_router import HttpRequest, hookimpl
from destination_router.plugins.loading import LoadedPlugin, PluginError, check_destination


class MutantError(Exception):
    """A mutant that cannot be applied, since the source has changed; the text says which."""


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """One defect.

    Attributes:
        id: `identity-from-anonymous-id`.
        description: the slip, in a line.
        module: where it is made: `calls`, within the plugin's package; empty for `repack`.
        old: the source as it is: it must stand there exactly once.
        new: the source with the slip.
        repack: in place of source, what becomes of the list that `pack` returns.
        needs: the hooks without which it means nothing.
        check: the check that catches it, where no case has to.
    """

    id: str
    description: str
    module: str = ""
    old: str = ""
    new: str = ""
    repack: Callable[[list[HttpRequest]], list[HttpRequest]] | None = None
    needs: tuple[str, ...] = ()
    check: str = ""


def caught_by(mutant: Mutant, plugin: str, name: str, case_set: CaseSet) -> str | None:
    """Run the suite against a mutant, up to the first failure.

    Args:
        mutant: the defect.
        plugin: the module that the entry point names: `heap_destination.plugin`.
        name: the destination's.
        case_set: its cases.

    Returns:
        The id of the case or check that catches it; `check/loading` where it does not even load;
        None where nothing does.

    Raises:
        MutantError: the source that it changes is not there exactly once.
    """
    try:
        with mutated(mutant, plugin, name) as loaded:
            return _first_failure(bench_for(PluginSubject(loaded), case_set))
    except PluginError:
        return "check/loading"


def _first_failure(bench: Bench) -> str | None:
    """Run the cases, the short ones first, then the checks, which take longer and say less."""
    cases = sorted(bench.case_set.cases, key=lambda case: len(case.sent))
    everything: tuple[Case | Check, ...] = (*cases, *CHECKS)
    for rule in everything:
        if run(bench, rule).result in FAILING:
            return rule.id
    return None


@contextmanager
def mutated(mutant: Mutant, plugin: str, name: str) -> Iterator[LoadedPlugin]:
    """Load a plugin with a defect, for the length of a `with` block.

    As long as it lasts, the package's modules are those with the defect, wherever code looks for
    them: type hints and late imports do.

    Raises:
        MutantError: the source that it changes is not there exactly once.
        PluginError: with the defect it does not load.
    """
    package = plugin.partition(".")[0]
    with _fresh(package):
        if mutant.repack is not None:
            yield _repacked(mutant.repack, importlib.import_module(plugin), name)
        else:
            yield check_destination(_import(mutant, plugin, package), name, "a mutant")


def _import(mutant: Mutant, plugin: str, package: str) -> ModuleType:
    finder = _Finder(f"{package}.{mutant.module}", mutant)
    sys.meta_path.insert(0, finder)
    try:
        module = importlib.import_module(plugin)
    except MutantError:
        raise
    except Exception as error:
        raise PluginError(f"{mutant.id}: {error}") from error
    finally:
        sys.meta_path.remove(finder)
    if not finder.used:
        raise MutantError(f"{mutant.id}: {plugin} does not import {mutant.module}")
    return module


def _repacked(
    change: Callable[[list[HttpRequest]], list[HttpRequest]], module: ModuleType, name: str
) -> LoadedPlugin:
    real = check_destination(module, name, "a mutant").hook

    @hookimpl
    def pack(requests: list[HttpRequest], settings: Any) -> list[HttpRequest]:
        return change(real.pack(requests=requests, settings=settings))

    module.pack = pack  # type: ignore[attr-defined]
    return check_destination(module, name, "a mutant")


@contextmanager
def _fresh(package: str) -> Iterator[None]:
    """Import a package anew, and put the modules that were there back in the end."""
    before = _modules(package)
    for module in before:
        del sys.modules[module]
    try:
        yield
    finally:
        for module in _modules(package):
            del sys.modules[module]
        sys.modules.update(before)


def _modules(package: str) -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in sys.modules.items()
        if name == package or name.startswith(f"{package}.")
    }


class _Finder(MetaPathFinder):
    """Gives one module with the defect, and leaves the others to Python."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        self.name = name
        self.mutant = mutant
        self.used = False

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != self.name or self.used:
            return None
        self.used = True
        package, stem = fullname.rsplit(".", 1)
        home = Path(str(sys.modules[package].__file__)).parent / f"{stem}.py"
        loader = _Loader(home, self.mutant)
        return importlib.util.spec_from_file_location(fullname, home, loader=loader)


class _Loader(SourceLoader):
    """Reads a module's source, and makes the slip in it; keeps no byte code."""

    def __init__(self, path: Path, mutant: Mutant) -> None:
        self.path = path
        self.mutant = mutant

    def get_filename(self, fullname: str) -> str:
        return f"<{self.mutant.id}>/{fullname}"

    def get_data(self, path: str) -> bytes:  # noqa: ARG002 -- it reads one file
        source = self.path.read_text(encoding="utf-8")
        found = source.count(self.mutant.old)
        if found != 1:
            raise MutantError(
                f"{self.mutant.id}: {self.path.name} holds its source {found} times, not once: "
                f"bring the mutant up to date\n{self.mutant.old}"
            )
        return source.replace(self.mutant.old, self.mutant.new).encode()
