"""Mixpanel's answers → an outcome for each message that a request carried.

- `/import` stores what is valid and names the rest by its place in the request, with status 400
  [docs.mixpanel.com/reference, Import Events].
- `/engage` and `/groups` answer 200 whatever came. With `verbose=1` the body says whether they took
  it (`status`), and if not, why (`error`), but not which record it is about
  [docs.mixpanel.com/reference, User Profiles].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from destination_router import (
    HttpRequest,
    HttpResponse,
    Json,
    Outcome,
    default_outcome,
    retry_after,
)
from mixpanel_destination.events import IMPORT

_OK = 200
_BAD_REQUEST = 400
_BUSY = frozenset({429, 502, 503})
_FIRST_WAIT = 2.0
"""Seconds: where the vendor's advised waits begin; the host doubles its own from there
[docs.mixpanel.com/reference, Import Events]."""
_DETAIL_CHARACTERS = 500


def read_response(request: HttpRequest, response: HttpResponse) -> Outcome | dict[str, Outcome]:
    """Read an answer as most vendors mean it, but for Mixpanel's partial and hidden failures."""
    if response.status in _BUSY:
        wait = retry_after(response)
        after = _FIRST_WAIT if wait is None else wait
        return Outcome.retry(after, code=f"http_{response.status}", detail=_words(response))
    if request.url.endswith(IMPORT):
        if response.status == _BAD_REQUEST and (failed := _failed_records(response.json())):
            return _partly_stored(request, failed) or default_outcome(response)
    elif response.status == _OK:
        return _read_profiles(response.json())
    return default_outcome(response)


def _partly_stored(request: HttpRequest, failed: Sequence[Any]) -> dict[str, Outcome] | None:
    """Reject what the answer names, and take the rest for stored; None if it names what is not."""
    items = request.items or (request.message_ids,)
    outcomes = dict.fromkeys(request.message_ids, Outcome.delivered())
    for record in failed:
        index = record.get("index") if isinstance(record, dict) else None
        if type(index) is not int or not 0 <= index < len(items):
            return None
        words = f"{record.get('field')}: {record.get('message')}"[:_DETAIL_CHARACTERS]
        outcomes |= dict.fromkeys(items[index], Outcome.rejected("invalid_event", words))
    return outcomes


def _failed_records(body: Json) -> list[Any]:
    failed = body.get("failed_records") if isinstance(body, dict) else None
    return failed if isinstance(failed, list) else []


def _read_profiles(body: Json) -> Outcome:
    """Read what a 200 for profiles means."""
    verdict = body.get("status") if isinstance(body, dict) else body
    error = body.get("error") if isinstance(body, dict) else None
    if verdict == 1 and not error:
        return Outcome.delivered()
    if verdict in (0, 1):
        words = str(error or "Mixpanel gives no reason")[:_DETAIL_CHARACTERS]
        return Outcome.suspect("invalid_profile", words)
    return Outcome.retry(code="unreadable_answer", detail="it does not say whether it was taken")


def _words(response: HttpResponse) -> str:
    body = response.json()
    words = body.get("error") if isinstance(body, dict) else None
    return str(words or "")[:_DETAIL_CHARACTERS]
