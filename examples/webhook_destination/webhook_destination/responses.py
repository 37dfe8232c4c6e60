"""The receiver's answers → outcomes: by status, as the settings say, else as most mean it."""

from __future__ import annotations

from destination_router import (
    HttpRequest,
    HttpResponse,
    Outcome,
    default_outcome,
    retry_after,
)
from webhook_destination.settings import WebhookSettings

_NOT_THERE = frozenset({404, 405, 410})
_WORDS = 500


def read_response(
    request: HttpRequest, response: HttpResponse, settings: WebhookSettings
) -> Outcome:
    """Read an answer.

    A path that an event names and the receiver does not have is that event's own fault: it must
    not hold up the others, as a configured URL that is not there does.
    """
    said = _as_told(response, settings.outcome_of.get(response.status, ""))
    if said is not None:
        return said
    astray = response.status in _NOT_THERE or 300 <= response.status < 400  # noqa: PLR2004 -- redirects
    if astray and request.url != settings.target.url:
        return Outcome.rejected(f"http_{response.status}", _words(response))
    return default_outcome(response)


def _as_told(response: HttpResponse, result: str) -> Outcome | None:
    code = f"http_{response.status}"
    match result:
        case "delivered":
            return Outcome.delivered()
        case "retry":
            return Outcome.retry(retry_after(response), code=code)
        case "held":
            return Outcome.held(code, _words(response))
        case "rejected":
            return Outcome.rejected(code, _words(response))
    return None


def _words(response: HttpResponse) -> str:
    return response.text.strip().partition("\n")[0][:_WORDS]
