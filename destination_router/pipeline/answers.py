"""What a plugin's hook gave back for a message: requests that can be sent, or what is wrong."""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict

from destination_router.model import Cost, HttpRequest, Note, Pairing
from destination_router.pipeline.carriage import unsendable

_encode = msgspec.json.Encoder().encode


class UnfitAnswer(Exception):  # noqa: N818 -- it is the answer that errs
    """Says what is wrong with an answer, as what follows the name of the hook."""


def contents(requests: object) -> list[bytes]:
    """Look a hook's answer through.

    Returns:
        The `content` of each.

    Raises:
        UnfitAnswer: it is no list of requests, or one of them cannot be sent.
    """
    if type(requests) is not list:
        if requests is None:
            raise UnfitAnswer("returned None; return [] to ignore a message, or raise Reject")
        if not isinstance(requests, list):
            kind = type(requests).__name__
            raise UnfitAnswer(f"returned {kind}; return a list of HttpRequest")
    return [_checked(request) for request in requests]


def content(request: HttpRequest) -> bytes:
    """Write a request's content as JSON: of its form, if it has one, and else of its body."""
    return _encode(request.json if request.form is None else request.form)


def _checked(request: object) -> bytes:
    if not isinstance(request, HttpRequest):
        kind = type(request).__name__
        raise UnfitAnswer(f"returned a list that holds {kind}, not HttpRequest")
    if not _is_plainly_typed(request):
        try:
            msgspec.convert(asdict(request), HttpRequest)
        except msgspec.ValidationError as error:
            raise UnfitAnswer(f"returned a request that does not fit: {error}") from None
    if problem := unsendable(request):
        raise UnfitAnswer(f"returned a request that {problem}")
    try:
        return content(request)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        kind = type(error).__name__
        raise UnfitAnswer(f"returned a body that is not JSON ({kind})") from None


def _is_plainly_typed(request: HttpRequest) -> bool:
    """Tell of most requests at a glance that they hold what they should."""
    return (
        type(request.url) is str
        and type(request.method) is str
        and type(request.params) is dict
        and type(request.headers) is dict
        and not request.params
        and not request.headers
        and request.form is None
        and request.auth is None
        and request.message_ids == ()
        and request.items == ()
        and _is_text_or_none(request.user_key)
        and _is_text_or_none(request.state_key)
        and _is_text_or_none(request.identity)
        and _are_all(Note, request.notes)
        and (request.costs is None or _are_all(Cost, request.costs))
        and (request.bulk_costs is None or _are_all(Cost, request.bulk_costs))
        and _are_all(Pairing, request.pairings)
    )


def _is_text_or_none(value: object) -> bool:
    return value is None or type(value) is str


def _are_all(kind: type, records: object) -> bool:
    if records == ():
        return True
    return type(records) is tuple and all(type(record) is kind for record in records)
