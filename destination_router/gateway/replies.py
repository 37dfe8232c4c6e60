"""Every answer of the gateway, word for word as rudder-server's gateway gives it.

Senders decide by the status whether to send again, and people search for the words.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import PlainTextResponse


class Answer(msgspec.Struct, frozen=True):
    """A status and a text; an error's text ends with a newline on the wire."""

    status: int
    text: str

    def response(self) -> PlainTextResponse:
        """Write it as Go's `http.Error` does, or, for 200, as a plain write."""
        if self.status == 200:  # noqa: PLR2004 -- the one status that is no error
            return PlainTextResponse(self.text)
        return PlainTextResponse(
            f"{self.text}\n" if self.text else "",
            self.status,
            headers={"X-Content-Type-Options": "nosniff"},
        )


def import_answer(codes: Sequence[str]) -> Answer:
    """Answer an import by what its users' events were refused for.

    Two refusals are told in one breath, which rudder-server then knows no status for but 500.
    """
    if not codes:
        return ANSWERS["accepted"]
    if len(codes) == 1:
        return ANSWERS[codes[0]]
    return Answer(500, "".join(ANSWERS[code].text for code in codes))


ANSWERS: dict[str, Answer] = {
    "accepted": Answer(200, "ok"),
    "missing_body": Answer(400, "request body is nil"),
    "invalid_json": Answer(400, "invalid json"),
    "empty_batch": Answer(400, "empty batch payload"),
    "not_an_object": Answer(400, "event is not a valid rudder event"),
    "missing_identity": Answer(400, "request neither has anonymousId nor userId"),
    "missing_write_key": Answer(401, "failed to read writekey from header"),
    "missing_query_key": Answer(401, "failed to read writekey from query params"),
    "invalid_write_key": Answer(401, "invalid write key"),
    "not_found": Answer(404, "404 page not found"),
    "method_not_allowed": Answer(405, ""),
    "too_large": Answer(413, "request size exceeds max limit"),
    "unreadable_body": Answer(500, "failed to read body from request"),
    "unavailable": Answer(503, "Service Unavailable"),
}
"""What each outcome of a request is answered with; the keys are the codes of `Reject`."""

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
"""What a probe reads while all is well."""
