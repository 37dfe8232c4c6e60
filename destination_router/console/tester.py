"""The tester: shows what a connection, or a destination with other settings, makes of a message.

If two are chosen, they are side by side. It sends to the simulator within this process. It sends to
a vendor only through a connection of router.toml, and after a second question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from destination_router.config.router_toml import ConnectionConfig
from destination_router.console.decision_view import DecisionView, shown
from destination_router.console.desk import Desk
from destination_router.console.forms import Form, read_form
from destination_router.console.page import Page, session_of
from destination_router.console.rendering import Rendering
from destination_router.console.settings_form import Field, fields_of, read_settings
from destination_router.contract.records import Json
from destination_router.delivery.sender import Sender
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import PluginError, installed_plugins, load_plugin
from destination_router.service.connections import connect, sample_settings
from destination_router.service.workers import delivery_settings
from destination_router.settings.errors import SettingsError
from destination_router.threads import in_thread

SIDES = ("left", "right")

_USER = "ada.lovelace@example.com"
EXAMPLES: dict[str, dict[str, Json]] = {
    "identify": {
        "type": "identify",
        "userId": _USER,
        "traits": {"email": _USER, "name": "Ada Lovelace", "plan": "pro"},
    },
    "track": {
        "type": "track",
        "userId": _USER,
        "event": "Order Completed",
        "properties": {"order_id": "1001", "total": 42.5, "products": [{"sku": "A"}, {"sku": "B"}]},
    },
    "track, anonymous": {
        "type": "track",
        "anonymousId": "visitor-1815",
        "event": "Article Read",
        "properties": {"minutes": 7},
    },
    "page": {
        "type": "page",
        "userId": _USER,
        "name": "Pricing",
        "properties": {"url": "https://example.com/pricing"},
    },
    "screen": {"type": "screen", "userId": _USER, "name": "Cart", "properties": {"items": 2}},
    "group": {
        "type": "group",
        "userId": _USER,
        "groupId": "analytical-society",
        "traits": {"name": "Analytical Society", "members": 12},
    },
    "alias": {"type": "alias", "userId": _USER, "previousId": "visitor-1815"},
    "a userId that is none": {"type": "identify", "userId": "undefined", "traits": {"plan": "a"}},
}


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two sides that are compared.

    Attributes:
        choice: `connection:NAME`, `plugin:NAME`, or empty for none.
        fields: a plugin's settings as a form.
        problems: what is wrong with them.
        connection: the connection that decides; None if nothing can.
        view: its decision about the message.
    """

    choice: str = ""
    fields: tuple[Field, ...] = ()
    problems: tuple[str, ...] = ()
    connection: Connection | None = None
    view: DecisionView | None = None


