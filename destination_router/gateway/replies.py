"""All answers of the gateway, word for word as rudder-server's gateway gives them.

Senders decide by the status whether to send again, and people search for the words.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import PlainTextResponse

from destination_router.gateway.body_room import RETRY_AFTER_SECONDS


class Reply(msgspec.Struct, frozen=True):
    """A status and a text. On the wire, an error's text ends with a newline.

    Attributes:
        status: the HTTP status.
        text: the body.
        after: `Retry-After`, in seconds; None: it is not sent.
    """

    status: int
    text: str
    after: int | None = None

    def response(self) -> PlainTextResponse:
        """Write it as Go's `http.Error` does, or, for 200, as a plain write."""
        if self.status == 200:  # noqa: PLR2004 -- the one status that is no error
            return PlainTextResponse(self.text)
        return PlainTextResponse(
            f"{self.text}\n" if self.text else "",
            self.status,
            headers={"X-Content-Type-Options": "nosniff"} | self._when(),
        )

    def _when(self) -> dict[str, str]:
        return {} if self.after is None else {"Retry-After": str(self.after)}


def import_reply(codes: Sequence[str]) -> Reply:
    """Answer an import by the codes of its refused users.

    rudder-server joins two different refusals, and then has no status for them but 500.
    """
    if not codes:
        return ANSWERS["accepted"]
    if len(codes) == 1:
        return ANSWERS[codes[0]]
    return Reply(500, "".join(ANSWERS[code].text for code in codes))


ANSWERS: dict[str, Reply] = {
    "accepted": Reply(200, "ok"),
    "missing_body": Reply(400, "request body is nil"),
    "invalid_json": Reply(400, "invalid json"),
    "empty_batch": Reply(400, "empty batch payload"),
    "not_an_object": Reply(400, "event is not a valid rudder event"),
    "missing_identity": Reply(400, "request neither has anonymousId nor userId"),
    "missing_write_key": Reply(401, "failed to read writekey from header"),
    "missing_query_key": Reply(401, "failed to read writekey from query params"),
    "invalid_write_key": Reply(401, "invalid write key"),
    "source_disabled": Reply(404, "source is disabled"),
    "not_found": Reply(404, "404 page not found"),
    "method_not_allowed": Reply(405, ""),
    "too_large": Reply(413, "request size exceeds max limit"),
    "too_many_events": Reply(413, "request size exceeds max limit"),
    "unreadable_body": Reply(500, "failed to read body from request"),
    "unavailable": Reply(503, "Service Unavailable"),
    "overloaded": Reply(503, "Service Unavailable", RETRY_AFTER_SECONDS),
}
"""The answer for each outcome of a request, by the code of `Reject`."""

HEALTH = {
    "appType": "EMBEDDED",
    "server": "UP",
    "db": "UP",
    "acceptingEvents": "TRUE",
    "routingEvents": "TRUE",
    "mode": "NORMAL",
    "backendConfigMode": "JSON",
    "lastSync": "",
    "lastRegulationSync": "",
}
"""The answer to a probe while all is well."""
