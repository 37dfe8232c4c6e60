"""What a host hears of a configuration that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable


class ConfigurationError(ValueError):
    """A configuration that cannot be used, with everything that is wrong with it.

    Attributes:
        problems: a sentence each, with the setting's path; no values.
    """

    def __init__(self, problems: Iterable[object]) -> None:
        self.problems = tuple(map(str, problems))
        super().__init__("\n".join(self.problems))
