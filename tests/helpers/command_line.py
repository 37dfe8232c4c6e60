"""The command line in this process: what starts no process of its own costs a tenth of the time.

Where the process itself is what is tested (signals, pipes, a server), tests start a real one.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from destination_router.commands.cli import app


def run_command(
    *arguments: str | Path, stdin: str | bytes = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as its process would; what it does not catch is raised, and fails the test.

    Args:
        arguments: the command and its options.
        stdin: what it reads.
        cwd: where it runs; here if None.
    """
    command = [str(argument) for argument in arguments]
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    status = 0
    with contextlib.ExitStack() as changed:
        changed.enter_context(contextlib.chdir(cwd or Path.cwd()))
        changed.enter_context(_standard_input(stdin))
        changed.enter_context(contextlib.redirect_stdout(out))
        changed.enter_context(contextlib.redirect_stderr(err))
        try:
            app(command, prog_name="destination-router")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return subprocess.CompletedProcess(command, status, _text(out), _text(err))


@contextlib.contextmanager
def _standard_input(content: str | bytes) -> Iterator[None]:
    """Stand a file in for standard input: commands read it by its number."""
    before = sys.stdin
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        file.buffer.write(content.encode() if isinstance(content, str) else content)
        file.seek(0)
        sys.stdin = file
        try:
            yield
        finally:
            sys.stdin = before


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
