"""Learns from rudder-server's calls whether it sends through the proxy, for each destination.

Nothing in a request to `/routerTransform` says so, and only the proxy's second version can report
on each job. Until it has been called for a destination its jobs are answered one by one, which is
right in any case. From then on they are answered together. If then no call follows, because the
proxy was switched off, what was answered comes again, and is answered one by one.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_PATIENCE = 60.0
_KEPT = 10_000


class ProxyCalls:
    """What is known of each destination.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When the first answer was given that no call has followed since; None: all were followed.
        self._unfollowed: OrderedDict[str, float | None] = OrderedDict()

    def called(self, destination: str, *, for_each_job: bool) -> None:
        """Note a call to the proxy. Its first version does not report on each job."""
        if not for_each_job:
            self._unfollowed.pop(destination, None)
            return
        self._unfollowed[destination] = None
        self._unfollowed.move_to_end(destination)
        if len(self._unfollowed) > _KEPT:
            self._unfollowed.popitem(last=False)

    def expected(self, destination: str) -> bool:
        """Tell whether an answer for many jobs would come to the proxy."""
        if destination not in self._unfollowed:
            return False
        since = self._unfollowed[destination]
        if since is None or self._clock() - since < _PATIENCE:
            return True
        del self._unfollowed[destination]
        return False

    def answered(self, destination: str) -> None:
        """Note an answer that only the proxy can carry out."""
        if self._unfollowed.get(destination, 0.0) is None:
            self._unfollowed[destination] = self._clock()
