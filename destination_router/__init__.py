"""Everything that the author of a destination imports, and nothing else.

A destination is a module whose functions carry `@hookimpl`; `Destination` lists the hooks, the
messages are what they receive, `HttpRequest` is what they return.
"""

from destination_router.contract import javascript
from destination_router.contract.bulks import body_bytes, bulks, folded
from destination_router.contract.deletion import (
    DeletionProgress,
    DeletionToken,
    Identifier,
    UserDeletion,
)
from destination_router.contract.hookspecs import Destination, hookimpl
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

__all__ = [
    "PLACEHOLDER_IDS",
    "Alias",
    "BasicAuth",
    "BearerAuth",
    "Cost",
    "DeletionProgress",
    "DeletionToken",
    "Destination",
    "Field",
    "Group",
    "HttpRequest",
    "HttpResponse",
    "Identifier",
    "Identify",
    "Ignored",
    "Imported",
    "Json",
    "Message",
    "Note",
    "Outcome",
    "Page",
    "Pairing",
    "Quota",
    "Reject",
    "Screen",
    "Track",
    "UserDeletion",
    "body_bytes",
    "bulks",
    "default_outcome",
    "folded",
    "format_time",
    "hookimpl",
    "is_placeholder_id",
    "javascript",
    "parse_message",
    "parse_time",
    "placeholder_reason",
    "retry_after",
    "utc_text",
]
