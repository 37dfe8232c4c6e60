"""What the author of a destination imports."""

import subprocess
import sys

import pytest

import destination_router


def test_the_exported_names_are_pinned() -> None:
    """Removing a name breaks every destination; adding one is a promise."""
    assert destination_router.__all__ == [
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


def test_every_exported_name_is_there() -> None:
    """`from destination_router import *` works."""
    missing = [name for name in destination_router.__all__ if not hasattr(destination_router, name)]
    assert missing == []


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_contract_alone_loads_nothing_of_a_host() -> None:
    """A destination pays for neither an HTTP client nor a server, nor for a log on disk."""
    loaded = loaded_by("import destination_router")
    ours = {name for name in loaded if name.startswith("destination_router")}
    assert ours == {
        "destination_router",
        "destination_router.contract",
        "destination_router.contract.bulks",
        "destination_router.contract.deletion",
        "destination_router.contract.hookspecs",
        "destination_router.contract.javascript",
        "destination_router.contract.messages",
        "destination_router.contract.placeholders",
        "destination_router.contract.records",
        "destination_router.contract.times",
        "destination_router.pipeline",
        "destination_router.pipeline.decoding",
        "destination_router.pipeline.message_root",
        "destination_router.pipeline.names",
        "destination_router.pipeline.normalise",
    }
    heavy = {"httpx", "starlette", "uvicorn", "sqlite3", "jsonschema", "asyncio", "typer"}
    assert loaded & heavy == set()


def test_a_connection_loads_neither_client_nor_server_nor_log() -> None:
    """It does no I/O, and its host has its own."""
    loaded = loaded_by("from destination_router import connect; connect('heap', {'appId': '1'})")
    assert "destination_router.hosting.host_connection" in loaded
    assert loaded & {"httpx", "starlette", "uvicorn", "sqlite3"} == set()


def test_a_name_that_is_not_there_is_said_to_be_missing() -> None:
    """Lazy names do not hide a mistake."""
    with pytest.raises(AttributeError, match="no attribute 'Conect'"):
        _ = destination_router.Conect
    assert {"connect", "Router"} <= set(dir(destination_router))
