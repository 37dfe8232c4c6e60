"""What `delete-user` says while it is at work, and in the end."""

from __future__ import annotations

from destination_router.commands.decision_output import counted
from destination_router.commands.output import out, talk
from destination_router.deletion.runner import DeletionSummary
from destination_router.deletion.vendor import DeletionGroup, Hindrance

_AGAIN = "The same command goes on with the rest."


class Talk:
    """Tells a person, on standard error, how a deletion goes."""

    def changed(self, number: int, count: int, group: DeletionGroup) -> None:
        """The state of a group has changed."""
        words = {"pending": "submitted", "complete": "deleted"}.get(group.state, group.state)
        about = [f"group {number} of {count}: {words}", f"{len(group.subjects)} users"]
        about += [f"request {group.request_id}"] if group.request_id else []
        about += [group.detail] if group.detail else []
        _say(", ".join(about))

    def hindered(self, hindrance: Hindrance) -> None:
        """An attempt failed, and is made again."""
        _say(
            f"attempt {hindrance.attempt} of {hindrance.most} failed ({hindrance.code}), next try "
            f"in {hindrance.wait:.1f} s"
        )

    def asking(self, users: int, patience: float) -> None:
        """The vendor has taken all, and is asked whether they are deleted."""
        if patience:
            _say(f"waiting up to {patience:.0f} s for the vendor to delete {users} users")

    def waiting(self, events: int) -> None:
        """A running router has events of theirs in hand."""
        _say(f"a router is delivering {counted(events, 'event')} of theirs: waiting for it")


def print_summary(summary: DeletionSummary, *, dry_run: bool) -> None:
    """Print what came of it."""
    if dry_run:
        out.print(f"{summary.users} users would be deleted")
    else:
        out.print(
            f"{summary.users} users: {summary.complete} deleted, {summary.pending} pending, "
            f"{summary.failed} failed",
        )
    log = summary.log
    if log is not None and (log.dead_letters or log.dropped or log.waiting):
        out.print(
            f"  in the log  {counted(log.dead_letters, 'dead letter')} "
            f"{'would be ' if dry_run else ''}removed, {counted(log.dropped, 'waiting event')} "
            f"dropped, {log.waiting} still waiting"
        )
    for code, count in summary.refused.most_common():
        out.print(f"  refused  {code}  {count}")


def tell_what_is_left(summary: DeletionSummary) -> None:
    """Say what the person at the keyboard has to do now, if anything."""
    if summary.interrupted:
        _say(f"Interrupted. {_AGAIN}")
    elif summary.left:
        _say(f"Not all is done. {_AGAIN}")
    if summary.waiting:
        _say(
            f"{counted(summary.waiting, 'event')} of theirs may still be delivered by the router "
            "that is running, and would bring them back: stop it, and give the same command again"
        )


def _say(text: str) -> None:
    talk.print(text, markup=False)
