"""What every command has in common: where it talks, how it refuses, and how it ends."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TextIO, cast

import msgspec
import typer

from destination_router.config.problems import ConfigError
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.faults import UsageError, file_problem
from destination_router.files.reading import BrokenOffError
from destination_router.plugins.loading import PluginError
from destination_router.settings.errors import SettingsError
from destination_router.settings.references import ReadableByAllWarning

if TYPE_CHECKING:
    from rich.console import Console

FAILED = 1
WRONG_USAGE = 2


class OutputError(OSError):
    """Standard output cannot be written, for example because it is a file on a full disk."""


class _Output(io.FileIO):
    """Standard output, whose failures are not taken for those of a file that a command writes."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from None


def tell_output_apart() -> None:
    """Let whatever writes to standard output raise `OutputError`, if it is as Python opened it."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        return
    if not isinstance(stream.buffer, (io.BufferedWriter, io.FileIO)):
        return
    stream.flush()
    raw = _Output(stream.fileno(), "wb", closefd=False)
    is_buffered = isinstance(stream.buffer, io.BufferedWriter)  # not with PYTHONUNBUFFERED
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw) if is_buffered else cast("BinaryIO", raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class Stream:
    """Where a command writes for people. What formats it is loaded when the first line is written.

    A server that says nothing would keep it: 3 MiB of memory.

    Args:
        name: of the stream in `sys`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def file(self) -> TextIO:
        """The stream itself."""
        stream: TextIO = getattr(sys, self._name)
        return stream

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it as it is written."""
        return self.file.isatty()

    @cached_property
    def console(self) -> Console:
        """Rich's, for more than lines."""
        from rich.console import Console  # noqa: PLC0415 -- see above

        # Lines are as long as they are: nobody can search or parse what was broken at the 80th
        # column.
        return Console(stderr=self._name == "stderr", soft_wrap=True, highlight=False)

    def print(self, *what: Any, **how: Any) -> None:
        """Write a line, as rich does."""
        self.console.print(*what, **how)


out = Stream("stdout")
talk = Stream("stderr")


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
    except (BrokenPipeError, OutputError):  # `main` ends the command
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
