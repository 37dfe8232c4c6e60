"""Whether a connection is held: the vendor takes nothing of it now, and when to ask again. Pure.

A state machine in the manner of `circuit.py`; time is an argument. A vendor that refuses the
connection's key, say, begins a hold. From then on one request at a time asks:

| State | What happens | Then |
|---|---|---|
| free | an answer holds the connection | held; ask after `first_wait` |
| held | the time has come | asking: one request is under way |
| asking | an answer holds the connection again | held; the wait doubles, up to `longest_wait` |
| asking | the vendor takes something | free |
| asking | it ends in any other way | held; ask after the same wait |
| held | someone says that it should ask (`ask`) | held; ask at once |

What was under way when the hold began changes nothing: it set off before.
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
        """Whether the one request is under way that asks."""
        return self._asking

    def opens_at(self, now: float) -> float | None:
        """Say when requests may go out: `now`, later, or None (after the answer to the one)."""
        if self.code is None:
            return now
        return None if self._asking else max(now, self._until)

    def may_send(self) -> bool:
        """Say whether what has set off may go on: only what asks, while the connection is held."""
        return self.code is None or self._asking

    def begin(self) -> None:
        """Note that requests go out; while the connection is held, this is the one that asks."""
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
        """Note that the vendor took something; whether that ended the hold."""
        if self.code is None or not self._asking:
            return False
        self.code = None
        self._asking = False
        return True

    def cease(self, now: float) -> None:
        """Note that what asked has ended; where it was not answered, it is asked again."""
        if self._asking:
            self._asking = False
            self._until = now + min(self._wait, self._longest_wait)

    def go_on(self, code: str, now: float) -> None:
        """Take up a hold of a former run: the vendor is asked at once."""
        self.refuse(code, now)
        self.ask(now)

    def ask(self, now: float) -> None:
        """Ask at once, and begin anew with the waits."""
        self._wait = self._first_wait
        self._until = now
