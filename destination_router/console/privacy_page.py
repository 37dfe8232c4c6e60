"""Shows which fields messages have, how often, and which pass the allowlists; never a value."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from destination_router.config.router_toml import ConnectionConfig
from destination_router.console.desk import Desk
from destination_router.console.page import Page
from destination_router.console.rendering import Rendering
from destination_router.contract.records import Reject
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import TraceFilter
from destination_router.pipeline.privacy.config import is_private, load_allowed
from destination_router.pipeline.privacy.report import HIDDEN_NAME, Report, Row, proposal
from destination_router.service.field_report import add_message, steps_before_privacy

MOST_MESSAGES = 20_000
_PEOPLE = 2


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a look at messages."""

    rows: Sequence[Row]
    messages: int
    unread: int
    toml: str


class PrivacyPage:
    """The page."""

    def __init__(self, desk: Desk, rendering: Rendering) -> None:
        self._desk = desk
        self._rendering = rendering
        self._one_at_a_time = asyncio.Lock()

    def pages(self) -> Iterator[Page]:
        """List its paths."""
        yield Page("/privacy", self._show)

    async def _show(self, request: Request) -> Response:
        asked = request.query_params.get("connection", "")
        configs = self._desk.configured.config.connections
        only = configs[0].name if len(configs) == 1 else ""
        config = next((each for each in configs if each.name == (asked or only)), None)
        if asked and config is None:
            raise HTTPException(404, "There is no such connection.")
        seen, source = None, ""
        if config is not None:
            async with self._one_at_a_time:  # it reads thousands of messages
                seen, source = await self._looked(config)
        return self._rendering.page(
            request,
            "privacy.html",
            configs=configs,
            chosen=config,
            is_private=config is not None and is_private(config),
            private={each.name for each in configs if is_private(each)},
            seen=seen,
            source=source,
            people=_PEOPLE,
            hidden=HIDDEN_NAME,
        )

    async def _looked(self, config: ConnectionConfig) -> tuple[Seen, str]:
        def of_log(log: LogAdmin) -> Seen:
            return _report(config, islice(log.bodies(), MOST_MESSAGES))

        seen = await self._desk.read_log(of_log)
        if seen.messages or is_private(config):  # its traces are masked already
            return seen, "the event log"

        def of_traces(traces: TraceFile) -> Seen:
            found = traces.find(TraceFilter(connection=config.name))
            whole = traces.several(config.name, {trace.offset for trace in found})
            kept = (one.content.body for one in whole)
            return _report(config, (body.encode() for body in kept if body))

        return await self._desk.ask_traces(of_traces), "the last messages that were traced"


def _report(config: ConnectionConfig, bodies: Iterable[bytes]) -> Seen:
    told = Report(load_allowed(config), _PEOPLE, (config.name, config.plugin))
    steps = steps_before_privacy(config)
    unread = 0
    for body in bodies:
        try:
            add_message(body, steps, told)
        except Reject:
            unread += 1
    rows = told.rows()
    return Seen(rows=rows, messages=told.messages, unread=unread, toml=proposal(rows))
