"""Checks every request before a page sees it, and adds the security headers to every answer.

Against DNS rebinding, a request must name this console in `Host`: by an address, which no name
can be rebound to, by `localhost`, or by the name in router.toml. Against requests that another site
makes a browser send, `Sec-Fetch-Site` and `Origin` say who asks. A page's content runs no script
and loads only the console's own files (`Content-Security-Policy`). No other site may read or frame
a page: there is no `Access-Control-*`.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_READING = frozenset({"GET", "HEAD"})
_LOCAL_NAMES = frozenset({"localhost", "localhost."})


class Guard:
    """An ASGI app in front of the pages.

    Args:
        app: the pages.
        url: the URL of the pages behind a proxy; empty: there is no proxy.
    """

    def __init__(self, app: ASGIApp, url: str = "") -> None:
        self._app = app
        self._origin = _netloc(url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, marked)
        else:
            await PlainTextResponse(f"{refusal}\n", 403)(scope, receive, marked)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return (
                "this console is not called so: open it by its address or as localhost, or name it "
                "in [console] url"
            )
        site = headers.get("sec-fetch-site")
        if method in _READING:
            if site in {None, "same-origin", "none"} or _is_navigation(headers):
                return None
            return "another site asked for this; open the console itself"
        if site is not None:
            return None if site == "same-origin" else "another site sent this; nothing was done"
        origin = headers.get("origin")
        if origin is None:
            return "nothing was done: a browser says which site sends a form, and this did not"
        sent_by = _netloc(origin)
        if sent_by and sent_by in {hosts[0].lower(), self._origin}:
            return None
        return "another site sent this; nothing was done"

    def _is_ours(self, host: str) -> bool:
        if self._origin and host.lower() == self._origin:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in _LOCAL_NAMES:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _is_navigation(headers: Headers) -> bool:
    """Whether a person followed a link to a page. The linking site sees nothing of the page."""
    return (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
