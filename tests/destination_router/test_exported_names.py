"""What the author of a destination imports."""

import destination_router


def test_the_exported_names_are_pinned() -> None:
    """Removing a name breaks every destination; adding one is a promise."""
    assert destination_router.__all__ == [
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


def test_every_exported_name_is_there() -> None:
    """`from destination_router import *` works."""
    missing = [name for name in destination_router.__all__ if not hasattr(destination_router, name)]
    assert missing == []
