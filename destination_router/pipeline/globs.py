"""Patterns of names with `*` for any text, for `drop_events`, `keep_events` and FQL's `match`.

A pattern searches a name once for each of its parts. A sender chooses the name, and a regular
expression with several stars would take time that grows as a power of the name's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


def compile_globs(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Compile patterns to a test whether a name matches one of them."""
    whole: set[str] = set()
    cut: list[tuple[str, list[str], str]] = []
    for pattern in patterns:
        first, *rest = pattern.split("*")
        if rest:
            cut.append((first, [part for part in rest[:-1] if part], rest[-1]))
        else:
            whole.add(pattern)
    if not cut:
        return whole.__contains__
    return lambda name: name in whole or any(_is_like(name, *parts) for parts in cut)


def _is_like(name: str, start: str, middle: list[str], end: str) -> bool:
    """Find each part at its first place after the previous part. If that fails, none fits."""
    last = len(name) - len(end)
    if last < len(start) or not name.startswith(start) or not name.endswith(end):
        return False
    at = len(start)
    for part in middle:
        at = name.find(part, at, last)
        if at < 0:
            return False
        at += len(part)
    return True
