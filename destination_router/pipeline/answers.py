"""What a plugin's hook gave back for a message: requests that can be sent, or what is wrong."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import asdict

from destination_router.contract.records import Cost, HttpRequest, Note, Pairing
from destination_router.pipeline.carriage import unsendable

_NOTHING: dict[str, str] = {}
_ARE_NOTES = frozenset({Note})
_ARE_COSTS = frozenset({Cost})
_ARE_PAIRINGS = frozenset({Pairing})
_MAY_BE_TEXT = frozenset({str, type(None)})

_encode = msgspec.json.Encoder().encode


class UnfitAnswer(Exception):  # noqa: N818 -- it is the answer that errs
    """Says what is wrong with an answer, as what follows the name of the hook."""


def contents(requests: object) -> list[bytes]:
    """Look through what HTTP would carry of a hook's answer.

    Returns:
        The `content` of each request.

    Raises:
        UnfitAnswer: it is no list of requests, or one of them cannot be sent.
    """
    if requests is None:
        raise UnfitAnswer("returned None; return [] to ignore a message, or raise Reject")
    if not isinstance(requests, list):
        kind = type(requests).__name__
        raise UnfitAnswer(f"returned {kind}; return a list of HttpRequest")
    return [_checked(request) for request in requests]


def content(request: HttpRequest) -> bytes:
    """Write a request's content as JSON: of its form, if it has one, and else of its body."""
    return _encode(request.json if request.form is None else request.form)


def check_records(requests: Iterable[HttpRequest]) -> None:
    """Look through what the host keeps books of: notes, costs, pairings and whose they are.

    Raises:
        UnfitAnswer: it is of another type than it should be.
    """
    for request in requests:
        if not _has_plain_records(request):
            _check_types(request)


def _checked(request: object) -> bytes:
    if not isinstance(request, HttpRequest):
        kind = type(request).__name__
        raise UnfitAnswer(f"returned a list that holds {kind}, not HttpRequest")
    url, method, headers = request.url, request.method, request.headers
    # Most requests hold what they should at a glance.
    if (
        not (type(url) is str and type(method) is str and request.params == _NOTHING == headers)
        or request.form is not None
        or request.auth is not None
    ):
        _check_types(request)
    if problem := unsendable(method, url, headers):
        raise UnfitAnswer(f"returned a request that {problem}")
    try:
        return content(request)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        kind = type(error).__name__
        raise UnfitAnswer(f"returned a body that is not JSON ({kind})") from None


def _check_types(request: HttpRequest) -> None:
    try:
        msgspec.convert(asdict(request), HttpRequest)
    except msgspec.ValidationError as error:
        raise UnfitAnswer(f"returned a request that does not fit: {error}") from None


def _has_plain_records(request: HttpRequest) -> bool:
    notes, costs, bulk_costs = request.notes, request.costs, request.bulk_costs
    return (
        request.message_ids == () == request.items
        and type(request.user_key) in _MAY_BE_TEXT
        and type(request.state_key) in _MAY_BE_TEXT
        and type(request.identity) in _MAY_BE_TEXT
        and (type(notes) is tuple and _ARE_NOTES.issuperset(map(type, notes)))
        and (costs is None or (type(costs) is tuple and _ARE_COSTS.issuperset(map(type, costs))))
        and (
            bulk_costs is None
            or (type(bulk_costs) is tuple and _ARE_COSTS.issuperset(map(type, bulk_costs)))
        )
        and (
            request.pairings == ()
            or (
                type(request.pairings) is tuple
                and _ARE_PAIRINGS.issuperset(map(type, request.pairings))
            )
        )
    )
