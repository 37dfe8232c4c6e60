"""`diff`: show what would change, message by message, with another dialect or configuration.

Use it before a switch. It sends nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from destination_router.commands.decision_output import counted, decision_json
from destination_router.commands.options import ConnectionName, JsonLines, Pairs, SettingsFile
from destination_router.commands.output import out, print_line, problems_told, summed_up
from destination_router.contract.records import Json
from destination_router.faults import UsageError
from destination_router.files.reading import read_lines
from destination_router.pipeline.connection import Connection, Decision
from destination_router.plugins.loading import LoadedPlugin, load_plugin, survey_plugins
from destination_router.service.connections import (
    choose_from_config,
    connect_of_file,
    read_settings,
    sample_settings,
)

DIALECT = "dialect"
"""The setting that chooses between the mappings of a destination."""

_SHOWN = 60


class Change(msgspec.Struct, frozen=True):
    """One value that differs: its path, and the old and new value; None if it is missing."""

    path: str
    before: str | None
    after: str | None


def diff(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Messages in JSON, plain or gzipped; - is standard input.",
        ),
    ],
    before: Annotated[
        str | None,
        typer.Option("--from", metavar="DIALECT", help="The dialect that you use today."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option("--to", metavar="DIALECT", help="The dialect that you want to use."),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            metavar="PATH",
            help="Give it twice, in place of two dialects: today's and tomorrow's.",
        ),
    ] = None,
    connection: ConnectionName = None,
    plugin: Annotated[
        str | None,
        typer.Option(
            "--plugin",
            metavar="NAME",
            help="The destination of the dialects. You need it if several have dialects.",
        ),
    ] = None,
    settings: SettingsFile = None,
    pairs: Pairs = None,
    as_json: JsonLines = False,
) -> None:
    """Show what another dialect or configuration would change.

    It compares message by message, and sends nothing. Settings hold for both dialects.

    Example: destination-router diff --from rudderstack --to heap messages.jsonl
    """
    with problems_told():
        if config:
            today, tomorrow = _configured(config, connection)
        else:
            today, tomorrow = _dialects(before, after, plugin, settings, pairs or [])
        counts: Counter[str] = Counter()
        paths: Counter[str] = Counter()
        with summed_up(lambda: _summarise(counts, paths, as_json=as_json)):
            for line in read_lines(file):
                decisions = [
                    own.decide(line.raw, message_id=line.message_id) for own in (today, tomorrow)
                ]
                shown = [
                    decision_json(decision, own)
                    for decision, own in zip(decisions, (today, tomorrow), strict=True)
                ]
                changes = list(compare(*shown))
                counts.update(["messages", "changed" if changes else "the same"])
                paths.update({_general(change.path) for change in changes})
                if as_json:
                    name = decisions[0].message_id
                    print_line({**line.place_json, "messageId": name, "changes": changes})
                elif changes:
                    _tell(line.place, decisions[0], changes)


def compare(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    """List the differences between two decisions: whether and what would be sent, without notes.

    Values are compared with their types: 1, 1.0, "1" and true all differ.
    """
    for key in ("result", "reject", "reason"):
        yield from _differences(before[key], after[key], key)
    ours, theirs = before["requests"], after["requests"]
    for index in range(max(len(ours), len(theirs))):
        path = f"requests.{index}"
        if index >= len(ours):
            yield Change(path, None, _request_line(theirs[index]))
        elif index >= len(theirs):
            yield Change(path, _request_line(ours[index]), None)
        else:
            yield from _differences(ours[index], theirs[index], path)


def _differences(before: Json, after: Json, path: str) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            where = f"{path}.{key}"
            if key not in before:
                yield Change(where, None, _shown(after[key]))
            elif key not in after:
                yield Change(where, _shown(before[key]), None)
            else:
                yield from _differences(before[key], after[key], where)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, f"{path}.{index}")
    elif type(before) is not type(after) or before != after:
        yield Change(path, _shown(before), _shown(after))


def _request_line(request: dict[str, Any]) -> str:
    return f"{request['method']} {request['url']}"


def _shown(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _general(path: str) -> str:
    """Remove the places in lists from a path, to count similar differences."""
    return ".".join("*" if part.isdecimal() else part for part in path.split("."))


# -- choosing -----------------------------------------------------------------------------------


def _configured(paths: list[Path], name: str | None) -> tuple[Connection, Connection]:
    if len(paths) != 2:  # noqa: PLR2004 -- today's and tomorrow's
        raise UsageError("give --config twice: today's router.toml, then tomorrow's")
    today, tomorrow = (_of_file(path, name) for path in paths)
    return today, tomorrow


def _of_file(path: Path, name: str | None) -> Connection:
    chosen, router = choose_from_config(path, name)
    return connect_of_file(path, router, chosen)


def _dialects(
    before: str | None,
    after: str | None,
    plugin: str | None,
    settings: Path | None,
    pairs: list[str],
) -> tuple[Connection, Connection]:
    if before is None or after is None:
        raise UsageError("say --from and --to, each a dialect, or give --config twice")
    name = plugin or _plugin_with_dialects()
    today, tomorrow = (
        _speaking(load_plugin(name), dialect, settings, pairs) for dialect in (before, after)
    )
    return today, tomorrow


def _plugin_with_dialects() -> str:
    able = [
        found.name
        for found in survey_plugins()
        if isinstance(found, LoadedPlugin)
        and DIALECT in found.hook.settings_schema().get("properties", {})
    ]
    if len(able) != 1:
        raise UsageError(f"say --plugin; with dialects there are: {', '.join(able) or 'none'}")
    return able[0]


def _speaking(
    plugin: LoadedPlugin, dialect: str, settings: Path | None, pairs: list[str]
) -> Connection:
    chosen = sample_settings(plugin.hook.settings_schema())
    chosen |= read_settings(plugin, settings, pairs)
    return Connection(plugin.name, plugin, {**chosen, DIALECT: dialect})


# -- telling ------------------------------------------------------------------------------------


def _tell(place: str, decision: Decision, changes: list[Change]) -> None:
    typer.echo(f"{place}  {decision.type or 'message'} {decision.message_id}".strip())
    for change in changes:
        typer.echo(f"  {change.path}")
        if change.before is not None:
            typer.echo(f"    - {change.before}")
        if change.after is not None:
            typer.echo(f"    + {change.after}")


def _summarise(counts: Counter[str], paths: Counter[str], *, as_json: bool) -> None:
    if as_json:
        print_line({"summary": {**counts, "paths": dict(paths.most_common())}})
        return
    out.print(
        f"{counted(counts['messages'], 'message')}: {counts['the same']} the same, "
        f"{counts['changed']} would change",
    )
    for path, count in paths.most_common():
        out.print(f"  {count}  {path}", markup=False)
