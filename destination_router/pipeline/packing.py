"""Packs requests without losing a message, whatever a plugin's `pack` does."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import chain

from destination_router.contract.records import HttpRequest
from destination_router.faults import PASSED_ON
from destination_router.pipeline.connection import Connection

_log = logging.getLogger(__name__)


def packed(connection: Connection, singles: list[HttpRequest]) -> list[HttpRequest]:
    """Let a connection's plugin pack. What it breaks goes out unpacked, one request at a time.

    It gets at most as many messages at once as it asks for.
    """
    window = connection.window
    if window is None or len(singles) <= window:
        return _packed(connection, singles)
    return list(chain.from_iterable(_packed(connection, one) for one in windows(singles, window)))


def windows(singles: Iterable[HttpRequest], most: int) -> Iterator[list[HttpRequest]]:
    """Cut single requests, in order, into windows with a maximum number of messages."""
    window: list[HttpRequest] = []
    messages: set[str] = set()
    for request in singles:
        if len(messages.union(request.message_ids)) > most and window:
            yield window
            window, messages = [], set()
        window.append(request)
        messages.update(request.message_ids)
    if window:
        yield window


def _packed(connection: Connection, singles: list[HttpRequest]) -> list[HttpRequest]:
    try:
        requests = connection.pack(singles)
        problem = _problem(singles, requests)
    except PASSED_ON:
        raise
    except BaseException as error:  # noqa: BLE001 -- a plugin's bug must not lose a message
        problem = f"failed: {type(error).__name__}"
    if problem is None:
        return requests
    _log.error("pack_broken", extra={"plugin": connection.plugin.origin, "detail": problem})
    return singles


def _problem(singles: Iterable[HttpRequest], requests: object) -> str | None:
    """Say how a packing breaks the contract; None if it does not."""
    if not isinstance(requests, list) or not all(isinstance(r, HttpRequest) for r in requests):
        return "did not return a list of HttpRequest"
    before = {message_id for request in singles for message_id in request.message_ids}
    after = set().union(*[request.message_ids for request in requests])
    return None if before == after else "lost or made up a message"
