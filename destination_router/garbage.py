"""How often a process that serves looks for cycles among what it holds.

Python counts the objects that are made, and a decoded message is some dozens. They go as they came,
one by one; to look for cycles each time is 5 % of a transformer's CPU, and 13 % of a router's.
"""

import contextlib
import gc
from collections.abc import Iterator

_OBJECTS = 200_000
"""More than what is under way: two windows of 1000 messages are some 30,000 objects.

With a threshold below it, Python looks at messages that are still on their way: at 20,000, all
looks together took 2.3 µs an event of `send`, and take 0.9 now.
"""
_BYTES = 16 * 1024 * 1024
_MOST_BYTES = 4 * _BYTES
_FEW = 8
"""Where nothing is wrong, `send` finds 4 at most. An exception that is kept is three or more, so
five messages of 3 MB that are held by one each are more than few."""


@contextlib.contextmanager
def seldom() -> Iterator[None]:
    """Leave alone what is loaded, and look only when many objects have stayed, within the block.

    For a process of our own, once it is ready: a program that hosts a router has its own ways.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class Sweep:
    """Looks after every 16 MiB of messages, too, and less often while it finds little: every 64.

    One cycle may hold on to a whole request: that of a plugin which keeps the exception it raises.
    A thousand of them would be no reason to look, and a gigabyte. A look goes through all that is
    under way, which takes 0.7 µs of each event where one follows upon every 16 MiB.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._pause = _BYTES

    def saw(self, size: int) -> None:
        """Take note of the bytes of a request, or of messages that were read."""
        self._bytes += size
        if self._bytes >= self._pause:
            self._bytes = 0
            few = gc.collect(1) < _FEW
            self._pause = min(2 * self._pause, _MOST_BYTES) if few else _BYTES
