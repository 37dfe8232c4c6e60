"""`delete-user`: delete people at a vendor, resumably and with an audit."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec.structs import replace

from destination_router.commands.decision_output import counted
from destination_router.commands.options import (
    CONNECTION_PANEL,
    AsJson,
    ConfigFile,
    ConnectionName,
    Origins,
    Pairs,
    SettingsFile,
    Wait,
    read_origins,
    read_wait,
)
from destination_router.commands.output import (
    FAILED,
    complain,
    out,
    print_line,
    problems_told,
    talk,
    warn,
)
from destination_router.config.router_toml import ConnectionConfig, DeliveryConfig, EventLogConfig
from destination_router.contract.deletion import UserDeletion
from destination_router.contract.records import Reject
from destination_router.deletion.audit import found_in, open_audit
from destination_router.deletion.matching import Theirs
from destination_router.deletion.pending import PendingOf
from destination_router.deletion.people import (
    Asked,
    Refused,
    Wanted,
    asked_by_lines,
    asked_by_option,
    delivery_keys,
    wanted,
)
from destination_router.deletion.runner import DeletionSummary, delete_users, summary_of
from destination_router.deletion.vendor import DeletionGroup, Hindrance
from destination_router.eventlog.opening import is_there, traces_path
from destination_router.faults import UsageError
from destination_router.files.reading import read_lines
from destination_router.pipeline.connection import Connection
from destination_router.service.connections import (
    choose_from_config,
    choose_plugin,
    connect,
    connect_of_file,
    load,
)
from destination_router.service.elsewhere import refuse_strange, refuse_strange_of_file
from destination_router.service.event_loop import run_in_loop
from destination_router.service.workers import delivery_settings
from destination_router.settings.references import holds_reference
from destination_router.settings.validation import is_secret


def delete_user(
    plugin: Annotated[
        str | None,
        typer.Argument(
            metavar="PLUGIN", help="The destination, unless --config names it.", show_default=False
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="ID", help="A userId. You may repeat this."),
    ] = None,
    anonymous: Annotated[
        list[str] | None,
        typer.Option("--anonymous", metavar="ID", help="An anonymousId. You may repeat this."),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            metavar="PATH",
            help="A userId a line, or an object with userId, anonymousId or both; plain or "
            "gzipped; - is standard input. You may repeat this.",
        ),
    ] = None,
    config: ConfigFile = None,
    connection: ConnectionName = None,
    settings: SettingsFile = None,
    pairs: Pairs = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="NAME=env:VARIABLE",
            help="One secret setting, from the environment, or from a file: NAME=file:PATH. --set "
            "takes none.",
            rich_help_panel=CONNECTION_PANEL,
        ),
    ] = None,
    origin: Origins = None,
    audit: Annotated[
        Path,
        typer.Option(
            "--audit", help="The file for the audit: a JSON line for each thing that happens."
        ),
    ] = Path("deletions.jsonl"),
    wait: Wait = "1h",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show how many would be deleted.")
    ] = False,
    look_up: Annotated[
        bool, typer.Option("--look-up", help="Only show what the audit says of the ids.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete people at the vendor, for good.

    It writes an audit that names nobody. If you interrupt it, the same command does the rest.

    Example: destination-router delete-user heap --user ada --dry-run
    """
    with problems_told():
        asked = list(_asked(user or [], anonymous or [], files or []))
        if look_up:
            raise typer.Exit(_look_up(audit, asked, as_json=as_json))
        chosen = _chosen(
            plugin, config, connection, settings, pairs or [], secret or [], needs_keys=not dry_run
        )
        own = read_origins(origin or [])
        for words in (
            *refuse_strange(own, chosen.connection),
            *refuse_strange_of_file(chosen.delivery.origins, chosen.connection, chosen.others),
        ):
            warn(words)
        elsewhere = chosen.delivery.origins | own
        chosen.delivery = replace(chosen.delivery, origins=elsewhere)
        deletion = _deletion(chosen.connection)
        patience = read_wait(wait)
        who = wanted(asked, deletion, delivery_keys(chosen.config))
        for refused in who.refused:
            words = f"{refused.where}: {refused.code}: {refused.detail}"
            talk.print(words, markup=False)
        pending = _pending(chosen, who)
        if dry_run or not who.subjects:
            found = None if pending is None else run_in_loop(pending.count())
            summary = summary_of(who, log=found)
        else:
            _check_key(deletion)
            summary = _delete(chosen, deletion, who, pending, audit, patience)
    if as_json:
        print_line(summary)
    else:
        print_summary(summary, dry_run=dry_run)
    if not dry_run:
        tell_what_is_left(summary)
    unfinished = not dry_run and (summary.left or summary.waiting or summary.interrupted)
    raise typer.Exit(FAILED if unfinished or summary.refused else 0)


