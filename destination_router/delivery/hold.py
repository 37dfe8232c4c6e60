"""Decides whether a connection is held, and when to ask its vendor again. Pure.

A state machine like `circuit.py`. Time is an argument. A hold begins, for example, when a vendor
refuses the connection's key. From then on, one request at a time asks:

| State | What happens | Then |
|---|---|---|
| free | an answer holds the connection | held; ask after `first_wait` |
| held | the time has come | asking: one request is under way |
| asking | an answer holds the connection again | held; the wait doubles, up to `longest_wait` |
| asking | the vendor takes something | free |
| asking | it ends in any other way | held; ask after the same wait |
| held | someone says that it should ask (`ask`) | held; ask at once |

Requests that were under way when the hold began change nothing.
"""

from __future__ import annotations


class Hold:
    """One connection's hold.

    Args:
        first_wait: how long after the hold began the vendor is asked again, in seconds; it
            doubles with every time that it holds on.
        longest_wait: the most to wait before it is asked again, in seconds.
    """

    def __init__(self, first_wait: float, longest_wait: float) -> None:
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._wait = first_wait
        self._until = 0.0
        self._asking = False
        self.code: str | None = None
        """Why the connection is held; None: it is not."""

    @property
    def asking(self) -> bool:
        """Whether the asking request is under way."""
        return self._asking

    def opens_at(self, now: float) -> float | None:
        """Say when requests may go out: `now`, later, or None (after the answer to the one)."""
        if self.code is None:
            return now
        return None if self._asking else max(now, self._until)

    def may_send(self) -> bool:
        """Tell whether requests that have begun may go on. In a hold, only the asking one may."""
        return self.code is None or self._asking

    def begin(self) -> None:
        """Note that requests go out. During a hold, this is the asking one."""
        self._asking = self.code is not None

    def refuse(self, code: str, now: float) -> bool:
        """Note that the vendor takes nothing of this connection.

        Args:
            code: why.
            now: seconds on any clock that never goes back.

        Returns:
            Whether it was free until now.
        """
        began = self.code is None
        if began:
            self._wait = self._first_wait
        elif self._asking:
            self._wait = min(self._longest_wait, self._wait * 2)
        else:
            return False
        self.code = code
        self._asking = False
        self._until = now + min(self._wait, self._longest_wait)
        return began

    def take(self) -> bool:
        """Note that the vendor took something, and tell whether that ended the hold."""
        if self.code is None or not self._asking:
            return False
        self.code = None
        self._asking = False
        return True

    def cease(self, now: float) -> None:
        """Note that the asking request has ended. Without an answer, ask again later."""
        if self._asking:
            self._asking = False
            self._until = now + min(self._wait, self._longest_wait)

    def go_on(self, code: str, now: float) -> None:
        """Resume a hold of an earlier run. Ask the vendor at once."""
        self.refuse(code, now)
        self.ask(now)

    def ask(self, now: float) -> None:
        """Ask at once, and begin again with the first wait."""
        self._wait = self._first_wait
        self._until = now
