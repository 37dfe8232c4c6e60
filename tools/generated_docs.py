"""Docs with parts that are drawn from the code: written, or checked to be up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def write_or_check(description: str, program: str, redrawn: Callable[[str], str]) -> None:
    """Be the command `python PROGRAM [--check] FILE...`, and end with its exit status.

    Args:
        description: what it draws, for `--help`.
        program: the file that calls this, for what it says of a stale document.
        redrawn: gives a document with what is drawn in it up to date.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if stale")
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    stale = 0
    for path in arguments.files:
        before = path.read_text(encoding="utf-8")
        after = redrawn(before)
        if after != before and arguments.check:
            sys.stderr.write(
                f"{path}: out of date; run python {Path(program).relative_to(Path.cwd())} {path}\n"
            )
            stale += 1
        elif after != before:
            path.write_text(after, encoding="utf-8")
    sys.exit(1 if stale else 0)
