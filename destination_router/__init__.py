"""Everything that the author of a destination imports, and everything that a host imports.

A destination is a module whose functions carry `@hookimpl`. `Destination` lists the hooks. They
receive messages and return `HttpRequest`s.

A host uses `connect`, `Router` or `BlockingRouter`. Their modules are imported on first use, so a
destination loads none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from destination_router.contract import javascript
from destination_router.contract.bulks import body_bytes, bulks, folded
from destination_router.contract.deletion import (
    DeletionProgress,
    DeletionToken,
    Identifier,
    UserDeletion,
)
from destination_router.contract.hookspecs import Destination, SharedManagerWarning, hookimpl
from destination_router.contract.messages import (
    Alias,
    Group,
    Identify,
    Message,
    Page,
    Screen,
    Track,
)
from destination_router.contract.placeholders import (
    PLACEHOLDER_IDS,
    harmless_ends,
    is_placeholder_id,
    placeholder_reason,
)
from destination_router.contract.records import (
    BasicAuth,
    BearerAuth,
    Cost,
    Field,
    HttpRequest,
    HttpResponse,
    Ignored,
    Imported,
    Json,
    Note,
    Outcome,
    Pairing,
    Quota,
    Reject,
    default_outcome,
    retry_after,
)
from destination_router.contract.times import format_time, parse_time, utc_text
from destination_router.pipeline.normalise import parse_message

if TYPE_CHECKING:
    from destination_router.eventlog.interface import LogUnavailableError
    from destination_router.hosting.blocking_router import BlockingRouter
    from destination_router.hosting.configuration import ConfigurationError
    from destination_router.hosting.connection_stats import ConnectionStats
    from destination_router.hosting.host_connection import (
        HostedConnection,
        RenderedRequest,
        connect,
    )
    from destination_router.hosting.host_router import Router
    from destination_router.pipeline.decisions import Decision, Refusal

__all__ = [
    "PLACEHOLDER_IDS",
    "Alias",
    "BasicAuth",
    "BearerAuth",
    "BlockingRouter",
    "ConfigurationError",
    "ConnectionStats",
    "Cost",
    "Decision",
    "DeletionProgress",
    "DeletionToken",
    "Destination",
    "Field",
    "Group",
    "HostedConnection",
    "HttpRequest",
    "HttpResponse",
    "Identifier",
    "Identify",
    "Ignored",
    "Imported",
    "Json",
    "LogUnavailableError",
    "Message",
    "Note",
    "Outcome",
    "Page",
    "Pairing",
    "Quota",
    "Refusal",
    "Reject",
    "RenderedRequest",
    "Router",
    "Screen",
    "SharedManagerWarning",
    "Track",
    "UserDeletion",
    "body_bytes",
    "bulks",
    "connect",
    "default_outcome",
    "folded",
    "format_time",
    "harmless_ends",
    "hookimpl",
    "is_placeholder_id",
    "javascript",
    "parse_message",
    "parse_time",
    "placeholder_reason",
    "retry_after",
    "utc_text",
]

_OF_HOSTS = {
    "BlockingRouter": "destination_router.hosting.blocking_router",
    "ConfigurationError": "destination_router.hosting.configuration",
    "ConnectionStats": "destination_router.hosting.connection_stats",
    "Decision": "destination_router.pipeline.decisions",
    "HostedConnection": "destination_router.hosting.host_connection",
    "LogUnavailableError": "destination_router.eventlog.interface",
    "Refusal": "destination_router.pipeline.decisions",
    "RenderedRequest": "destination_router.hosting.host_connection",
    "Router": "destination_router.hosting.host_router",
    "connect": "destination_router.hosting.host_connection",
}
"""The module of each name that only hosts use."""


def __getattr__(name: str) -> Any:
    """Import a name for hosts on first use."""
    where = _OF_HOSTS.get(name)
    if where is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(where), name)
    return found


def __dir__() -> list[str]:
    """List all names, imported or not."""
    return sorted({*globals(), *__all__})
