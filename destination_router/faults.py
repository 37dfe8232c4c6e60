"""What may be told of a failure: its type, its place and a plain code, never its words.

What an exception says may quote what it failed on, and so be personal.
"""

from __future__ import annotations

import re
from types import TracebackType

_CODE = re.compile("[a-z][a-z0-9_]{0,39}")


def whereabouts(error: BaseException) -> str:
    """Say what kind of exception it is and where it was raised: `KeyError at plugin.py:7`."""
    place = raised_at(error.__traceback__)
    return f"{type(error).__name__} at {place}" if place else type(error).__name__


def raised_at(traceback: TracebackType | None) -> str:
    """Say where an exception was raised: `plugin.py:7`; empty if it never was."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"


def plain_code(code: object, instead: str = "rejected") -> str:
    """Take a code that looks like one; any other text might say more than a label may.

    Args:
        code: what a destination wrote.
        instead: what to say in its place.
    """
    return code if isinstance(code, str) and _CODE.fullmatch(code) else instead
