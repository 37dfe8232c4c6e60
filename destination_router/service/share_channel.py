"""What a process that delivers a share and the one that started it tell each other.

They are the two ends of a socket that nobody else has: when one of them ends, however it does, the
other one reads the end of it. Messages are MessagePack, each behind its length.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from destination_router.config.router_toml import RouterConfig
from destination_router.delivery.stats import DeliveryStats

_LENGTH = struct.Struct("<I")


class Deliver(msgspec.Struct, frozen=True, tag=True):
    """To a share: what it delivers to from now on. It answers `Delivering`.

    Attributes:
        number: of this message; rises.
        share: which of the processes it is, from 1 on.
        config: the router.toml, with the connections of the share alone, and without what
            senders and people authenticate with.
        anew: the names of those to start again though it delivers to them already.
    """

    number: int
    share: int
    config: RouterConfig
    anew: tuple[str, ...] = ()


class Look(msgspec.Struct, frozen=True, tag=True):
    """To a share: tell what there is to see. It answers `Seen`."""


class Arrived(msgspec.Struct, frozen=True, tag=True):
    """To a share: events came in."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """To a share: let what is under way end, and end."""


class Delivering(msgspec.Struct, frozen=True, tag=True):
    """From a share: it delivers to what it was told, and to nothing else any more.

    Attributes:
        number: of the `Deliver` that told it.
    """

    number: int


class Seen(msgspec.Struct, frozen=True, tag=True):
    """From a share: all there is to see.

    Attributes:
        stats: what its workers count, by connection.
        letters: dead letters that it has made, by connection and code.
        lost_letters: dead letters that it deleted for want of room, by the same.
        expired: events that it let pass `max_age`, by connection.
        failures: how often its workers failed, by connection.
        cpu: what it has used of the processor, in seconds.
        resident: how much memory it holds, in bytes.
    """

    stats: dict[str, DeliveryStats] = {}
    letters: dict[tuple[str, str], int] = {}
    lost_letters: dict[tuple[str, str], int] = {}
    expired: dict[str, int] = {}
    failures: dict[str, int] = {}
    cpu: float = 0.0
    resident: int = 0


class Broken(msgspec.Struct, frozen=True, tag=True):
    """From a share: the log cannot be used; no process can go on.

    Attributes:
        detail: why, and what to do.
    """

    detail: str


ToShare = Deliver | Look | Arrived | Stop
FromShare = Delivering | Seen | Broken


def _counted(_: type, content: Any) -> Any:
    return Counter(content)  # the only type of ours that msgspec does not know


TO_SHARE: msgspec.msgpack.Decoder[ToShare] = msgspec.msgpack.Decoder(ToShare, dec_hook=_counted)
FROM_SHARE: msgspec.msgpack.Decoder[FromShare] = msgspec.msgpack.Decoder(
    FromShare, dec_hook=_counted
)


def put(writer: asyncio.StreamWriter, message: ToShare | FromShare) -> None:
    """Send a message, unless the other end is gone."""
    if not writer.is_closing():
        content = msgspec.msgpack.encode(message)
        writer.write(_LENGTH.pack(len(content)) + content)


async def received(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Receive messages until the other end is gone."""
    while True:
        try:
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            yield await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            return
