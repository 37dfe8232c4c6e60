"""Messages at which deciding or planning fails again and again: found, tried alone, given up.

What a message makes our own code or a plugin's raise is caught where it is raised. What ends the
process (killed for its memory, or by whoever watches it) leaves the messages that were at hand in
an `AttemptBook`. Those are tried one by one after the next start; one at which three processes died
is `poisoned`, and never looked at again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from destination_router.delivery.ledger import patiently
from destination_router.eventlog.interface import AttemptBook

TRIES = 3
"""How many failures make a message a dead letter."""

POISONED = "poisoned"
"""The code of such a dead letter."""


class Attempts:
    """What of one connection is at hand, and what did not end well.

    Args:
        connection: the connection's name.
        book: where it is kept; None: nowhere.
    """

    def __init__(self, connection: str, book: AttemptBook | None) -> None:
        self._connection = connection
        self._book = book
        self._tries: dict[int, int] = {}

    async def open(self) -> None:
        """Learn what earlier processes left; a log that cannot be written is waited for."""
        book = self._book
        if book is not None:
            self._tries = await patiently(lambda: book.open(self._connection))

    @property
    def suspects(self) -> bool:
        """Whether there is any message that has to be tried alone."""
        return bool(self._tries)

    def tries(self, offset: int) -> int:
        """Say at how many attempts to do something with a message the process died."""
        return self._tries.get(offset, 0)

    @contextlib.contextmanager
    def at_hand(self, offsets: Sequence[int], *, again: bool = False) -> Iterator[None]:
        """Let it be known which messages are at hand; nothing may be awaited meanwhile.

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
