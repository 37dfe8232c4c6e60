"""Remembers which profile updates a vendor has already, to skip exact repeats. Pure.

Browser SDKs repeat a user's traits on every event. Updates are partial, so only a repeat of the
last one certainly changes nothing. Another update in between, under way or failed may have changed
something.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from destination_router.contract.records import HttpRequest


class _UnderWay(msgspec.Struct, eq=False, gc=False):
    """The updates of one state under way, and what will be known of it after them."""

    owner: object
    count: int = 0
    digest: int = 0
    unsure: bool = False


class States:
    """Remembers the last delivered update of each state, as a hash.

    Args:
        most: how many states are remembered; those that were not seen for longest are forgotten
            first. 0 remembers none, and nothing is a repeat.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._delivered: OrderedDict[str, int] = OrderedDict()
        self._under_way: dict[str, _UnderWay] = {}

    def __len__(self) -> int:
        return len(self._delivered)

    def repeats(self, request: HttpRequest) -> bool:
        """Tell whether the vendor has exactly this update as its last."""
        key = request.state_key
        if key is None or key not in self._delivered:
            return False
        self._delivered.move_to_end(key)
        return self._delivered[key] == _digest(request)

    def forget(self, request: HttpRequest) -> None:
        """Forget the state of a request, so that the next update goes out."""
        if request.state_key is not None:
            self._delivered.pop(request.state_key, None)

    def begin(self, request: HttpRequest, window: int) -> None:
        """Note that an update goes out. Until it is delivered, its state is unknown.

        Args:
            request: a single request.
            window: which requests go out together. Those of one user keep their order; updates
                of one state from elsewhere leave it unknown, because either may come last.
        """
        key = request.state_key
        if key is None or not self._most:
            return
        self._delivered.pop(key, None)
        owner = (window, request.user_key)
        state = self._under_way.setdefault(key, _UnderWay(owner))
        state.count += 1
        state.unsure |= state.owner != owner

    def end(self, request: HttpRequest, *, delivered: bool) -> None:
        """Note how an update ended. Those of one user end in their order."""
        state = self._under_way.get(request.state_key or "")
        key = request.state_key
        if key is None or state is None:
            return
        state.count -= 1
        state.digest = _digest(request)
        state.unsure |= not delivered
        if state.count:
            return
        del self._under_way[key]
        if not state.unsure:
            self._delivered[key] = state.digest
            if len(self._delivered) > self._most:
                self._delivered.popitem(last=False)


def _digest(request: HttpRequest) -> int:
    """Hash an update by Python's key, which is another one in each process.

    Each is compared with one other: two that differ look alike once in 2**64 times.
    """
    body = msgspec.json.encode((request.method, request.url, request.json, request.form))
    return hash(body) if request.content is None else hash((body, request.content))
