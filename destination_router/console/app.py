"""The console's ASGI app: its paths and pages, who may see them, and how errors are shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from destination_router.config.router_toml import ConsoleConfig
from destination_router.console.assets import Assets
from destination_router.console.command_runs import CommandRuns
from destination_router.console.conformance_page import ConformancePage
from destination_router.console.connection_page import ConnectionPage
from destination_router.console.dead_letter_page import DeadLetterPage
from destination_router.console.desk import Desk
from destination_router.console.forms import read_form
from destination_router.console.guard import Guard
from destination_router.console.live import Live
from destination_router.console.message_page import MessagePage
from destination_router.console.overview import Overview
from destination_router.console.page import Handler, Page, session_of
from destination_router.console.privacy_page import PrivacyPage
from destination_router.console.rendering import Rendering
from destination_router.console.sessions import LIFETIME, Sessions
from destination_router.console.tester import Tester
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.faults import whereabouts
from destination_router.service.serving import Asgi

_LONGEST_PASSWORD = 1000
_LARGEST_SIGN_IN = 16 * 1024

_log = logging.getLogger(__name__)


class Console:
    """The console, ready to be served.

    Args:
        config: the configuration's table `[console]`.
        desk: reads and acts for its pages.
    """

    def __init__(self, config: ConsoleConfig, desk: Desk) -> None:
        self._desk = desk
        self._sessions = Sessions(config.password, config.viewer_password, desk.clock)
        self._assets = Assets()
        self._rendering = Rendering(self._assets, desk.clock)
        self._secure = config.url.startswith("https:")
        self._cookie = "__Host-console" if self._secure else "console"
        self.over = asyncio.Event()
        """Set when it has to end. Streams end then."""
        self.live = Live(desk, self._rendering, self.over)
        app = Starlette(
            routes=[*self._own_routes(), *map(self._route, self._pages())],
            exception_handlers={
                HTTPException: self._refused,  # type: ignore[dict-item]
                LogFileError: self._no_log,
                LogUnavailableError: self._no_log,
                Exception: self._failed,
            },
        )
        self.app: Asgi = Guard(app, config.url)

    def _pages(self) -> Iterable[Page]:
        desk, rendering, runs = self._desk, self._rendering, CommandRuns()
        yield from Overview(desk, rendering).pages()
        yield from self.live.pages()
        yield from MessagePage(desk, rendering, runs).pages()
        yield from DeadLetterPage(desk, rendering).pages()
        yield from Tester(desk, rendering).pages()
        yield from ConnectionPage(desk, rendering).pages()
        yield from PrivacyPage(desk, rendering).pages()
        yield from ConformancePage(desk, rendering, runs).pages()

    def _own_routes(self) -> Sequence[Route]:
        return (
            Route("/static/{name}", self._assets.answer),
            Route("/login", self._ask_to_sign_in, methods=["GET"]),
            Route("/login", self._sign_in, methods=["POST"]),
            Route("/logout", self._acting(self._sign_out, needs_operator=False), methods=["POST"]),
        )

    def _route(self, page: Page) -> Route:
        if page.acts:
            return Route(page.path, self._acting(page.answer), methods=["POST"])
        return Route(page.path, self._looking(page.answer), methods=["GET"])

    # -- who may -------------------------------------------------------------------------------

    def _looking(self, answer: Handler) -> Handler:
        async def answered(request: Request) -> Response:
            session = self._sessions.known(request.cookies.get(self._cookie, ""))
            if session is None:
                return self._to_sign_in(request)
            request.state.session = session
            request.state.is_signed_in = partial(self._sessions.lasts, session)
            return await answer(request)

        return answered

    def _acting(self, answer: Handler, *, needs_operator: bool = True) -> Handler:
        async def answered(request: Request) -> Response:
            session = self._sessions.known(request.cookies.get(self._cookie, ""))
            if session is None:
                return self._to_sign_in(request)
            request.state.session = session
            if needs_operator and not session.may_act:
                _log.warning(
                    "console_refused", extra={"who": session.who, "path": request.url.path}
                )
                raise HTTPException(403, "a viewer only looks: sign in as the operator to do that")
            return await answer(request)

        return answered

    def _to_sign_in(self, request: Request) -> Response:
        if request.headers.get("hx-request") or "text/html" not in request.headers.get(
            "accept", "text/html"
        ):
            return PlainTextResponse("sign in\n", 401)
        path = _path(request) if request.method == "GET" else ""
        query = f"?next={quote(path)}" if path not in {"", "/"} else ""
        return RedirectResponse(f"/login{query}", 303)

    async def _ask_to_sign_in(self, request: Request) -> Response:
        return self._rendering.page(
            request, "login.html", problem="", onward=_local(request.query_params.get("next", ""))
        )

    async def _sign_in(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        form = await read_form(request, _LARGEST_SIGN_IN)  # anybody may send it
        onward = _local(form.get("next"))
        if left := self._sessions.pauses.left(address):
            wait = max(1, round(left))
            return self._rendering.page(
                request,
                "login.html",
                status=429,
                headers={"retry-after": str(wait)},
                problem=f"Too many tries. Wait {wait} s, then try again.",
                onward=onward,
            )
        session = self._sessions.sign_in(form.get("password")[:_LONGEST_PASSWORD], form.get("name"))
        if session is None:
            self._sessions.pauses.failed(address)
            _log.warning("console_sign_in_failed", extra={"address": address})
            return self._rendering.page(
                request,
                "login.html",
                status=403,
                problem="That password is neither the operator's nor a viewer's.",
                onward=onward,
            )
        self._sessions.pauses.succeeded(address)
        _log.info("console_signed_in", extra={"who": session.who, "address": address})
        answer = RedirectResponse(onward, 303)
        answer.set_cookie(
            self._cookie,
            self._sessions.signed(session),
            max_age=round(LIFETIME),
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )
        return answer

    async def _sign_out(self, request: Request) -> Response:
        self._sessions.end(session_of(request))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict", secure=self._secure)
        return answer

    # -- errors --------------------------------------------------------------------------------

    async def _refused(self, request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        words = error.detail if error.detail != status.phrase else ""
        if status == HTTPStatus.NOT_FOUND and not words:
            words = "There is no such page. It may have been pushed out by newer messages."
        return self._told(request, status, words, error.headers)

    async def _no_log(self, request: Request, error: Exception) -> Response:
        return self._told(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    async def _failed(self, request: Request, error: Exception) -> Response:
        _log.error("console_failed", extra={"path": request.url.path, "detail": whereabouts(error)})
        words = "Something went wrong here; the router's log has a line about it."
        return self._told(request, HTTPStatus.INTERNAL_SERVER_ERROR, words)

    def _told(
        self,
        request: Request,
        status: HTTPStatus,
        words: str,
        headers: object = None,
    ) -> Response:
        if not hasattr(request.state, "session"):
            request.state.session = self._sessions.known(request.cookies.get(self._cookie, ""))
        more = dict(headers) if isinstance(headers, dict) else None
        return self._rendering.page(
            request,
            "error.html",
            status=status,
            headers=more,
            title=status.phrase,
            words=words,
        )


def _path(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _local(path: str) -> str:
    """Return a path within this console; the first page if the path leads elsewhere."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    is_local = path.startswith("/") and not path.startswith(("//", "/\\"))
    if not is_local or parts.netloc or any(not char.isprintable() for char in path):
        return "/"
    return path
