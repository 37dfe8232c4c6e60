"""The metrics that a process tells at a moment, for tests that wait for one of them."""

import math
import re


class Metrics(dict[str, float]):
    """Numbers by their names and labels.

    What has not been told yet is no number and equals none, so who waits for it waits on. A
    connection has no counts before its first message, nor has a process that others fill.
    """

    def __missing__(self, name: str) -> float:
        """Give what equals nothing."""
        return math.nan


def metrics_of(text: str) -> Metrics:
    """Read what `/metrics` answered."""
    lines = re.findall(r"^([a-z]\S*) (\S+)$", text, re.MULTILINE)
    return Metrics((name, float(value)) for name, value in lines)
