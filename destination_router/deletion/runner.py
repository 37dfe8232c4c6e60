"""One deletion of users from beginning to end: groups, audit, state and summary."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import msgspec

from destination_router.contract.deletion import UserDeletion
from destination_router.deletion.audit import DeletionAudit
from destination_router.deletion.pending import Pending, PendingOf
from destination_router.deletion.people import Wanted
from destination_router.deletion.vendor import Deleting, DeletionGroup, Hindrance, grouped
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.pipeline.connection import Connection


class DeletionSummary(msgspec.Struct, rename="camel"):
    """The result of a deletion: how many of the vendor's users are in each state.

    Attributes:
        users: all users that the vendor was, or would be, asked to delete.
        refused: ids that cannot be deleted, by code.
        complete: users that the vendor has deleted.
        pending: users that it has not deleted yet.
        failed: users that it was not, or could not be, asked to delete.
        interrupted: whether a signal stopped it.
        held: why the vendor takes nothing of the connection, as a code: its key is refused. Empty
            if it does.
        log: how much a router's log still held of them; None if no log is known.
    """

    users: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    complete: int = 0
    pending: int = 0
    failed: int = 0
    interrupted: bool = False
    held: str = ""
    log: Pending | None = None

    @property
    def waiting(self) -> int:
        """The number of their events that may still go out."""
        return 0 if self.log is None else self.log.waiting

    @property
    def left(self) -> bool:
        """Whether the same command would have something left to do."""
        return self.pending > 0 or self.failed > 0


class Teller(Protocol):
    """Hears about the progress of a deletion."""

    def changed(self, number: int, count: int, group: DeletionGroup) -> None:
        """The state of a group has changed. Gets its number and the number of groups."""

    def hindered(self, hindrance: Hindrance) -> None:
        """An attempt failed and will be repeated."""

    def asking(self, users: int, patience: float) -> None:
        """The vendor took all requests, and is asked whether this many users are deleted."""

    def waiting(self, events: int) -> None:
        """A running router has events of theirs in hand."""


def summary_of(
    wanted: Wanted, groups: Sequence[DeletionGroup] = (), log: Pending | None = None
) -> DeletionSummary:
    """Make the summary. Without groups, the vendor was asked nothing."""
    counts = Counter[str]()
    for group in groups:
        counts["failed" if group.state == "new" else group.state] += len(group.subjects)
    return DeletionSummary(
        users=len(wanted.subjects),
        refused=Counter(refused.code for refused in wanted.refused),
        complete=counts["complete"],
        pending=counts["pending"],
        failed=counts["failed"],
        log=log,
    )


async def delete_users(  # noqa: PLR0913 -- each is a part, by keyword
    connection: Connection,
    deletion: UserDeletion,
    wanted: Wanted,
    *,
    audit: DeletionAudit,
    purpose: Sequence[Any],
    settings: DeliverySettings,
    patience: float,
    pending: PendingOf | None,
    teller: Teller,
) -> DeletionSummary:
    """Delete users, or resume an interrupted run.

    First, it drops their data in a router's log, so that delivery does not bring them back. If it
    is cancelled, the summary says how far it came; the audit and the state know that already.

    Args:
        connection: the connection to the vendor.
        deletion: the vendor's.
        wanted: the users.
        audit: its files.
        purpose: identifies the deletion beside its users: plugin and settings.
        settings: the retries of requests.
        patience: the longest wait for the vendor to finish, in seconds.
        pending: their data in a router's log; None if no log is known.
        teller: hears about the progress.

    Raises:
        UsageError: another deletion is not finished.
        LogFileError: the log cannot be used. The vendor was asked nothing.
    """
    subjects = [subject for subject, _ in wanted.subjects]
    groups = grouped(subjects, deletion.group)
    ids = _ids(wanted, audit, groups)
    resumed = audit.resume([*purpose, subjects], groups)
    audit.note(
        "resumed" if resumed else "started",
        connection=connection.name,
        plugin=connection.plugin.name,
        users=len(subjects),
        groups=len(groups),
        refused=dict(Counter(refused.code for refused in wanted.refused)),
    )
    numbers = {id(group): number for number, group in enumerate(groups, 1)}

    def changed(group: DeletionGroup) -> None:
        number = numbers[id(group)]
        event = "submitted" if group.state == "pending" else group.state
        about = {"group": number, "requestId": group.request_id, "status": group.status}
        named = {"ids": ids[number - 1]} if event == "submitted" else {"detail": group.detail}
        audit.note(event, **about, **named)
        audit.save(groups)
        teller.changed(number, len(groups), group)

    audit.save(groups)
    interrupted, held = False, ""
    try:
        if pending is not None:
            await _clear(pending, patience, teller, audit)
        async with Sender(connection, settings) as sender:
            deleting = Deleting(deletion, sender, changed, settings, hindered=teller.hindered)
            await deleting.submit(groups)
            unfinished = summary_of(wanted, groups).pending
            if unfinished and not deleting.held:
                teller.asking(unfinished, patience)
            await deleting.wait(groups, patience)
            held = deleting.held
    except asyncio.CancelledError:
        interrupted = True
    log = None if pending is None else pending.found
    summary = summary_of(wanted, groups, log)
    summary = msgspec.structs.replace(summary, interrupted=interrupted, held=held)
    event = "interrupted" if interrupted else "ended"
    audit.note(event, complete=summary.complete, pending=summary.pending, failed=summary.failed)
    return summary


async def _clear(pending: PendingOf, patience: float, teller: Teller, audit: DeletionAudit) -> None:
    try:
        await pending.clear(patience, teller.waiting)
    finally:
        if pending.found is not None:
            audit.note("dropped", **msgspec.to_builtins(pending.found))


def _ids(wanted: Wanted, audit: DeletionAudit, groups: Sequence[DeletionGroup]) -> list[list[str]]:
    """List the hashed ids of the users of each group."""
    users = iter(wanted.subjects)
    return [
        list(
            dict.fromkeys(
                audit.digest(identifier)
                for _, identifiers in islice(users, len(group.subjects))
                for identifier in identifiers
            )
        )
        for group in groups
    ]
