"""Find the destination under test and its cases."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from conformance import echo
from conformance.case import CaseError, CaseSet, load_cases
from conformance.frozen import Requirements, load_requirements
from conformance.statements import Page, load_pages
from conformance.subject import PluginSubject, ProgramSubject, Subject
from conformance.transformer_subject import TransformerSubject
from destination_router.plugins.loading import (
    InstalledPlugin,
    PluginError,
    check_destination,
    installed_plugins,
    load_plugin,
)
from destination_router.programs.destination import Limits, ProgramHooks, load_program

_LIMITS = Limits(failures=20, lost=30.0)
"""A program that fails each time it is asked ends the run within a minute, not in days."""


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """A destination and the cases to run against it.

    Attributes:
        name: the destination's.
        subject: the destination; None where it cannot be loaded.
        load_error: why it cannot.
        case_set: its cases.
        settings: settings that work, for the checks that need no case.
        distribution: whose it is; empty where it is not installed.
        version: of that distribution.
        pages: what its vendor's pages say, and which cases test that.
        requirements: the frozen set that it is scored by; None for all that there is.
        command: of a destination that is a program; empty where it is installed.
        transformer: the URL of the transformer whose destination it is; empty for any other.
    """

    name: str
    subject: Subject | None
    load_error: str = ""
    case_set: CaseSet = CaseSet()
    settings: dict[str, Any] = {}
    distribution: str = ""
    version: str = ""
    pages: tuple[Page, ...] = ()
    requirements: Requirements | None = None
    command: tuple[str, ...] = ()
    transformer: str = ""


def open_bench(
    name: str,
    cases: Path | None = None,
    settings: dict[str, Any] | None = None,
    requirements: str | None = None,
) -> Bench:
    """Load a destination and its cases.

    Args:
        name: what a configuration calls the destination.
        cases: the folder of its cases; looked for (`find_cases`) if None.
        settings: for the checks that need no case; those of the first case file if None, else
            what the schema itself offers.
        requirements: the date of a frozen set to be scored by (`2026-11`).

    Raises:
        CaseError: a folder was given or found, and its files cannot be used; or there is no such
            frozen set.
    """
    pinned = None if requirements is None else load_requirements(requirements)
    folder = find_cases(name) if cases is None else cases
    case_set = CaseSet() if folder is None else load_cases(folder)
    pages = load_pages(_sources_of(name, folder), case_set.cases)
    bench = _loaded_bench(name, case_set, settings)
    return msgspec.structs.replace(bench, pages=pages, requirements=pinned)


def open_program_bench(
    command: Sequence[str],
    cases: Path | None = None,
    settings: dict[str, Any] | None = None,
    requirements: str | None = None,
    folder: Path | None = None,
) -> Bench:
    """Start a destination that is a program, and load its cases.

    Args:
        command: the program and its arguments.
        cases: the folder of its cases; `cases` in the folder where it runs, if None.
        settings: as `open_bench`.
        requirements: as `open_bench`.
        folder: where it runs; None: here.

    Raises:
        CaseError: as `open_bench`.
    """
    pinned = None if requirements is None else load_requirements(requirements)
    own = (folder or Path()) / "cases"
    place = cases or (own if own.is_dir() else None)
    case_set = CaseSet() if place is None else load_cases(place)
    told = shlex.join(command)
    try:
        plugin = load_program(command, None if folder is None else str(folder), _LIMITS)
    except PluginError as error:
        failed = Bench(name=told, subject=None, load_error=str(error), case_set=case_set)
        return msgspec.structs.replace(failed, distribution=told, command=tuple(command))
    assert isinstance(plugin.elsewhere, ProgramHooks)  # noqa: S101 -- it is a program
    bench = bench_for(
        ProgramSubject(plugin),
        case_set,
        settings,
        distribution=plugin.name,
        version=plugin.elsewhere.hello.version,
    )
    pages = load_pages(_sources_of(bench.name, place), case_set.cases)
    return msgspec.structs.replace(bench, pages=pages, requirements=pinned, command=tuple(command))


def open_transformer_bench(
    url: str, kind: str, cases: Path | None = None, requirements: str | None = None
) -> Bench:
    """Put a destination of a running transformer to the test.

    Args:
        url: where the transformer listens.
        kind: the destination's type, as RudderStack calls it: `HEAP`.
        cases: the folder of its cases; those of the destination of this name (`heap`) if None.
        requirements: as `open_bench`.

    Raises:
        CaseError: there are no cases, or as `open_bench`.
        UsageError: nothing answers at the URL.
    """
    subject = TransformerSubject(url, kind)
    folder = find_cases(subject.name) if cases is None else cases
    if folder is None:
        raise CaseError(f"there are no cases of {subject.name}: name their folder with --cases")
    case_set = load_cases(folder)
    bench = Bench(
        name=subject.name,
        subject=subject,
        case_set=case_set,
        distribution=f"the transformer at {subject.url}",
        pages=load_pages(_sources_of(subject.name, folder), case_set.cases),
        requirements=None if requirements is None else load_requirements(requirements),
        transformer=subject.url,
    )
    subject.ask_whether_there()
    return bench


def _loaded_bench(name: str, case_set: CaseSet, settings: dict[str, Any] | None) -> Bench:
    if name == echo.NAME:
        return _router_bench(case_set)
    offers = [plugin for plugin in installed_plugins() if plugin.name == name]
    distribution, version = (offers[0].distribution, offers[0].version) if offers else ("", "")
    try:
        subject = PluginSubject(load_plugin(name))
    except PluginError as error:
        return Bench(
            name=name,
            subject=None,
            load_error=str(error),
            case_set=case_set,
            distribution=distribution,
            version=version,
        )
    return bench_for(subject, case_set, settings, distribution=distribution, version=version)


def _router_bench(case_set: CaseSet) -> Bench:
    """Put the router itself to the test, with a destination that shows what it does to messages."""
    os.environ.update(echo.KEYS)
    suite = version("heap-destination")
    subject = PluginSubject(check_destination(echo, echo.NAME, f"heap-destination {suite}"))
    return bench_for(subject, case_set, distribution="heap-destination", version=suite)


def bench_for(
    subject: PluginSubject,
    case_set: CaseSet,
    settings: dict[str, Any] | None = None,
    *,
    distribution: str = "",
    version: str = "",
) -> Bench:
    """Put a destination that is loaded already to the test."""
    if settings is None:
        settings = case_set.settings or sample_settings(subject.plugin.hook.settings_schema())
    return Bench(
        name=subject.name,
        subject=subject,
        case_set=case_set,
        settings=settings,
        distribution=distribution,
        version=version,
    )


def find_cases(name: str) -> Path | None:
    """Find a destination's cases: those that come with the suite, else with its distribution.

    A distribution keeps them in a folder `cases` inside the package that its entry point names,
    or beside that package.
    """
    own = Path(str(files("conformance"))) / "cases" / name
    places = [own]
    for plugin in installed_plugins():
        if plugin.name == name:
            places.extend(_beside(plugin))
    return next((place for place in places if any(place.glob("*.json"))), None)


def _sources_of(name: str, cases: Path | None) -> Path | None:
    """Find the pages for a folder of cases: the suite's own, or `sources` beside the folder."""
    home = Path(str(files("conformance")))
    if cases is None:
        return None
    own = cases.resolve() == (home / "cases" / name).resolve()
    folder = home / "sources" / name if own else cases.parent / "sources"
    return folder if folder.is_dir() else None


def sample_settings(schema: dict[str, Any]) -> dict[str, Any]:
    """Make up values for the fields that a schema requires and gives no default for."""
    fields = schema.get("properties", {})
    return {
        name: _sample(fields.get(name, {}))
        for name in schema.get("required", ())
        if "default" not in fields.get(name, {})
    }


def _beside(plugin: InstalledPlugin) -> list[Path]:
    package = plugin.entry_point.module.partition(".")[0]
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return []
    home = Path(spec.origin).parent
    return [home / "cases", home.parent / "cases"]


def _sample(field: dict[str, Any]) -> Any:
    for keyword in ("examples", "enum"):
        if field.get(keyword):
            return field[keyword][0]
    samples = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
    return field.get("const", samples.get(field.get("type", ""), "1"))


__all__ = [
    "Bench",
    "CaseError",
    "bench_for",
    "find_cases",
    "open_bench",
    "open_program_bench",
    "open_transformer_bench",
    "sample_settings",
]
