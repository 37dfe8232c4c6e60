"""Which event log an url means: the one place that chooses between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.router_log import RouterLog
from destination_router.eventlog.sqlite.admin import opened_admin
from destination_router.eventlog.sqlite.claim import LogInUseError, claim, claimant
from destination_router.eventlog.sqlite.file import integrity_problems
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.on_demand import LogOnDemand
from destination_router.eventlog.sqlite.retention import Retention


def open_log(
    config: EventLogConfig,
    connections: Sequence[str],
    kept: Mapping[str, Callable[[bytes], bytes]],
) -> RouterLog:
    """Open the log of a router.toml; the caller closes it.

    Args:
        config: the table `[eventlog]`.
        connections: the names of those that read, here or in another process.
        kept: for each, what it may keep of an event in a dead letter.

    Raises:
        LogFileError: what is there cannot be used.
        LogUnavailableError: it cannot be written now.
    """
    return SqliteEventLog(
        config.path,
        connections,
        start=config.new_connections,
        kept=kept,
        retention=Retention(
            keep_delivered=config.keep_delivered,
            max_age=config.max_age,
            max_bytes=config.max_size,
            max_letter_bytes=config.max_dead_letters_size,
            min_free_bytes=config.min_free,
            keep_dead_letters=config.keep_dead_letters,
        ),
    )


@contextlib.contextmanager
def claimed(config: EventLogConfig, *, reloads: bool = True) -> Iterator[None]:
    """Be a process that delivers from a log while the block lasts.

    Args:
        config: the table `[eventlog]`.
        reloads: whether the process reloads at SIGHUP: it would end any other.

    Raises:
        LogInUseError: another process delivers, and only one may.
    """
    with claim(config.path, reloads=reloads):
        yield


@contextlib.contextmanager
def unclaimed(config: EventLogConfig) -> Iterator[bool]:
    """Keep routers from delivering while the block lasts; tells whether none was."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(claim(config.path))
        except LogInUseError:
            yield False
            return
        yield True


def delivering_process(config: EventLogConfig) -> int | None:
    """Tell the process of this machine that delivers from a log and can reload, if there is one."""
    return claimant(config.path)


def is_there(config: EventLogConfig) -> bool:
    """Say whether there is a log already."""
    return config.path.exists()


def open_admin(config: EventLogConfig) -> contextlib.AbstractContextManager[LogAdmin]:
    """Open a log that is there, as commands use it.

    Raises:
        LogFileError: it cannot be used, or is not there.
    """
    return opened_admin(config.path)


def books_on_demand(config: EventLogConfig) -> LogOnDemand:
    """Open a log's books once there is something to keep in them."""
    return LogOnDemand(config.path)


def whole_log_problems(config: EventLogConfig) -> list[str]:
    """Read a whole log and list what is wrong with it.

    Raises:
        LogFileError: it cannot even be opened.
    """
    return integrity_problems(config.path)
