"""What is wrong with a router.toml, told by the table and the key where it stands."""

from __future__ import annotations

from destination_router.plugins import PluginError
from destination_router.settings import Problem, SettingsError, TableError


def connection_problems(number: int, error: SettingsError | PluginError) -> list[Problem]:
    """Say where in the file the problems of a connection are.

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


def told(problem: Problem, names: list[str]) -> str:
    """Say where a problem is as the file does: `[gateway] listen: ...`.

    Args:
        problem: by its path from the file's root.
        names: the connections', in order; empty where one has none.
    """
    table, _, rest = problem.path.partition(".")
    if table == "connections" and rest:
        number, _, key = rest.partition(".")
        name = names[int(number)] if int(number) < len(names) else ""
        which = repr(name) if name else f"number {int(number) + 1}"
        return f"[[connections]] {which} {key}: {problem.detail}"
    if table and rest:
        return f"[{table}] {rest}: {problem.detail}"
    return str(problem)


def _placed(problem: Problem, table: str) -> Problem:
    """Say where a problem of a connection stands; one of the router's own tables says so."""
    of_all = problem.path.startswith("[")
    return problem if of_all else Problem(f"{table}.{problem.path}", problem.detail)