NOT_DELETABLE = "not_deletable"
"""The code for an id by which the vendor cannot delete."""


class _Chosen(msgspec.Struct):
    """The choice of a command line: connection, delivery settings, and the log if there is one."""

    config: ConnectionConfig
    delivery: DeliveryConfig
    connection: Connection
    eventlog: EventLogConfig | None = None
    others: tuple[ConnectionConfig, ...] = ()
    folder: Path = Path()


def _pending(chosen: _Chosen, who: Wanted) -> PendingOf | None:
    """Describe where the log may hold their data; None without a log."""
    if chosen.eventlog is None or not is_there(chosen.eventlog) or not who.subjects:
        return None
    identifiers = [identifier for _, given in who.subjects for identifier in given]
    # Whom the vendor knows by none of these may still have something here.
    identifiers += [
        refused.identifier
        for refused in who.refused
        if refused.identifier is not None and refused.code == NOT_DELETABLE
    ]
    theirs = Theirs(chosen.connection, identifiers, delivery_keys(chosen.config))
    traces = traces_path(chosen.eventlog, chosen.folder)
    return PendingOf(chosen.eventlog, chosen.config.name, theirs, traces)


def _delete(
    chosen: _Chosen,
    deletion: UserDeletion,
    who: Wanted,
    pending: PendingOf | None,
    audit: Path,
    patience: float,
) -> DeletionSummary:
    with open_audit(audit) as files:
        deleting = delete_users(
            chosen.connection,
            deletion,
            who,
            audit=files,
            # As configured: references stand for secrets, and origins are where it really goes.
            purpose=[chosen.config.plugin, chosen.config.settings, chosen.delivery.origins],
            settings=delivery_settings(chosen.delivery),
            patience=patience,
            pending=pending,
            teller=Talk(),
        )
        return run_in_loop(_until_stopped(deleting))


