"""The log of requests: the latest, bounded by their number and by the bytes of their bodies."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from heap_destination.simulator.rows import RequestRow


class _Entry(msgspec.Struct, frozen=True, gc=False):
    method: str
    path: str
    body: bytes | None
    size: int
    status: int | None
    fault: bool
    received: int


class RequestLog:
    """The latest `most` requests, fewer if their bodies exceed `most_bytes` together.

    A body larger than `most_bytes` by itself is not kept, the rest of its request is.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._received = 0
        self._entries: deque[_Entry] = deque()

    def add(self, method: str, path: str, body: bytes, status: int | None, *, fault: bool) -> None:
        """Log a request, and forget the oldest that no longer fit."""
        self._received += 1
        kept = body if len(body) <= self._most_bytes else None
        entry = _Entry(method, path, kept, len(body), status, fault, self._received)
        self._entries.append(entry)
        self._bytes += len(kept or b"")
        while self._entries and (len(self._entries) > self._most or self._bytes > self._most_bytes):
            self._bytes -= len(self._entries.popleft().body or b"")

    def __iter__(self) -> Iterator[RequestRow]:
        """The requests, oldest first."""
        for entry in self._entries:
            yield RequestRow(
                method=entry.method,
                path=entry.path,
                body=None if entry.body is None else _json_or_text(entry.body),
                size=entry.size,
                status=entry.status,
                fault=entry.fault,
                received=entry.received,
            )


def _json_or_text(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")
