"""What every command has in common: where it talks, how it refuses, and how it ends."""

from __future__ import annotations

import contextlib
import gzip
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import typer
from rich.console import Console

from destination_router.eventlog.base import LogFileError, LogUnavailableError
from destination_router.plugins import PluginError
from destination_router.settings import SettingsError
from destination_router.surfaces.choosing import UsageError

FAILED = 1
WRONG_USAGE = 2

out = Console()
talk = Console(stderr=True)


@contextlib.contextmanager
def problems_told() -> Iterator[None]:
    """Tell what is wrong with the usage or the configuration, without a traceback."""
    try:
        yield
    except (UsageError, PluginError, LogFileError, LogUnavailableError) as error:
        refuse(str(error))
    except SettingsError as error:
        refuse("\n".join(f"settings: {problem}" for problem in error.problems))
    except EOFError:
        refuse("the file ends in the middle of its gzip data")
    except gzip.BadGzipFile:
        refuse("the file is not gzip data, though its name ends in .gz")
    except BrokenPipeError:
        raise
    except OSError as error:
        refuse(f"{error.filename or 'input'}: {error.strerror or type(error).__name__}")


def refuse(text: str) -> None:
    """Say why nothing was done, and end the command."""
    talk.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(WRONG_USAGE)


def print_line(value: Any) -> None:
    """Write a value as one line of JSON to standard output."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
