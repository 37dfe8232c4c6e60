"""The pages of connections: settings as a form, the result of `check`, and the use of quotas.

Nothing here writes router.toml. A form's changes become TOML to paste.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from destination_router.config.router_toml import ConnectionConfig
from destination_router.console.desk import Desk
from destination_router.console.forms import read_form
from destination_router.console.page import Page, session_of
from destination_router.console.rendering import Rendering
from destination_router.console.settings_form import Field, fields_of, read_settings
from destination_router.contract.records import Json
from destination_router.migration.toml_writing import write_router
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import PluginError
from destination_router.service.checking import ProbeResult, check_config, probe
from destination_router.service.configured import file_stamp
from destination_router.service.connections import connect
from destination_router.settings.errors import SettingsError
from destination_router.settings.references import holds_reference
from destination_router.settings.validation import is_secret
from destination_router.threads import in_thread

_PREFIX = "settings."
_PATIENCE = 30.0


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The connection that the page shows."""

    config: ConnectionConfig
    connection: Connection
    fields: tuple[Field, ...]


class _Said(msgspec.Struct, frozen=True):
    """The result of `check` on router.toml, and its Unix time in seconds."""

    stamp: tuple[int, int] | None = None
    at: float | None = None
    problems: list[str] = []
    warnings: list[str] = []


class ConnectionPage:
    """The list of connections, and the page of one."""

    def __init__(self, desk: Desk, rendering: Rendering) -> None:
        self._desk = desk
        self._rendering = rendering
        self._one_at_a_time = asyncio.Lock()
        self._said: _Said | None = None

    def pages(self) -> Iterator[Page]:
        """List its paths."""
        yield Page("/connections", self._show)
        yield Page("/connections/check", self._check, acts=True)
        yield Page("/connections/change", self._change, acts=True)

    async def _show(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        if not name:
            return self._rendering.page(
                request, "connections.html", connections=self._desk.configured.config.connections
            )
        return await self._drawn(request, self._chosen(name))

    async def _check(self, request: Request) -> Response:
        """Send a test user and a test event to the destination's simulator."""
        chosen = self._chosen((await read_form(request)).get("name"))
        delivery = self._desk.configured.config.delivery
        results = await probe(chosen.connection, delivery, live=False)
        self._said = None
        await self._desk.note(session_of(request), "check", chosen.config.name)
        return await self._drawn(request, chosen, results=results)

    async def _change(self, request: Request) -> Response:
        """Say what is wrong with changed settings, or write them as TOML."""
        form = await read_form(request)
        chosen = self._chosen(form.get("name"))
        schema = chosen.connection.plugin.hook.settings_schema()
        settings, problems = read_settings(schema, form, _PREFIX, chosen.config.settings)
        if not problems:
            changed = msgspec.structs.replace(chosen.config, settings=settings)
            problems = await in_thread(lambda: _problems(changed), "console-check")
        toml = "" if problems else _toml(chosen.config, settings, schema)
        shown = {
            name: value
            for name, value in settings.items()
            if not is_secret(schema, name) or holds_reference(value)
        }
        fields = tuple(fields_of(schema, {**shown, **_secrets_of(chosen, schema)}))
        again = msgspec.structs.replace(chosen, fields=fields)
        return await self._drawn(request, again, problems=problems, toml=toml)

    async def _drawn(
        self,
        request: Request,
        chosen: Chosen,
        *,
        results: list[ProbeResult] | None = None,
        problems: list[str] | None = None,
        toml: str = "",
    ) -> Response:
        states = await self._desk.ask_traces(lambda traces: traces.states())
        said = await self._checked()
        name = chosen.config.name
        warnings = [
            words.removeprefix(f"{name}: ")
            for words in said.warnings
            if words.startswith(f"{name}: ")
        ]
        return self._rendering.page(
            request,
            "connection.html",
            config=chosen.config,
            connection=chosen.connection,
            fields=chosen.fields,
            state=states.get(name),
            said=said.problems,
            said_at=said.at,
            warnings=warnings,
            origins=self._desk.targets_of(chosen.connection),
            results=results,
            problems=problems,
            toml=toml,
            beside=_beside(chosen.config),
        )

    async def _checked(self) -> _Said:
        """Check router.toml once for each change of it, because a check starts every program.

        After an operator's check, it is checked again: what it refers to may have changed.
        """
        path = self._desk.configured.path
        if path is None:
            return _Said()
        async with self._one_at_a_time:
            stamp = file_stamp(path)
            if self._said is None or self._said.stamp != stamp:
                check = partial(check_config, path, gateway=False, console=False)
                try:
                    async with asyncio.timeout(_PATIENCE):
                        found = await in_thread(check, "console-check")
                    problems, warnings = found.problems, found.warnings
                except TimeoutError:
                    problems, warnings = [f"`check` took longer than {_PATIENCE:.0f} s"], []
                self._said = _Said(stamp, self._desk.clock(), problems, warnings)
            return self._said

    def _chosen(self, name: str) -> Chosen:
        configured = self._desk.configured
        connection = configured.connection(name)
        config = next((each for each in configured.config.connections if each.name == name), None)
        if connection is None or config is None:
            raise HTTPException(404, "There is no such connection.")
        schema = connection.plugin.hook.settings_schema()
        return Chosen(
            config=config,
            connection=connection,
            fields=tuple(fields_of(schema, config.settings)),
        )


def _secrets_of(chosen: Chosen, schema: Any) -> dict[str, Json]:
    return {name: v for name, v in chosen.config.settings.items() if is_secret(schema, name)}


def _problems(config: ConnectionConfig) -> list[str]:
    try:
        connect(config)
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    except PluginError as error:
        return [str(error)]
    return []


def _toml(config: ConnectionConfig, settings: dict[str, Json], schema: Any) -> str:
    """Write a connection with changed settings, each secret as the reference it should be."""
    shown = {
        name: {"env": f"{config.name}_{name}".upper().replace("-", "_").replace(" ", "_")}
        if is_secret(schema, name) and not holds_reference(value)
        else value
        for name, value in settings.items()
    }
    return write_router({}, [{"name": config.name, "plugin": config.plugin, "settings": shown}])


def _beside(config: ConnectionConfig) -> list[str]:
    """List what else router.toml says about a connection, which stays as it is."""
    names = ("subscription", "mapping", "subscriptions", "transformations", "privacy", "consent")
    return [name for name in names if getattr(config, name)]
