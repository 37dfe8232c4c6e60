"""The page of one message: what came in, each step, request and answer, and today's decision."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from destination_router.console.command_runs import CommandRuns
from destination_router.console.decision_view import DecisionView, content_of, view_of
from destination_router.console.desk import Desk
from destination_router.console.forms import read_form
from destination_router.console.page import Page, session_of
from destination_router.console.rendering import Rendering
from destination_router.eventlog.sqlite.trace_file import TraceFile
from destination_router.eventlog.trace import Trace, TraceContent
from destination_router.pipeline.privacy.sealing import is_marked
from destination_router.settings.validation import is_secret

_CHANGED = (
    "The configuration has changed since. What was sent is shown as it was; for the steps, run it "
    "again with today's configuration."
)
_NOT_KEPT = "What is in it is not kept, so its steps are not known."
_ONLY_ID = {"messageId"}
"""The only field kept if a message did not pass privacy in HIPAA mode. Messages have more."""
_TOO_LONG = "The connection's program has not answered in time; load the page again."
_LONGEST_OFFSET = 19
_LAST_OFFSET = 2**63 - 1


class Moment(msgspec.Struct, frozen=True):
    """Something that happened to a message."""

    at: float
    words: str
    kind: str = ""


class MessagePage:
    """The page of a message, with its actions."""

    def __init__(self, desk: Desk, rendering: Rendering, runs: CommandRuns) -> None:
        self._desk = desk
        self._rendering = rendering
        self._runs = runs

    def pages(self) -> Iterator[Page]:
        """List its paths."""
        yield Page("/live/event", self._show)
        yield Page("/live/event/again", self._again, acts=True)
        yield Page("/live/event/case", self._case, acts=True)

    async def _show(self, request: Request) -> Response:
        asked = request.query_params
        trace = await self._found(asked.get("connection", ""), asked.get("offset", ""))
        return await self._drawn(request, trace, None)

    async def _again(self, request: Request) -> Response:
        """Decide it again with today's configuration. Nothing is sent."""
        form = await read_form(request)
        trace = await self._found(form.get("connection"), form.get("offset"))
        connection = self._desk.configured.connection(trace.connection)
        body = trace.content.body
        if connection is None or body is None:
            raise HTTPException(409, "Its connection is gone, or what is in it was not kept.")
        ask = partial(view_of, connection, body.encode())
        try:
            view = await self._desk.turns.ask(connection, ask)
        except TimeoutError:
            raise HTTPException(504, _TOO_LONG) from None
        await self._desk.note(session_of(request), "run again", trace.connection)
        return await self._drawn(request, trace, view)

    async def _case(self, request: Request) -> Response:
        """Make a conformance case of it with the command `record`."""
        form = await read_form(request)
        trace = await self._found(form.get("connection"), form.get("offset"))
        if trace.content.body is None:
            raise HTTPException(409, "What is in it was not kept.")
        arguments = [*self._choosing(trace, for_file="-")]
        ran = await self._runs.run(["record", *arguments], trace.content.body)
        if ran.status != 0:
            words = ran.errors.strip()[:2000] or "the command `record` failed"
            raise HTTPException(409, words)
        await self._desk.note(session_of(request), "save as a case", trace.connection)
        name = "".join(char if char.isalnum() else "-" for char in trace.type) or "message"
        return Response(
            ran.output,
            media_type="application/json",
            headers={"content-disposition": f'attachment; filename="{name}-case.json"'},
        )

    def _choosing(self, trace: Trace, *, for_file: str) -> list[str]:
        """Write the arguments that name a connection and a file to a command."""
        configured = self._desk.configured
        if configured.path is not None:
            return ["--config", str(configured.path), "--connection", trace.connection, for_file]
        found = next((c for c in configured.config.connections if c.name == trace.connection), None)
        if found is None:
            return [trace.connection, for_file]
        connection = configured.connection(trace.connection)
        schema = {} if connection is None else connection.plugin.hook.settings_schema()
        pairs = [
            f"{name}={value}"
            for name, value in found.settings.items()
            if isinstance(value, (str, int)) and not is_secret(schema, name)
        ]
        return [found.plugin, *(word for pair in pairs for word in ("--set", pair)), for_file]

    async def _whole(self, trace: Trace) -> tuple[TraceContent, str]:
        """Work out what a trace leaves out, or say why that is impossible."""
        content = trace.content
        if content.body is None and not content.fields:
            return content, _NOT_KEPT
        if not trace.fingerprint or content.body is None:
            return content, ""
        connection = self._desk.connection_of(trace)
        if connection is None:
            return content, _CHANGED
        try:
            ask = partial(content_of, connection, trace)
            whole = await self._desk.turns.ask(connection, ask)
        except TimeoutError:
            return content, _TOO_LONG
        # Such as a masking key's value, which is no part of a fingerprint.
        return (content, _CHANGED) if content.exchanges and not whole.requests else (whole, "")

    async def _drawn(self, request: Request, trace: Trace, again: DecisionView | None) -> Response:
        content, without_steps = await self._whole(trace)
        command = ""
        is_whole = content.body is not None and not _is_only_id(content.body)
        if content.body is not None and is_whole:
            arguments = shlex.join(self._choosing(trace, for_file="-"))
            message = shlex.quote(content.body.replace("\n", " "))
            command = f"printf '%s\\n' {message} \\\n  | destination-router try {arguments}"
        return self._rendering.page(
            request,
            "message.html",
            trace=trace,
            content=content,
            without_steps=without_steps,
            is_kept=without_steps != _NOT_KEPT,
            is_whole=is_whole,
            is_masked=content.body is not None and is_marked(content.body.encode()),
            notes_beside=_beside_steps(content),
            moments=list(_moments(trace)),
            command=command,
            again=again,
            shows_content=self._desk.content,
        )

    async def _found(self, connection: str, offset: str) -> Trace:
        if not offset.isdecimal() or len(offset) > _LONGEST_OFFSET or int(offset) > _LAST_OFFSET:
            raise HTTPException(404)
        number = int(offset)

        def one(traces: TraceFile) -> Trace | None:
            return traces.one(connection, number)

        trace = await self._desk.ask_traces(one)
        if trace is None or self._desk.configured.connection(connection) is None:
            raise HTTPException(404)
        return self._desk.shown(trace)


def _is_only_id(body: str) -> bool:
    """Tell whether nothing but its id is kept of a message: then there is nothing to run again."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(found, dict) and set(found) <= _ONLY_ID


def _beside_steps(content: TraceContent) -> list[dict[str, str]]:
    """Return the notes that are not already beside a step."""
    told = [note for step in content.steps for note in step["notes"]]
    return [note for note in content.notes if note not in told]


def _moments(trace: Trace) -> Iterator[Moment]:
    content = trace.content
    if trace.received_at is not None:
        yield Moment(trace.received_at, f"came in from {trace.source or 'an unnamed source'}")
    yield Moment(content.decided_at, "was read and decided")
    if content.left_out:
        yield Moment(content.decided_at, f"{content.left_out} earlier requests are not kept")
    for exchange in content.exchanges:
        status = exchange.failure or f"HTTP {exchange.status}"
        words = f"request to the vendor: {status}, {exchange.outcome}"
        yield Moment(exchange.at, words, exchange.outcome)
    if content.ended_at is not None:
        yield Moment(content.ended_at, f"ended: {trace.result}", trace.result)
