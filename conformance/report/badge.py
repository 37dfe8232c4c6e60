"""The badge: `conformance | 98%`, as SVG that needs no font and no network."""

from __future__ import annotations

from conformance.report.records import Report

_LABEL = "conformance"
_COLOURS = {"success": "#2e7d32", "partial": "#8a5a00", "failure": "#b3261e"}
_CHARACTER = 7
_PADDING = 10


def badge(report: Report) -> str:
    """Draw a badge: the percentage is rounded down, so that 100% means all of it."""
    told = f"{report.percent}%"
    left = len(_LABEL) * _CHARACTER + _PADDING
    right = len(told) * _CHARACTER + 2 * _PADDING
    title = f"{_LABEL}: {told} ({report.destination.name}, suite {report.suite_version})"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{title}"><title>{title}</title>'
        f'<rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLOURS[report.result]}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" '
        f'font-size="11"><text x="{left / 2:g}" y="14" textLength="{left - _PADDING}">{_LABEL}'
        f'</text><text x="{left + right / 2:g}" y="14">{told}</text></g></svg>\n'
    )
