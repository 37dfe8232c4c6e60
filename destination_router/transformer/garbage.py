"""How often the process that serves looks for cycles among what it holds.

Python counts the objects that are made, and a decoded request is some thousand. They go as they
came, one by one; to look for cycles each time is 5 % of all CPU.
"""

import gc

_OBJECTS = 20_000
_BYTES = 16 * 1024 * 1024


def look_seldom() -> None:
    """Leave alone what is loaded, and look only when many objects have stayed."""
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 10)


class Sweep:
    """Looks after every so many bytes of requests, too.

    One cycle may hold on to a whole request: that of a plugin which keeps the exception it raises.
    A thousand of them would be no reason to look, and a gigabyte.
    """

    def __init__(self) -> None:
        self._bytes = 0

    def answered(self, size: int) -> None:
        """Take note of a request's bytes."""
        self._bytes += size
        if self._bytes >= _BYTES:
            self._bytes = 0
            gc.collect(1)
