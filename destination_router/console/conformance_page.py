"""Shows the conformance report of each installed destination, which a command makes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from destination_router.console.command_runs import CommandRuns
from destination_router.console.desk import Desk
from destination_router.console.forms import read_form
from destination_router.console.page import Page, session_of
from destination_router.console.rendering import Rendering
from destination_router.faults import UNDECODABLE
from destination_router.plugins.loading import InstalledPlugin, installed_plugins

_MOST_FAILURES = 200


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a report that the page shows.

    Attributes:
        at: when it was made, Unix time in seconds.
        result: `success` or `failure`; `unknown` if the command failed.
        summary: the number of each result.
        failures: the results that did not pass.
        error: why there is no report.
    """

    at: float
    result: str = "unknown"
    summary: dict[str, int] = {}
    failures: tuple[dict[str, Any], ...] = ()
    error: str = ""


class ConformancePage:
    """The page, with this process's runs."""

    def __init__(self, desk: Desk, rendering: Rendering, runs: CommandRuns) -> None:
        self._desk = desk
        self._rendering = rendering
        self._runs = runs
        self._reports: dict[str, ReportView] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def pages(self) -> Iterator[Page]:
        """List its paths."""
        yield Page("/conformance", self._show)
        yield Page("/conformance/run", self._run, acts=True)

    async def _show(self, request: Request) -> Response:
        running = {name for name, task in self._running.items() if not task.done()}
        return self._rendering.page(
            request,
            "conformance.html",
            plugins=_plugins(),
            reports=self._reports,
            running=running,
        )

    async def _run(self, request: Request) -> Response:
        name = (await read_form(request)).get("plugin")
        if name not in {plugin.name for plugin in _plugins()}:
            raise HTTPException(404, "There is no such destination.")
        task = self._running.get(name)
        if task is None or task.done():
            self._running[name] = asyncio.create_task(self._report(name))
            await self._desk.note(session_of(request), "run conformance", name)
        return RedirectResponse("/conformance", 303)

    async def _report(self, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.json"
            ran = await self._runs.run(["conformance", name, "--json", str(path)])
            content = path.read_bytes() if path.exists() else b""
        self._reports[name] = _view(content, ran.errors or ran.output, self._desk.clock())


def _plugins() -> list[InstalledPlugin]:
    return list({plugin.name: plugin for plugin in installed_plugins()}.values())


def _view(content: bytes, words: str, now: float) -> ReportView:
    try:
        report = msgspec.json.decode(content)
        results = [each for each in report["results"] if each["result"] not in _WELL]
        return ReportView(
            at=now,
            result=report["result"],
            summary={name: count for name, count in report["summary"].items() if count},
            failures=tuple(results[:_MOST_FAILURES]),
        )
    except (*UNDECODABLE, KeyError, TypeError):
        return ReportView(at=now, error=words.strip()[:2000] or "the command made no report")


_WELL = frozenset({"passed", "skipped", "unobservable"})