class Tester:
    """The page, with its sends."""

    def __init__(self, desk: Desk, rendering: Rendering) -> None:
        self._desk = desk
        self._rendering = rendering

    def pages(self) -> Iterator[Page]:
        """List its paths."""
        yield Page("/tester", self._show)
        yield Page("/tester", self._test, acts=True)

    async def _show(self, request: Request) -> Response:
        asked = request.query_params
        example = asked.get("example", "track")
        message = msgspec.json.encode(EXAMPLES.get(example, EXAMPLES["track"]))
        form = Form([(name, asked.get(name, "")) for name in (*SIDES, "example")])
        if not form.get("left"):
            names = [each.name for each in self._desk.configured.connections]
            form = Form([("left", f"connection:{names[0]}" if names else "")])
        sides = [await self._side(form, name) for name in SIDES]
        return self._drawn(request, msgspec.json.format(message, indent=2).decode(), sides, example)

    async def _test(self, request: Request) -> Response:
        form = await read_form(request)
        message, what = form.get("message"), form.get("what", "show")
        sides = [await self._side(form, name) for name in SIDES]
        if what == "choose":
            return self._drawn(request, message, sides)
        raw = message.strip().encode("utf-8", "replace")
        sends = {"simulator": "simulator", "vendor": "vendor"}.get(what, "")
        if sends == "vendor":
            self._see_that_it_may(sides)
            if form.get("sure") != "yes":
                return self._drawn(request, message, sides, asks=True)
        tested = [await self._tested(side, raw, sends) for side in sides]
        if sends:
            subject = ", ".join(side.choice for side in sides if side.connection is not None)
            await self._desk.note(session_of(request), f"test against the {sends}", subject)
        return self._drawn(request, message, tested)

    def _see_that_it_may(self, sides: list[Side]) -> None:
        if any(side.choice.startswith("plugin:") for side in sides):
            raise HTTPException(
                403, "Only a connection of router.toml sends to its vendor; choose one."
            )

    async def _side(self, form: Form, name: str) -> Side:
        choice = form.get(name)
        kind, _, which = choice.partition(":")
        if kind == "connection":
            connection = self._desk.configured.connection(which)
            problems = () if connection is not None else (f"there is no connection {which}",)
            return Side(choice=choice, connection=connection, problems=problems)
        if kind != "plugin":
            return Side()
        return await in_thread(
            lambda: _of_plugin(choice, which, form, f"{name}."), "console-plugin"
        )

    async def _tested(self, side: Side, raw: bytes, sends: str) -> Side:
        connection = side.connection
        if connection is None:
            return side
        try:
            decision, view = await self._desk.turns.ask(
                connection, lambda: _decided(connection, raw)
            )
        except TimeoutError:
            words = "the connection's program has not answered in time"
            return msgspec.structs.replace(side, problems=(*side.problems, words))
        if sends and decision.requests:
            outcomes = await self._sent(connection, decision.requests, sends)
            view = msgspec.structs.replace(view, outcomes=tuple(outcomes))
        return msgspec.structs.replace(side, view=view)

    async def _sent(self, connection: Connection, requests: Any, sends: str) -> list[str]:
        settings = delivery_settings(self._desk.configured.config.delivery)
        transport: httpx.AsyncBaseTransport | None = None
        if sends == "simulator":
            if "simulator" not in connection.plugin.capabilities:
                return ["not sent: the destination has no simulator"]
            app = connection.plugin.hook.simulator(settings=connection.settings)
            transport = httpx.ASGITransport(app)
        told = []
        async with Sender(connection, settings, transport=transport) as sender:
            for request in requests:
                answer = await sender.attempt(request)
                status = (
                    "no answer" if answer.response is None else f"HTTP {answer.response.status}"
                )
                for outcome in answer.outcomes.values():
                    words = ": ".join(filter(None, (outcome.code, outcome.detail)))
                    told.append(" · ".join(filter(None, (outcome.result, status, words))))
        return told

    def _drawn(
        self,
        request: Request,
        message: str,
        sides: list[Side],
        example: str = "",
        *,
        asks: bool = False,
    ) -> Response:
        configured = self._desk.configured
        return self._rendering.page(
            request,
            "tester.html",
            message=message,
            sides=dict(zip(SIDES, sides, strict=True)),
            example=example,
            examples=list(EXAMPLES),
            connections=[each.name for each in configured.connections],
            plugins=sorted({each.name for each in installed_plugins()}),
            asks=asks,
            targets=[
                target
                for side in sides
                if side.connection is not None
                for target in self._desk.targets_of(side.connection)
            ],
        )


def _decided(connection: Connection, raw: bytes) -> tuple[Any, DecisionView]:
    decision = connection.decide(raw)
    return decision, shown(connection, decision, raw)


def _of_plugin(choice: str, name: str, form: Form, prefix: str) -> Side:
    """Make a connection of a plugin with a form's settings, or at first with its examples."""
    try:
        plugin = load_plugin(name)
    except PluginError as error:
        return Side(choice=choice, problems=(str(error),))
    schema = plugin.hook.settings_schema()
    sent = any(field.startswith(prefix) for field in form.names())
    settings: Mapping[str, Json] = sample_settings(schema)
    problems: list[str] = []
    if sent:
        settings, problems = read_settings(schema, form, prefix, {})
    connection = None
    if not problems:
        try:
            connection = connect(ConnectionConfig(name=name, plugin=name, settings=dict(settings)))
        except SettingsError as error:
            problems = [str(problem) for problem in error.problems]
        except PluginError as error:
            problems = [str(error)]
    return Side(
        choice=choice,
        fields=tuple(fields_of(schema, settings)),
        problems=tuple(problems),
        connection=connection,
    )
