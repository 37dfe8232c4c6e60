"""Texts matched by their parts, as `Debug *` matches: in time linear in the text's length. Pure.

A regular expression of several stars goes back and forth in a text that nearly matches, which takes
hours for one that is long. A star stands for any text, so the first place where a part is found is
as good as any later one: there is no need to go back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

Matches: TypeAlias = Callable[[str], bool]

ANY = "*"


def glob(parts: Sequence[str]) -> Matches:
    """Make a matcher of texts that hold all parts in order, with any text between two of them.

    Args:
        parts: the first is at the beginning of a text, the last at its end; `["Debug ", ""]`
            matches what begins so.
    """
    first, *middle = parts
    if not middle:
        return lambda text: text == first
    last = middle.pop()
    shortest = sum(map(len, parts))
    inner = [part for part in middle if part]

    def matches(text: str) -> bool:
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for part in inner:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return at <= end

    return matches


def any_glob(texts: Iterable[str]) -> Matches:
    """Make a matcher of several texts, in each of which every star stands for any text."""
    texts = list(texts)
    plain = frozenset(text for text in texts if ANY not in text)
    globs = [glob(text.split(ANY)) for text in texts if ANY in text]
    return lambda text: text in plain or any(matches(text) for matches in globs)
