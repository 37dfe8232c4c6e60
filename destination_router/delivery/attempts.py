"""Finds messages at which deciding or planning fails repeatedly, and gives them up.

Exceptions of our own code or a plugin's are caught where they occur. If the process ends (it is
killed for its memory, or by a supervisor), an `AttemptBook` still has the messages that were at
hand. The next process tries them one by one. A message at which three processes died is `poisoned`,
and is never tried again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from destination_router.delivery.ledger import patiently
from destination_router.eventlog.interface import AttemptBook

TRIES = 3
"""The failures that make a message a dead letter."""

POISONED = "poisoned"
"""The code of such a dead letter."""


class Attempts:
    """The messages of one connection that are at hand or that failed.

    Args:
        connection: the connection's name.
        book: where it is kept; None: nowhere.
    """

    def __init__(self, connection: str, book: AttemptBook | None) -> None:
        self._connection = connection
        self._book = book
        self._tries: dict[int, int] = {}

    async def open(self) -> None:
        """Read what earlier processes left. Wait for a log that cannot be written."""
        book = self._book
        if book is not None:
            self._tries = await patiently(lambda: book.open(self._connection))

    @property
    def suspects(self) -> bool:
        """Whether any message has to be tried alone."""
        return bool(self._tries)

    def tries(self, offset: int) -> int:
        """Count the attempts with a message at which a process died."""
        return self._tries.get(offset, 0)

    @contextlib.contextmanager
    def at_hand(self, offsets: Sequence[int], *, again: bool = False) -> Iterator[None]:
        """Note the messages at hand during a block. Nothing may be awaited meanwhile.

        Args:
            offsets: theirs.
            again: they were decided here before.
        """
        if self._book is None:
            yield
            return
        self._book.begin(self._connection, offsets, again=again)
        try:
            yield
        finally:
            self._book.end()
