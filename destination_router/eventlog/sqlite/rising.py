"""Compares rising offsets of two queries as they come, so that neither is held in memory."""

from __future__ import annotations

import sqlite3


class Rising:
    """The offsets that a query finds, in their order.

    Args:
        found: its rows of one offset each, which rise.
    """

    def __init__(self, found: sqlite3.Cursor) -> None:
        self._found = found
        self._next: int | None = None
        self._advance()

    def __contains__(self, offset: int) -> bool:
        """Whether an offset is among them. Ask for no lower one afterwards."""
        while self._next is not None and self._next < offset:
            self._advance()
        return self._next == offset

    def _advance(self) -> None:
        row = self._found.fetchone()
        self._next = None if row is None else row[0]
