"""What may be told of a failure: its type, its place and a plain code, never its words.

What an exception says may quote what it failed on, and so be personal. A file that cannot be used
is told in our own words, with its name.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import TracebackType

import msgspec

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding JSON raises that somebody else wrote: it is none, no text, or too deep."""


class Unanswered(BaseException):
    """Raised by a hook that runs in another process and has not been answered yet.

    Whoever has an event loop puts the question outside of it, and does the work again.

    Attributes:
        question: for the plugin's program to answer.
    """

    def __init__(self, question: object) -> None:
        super().__init__()
        self.question = question


PASSED_ON = (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, Unanswered)
"""What ends a process or a task on purpose, or has to be asked first. Whatever else code raises
stays with the message at hand: `MemoryError`, `RecursionError`, and `SystemExit` of a plugin that
calls `sys.exit`."""

_CODE = re.compile("[a-z][a-z0-9_]{0,39}")


def whereabouts(error: BaseException) -> str:
    """Say what kind of exception it is and where it was raised: `KeyError at plugin.py:7`."""
    told = getattr(error, "place", None)  # of a program, whose failure happened elsewhere
    if isinstance(told, str):
        return told
    place = raised_at(error.__traceback__)
    return f"{type(error).__name__} at {place}" if place else type(error).__name__


def raised_at(traceback: TracebackType | None) -> str:
    """Say where an exception was raised: `plugin.py:7`; empty if it never was."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"


def file_problem(path: str | Path, error: OSError | ValueError) -> str:
    """Say why a file cannot be read or written: `there is no file router.toml`.

    Args:
        path: its name, as it was given.
        error: what opening, reading or writing it raised.
    """
    match error:
        case FileNotFoundError():
            folder = Path(path).parent
            return f"there is no file {path}" if folder.is_dir() else f"there is no folder {folder}"
        case IsADirectoryError():
            return f"{path} is a folder: name a file"
        case NotADirectoryError():
            return f"{path}: what should be a folder on the way there is a file"
        case FileExistsError():
            return f"{path} is there already, and nothing is overwritten: name another file"
        case PermissionError():
            return f"{path} may not be used by this user: look at its permissions"
        case UnicodeDecodeError():
            return f"{path} is not text in UTF-8, from byte {error.start + 1} on"
        case OSError(strerror=str(reason)):
            return f"{path}: {reason[:1].lower()}{reason[1:]}"
        case _:
            return f"{str(path)!r} cannot be the name of a file"


def plain_code(code: object, instead: str = "rejected") -> str:
    """Take a code that looks like one; any other text might say more than a label may.

    Args:
        code: what a destination wrote.
        instead: what to say in its place.
    """
    return code if isinstance(code, str) and _CODE.fullmatch(code) else instead


class UsageError(Exception):
    """What was typed does not say what to do; the text says what to type."""
