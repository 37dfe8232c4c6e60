"""The memory that requests are read into: one piece for all connections of a server.

asyncio makes new memory for each read, and a request that comes in several reads wakes its app for
each. What is read here is parsed before the next read, so that all reads may have the same memory,
and can be large.
"""

from __future__ import annotations


class ReadBuffer:
    """Memory to read into.

    A few connections may read more at once than many: while so many are open as there are now, all
    together read no more than if all were open, and each had read `least`. What a connection read
    before others came is its own until an app takes it.

    Args:
        connections: how many may be open.
        least: how many bytes each may read at once in any case.
        most: how many bytes each may read at once while few are open.
    """

    def __init__(self, connections: int, least: int, most: int) -> None:
        self._least = least
        self._most = max(least, most)
        self._all = connections * least
        self._memory = memoryview(bytearray(self._most))

    def size(self, open_connections: int) -> int:
        """Tell how many bytes each of so many connections may read at once."""
        return max(self._least, min(self._most, self._all // open_connections))

    def for_one_of(self, open_connections: int) -> memoryview:
        """Give memory for one read. After it, the memory is anybody's."""
        return self._memory[: self.size(open_connections)]

    def read(self, size: int) -> memoryview:
        """Give what was read."""
        return self._memory[:size]
