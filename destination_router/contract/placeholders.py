"""Ids that name nobody: what senders write if they know no user.

Some vendors merge everybody with the same id, so that all who have the id `null` become one user.
Many of them cannot undo it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from string import ascii_letters, digits

PLACEHOLDER_IDS = (
    "null",
    "undefined",
    "none",
    "nan",
    "true",
    "false",
    "guest",
    "anonymous",
    "user",
    "unknown",
    "0",
    "-1",
    "00000000-0000-0000-0000-000000000000",
    "[object object]",
    "(null)",
    "<null>",
    "nil",
    "<nil>",
    "n/a",
    "(none)",
    "<none>",
    "(nil)",
    "(undefined)",
    "<undefined>",
    "#n/a",
    "\\n",
    "%!s(<nil>)",
    "optional(nil)",
    "{}",
    "[]",
)
"""The placeholders that real senders write, in lower case."""

_LISTED = frozenset(PLACEHOLDER_IDS)
_PLACEHOLDER = "it is a placeholder"
_ODD_LETTERS = frozenset("0\u115f\u1160\u3164\uffa0")
"""With which a text of zeros begins, or one of letters that show nothing."""
_PLAIN_LETTERS = frozenset(ascii_letters + digits) - _ODD_LETTERS
_INVISIBLE = (
    "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
    + "\0\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f"
    + "\u2060\u2061\u2062\u2063\u2064\u2800\u3164\ufe0f\ufeff\uffa0"
)
"""What shows nothing: Unicode's blanks, and the characters of no width that get copied along."""
_TEMPLATE = re.compile(
    r"\{\{.*\}\}|\$\{.*\}|<%.*%>|\{%.*%\}|^%[a-z_]+%$", re.DOTALL | re.IGNORECASE
)
_ZEROS = re.compile(r"0[0.\-]*")
_OBJECT = re.compile(r"\[object \w+\]", re.IGNORECASE)
"""What JavaScript writes for any object: `[object Promise]`, `[object Undefined]`."""


def is_placeholder_id(identifier: str, listed: Collection[str] = _LISTED) -> bool:
    """Tell whether an id names nobody: it is blank, listed, or a template that nobody filled in.

    Args:
        identifier: the id of a user, a group or an account.
        listed: the texts that are placeholders, in lower case. `0` also lists all other texts of
            zeros, and `[object object]` whatever JavaScript writes for an object.
    """
    return placeholder_reason(identifier, listed) is not None


def harmless_ends(listed: Collection[str] = _LISTED) -> frozenset[str]:
    """Find the letters and digits with which an id ends that is no placeholder, at a glance.

    An id that ends with one of them names nobody only if it is a template, which holds a `{` or a
    `<`. For all other ids, ask `placeholder_reason`.

    Args:
        listed: as for `is_placeholder_id`.
    """
    ends = {text[-1:] for text in listed}
    return frozenset(end for end in ascii_letters + digits if end.lower() not in ends)


def placeholder_reason(identifier: str, listed: Collection[str] = _LISTED) -> str | None:
    """Return why an id names nobody, as the beginning of a sentence. None if it may name somebody.

    Args:
        identifier: as for `is_placeholder_id`.
        listed: as for `is_placeholder_id`.
    """
    if identifier.strip().casefold() in listed:
        return _PLACEHOLDER
    first = identifier[:1]
    # Lets nearly all pass at a glance: this is asked of every message.
    if (
        (first in _PLAIN_LETTERS or (first not in _ODD_LETTERS and first.isalnum()))
        and "{" not in identifier
        and "<" not in identifier
    ):
        return None
    bare = identifier.strip(_INVISIBLE)
    if not bare:
        return "it is blank"
    if _TEMPLATE.search(bare):
        return "it is a template that nobody filled in"
    is_zero = "0" in listed and _ZEROS.fullmatch(bare) is not None
    is_object = "[object object]" in listed and _OBJECT.fullmatch(bare) is not None
    return _PLACEHOLDER if is_zero or is_object or bare.casefold() in listed else None
