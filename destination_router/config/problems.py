"""Reports problems of a router.toml by their table and key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from destination_router.contract.records import Json
from destination_router.plugins.loading import PluginError
from destination_router.settings.errors import Problem, SettingsError, TableError


class ConfigError(SettingsError):
    """A router.toml is invalid. Each problem names the file, the table and the key."""


def config_error(
    problems: Sequence[Problem], names: Sequence[str], path: Path | None = None
) -> ConfigError:
    """List each problem once, with its table as in the file: `[gateway] listen: ...`.

    A connection without a name is known by its place in the list, from 0:
    `connections.0.settings.appId`.

    Args:
        problems: by their paths from the file's root.
        names: the connections', in order; empty where one has none.
        path: the file, to name it in the problems.
    """
    told = dict.fromkeys(_told(problem, names) for problem in problems)
    file = "" if path is None else f"{path}: "
    return ConfigError([Problem("", f"{file}{text}") for text in told])


def connection_names(content: Mapping[str, Json]) -> list[str]:
    """List the names of connections, in order; empty where one has none."""
    listed = content.get("connections")
    raws = listed if isinstance(listed, list) else []
    names = [raw.get("name") if isinstance(raw, dict) else "" for raw in raws]
    return [name if isinstance(name, str) else "" for name in names]


def connection_problems(number: int, error: SettingsError | PluginError) -> list[Problem]:
    """Give the problems of a connection their paths in the file.

    Args:
        number: of the connection, from 0.
        error: why it cannot be made.
    """
    table = f"connections.{number}"
    if isinstance(error, PluginError):
        return [Problem(f"{table}.plugin", str(error))]
    if isinstance(error, TableError):
        return [_placed(problem, table) for problem in error.problems]
    prefix = f"{table}.settings"
    return [Problem(f"{prefix}.{p.path}" if p.path else prefix, p.detail) for p in error.problems]


def _told(problem: Problem, names: Sequence[str]) -> str:
    table, _, rest = problem.path.partition(".")
    if table == "connections" and rest:
        number, _, key = rest.partition(".")
        name = names[int(number)] if int(number) < len(names) else ""
        if not name:
            return str(problem)
        return f"[[connections]] {name!r} {key}: {problem.detail}"
    if table and rest:
        return f"[{table}] {rest}: {problem.detail}"
    return str(problem)


def _placed(problem: Problem, table: str) -> Problem:
    """Give one problem of a connection its path; one about the router's own tables has it."""
    of_all = problem.path.startswith("[")
    return problem if of_all else Problem(f"{table}.{problem.path}", problem.detail)
