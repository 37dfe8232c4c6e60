"""A row of the page Live, as HTML.

A row is written for each message that comes in, so no template draws it: that would take eight
times as long. `escape` is around everything that does not come from this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from urllib.parse import quote

from markupsafe import Markup

from destination_router.eventlog.trace import Trace

_LONGEST_DETAIL = 160
_MOST_NAMES = 1000
_LINE_ENDS = str.maketrans("\r\n", "  ")


def row(trace: Trace, *, fresh: bool) -> str:
    """Write the row of a message, without line ends, because it is a line of a stream.

    Args:
        trace: the trace, without values that must not be shown.
        fresh: whether the message has just come in.
    """
    name, offset = _quoted(trace.connection), trace.offset
    second = _second(int(trace.at))
    at = f"{second}.{int(trace.at % 1 * 1000):03}+00:00"
    event = f" · {escape(trace.event)}" if trace.event else ""
    mark = ' class="fresh"' if fresh else ""
    text = (
        f'<tr id="t-{name}-{offset}"{mark}>'
        f'<td class="tight"><time datetime="{at}">{second[11:]}</time></td>'
        f'<td class="tight"><span class="pill {trace.result}">{trace.result}</span></td>'
        f'<td class="full"><a href="/live/event?connection={name}&amp;offset={offset}">'
        f"{escape(trace.type or 'message')}{event}</a>{_why(trace)}</td>"
        f"<td>{escape(trace.connection)}</td><td>{escape(trace.source)}</td>"
        f'<td class="mono small full">{escape(trace.message_id)}</td></tr>'
    )
    return text.translate(_LINE_ENDS) if "\n" in text or "\r" in text else text


def rows(traces: Iterable[Trace]) -> Markup:
    """Write the rows of a page."""
    return Markup("").join(Markup(row(trace, fresh=False)) for trace in traces)  # noqa: S704 -- `row` escapes


def missed_row(count: int) -> str:
    """Write the row that says how many messages are not shown."""
    return (
        f'<tr><td colspan="6" class="soft full">{count} messages came in faster than this page '
        "takes them, and are not shown.</td></tr>"
    )


def _why(trace: Trace) -> str:
    if not (trace.code or trace.detail):
        return ""
    between = ": " if trace.code and trace.detail else ""
    return (
        f' <span class="soft small">{escape(trace.code)}{between}'
        f"{escape(_shortened(trace.detail))}</span>"
    )


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST_DETAIL:
        return text
    return f"{text[:_LONGEST_DETAIL].rpartition(' ')[0] or text[:_LONGEST_DETAIL]} …"


@lru_cache(2)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(_MOST_NAMES)
def _quoted(connection: str) -> str:
    return quote(connection, safe="")
