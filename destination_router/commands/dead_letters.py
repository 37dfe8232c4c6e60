"""`dead-letters list|show|replay|export|delete`: handle what could not be delivered.

The output names ids, codes and fields. Values of messages and the vendor's words about them are
personal data, and appear only with `--content` or in an export.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import typer

from destination_router.commands.once import OnceCommand
from destination_router.commands.options import (
    ROUTER_TOML,
    JsonLines,
    RouterToml,
    is_duration,
    read_moment,
    taking,
)
from destination_router.commands.output import (
    FAILED,
    complain,
    out,
    print_line,
    problems_told,
    talk,
)
from destination_router.config.router_toml import RouterConfig, load_config
from destination_router.contract.records import Json
from destination_router.contract.times import format_time
from destination_router.eventlog.dead_letter import DamagedLetter, DeadLetter, DeadLetterFilter
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.opening import open_admin
from destination_router.eventlog.sqlite.dead_letter_store import (
    delete_letters,
    find_letters,
    group_letters,
)
from destination_router.faults import UsageError
from destination_router.private_files import open_private
from destination_router.service.replayable import Replayable

commands = typer.Typer(
    no_args_is_help=True, help="See what could not be delivered, and deliver it after all."
)

_MOST_LINES = 100
_MOST_NUMBERS = 20

Ids = Annotated[
    list[int] | None,
    typer.Argument(metavar="[ID]...", help="The numbers of dead letters.", show_default=False),
]
ByConnection = Annotated[
    str | None, typer.Option("--connection", help="Only those of this connection.")
]
ByCode = Annotated[str | None, typer.Option("--code", help="Only those with this code.")]
BySince = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Only those since 2026-11-22T10:00Z, or of the last 12h."
    ),
]
ByBefore = Annotated[
    str | None,
    typer.Option(
        "--before", metavar="TIME", help="Only those before 2026-11-22T10:00Z, or older than 30d."
    ),
]
ByMessage = Annotated[str | None, typer.Option("--message-id", help="Only those of this message.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most this many.")]
Replayed = Annotated[bool, typer.Option("--replayed", help="Include those that were replayed.")]
Content = Annotated[bool, typer.Option("--content", help="Show values. They are personal data.")]


def _which(
    ids: Ids = None,
    connection: ByConnection = None,
    code: ByCode = None,
    since: BySince = None,
    before: ByBefore = None,
    message_id: ByMessage = None,
    limit: Limit = None,
) -> DeadLetterFilter:
    return DeadLetterFilter(
        ids=tuple(ids or ()),
        connection=connection,
        code=code,
        since=None if since is None else read_moment("--since", since),
        before=None if before is None else read_moment("--before", before),
        message_id=message_id,
        limit=limit,
    )


def _which_to_delete(
    ids: Ids = None,
    connection: ByConnection = None,
    code: ByCode = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Only those since 2026-11-22T10:00Z. It takes no duration.",
        ),
    ] = None,
    before: ByBefore = None,
    message_id: ByMessage = None,
    limit: Limit = None,
) -> DeadLetterFilter:
    """Choose as `_which` does, but refuse a `--since` that seems to mean old letters.

    Raises:
        UsageError: --since is a duration.
    """
    if since is not None and before is None and is_duration(since):
        moment = _time(read_moment("--since", since))
        raise UsageError(
            f"--since {since} means the letters of the last {since}, the newest ones: to delete "
            f"older ones, give --before {since}; to delete these, give --since {moment}"
        )
    return _which(ids, connection, code, since, before, message_id, limit)


@commands.command("list", cls=OnceCommand)
@taking(_which)
def list_(
    which: DeadLetterFilter,
    config: RouterToml = ROUTER_TOML,
    replayed: Replayed = False,
    each: Annotated[
        bool, typer.Option("--each", help="List each one, not a line for each code.")
    ] = False,
    content: Content = False,
    as_json: JsonLines = False,
) -> None:
    """Count dead letters by connection and code, with a sample of each.

    --each lists them one by one, and so do numbers, --message-id, --content and --json. It prints
    at most 100 lines, unless you give --limit or --json.

    Example: destination-router dead-letters list --since 12h
    """
    one_by_one = each or content or bool(which.ids) or which.message_id is not None
    wanted = _of(which, replayed=replayed)
    with problems_told(), opened_log(load_config(config)) as log:
        damaged: list[DamagedLetter] = []
        if as_json:
            letter = None
            for letter in find_letters(log.books, wanted, damaged):
                print_line(letter_json(letter, content=content))
            told = 0 if letter is None else 1
        elif one_by_one:
            told = _print_each(log.books, wanted, damaged, content=content)
        else:
            told = _print_groups(log.books, wanted, damaged)
        if not told and not damaged:
            talk.print(_none_found(which))
    _end_if_damaged(damaged)


def _print_each(
    database: sqlite3.Connection,
    wanted: DeadLetterFilter,
    damaged: list[DamagedLetter],
    *,
    content: bool,
) -> int:
    most = wanted.limit or _MOST_LINES
    one_more = msgspec.structs.replace(wanted, limit=most + 1)
    letters = list(find_letters(database, one_more, damaged))
    for letter in letters[:most]:
        print_letter(letter, content=content)
    if len(letters) + len(damaged) > most and wanted.limit is None:
        talk.print(f"There are more than {most}: --limit says how many to show.")
    return len(letters)


def _print_groups(
    database: sqlite3.Connection, wanted: DeadLetterFilter, damaged: list[DamagedLetter]
) -> int:
    groups = group_letters(database, wanted)
    most = wanted.limit or _MOST_LINES
    for group in groups[:most]:
        if isinstance(group.sample, DamagedLetter):
            damaged.append(group.sample)
            sample = [group.sample.told]
        else:
            told = letter_json(group.sample, content=False)
            sample = [told["id"], told["at"], told["messageId"], told["detail"]]
        words = [group.count, group.connection or "?", group.code or "?"]
        line = "  ".join(map(str, words)), "  ".join(map(str, filter(None, sample)))
        out.print(f"{line[0]}  such as  {line[1]}", markup=False)
    if len(groups) > most:
        talk.print(f"There are {len(groups) - most} more codes: --limit says how many to show.")
    return len(groups)


@commands.command(cls=OnceCommand)
@taking(_which)
def show(
    which: DeadLetterFilter,
    config: RouterToml = ROUTER_TOML,
    content: Content = False,
) -> None:
    """Show dead letters in full: message, request and answer.

    It shows values only with --content, because they are personal data.

    Example: destination-router dead-letters show 17
    """
    with problems_told(), opened_log(load_config(config)) as log:
        damaged: list[DamagedLetter] = []
        found = list(find_letters(log.books, _of(which, replayed=True), damaged))
        for letter in found:
            out.console.print_json(
                msgspec.json.encode(letter_json(letter, content=content)).decode()
            )
        _end_if_damaged(damaged)
        if not found:
            talk.print(_none_found(which))
            raise typer.Exit(FAILED)


@commands.command(cls=OnceCommand)
@taking(_which)
def replay(
    which: DeadLetterFilter,
    config: RouterToml = ROUTER_TOML,
    everything: Annotated[
        bool, typer.Option("--all", help="Select all that were not replayed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show which. Change nothing.")
    ] = False,
) -> None:
    """Put dead letters back into the log, to be delivered.

    Each goes to its own connection only, under the same messageId. A masked one needs the key that
    it was masked with. Without that key, it stays as it is.

    Example: destination-router dead-letters replay --code http_400 --dry-run
    """
    with problems_told():
        router = load_config(config)
        with opened_log(router, to_write=True) as log:
            _see_that_it_is_meant(which, everything=everything)
            # A letter that was replayed is replayed again only if it is asked for by number.
            damaged: list[DamagedLetter] = []
            found = list(find_letters(log.books, _of(which, replayed=bool(which.ids)), damaged))
            letters, refused = Replayable(router.connections).sort_out(found)
            if not dry_run:
                log.replay_letters(letters, time.time())
    _print_done(which, letters, "would be replayed" if dry_run else "replayed")
    for reason, left in refused.items():
        complain(f"{len(left)} not replayed, but kept: {_numbers(left)}. {reason}")
    _complain_of_damage(damaged)
    _end(which, [*found, *damaged], failed=bool(refused or damaged))


@commands.command(cls=OnceCommand)
@taking(_which_to_delete)
def delete(
    which: DeadLetterFilter,
    config: RouterToml = ROUTER_TOML,
    replayed: Replayed = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Select all that were not replayed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show which. Change nothing.")
    ] = False,
) -> None:
    """Delete dead letters for good. There is no other copy.

    Example: destination-router dead-letters delete --before 30d --dry-run
    """
    with problems_told(), opened_log(load_config(config), to_write=True) as log:
        _see_that_it_is_meant(which, everything=everything)
        damaged: list[DamagedLetter] = []
        found = find_letters(log.books, _of(which, replayed=replayed or bool(which.ids)), damaged)
        letters: list[DeadLetter | DamagedLetter] = [*found, *damaged]
        if not dry_run:
            delete_letters(log.books, letters)
    _print_done(which, letters, "would be deleted" if dry_run else "deleted")
    _end(which, letters)


@commands.command(cls=OnceCommand)
@taking(_which)
def export(
    which: DeadLetterFilter,
    config: RouterToml = ROUTER_TOML,
    replayed: Replayed = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Write to this new file, not to standard output."),
    ] = None,
) -> None:
    """Write the messages of dead letters, for `send` and `try`.

    Example: destination-router dead-letters export --output messages.jsonl
    """
    with problems_told(), opened_log(load_config(config)) as log, _target(output) as target:
        letter = None
        damaged: list[DamagedLetter] = []
        for letter in find_letters(log.books, _of(which, replayed=replayed), damaged):
            target.write(letter.body.replace(b"\n", b" ") + b"\n")
        if letter is None and not damaged:
            talk.print(_none_found(which))
    _end_if_damaged(damaged)


def _see_that_it_is_meant(which: DeadLetterFilter, *, everything: bool) -> None:
    if not everything and which == DeadLetterFilter():
        raise UsageError("say which, by number or option, or --all")


def _none_found(which: DeadLetterFilter) -> str:
    return "No dead letters." if which == DeadLetterFilter() else "No dead letter is like that."


def _end_if_damaged(damaged: Sequence[DamagedLetter]) -> None:
    """Exit with a status that says so if some letters could not be read."""
    _complain_of_damage(damaged)
    if damaged:
        raise typer.Exit(FAILED)


def _complain_of_damage(damaged: Sequence[DamagedLetter]) -> None:
    if damaged:
        complain(
            f"{len(damaged)} not as they were written, and cannot be read: {_numbers(damaged)}. "
            "`dead-letters delete` with the number deletes one; a backup may have it whole."
        )


def _numbers(letters: Sequence[DeadLetter | DamagedLetter]) -> str:
    numbers = ", ".join(str(letter.id) for letter in letters[:_MOST_NUMBERS])
    return numbers + (", ..." if len(letters) > _MOST_NUMBERS else "")


def _print_done(
    which: DeadLetterFilter, letters: Sequence[DeadLetter | DamagedLetter], verb: str
) -> None:
    """Report what was done: each letter that was named by number, and others by code."""
    if which.ids:
        for letter in letters:
            if isinstance(letter, DamagedLetter):
                out.print(f"{letter.id}  {letter.told}")
            else:
                print_letter(letter, content=False)
    codes = Counter(f"{letter.connection or '?'} {letter.code or '?'}" for letter in letters)
    told = ", ".join(f"{name} {count}" for name, count in codes.most_common(_MOST_NUMBERS))
    talk.print(f"{len(letters)} {verb}" + (f": {told}" if told else ""), markup=False)


def _end(
    which: DeadLetterFilter,
    found: Sequence[DeadLetter | DamagedLetter],
    *,
    failed: bool = False,
) -> None:
    """Exit with the status for whether all requested letters existed and were handled."""
    missing = sorted(set(which.ids).difference(letter.id for letter in found))
    if missing and which.limit is None:
        talk.print(f"There is none with the number {', '.join(map(str, missing))}.")
        failed = True
    if failed:
        raise typer.Exit(FAILED)


def _of(which: DeadLetterFilter, *, replayed: bool) -> DeadLetterFilter:
    """Include or exclude letters that were replayed."""
    return msgspec.structs.replace(which, replayed=None if replayed else False)


@contextlib.contextmanager
def opened_log(router: RouterConfig, *, to_write: bool = False) -> Iterator[LogAdmin]:
    """Open the log of a router.toml in a transaction, for a consistent view.

    A writer has the log to itself, so that two people who replay at once do not replay twice.
    """
    with open_admin(router.eventlog) as log, log.writing() if to_write else log.reading():
        yield log


@contextlib.contextmanager
def _target(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with open_private(path, "xb") as target:
        yield target


def letter_json(letter: DeadLetter, *, content: bool) -> dict[str, Any]:
    """Turn a dead letter into JSON to print.

    Args:
        letter: the letter.
        content: whether to include values. Otherwise, the message and the request are shown by the
        paths of their fields, and the detail only if it is in our own words.
    """
    told: dict[str, Any] = {
        "id": letter.id,
        "at": _time(letter.at),
        "connection": letter.connection,
        "messageId": letter.message_id,
        "code": letter.code,
        "attempts": letter.attempts,
        "status": letter.status,
        "replayedAt": None if letter.replayed_at is None else _time(letter.replayed_at),
    }
    message = _decoded(letter.body)
    if content:
        return {
            **told,
            "detail": letter.detail,
            "message": letter.body.decode("utf-8", "replace") if message is None else message,
            "request": letter.request,
            "answer": letter.answer,
        }
    request = letter.request or {}
    return {
        **told,
        "detail": letter.detail if letter.status is None else "",
        "fields": sorted(_paths(message)),
        "request": {key: request[key] for key in ("method", "url") if key in request} or None,
    }


def print_letter(letter: DeadLetter, *, content: bool) -> None:
    """Print a dead letter in one line; with values, also the message."""
    told = letter_json(letter, content=content)
    words = [told["id"], told["at"], told["connection"], told["messageId"], told["code"]]
    if told["replayedAt"]:
        words.append(f"replayed {told['replayedAt']}")
    if told["detail"]:
        words.append(told["detail"])
    if content:
        words.append(letter.body.decode("utf-8", "replace"))
    out.print("  ".join(map(str, words)), markup=False)


def _decoded(body: bytes) -> Json:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _paths(value: Json, prefix: str = "") -> set[str]:
    if isinstance(value, dict) and value:
        return {
            path
            for key, item in value.items()
            for path in _paths(item, f"{prefix}.{key}" if prefix else key)
        }
    return {prefix} if prefix else set()


def _time(moment: float) -> str:
    return format_time(datetime.fromtimestamp(moment, UTC))
