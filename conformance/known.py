"""Failures that are known: listed in `pyproject.toml` with a reason and a link, until they pass.

[[tool.destination_router.conformance.known_failures]]
id = "track/event-of-1025-characters"
reason = "our gateway refuses longer names already"
link = "https://github.com/acme/my-destination/issues/7"
destination = "my-destination"      # needed where several are tested
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from destination_router.faults import file_problem
from destination_router.settings.documents import DocumentError, parse_toml


class KnownFailureError(ValueError):
    """A list of known failures that is invalid. The text names the file and the reason."""


class KnownFailure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case or check that fails, the reason, and a link to the work on it."""

    id: str
    reason: str
    link: str
    destination: str = ""


NONE_KNOWN: Final[Mapping[str, KnownFailure]] = MappingProxyType({})


def load_known_failures(
    pyproject: Path, destination: str, ids: Collection[str]
) -> dict[str, KnownFailure]:
    """Read the known failures of one destination, by id. Without a file, there are none.

    Args:
        pyproject: the `pyproject.toml`.
        destination: whose failures are wanted.
        ids: all cases and checks that there are.

    Raises:
        KnownFailureError: the list is malformed, or names what does not exist.
    """
    try:
        document = parse_toml(pyproject.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except DocumentError as error:
        raise KnownFailureError(f"{pyproject} {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KnownFailureError(file_problem(pyproject, error)) from error
    listed = _listed(pyproject, document)
    mine = [failure for failure in listed if failure.destination in ("", destination)]
    for failure in mine:
        if failure.id not in ids:
            raise KnownFailureError(
                f"{pyproject}: known failure {failure.id}: there is no such case; take it off the "
                "list, or say which destination it is of"
            )
    return {failure.id: failure for failure in mine}


def _listed(pyproject: Path, document: dict[str, Any]) -> list[KnownFailure]:
    table = document.get("tool", {}).get("destination_router", {}).get("conformance", {})
    raw = table.get("known_failures", [])
    try:
        failures = msgspec.convert(raw, list[KnownFailure])
    except msgspec.ValidationError as error:
        raise KnownFailureError(f"{pyproject}: known_failures: {error}") from error
    for failure in failures:
        if not failure.reason.strip() or not failure.link.startswith(("https://", "http://")):
            raise KnownFailureError(
                f"{pyproject}: known failure {failure.id}: give a reason, and a link to follow"
            )
    return failures
