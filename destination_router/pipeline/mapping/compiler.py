"""Compiles a mapping to a function. Raw values are constants, and directives are looked up.

The language is Segment's. Its meaning follows Segment's documentation and, where that is silent,
the code of `segmentio/action-destinations` (packages/core/src/mapping-kit). A compiled mapping is
total: a value that is not available is UNDEFINED, and never an exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any, TypeAlias

from destination_router.contract.records import Json
from destination_router.contract.times import format_time
from destination_router.pipeline import paths
from destination_router.pipeline.paths import UNDEFINED, Evaluate
from destination_router.settings.errors import Problem

METADATA = "_metadata"
"""Keys that Segment's app stores beside a directive. They mean nothing."""

Directive: TypeAlias = Callable[["Compiler", Json, str], Evaluate]
"""Compiles the value of a directive. The text is its path."""


class Compiler:
    """Compiles one mapping, and collects all its problems.

    Args:
        directives: by name.
        read: reads a path, from a message or from any JSON value.
        problems: gets each problem.
    """

    def __init__(
        self,
        directives: Mapping[str, Directive],
        read: Callable[[str], Evaluate],
        problems: list[Problem],
    ) -> None:
        self._directives = directives
        self.read = read
        self.problems = problems

    def compile(self, mapping: Json, path: str) -> Evaluate:
        """Compile a raw value or a directive.

        Args:
            mapping: any JSON value.
            path: its path, for problems.
        """
        if isinstance(mapping, dict):
            names = [name for name in mapping if name.startswith("@")]
            if names:
                return self._directive(mapping, names, path)
            parts = {key: self.compile(item, f"{path}.{key}") for key, item in mapping.items()}
            return _object(parts)
        if isinstance(mapping, list):
            return _list([self.compile(item, f"{path}.{i}") for i, item in enumerate(mapping)])
        if isinstance(mapping, (date, time)):  # what TOML has and JSON has not
            moment = format_time(mapping) if isinstance(mapping, datetime) else mapping.isoformat()
            return constant(moment)
        return constant(mapping)

    def over_values(self) -> Compiler:
        """Make a compiler for mappings that start at a value and not at the message."""
        return Compiler(self._directives, paths.of_value, self.problems)

    def refuse(self, path: str, detail: str) -> Evaluate:
        """Report a problem."""
        self.problems.append(Problem(path, detail))
        return constant(UNDEFINED)

    def _directive(self, mapping: dict[str, Json], names: list[str], path: str) -> Evaluate:
        name = names[0]
        if len(names) > 1:
            return self.refuse(path, f"has {' and '.join(names)}; a directive stands alone")
        others = [key for key in mapping if key not in (name, METADATA)]
        if others:
            return self.refuse(path, f"has {others[0]} beside {name}; a directive stands alone")
        known = self._directives
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            return self.refuse(f"{path}.{name}", f"is no directive; {hint}")
        return known[name](self, mapping[name], f"{path}.{name}")

    def options(
        self, value: Json, path: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> dict[str, Json] | None:
        """Check that a directive has its required keys and no others; None if not."""
        if not isinstance(value, dict):
            self.refuse(path, f"must be an object with {', '.join((*required, *optional))}")
            return None
        known = (*required, *optional)
        missing = [key for key in required if key not in value]
        unknown = [key for key in value if key not in known]
        for key in missing:
            self.refuse(f"{path}.{key}", "is required")
        for key in unknown:
            self.refuse(f"{path}.{key}", f"is not known here; known: {', '.join(known)}")
        return None if missing or unknown else value

    def choice(self, value: Json, path: str, *choices: str) -> bool:
        """Check that an option is one of a few words."""
        if value in choices and isinstance(value, str):
            return True
        self.refuse(path, f"must be one of {', '.join(choices)}")
        return False

    def text(self, options: dict[str, Json], key: str, default: str, path: str) -> str:
        """Read an option that is text."""
        value = options.get(key, default)
        if isinstance(value, str):
            return value
        self.refuse(f"{path}.{key}", "must be text")
        return default

    def flag(self, options: dict[str, Json], key: str, path: str, *, default: bool) -> bool:
        """Read an option that is true or false."""
        value = options.get(key, default)
        if isinstance(value, bool):
            return value
        self.refuse(f"{path}.{key}", "must be true or false")
        return default


def constant(value: Json) -> Evaluate:
    """Make a function that returns the same value for every message."""
    return lambda _data: value


def _object(parts: dict[str, Evaluate]) -> Evaluate:
    def evaluate(data: Any) -> dict[str, Any]:
        values = {key: part(data) for key, part in parts.items()}
        return {key: value for key, value in values.items() if value is not UNDEFINED}

    return evaluate


def _list(parts: list[Evaluate]) -> Evaluate:
    def evaluate(data: Any) -> list[Any]:
        values = [part(data) for part in parts]
        return [None if value is UNDEFINED else value for value in values]

    return evaluate
