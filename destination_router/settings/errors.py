"""Problems of settings as data: each with its path, and never with a value."""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a setting: its path (`appId`, `headers.0.name`) and why."""

    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}" if self.path else self.detail


class SettingsError(ValueError):
    """Settings that cannot be used, with every problem at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class TableError(SettingsError):
    """A connection's other tables are invalid. Paths begin at the connection.

    These are its subscriptions, mappings, transformations and privacy.
    """
