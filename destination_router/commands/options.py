"""The options that several commands have: one name, one meaning and one help text for each."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from destination_router.commands.output import problems_told
from destination_router.config.origins import ANY_ORIGIN, is_origin, plain_origins
from destination_router.config.schema import LAST_PORT
from destination_router.contract.times import parse_time
from destination_router.faults import UsageError
from destination_router.units import seconds

CONNECTION_PANEL = "Which connection"
ROUTER_TOML = Path("router.toml")

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="A file of settings, JSON or TOML.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="One setting. You may repeat this.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="A router.toml, in place of plugin and settings.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
ConnectionName = Annotated[
    str | None,
    typer.Option(
        "--connection",
        help="The connection of the router.toml, if it has several.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        metavar="FROM=TO",
        help="Send a vendor's origin elsewhere, such as to a simulator. You may repeat this. "
        "FROM and TO are https://host or http://host:port. A FROM of * is every other.",
        rich_help_panel=CONNECTION_PANEL,
    ),
]
RouterToml = Annotated[Path, typer.Option("--config", help="The router.toml.")]
Wait = Annotated[
    str, typer.Option("--wait", metavar="DURATION", help="How long to wait for the vendor.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Listen = Annotated[
    str,
    typer.Option(
        "--listen", metavar="HOST:PORT", help="Where it answers; port 0 takes any free one."
    ),
]


def taking(choose: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, as its first parameter, the result of `choose` for further options.

    So options that belong together are declared once for all commands. typer reads a command's
    parameters from its signature, so this makes such a signature.

    Args:
        choose: its parameters are options; what is wrong with them is told as any problem is.
    """
    options = inspect.signature(choose, eval_str=True).parameters

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        def run(**given: Any) -> None:
            with problems_told():
                chosen = choose(**{name: given.pop(name) for name in options})
            command(chosen, **given)

        parameters = [*options.values(), *own]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate


def read_address(text: str) -> tuple[str, int]:
    """Read the `host:port` of --listen.

    Raises:
        UsageError: it is no such thing.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > LAST_PORT:
        raise UsageError(f"--listen takes HOST:PORT, such as 127.0.0.1:9090, not {text!r}")
    return host.strip("[]"), int(port)


def read_wait(text: str) -> float:
    """Read the duration of --wait, in seconds.

    Raises:
        UsageError: it is none.
    """
    try:
        return seconds(text)
    except ValueError as error:
        raise UsageError(f"--wait: {error}") from None


def read_origins(pairs: Sequence[str]) -> dict[str, str]:
    """Read `from=to` pairs of origins.

    Raises:
        UsageError: one is no such pair.
    """
    found: dict[str, str] = {}
    for source, target in map(_origin, pairs):
        for plain, where in plain_origins({source: target}).items():
            if plain in found:
                raise UsageError(f"--origin names {plain} twice; give it once")
            found[plain] = where
    return found


def _origin(pair: str) -> tuple[str, str]:
    source, equals, target = pair.partition("=")
    if not equals or not source or not target:
        raise UsageError(f"--origin takes FROM=TO, not {pair!r}")
    for origin in (source, target):
        if origin != ANY_ORIGIN and not is_origin(origin):
            raise UsageError(f"--origin takes http(s)://host[:port] on both sides, not {origin!r}")
    return source, target


def is_duration(text: str) -> bool:
    """Tell whether a text is a duration, such as 12h, and so counts back from now."""
    try:
        seconds(text)
    except ValueError:
        return False
    return True


def read_moment(option: str, text: str) -> float:
    """Read a time, or a duration that counts back from now, as Unix time.

    Raises:
        UsageError: it is neither.
    """
    try:
        return time.time() - seconds(text)
    except ValueError:
        moment = parse_time(text)
    if moment is None:
        raise UsageError(f"{option} takes a time or a duration such as 12h, not {text!r}")
    return moment.timestamp()