async def _until_stopped(deleting: Coroutine[Any, Any, DeletionSummary]) -> DeletionSummary:
    """Let SIGTERM end it as Ctrl-C does, with a report of its progress."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 -- this is one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await deleting


def _look_up(audit: Path, asked: Sequence[Asked | Refused], *, as_json: bool) -> int:
    known = [one for one in asked if isinstance(one, Asked)]
    states, unreadable = found_in(audit, [one.identifier for one in known])
    for number in unreadable:
        complain(f"{audit}: line {number} cannot be read: whomever it names is not found by it")
    for one, state in zip(known, states, strict=True):
        if as_json:
            print_line({"where": one.where, "state": state})
        else:
            out.print(f"{one.where}: {state or 'not in the audit'}")
    complete = len(known) == len(asked) and all(state == "complete" for state in states)
    return 0 if complete else FAILED


def _asked(
    users: Sequence[str], anonymous: Sequence[str], files: Sequence[str]
) -> Iterator[Asked | Refused]:
    if not users and not anonymous and not files:
        raise UsageError("say who: --user ID, --anonymous ID or --file FILE")
    lines = (asked_by_lines(read_lines(file), file if len(files) > 1 else "") for file in files)
    return chain(
        asked_by_option("userId", users), asked_by_option("anonymousId", anonymous), *lines
    )


def _chosen(
    plugin: str | None,
    config: Path | None,
    connection: str | None,
    settings: Path | None,
    pairs: Sequence[str],
    secrets: Sequence[str],
    *,
    needs_keys: bool,
) -> _Chosen:
    if config is not None:
        if settings is not None or pairs or secrets:
            raise UsageError("settings stand in the router.toml: drop --settings, --set, --secret")
        chosen, router = choose_from_config(config, connection)
        if plugin not in (None, chosen.plugin):
            raise UsageError(f"the connection {chosen.name!r} is {chosen.plugin}'s, not {plugin}'s")
        others = tuple(each for each in router.connections if each is not chosen)
        if not needs_keys:
            keyless = _without_keys(chosen)
            every = tuple(keyless if each is chosen else each for each in router.connections)
            chosen, router = keyless, replace(router, connections=every)
        ready = connect_of_file(config, router, chosen)
        return _Chosen(chosen, router.delivery, ready, router.eventlog, others, config.parent)
    chosen, loaded = choose_plugin(plugin, connection, settings, pairs)
    schema = loaded.hook.settings_schema()
    for pair in pairs:
        name = pair.partition("=")[0]
        if is_secret(schema, name):
            detail = "others can read a command line; use --secret"
            raise UsageError(f"--set {name}: {detail} {name}=env:VARIABLE, or {name}=file:PATH")
    chosen = replace(chosen, settings=chosen.settings | _secrets(secrets))
    if not needs_keys:
        chosen = _without_keys(chosen)
    return _Chosen(chosen, DeliveryConfig(), connect(chosen))


def _without_keys(config: ConnectionConfig) -> ConnectionConfig:
    """Replace the vendor's keys, for a run that asks the vendor nothing.

    If the plugin requires a key, it gets a made-up one.
    """
    keys = [name for name, value in config.settings.items() if holds_reference(value)]
    if not keys:
        return config
    schema = load(config).hook.settings_schema()
    secrets = [name for name in keys if is_secret(schema, name)]
    settings = {name: value for name, value in config.settings.items() if name not in secrets}
    needed = set(secrets).intersection(schema.get("required", []))
    return replace(config, settings=settings | dict.fromkeys(needed, "this is not a key"))


def _secret(pair: str) -> tuple[str, dict[str, Any]]:
    name, _, reference = pair.partition("=")
    kind, _, where = reference.partition(":")
    if not name or kind not in ("env", "file") or not where:
        raise UsageError("--secret takes NAME=env:VARIABLE or NAME=file:PATH")
    return name, {kind: where}


def _secrets(pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, reference = _secret(pair)
        if name in found:
            raise UsageError(f"--secret names {name} twice; give it once")
        found[name] = reference
    return found


def _deletion(ready: Connection) -> UserDeletion:
    if "user_deletion" not in ready.plugin.capabilities:
        raise UsageError(f"{ready.plugin.name} cannot delete users: it has no user_deletion")
    deletion: UserDeletion = ready.plugin.hook.user_deletion(settings=ready.settings)
    return deletion


def _check_key(deletion: UserDeletion) -> None:
    try:
        deletion.token_request()
    except Reject as reject:
        raise UsageError(str(reject)) from None


_AGAIN = "The same command goes on with the rest."


class Talk:
    """Reports the progress of a deletion to a person, on standard error."""

    def changed(self, number: int, count: int, group: DeletionGroup) -> None:
        """The state of a group has changed."""
        words = {"pending": "submitted", "complete": "deleted"}.get(group.state, group.state)
        about = [f"group {number} of {count}: {words}", f"{len(group.subjects)} users"]
        about += [f"request {group.request_id}"] if group.request_id else []
        about += [group.detail] if group.detail else []
        _say(", ".join(about))

    def hindered(self, hindrance: Hindrance) -> None:
        """An attempt failed and will be repeated."""
        _say(
            f"attempt {hindrance.attempt} of {hindrance.most} failed ({hindrance.code}), next try "
            f"in {hindrance.wait:.1f} s"
        )

    def asking(self, users: int, patience: float) -> None:
        """The vendor took all requests, and is asked whether the users are deleted."""
        if patience:
            _say(f"waiting up to {patience:.0f} s for the vendor to delete {users} users")

    def waiting(self, events: int) -> None:
        """A running router has events of theirs in hand."""
        _say(f"a router is delivering {counted(events, 'event')} of theirs: waiting for it")


def print_summary(summary: DeletionSummary, *, dry_run: bool) -> None:
    """Print the summary."""
    if dry_run:
        out.print(f"{counted(summary.users, 'user')} would be deleted")
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
    if log is not None and log.traces:
        out.print(f"  in the console  {counted(log.traces, 'message')} removed")
    for code, count in summary.refused.most_common():
        out.print(f"  refused  {code}  {count}")


def tell_what_is_left(summary: DeletionSummary) -> None:
    """Say what the person has to do now, if anything."""
    if summary.interrupted:
        _say(f"Interrupted. {_AGAIN}")
    elif summary.held:
        _say(
            f"The vendor refuses the connection ({summary.held}), so it was asked no further: mend "
            f"the key. {_AGAIN}"
        )
    elif summary.left:
        _say(f"Not all is done. {_AGAIN}")
    if summary.waiting:
        _say(
            f"{counted(summary.waiting, 'event')} of theirs may still be delivered by the router "
            "that is running, and would bring them back: stop it, and give the same command again"
        )


def _say(text: str) -> None:
    talk.print(text, markup=False)
