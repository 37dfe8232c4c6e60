"""What every command has in common: where it talks, how it refuses, and how it ends."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console

from destination_router.config.problems import ConfigError
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.faults import UsageError, file_problem
from destination_router.files.reading import BrokenOffError
from destination_router.plugins.loading import PluginError
from destination_router.settings.errors import SettingsError
from destination_router.settings.references import ReadableByAllWarning

FAILED = 1
WRONG_USAGE = 2

# Lines are as long as they are: nobody can search or parse what was broken at the 80th column.
out = Console(soft_wrap=True, highlight=False)
talk = Console(stderr=True, soft_wrap=True, highlight=False)


@contextlib.contextmanager
def problems_told() -> Iterator[None]:
    """Tell what is wrong without a traceback, and end the command; tell what is dangerous.

    Its status is 2 for the usage and the configuration, and 1 for what breaks off in its midst: a
    file that cannot be read further, and Ctrl-C.
    """
    try:
        with _warnings_told():
            yield
    except (UsageError, PluginError, LogFileError, LogUnavailableError) as error:
        refuse(str(error))
    except ConfigError as error:
        refuse(str(error))
    except SettingsError as error:
        refuse("\n".join(f"settings: {problem}" for problem in error.problems))
    except BrokenOffError as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        _interrupted()
    except BrokenPipeError:
        raise
    except OSError as error:
        refuse(file_problem(str(error.filename or "a file"), error))


@contextlib.contextmanager
def _warnings_told() -> Iterator[None]:
    """Tell warnings that are for whoever gave the command; those of Python itself look as ever."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def tell(message: Warning | str, *where: Any, **more: Any) -> None:
            if isinstance(message, ReadableByAllWarning):
                talk.print(str(message), style="yellow", markup=False)
            else:
                show(message, *where, **more)

        warnings.showwarning = tell
        yield


@contextlib.contextmanager
def summed_up(tell: Callable[[], None]) -> Iterator[None]:
    """Sum up what was done, however it ends: also where a file breaks off, and after Ctrl-C."""
    try:
        yield
    except (BrokenOffError, KeyboardInterrupt):
        tell()
        raise
    tell()


@contextlib.contextmanager
def interruption_told() -> Iterator[None]:
    """Say that Ctrl-C ended the command, and end it."""
    try:
        yield
    except KeyboardInterrupt:
        _interrupted()


def _interrupted() -> NoReturn:
    talk.print("Interrupted.")
    raise typer.Exit(FAILED) from None


def refuse(text: str) -> None:
    """Say why nothing was done, and end the command."""
    complain(text)
    raise typer.Exit(WRONG_USAGE)


def complain(text: str) -> None:
    """Say what is wrong, on standard error."""
    talk.print(text, style="red", markup=False)


def warn(text: str) -> None:
    """Say what may be wrong, on standard error."""
    talk.print(f"warning: {text}", style="yellow", markup=False)


def print_line(value: Any) -> None:
    """Write a value as one line of JSON to standard output."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
