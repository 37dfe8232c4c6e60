"""Turns verdicts into a report as data, and the report into Markdown, HTML and a badge."""

from conformance.report.badge import badge
from conformance.report.html import html
from conformance.report.markdown import markdown
from conformance.report.records import Report, build_report, report_json

__all__ = ["Report", "badge", "build_report", "html", "markdown", "report_json"]
