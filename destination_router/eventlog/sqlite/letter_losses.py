"""Counts dead letters that were deleted for lack of room, and logs a line a minute about them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from destination_router.eventlog.sqlite.letter_room import Kind

_PAUSE = 60.0

_log = logging.getLogger(__name__)


class LetterLosses:
    """Counts lost letters, and logs them.

    Args:
        clock: Unix time, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.counts: Counter[Kind] = Counter()
        self._untold: Counter[Kind] = Counter()
        self._clock = clock
        self._told_at: float | None = None

    def note(self, lost: Mapping[Kind, int]) -> None:
        """Count, and log if it is time. Call it also if nothing is new."""
        self.counts.update(lost)
        self._untold.update(lost)
        now = self._clock()
        if self._told_at is None or now - self._told_at >= _PAUSE:
            self.tell()

    def tell(self) -> None:
        """Log a line for each connection and code with losses since the last time."""
        for (connection, code), count in self._untold.items():
            about = {"connection": connection, "code": code, "count": count}
            _log.warning("dead_letters_lost", extra=about)
        if self._untold:
            self._told_at = self._clock()
        self._untold.clear()
