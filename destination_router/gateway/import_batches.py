"""`/v1/import`: splits a batch by users. Each user's events are kept or refused alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from destination_router.contract.records import Reject
from destination_router.pipeline.wire import members, split_batch


def split_import(body: bytes, most: int | None = None) -> list[bytes]:
    """Cut an import into its events. Unlike a batch, it may be empty.

    Raises:
        Reject: `invalid_json` or `too_many_events`.
    """
    try:
        return split_batch(body, most)
    except Reject as reject:
        if reject.code == "empty_batch":
            return []
        raise


def take_by_user(
    events: Sequence[bytes], complete: Callable[[bytes], bytes]
) -> tuple[list[bytes], list[str]]:
    """Complete events, user by user in the order in which users first appear.

    Args:
        events: as sent.
        complete: enriches one; raises `Reject`.

    Returns:
        The events to keep, and the code for each refused user.
    """
    kept: list[bytes] = []
    codes: list[str] = []
    for own in _by_user(events).values():
        try:
            kept.extend([complete(event) for event in own])
        except Reject as reject:
            codes.append(reject.code)
    return kept, codes


def _by_user(events: Sequence[bytes]) -> dict[tuple[bytes, bytes], list[bytes]]:
    users: dict[tuple[bytes, bytes], list[bytes]] = {}
    for event in events:
        users.setdefault(_user(event), []).append(event)
    return users


class _Ids(msgspec.Struct, rename="camel"):
    user_id: msgspec.Raw = msgspec.Raw(b"null")
    anonymous_id: msgspec.Raw = msgspec.Raw(b"null")


_decode_ids = msgspec.json.Decoder(_Ids).decode


def _user(event: bytes) -> tuple[bytes, bytes]:
    try:
        ids = _decode_ids(event)
        return bytes(ids.user_id), bytes(ids.anonymous_id)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        found = members(event)
    except Reject:  # told when it is completed
        return b"", b""
    return found.get("userId", b"null"), found.get("anonymousId", b"null")
