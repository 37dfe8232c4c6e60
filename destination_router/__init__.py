"""Everything that the author of a destination imports, and nothing else.

A destination is a module whose functions carry `@hookimpl`; `Destination` lists the hooks, the
messages are what they receive, `HttpRequest` is what they return.
"""

from destination_router.hookspecs import Destination, hookimpl
from destination_router.messages import Alias, Group, Identify, Message, Page, Screen, Track
from destination_router.model import (
    BasicAuth,
    BearerAuth,
    Cost,
    HttpRequest,
    HttpResponse,
    Json,
    Note,
    Outcome,
    Quota,
    Reject,
    default_outcome,
)
from destination_router.pipeline.normalise import parse_message
from destination_router.times import format_time, parse_time

__all__ = [
    "Alias",
    "BasicAuth",
    "BearerAuth",
    "Cost",
    "Destination",
    "Group",
    "HttpRequest",
    "HttpResponse",
    "Identify",
    "Json",
    "Message",
    "Note",
    "Outcome",
    "Page",
    "Quota",
    "Reject",
    "Screen",
    "Track",
    "default_outcome",
    "format_time",
    "hookimpl",
    "parse_message",
    "parse_time",
]
