"""The messages between a process that delivers a share and the one that started it.

They share a socket that nobody else has. When one of them ends, for any reason, the other one reads
the end of the stream. Messages are MessagePack, each after its length.
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
    """To a share: the connections to deliver from now on. It answers `Delivering`.

    Attributes:
        number: of this message. It rises.
        share: the number of the process, from 1.
        config: the router.toml, with the connections of the share only, and without write keys
        and passwords.
        anew: the names of connections to start again.
    """

    number: int
    share: int
    config: RouterConfig
    anew: tuple[str, ...] = ()


class Look(msgspec.Struct, frozen=True, tag=True):
    """To a share: a question for its state. It answers `Seen`."""


class Arrived(msgspec.Struct, frozen=True, tag=True):
    """To a share: events came in."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """To a share: let what is under way end, and end."""


class Delivering(msgspec.Struct, frozen=True, tag=True):
    """From a share: it delivers the connections of an order, and no others any more.

    Attributes:
        number: of the `Deliver` that told it.
    """

    number: int


class Seen(msgspec.Struct, frozen=True, tag=True):
    """From a share: its state.

    Attributes:
        stats: of its workers, by connection.
        letters: dead letters that it has made, by connection and code.
        lost_letters: dead letters that it deleted for want of room, by the same.
        expired: events that passed `max_age` there, by connection.
        failures: how often its workers failed, by connection.
        cpu: its processor time, in seconds.
        resident: its memory, in bytes.
    """

    stats: dict[str, DeliveryStats] = {}
    letters: dict[tuple[str, str], int] = {}
    lost_letters: dict[tuple[str, str], int] = {}
    expired: dict[str, int] = {}
    failures: dict[str, int] = {}
    cpu: float = 0.0
    resident: int = 0


class Broken(msgspec.Struct, frozen=True, tag=True):
    """From a share: the log cannot be used, so no process can go on.

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
