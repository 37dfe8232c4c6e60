"""Describes failures by type, place and a plain code, never by their text.

The text of an exception may quote the value that it failed on, and so be personal. An unusable file
is described in our own words, with its name.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import TracebackType

import msgspec

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""Errors of decoding foreign JSON: it is invalid, not text, or nested too deeply."""


class Unanswered(BaseException):
    """A hook that runs in another process has no answer yet.

    A host with an event loop asks outside of it, and then repeats the work.

    Attributes:
        question: for the plugin's program to answer.
    """

    def __init__(self, question: object) -> None:
        super().__init__()
        self.question = question


PASSED_ON = (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, Unanswered)
"""Exceptions that end a process or a task on purpose, or ask a question first. All others concern
only the current message: `MemoryError`, `RecursionError`, and `SystemExit` of a plugin that
calls `sys.exit`."""

_CODE = re.compile("[a-z][a-z0-9_]{0,39}")


def whereabouts(error: BaseException) -> str:
    """Describe an exception by its type and place: `KeyError at plugin.py:7`."""
    told = getattr(error, "place", None)  # of a program, whose failure happened elsewhere
    if isinstance(told, str):
        return told
    traceback = error.__traceback__
    if getattr(error, "tells_itself", False):  # of our own records: who made one wrongly called it
        place = raised_at(traceback, before=1)
        return f"{error} ({place})" if place else str(error)
    place = raised_at(traceback)
    return f"{type(error).__name__} at {place}" if place else type(error).__name__


def raised_at(traceback: TracebackType | None, before: int = 0) -> str:
    """Say where an exception was raised: `plugin.py:7`; empty if it never was.

    Args:
        traceback: the exception's.
        before: how many calls before that place to name.
    """
    calls = []
    while traceback is not None:
        calls.append(traceback)
        traceback = traceback.tb_next
    if len(calls) <= before:
        return ""
    traceback = calls[-1 - before]
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
    """Return a code if it looks like one. Any other text might reveal something.

    Args:
        code: what a destination wrote.
        instead: the replacement for anything else.
    """
    return code if isinstance(code, str) and _CODE.fullmatch(code) else instead


class UsageError(Exception):
    """The command line is wrong. The text says what to type."""
