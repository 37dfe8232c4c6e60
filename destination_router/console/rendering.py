"""Draws pages as HTML, with Jinja's templates, which escape everything, and formats numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from destination_router.console.assets import Assets
from destination_router.console.charts import bars, line
from destination_router.console.percentiles import percentile
from destination_router.console.sessions import Session
from destination_router.faults import UNDECODABLE

NAVIGATION = (
    ("/", "Overview"),
    ("/live", "Live"),
    ("/dead-letters", "Dead letters"),
    ("/tester", "Tester"),
    ("/connections", "Connections"),
    ("/privacy", "Privacy"),
    ("/conformance", "Conformance"),
)

_LONGEST_SHOWN = 100_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_MILLISECONDS = 1000


class Rendering:
    """Draws pages.

    Args:
        assets: the files that pages load.
        clock: Unix time, in seconds.
    """

    def __init__(self, assets: Assets, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._templates = Environment(
            loader=PackageLoader("destination_router.console"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(asset=assets.url, bars=bars, line=line)
        self._templates.filters.update(
            count=count,
            moment=moment,
            time_of_day=time_of_day,
            iso=iso,
            lasting=lasting,
            pretty=pretty,
            p50=lambda rollup: percentile(rollup.latency, 0.5),
            p95=lambda rollup: percentile(rollup.latency, 0.95),
            ago=lambda at: lasting(max(0.0, clock() - at)),
        )

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **about: Any,
    ) -> HTMLResponse:
        """Answer with a page."""
        session: Session | None = getattr(request.state, "session", None)
        text = self._templates.get_template(template).render(
            session=session,
            may_act=session is not None and session.may_act,
            navigation=NAVIGATION,
            here=request.url.path,
            now=self._clock(),
            **about,
        )
        return HTMLResponse(text, status, headers)

    def part(self, template: str, **about: Any) -> str:
        """Write a part of a page."""
        return self._templates.get_template(template).render(**about)


def count(number: float) -> str:
    """Write a number as people read it: `12,345`."""
    return f"{number:,.0f}"


def moment(at: float | None) -> str:
    """Write a Unix time: `2026-11-29 21:40:07 UTC`. No line break separates `UTC` from the time."""
    if at is None:
        return "—"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S\u00a0UTC")


def time_of_day(at: float) -> str:
    """Write the time of a Unix time: `21:40:07`."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def iso(at: float) -> str:
    """Write a Unix time for programs."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def lasting(seconds: float | None) -> str:
    """Write a duration: `35 ms`, `4.2 s`, `3 min`, `2 h`, `5 d`."""
    if seconds is None:
        return "—"
    if seconds < 1:
        return f"{seconds * _MILLISECONDS:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 -- below this, one more digit is useful
        return f"{seconds:.1f} s"
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{seconds:.0f} s"


def pretty(value: Any) -> str:
    """Write JSON on several lines; other text as it is. Of very long text, only the beginning."""
    text = _pretty(value)
    if len(text) <= _LONGEST_SHOWN:
        return text
    return f"{text[:_LONGEST_SHOWN]}\n... and {len(text) - _LONGEST_SHOWN:,} characters more"


def _pretty(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        try:
            value = msgspec.json.decode(value)
        except UNDECODABLE:
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
