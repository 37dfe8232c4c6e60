"""Chooses the event log for a url. Nothing else chooses between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import address_of
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.on_demand import LogOnDemand
from destination_router.eventlog.router_log import RouterLog
from destination_router.eventlog.sqlite.admin import opened_admin
from destination_router.eventlog.sqlite.claim import (
    LogInUseError,
    claim,
    claimant,
    is_delivered_from,
)
from destination_router.eventlog.sqlite.file import integrity_problems
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.retention import Retention
from destination_router.eventlog.sqlite.trace_file import trace_path


def open_log(
    config: EventLogConfig,
    connections: Sequence[str],
    kept: Mapping[str, Callable[[bytes], bytes]],
    *,
    delivers: bool = True,
    request_seconds: float = 30.0,
) -> RouterLog:
    """Open the log of a router.toml. The caller closes it.

    Args:
        config: the table `[eventlog]`.
        connections: the names of those that read, here or in another process.
        kept: for each, what it may keep of an event in a dead letter.
        delivers: whether this process delivers.
        request_seconds: how long a request to a vendor may take at most.

    Raises:
        LogFileError: what is there cannot be used.
        LogUnavailableError: it cannot be written now.
    """
    retention = Retention(
        keep_delivered=config.keep_delivered,
        max_age=config.max_age,
        max_bytes=config.max_size,
        max_letter_bytes=config.max_dead_letters_size,
        min_free_bytes=config.min_free,
        keep_dead_letters=config.keep_dead_letters,
    )
    if not config.is_kafka:
        return SqliteEventLog(
            config.path,
            connections,
            start=config.new_connections,
            kept=kept,
            retention=retention,
        )
    address = address_of(config)
    from destination_router.eventlog.kafka.log import KafkaEventLog  # noqa: PLC0415 -- an extra

    return KafkaEventLog(
        address,
        connections,
        delivers=delivers,
        partitions=config.kafka.partitions,
        replication=config.kafka.replication,
        request_seconds=request_seconds,
        start=config.new_connections,
        kept=kept,
        retention=retention,
    )


@contextlib.contextmanager
def claimed(config: EventLogConfig, *, reloads: bool = True) -> Iterator[int | None]:
    """Claim delivery from a log during a block.

    Args:
        config: the table `[eventlog]`.
        reloads: whether the process reloads at SIGHUP: it would end any other.

    Yields:
        A descriptor: a process that inherits it delivers, too. None on Kafka.

    Raises:
        LogInUseError: another process delivers, and only one may.
    """
    if config.is_kafka:  # a connection's group has one owner at a time, and others stand by
        yield None
        return
    with claim(config.path, delivers=True, reloads=reloads) as held:
        yield held


@contextlib.contextmanager
def unclaimed(config: EventLogConfig, connection: str) -> Iterator[bool]:
    """Keep routers from delivering a connection during a block, and tell whether none did.

    On Kafka, one that begins meanwhile is noticed when something is changed.
    """
    if config.is_kafka:
        address = address_of(config)
        from destination_router.eventlog.kafka.groups import Groups  # noqa: PLC0415 -- an extra

        yield not Groups(address).is_delivered(connection)
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(claim(config.path))
        except LogInUseError:
            yield False
            return
        yield True


def traces_path(config: EventLogConfig, folder: Path) -> Path:
    """Find the file of the console's traces.

    Args:
        config: the table `[eventlog]`.
        folder: where router.toml stands: beside it, if the log is elsewhere.
    """
    return trace_path(folder / "router.db" if config.is_kafka else config.path)


def delivering_process(config: EventLogConfig) -> int | None:
    """Find the process on this machine that delivers from a log and can reload, if there is one."""
    return None if config.is_kafka else claimant(config.path)


def is_delivered(config: EventLogConfig, connection: str) -> bool:
    """Tell whether a process delivers a connection, or stands by to do so."""
    if not config.is_kafka:
        return is_delivered_from(config.path)
    address = address_of(config)
    from destination_router.eventlog.kafka.groups import Groups  # noqa: PLC0415 -- an extra

    return Groups(address).is_delivered(connection)


def is_there(config: EventLogConfig) -> bool:
    """Tell whether the log exists already."""
    return config.is_kafka or config.path.exists()


class TopicsFound(msgspec.Struct, frozen=True):
    """The state of a log on Kafka, in lines for people.

    Attributes:
        missing: topics that were missing.
        wrong: what keeps a router from starting.
        warnings: what is less safe than it should be.
    """

    missing: list[str]
    wrong: list[str]
    warnings: list[str]


def make_topics(config: EventLogConfig, *, make: bool) -> TopicsFound:
    """Check the topics of a log on Kafka, and make missing ones if requested.

    Raises:
        LogFileError: brokers do not answer, or refuse.
    """
    address = address_of(config)
    from destination_router.eventlog.kafka import topics  # noqa: PLC0415 -- an extra
    from destination_router.eventlog.kafka.groups import Groups  # noqa: PLC0415

    kafka = config.kafka
    wanted = topics.wanted_topics(address, kafka.partitions, kafka.replication)
    try:
        found = topics.look(Groups(address), wanted)
        if make and found.missing:
            topics.create(Groups(address), found.missing)
    except LogUnavailableError as error:
        raise LogFileError(str(error)) from error
    return TopicsFound([each.told() for each in found.missing], found.wrong, found.warnings)


def open_admin(config: EventLogConfig) -> contextlib.AbstractContextManager[LogAdmin]:
    """Open an existing log for commands.

    Raises:
        LogFileError: it cannot be used, or is not there.
    """
    if not config.is_kafka:
        return opened_admin(config.path)
    address = address_of(config)
    from destination_router.eventlog.kafka import admin  # noqa: PLC0415 -- an extra

    return admin.opened_admin(address)


def books_on_demand(config: EventLogConfig) -> LogOnDemand:
    """Open a log's books on first use."""
    if not config.is_kafka:
        return LogOnDemand(lambda: _made(config.path), config.path.exists)
    return LogOnDemand(lambda: open_log(config, (), {}, request_seconds=0.0), lambda: True)


def whole_log_problems(config: EventLogConfig) -> list[str]:
    """Read a whole log and list what is wrong with it.

    Raises:
        LogFileError: it cannot even be opened.
    """
    if not config.is_kafka:
        return integrity_problems(config.path)
    found = make_topics(config, make=False)
    with open_admin(config) as log:
        for _ in log.bodies():  # brokers check what they read
            pass
    return [*(f"there is no topic {line}" for line in found.missing), *found.wrong]


def _made(path: Path) -> SqliteEventLog:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return SqliteEventLog(path, ())
