"""`destination-router record NAME FILE`: make a case of what a destination makes of messages.

The router finds this command through the entry-point group `destination_router.commands`. Standard
output holds the case, standard error what is left to do. Exit status: 0 recorded, 2 wrong usage.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from conformance.case import TODO, CaseError
from conformance.recording import document, recorded, shareable_settings, suggested_id, with_case
from conformance.subject import PluginSubject
from destination_router.commands.options import ConfigFile, ConnectionName, Pairs, SettingsFile
from destination_router.commands.output import problems_told
from destination_router.config.router_toml import ConnectionConfig
from destination_router.faults import UsageError
from destination_router.files.reading import read_lines
from destination_router.plugins.loading import load_plugin
from destination_router.service.connections import choose_from_config, load, read_settings

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)+")
_BESIDE = ("subscription", "mapping", "subscriptions", "transformations")


def record(  # noqa: PLR0913, PLR0917 -- one option each
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The destination; or FILE alone with --config.")
    ],
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="A message; several make one case, packed. - is standard input.",
            show_default=False,
        ),
    ] = None,
    settings: SettingsFile = None,
    pairs: Pairs = None,
    config: ConfigFile = None,
    connection: ConnectionName = None,
    case_id: Annotated[
        str | None, typer.Option("--id", help="The case's id: track/order-completed.")
    ] = None,
    title: Annotated[str, typer.Option(help="The rule, as a sentence.")] = TODO,
    into: Annotated[
        Path | None,
        typer.Option(help="A case file to add the case to; it is made where it is missing."),
    ] = None,
) -> None:
    """Make a conformance case of a message and what it becomes now.

    Sends nothing. The message goes into the case as it is: replace personal data first. Secret
    settings are replaced by `made-up`. The suite refuses the case until you replace each TODO.

    Example: destination-router record heap --set appId=1 message.json
    """
    with problems_told():
        if config is not None:
            if settings is not None or pairs:
                raise UsageError("settings stand in the router.toml: drop --settings and --set")
            if file is not None:
                raise UsageError(
                    f"the router.toml names the plugin: give the file alone, without {name!r}"
                )
            chosen, _ = choose_from_config(config, connection)
            plugin, given, source = load(chosen), chosen.settings, name
            beside = _beside(chosen)
        else:
            if file is None:
                raise UsageError("name a file of messages, or - for standard input")
            plugin = load_plugin(name)
            given, source, beside = read_settings(plugin, settings, pairs or []), file, {}
        messages = [_object(line.number, line.raw) for line in read_lines(source)]
        if not messages:
            raise UsageError(f"{source} holds no message")
        held = into.read_text(encoding="utf-8") if into is not None and into.exists() else ""
        schema = plugin.hook.settings_schema()
        try:
            case = recorded(
                PluginSubject(plugin),
                {"settings": shareable_settings(schema, given), **beside},
                messages,
                case_id=_id(case_id, messages[0], into, held),
                title=title,
            )
        except CaseError as error:
            raise UsageError(str(error)) from None
        _tell(case, into, held)


def _beside(chosen: ConnectionConfig) -> dict[str, Any]:
    """Write the rest of a connection as a case does: an empty object, or one with `connection`.

    Raises:
        UsageError: a case cannot express it.
    """
    if chosen.privacy or chosen.shared.privacy:
        raise UsageError(
            f"connection {chosen.name} has privacy, whose keys must not stand in a case: give the "
            "plugin and its settings in place of --config"
        )
    found = msgspec.to_builtins(chosen)
    beside = {name: found[name] for name in _BESIDE if found.get(name)}
    shared = list(chosen.shared.transformations)
    told = beside | ({"router": {"transformations": shared}} if shared else {})
    return {"connection": told} if told else {}


def _object(number: int, raw: bytes) -> dict[str, Any]:
    try:
        message = json.loads(raw)
    except ValueError as error:
        raise UsageError(f"line {number} is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise UsageError(f"line {number} is not an object: a message is one")
    return message


def _id(given: str | None, message: dict[str, Any], into: Path | None, held: str) -> str:
    topic = "" if into is None else into.name.removesuffix(".json")
    taken = re.findall(r'"id":\s*"([^"]*)"', held)
    if given is None:
        return suggested_id(message, topic, taken)
    if not _ID.fullmatch(given):
        raise UsageError(f"--id {given!r} must look like track/order-completed")
    if topic and given.partition("/")[0] != topic:
        raise UsageError(f"--id {given!r} must begin with {topic}/, as its file is called")
    if given in taken:
        raise UsageError(f"--id {given!r} is in {into} already; give another")
    return given


def _tell(case: dict[str, Any], into: Path | None, held: str) -> None:
    if into is None:
        typer.echo(document(case), nl=False)
    else:
        try:
            whole = with_case(held, case) if held.strip() else document(case)
        except ValueError as error:
            raise UsageError(f"{into} cannot be added to: {error}") from None
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text(whole, encoding="utf-8")
        typer.echo(f"{case['id']} is in {into}", err=True)
    typer.echo("Replace each TODO: the suite refuses the case until you do.", err=True)
