"""Reads the values of options that need no reading, so that typer does not ask pydantic.

Newer versions of typer read every value with it, those that are not given, too. A server would keep
it: 6 MiB of memory, and a tenth of a second at the start.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

_MOST_DIGITS = 9


def read_plainly(parameters: Iterable[Any]) -> None:
    """Let parameters of a command read plain values by themselves. Typer still reads all others.

    Args:
        parameters: typer's.
    """
    for parameter in parameters:
        if getattr(parameter, "nargs", 0) == 1 and not getattr(parameter, "multiple", False):
            parameter.process_value = partial(_process, parameter)


def _process(parameter: Any, context: Any, value: Any) -> Any:
    """As typer does."""
    read = None if value is None else _read(parameter, value)
    if (read is None) is not (value is None) or (parameter.required and value is None):
        return type(parameter).process_value(parameter, context, value)
    return read if parameter.callback is None else parameter.callback(context, parameter, read)


def _read(parameter: Any, value: Any) -> Any:
    """Read a text as typer does; None if typer has to see to it."""
    # Versions before pydantic do not tell the type so.
    about = getattr(parameter, "type_descriptor", None)
    if about is None or not isinstance(value, str | Path):
        return None
    kind, demands = about.annotation, about.parameter_info
    if demands.parser is not None:
        return None
    if kind is Path:
        return Path(value) if _may_be_anything(demands) and os.access(value, os.R_OK) else None
    if kind is str:
        return str(value)
    if kind is int and _is_short_number(value):
        number = int(str(value))
        too_small = demands.min is not None and number < demands.min
        too_large = demands.max is not None and number > demands.max
        return None if too_small or too_large else number
    return None


def _may_be_anything(demands: Any) -> bool:
    """Whether a path may be that of any file or folder that this user may read."""
    special = (
        demands.writable,
        demands.resolve_path,
        demands.allow_dash,
        demands.path_type is not None,
    )
    return demands.file_okay and demands.dir_okay and not any(special)


def _is_short_number(value: str | Path) -> bool:
    text = str(value)
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
