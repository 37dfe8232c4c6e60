"""One stream's rows: each becomes a message, and Heap has all of a batch before it is done.

A batch that Heap does not take makes the target fail, so that no state is written and the next run
sends it again. A row is known by its content, so Heap keeps a repeat once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from singer_sdk.sinks import BatchSink

from destination_router import HostedConnection, HttpRequest, HttpResponse, Outcome, connect

if TYPE_CHECKING:
    from collections.abc import Mapping

TRIES = 5
LONGEST_WAIT = 30.0
BAGS = {"track": "properties", "identify": "traits", "group": "traits"}


class HeapSink(BatchSink):
    """Sends a stream's rows."""

    max_size = 1000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heap: HostedConnection = connect("heap", self.config["heap"])
        streams = self.config["streams"]
        self._rule = streams.get(self.stream_name, streams.get("*"))
        if self._rule is None:
            known = ", ".join(streams) or "none"
            raise ValueError(
                f"stream {self.stream_name!r} is not configured; add it to streams, which has "
                f"{known}, or `*` for all others"
            )

    def process_batch(self, context: dict[str, Any]) -> None:
        """Send a batch: what Heap would never take is told, and all else is delivered."""
        requests: list[HttpRequest] = []
        for number, record in enumerate(context.get("records", [])):
            decision = self._heap.decide(message_of(record, self._rule))
            if decision.reject is not None:
                words = f"{decision.reject.code}: {decision.reject.detail}"
                self.logger.warning("row %d of the batch is not sent: %s", number, words)
            requests += decision.requests
        with httpx.Client(timeout=30.0) as client:
            for request in self._heap.pack(requests):
                self._deliver(client, request)

    def _deliver(self, client: httpx.Client, request: HttpRequest) -> None:
        outcome = Outcome.retry()
        for attempt in range(TRIES):
            outcomes = self._send(client, request)
            outcome = next((o for o in outcomes if o.result != "delivered"), Outcome.delivered())
            if outcome.result != "retry":
                break
            time.sleep(min(outcome.after or 0.1 * 2**attempt, LONGEST_WAIT))
        if outcome.result != "delivered":
            raise RuntimeError(f"Heap does not take it: {outcome.code} {outcome.detail}".strip())

    def _send(self, client: httpx.Client, request: HttpRequest) -> list[Outcome]:
        sent = self._heap.rendered(request)
        url = self._elsewhere(sent.url)
        try:
            answer = client.request(sent.method, url, headers=sent.headers, content=sent.content)
        except httpx.TransportError as error:
            return [Outcome.retry(code="network", detail=type(error).__name__)]
        response = HttpResponse(
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=answer.content,
        )
        return list(self._heap.outcomes(request, response).values())

    def _elsewhere(self, url: str) -> str:
        origin = self.config.get("origin")
        parts = urlsplit(url)
        return f"{origin}{parts.path}" if origin else url


def message_of(record: Mapping[str, Any], rule: Mapping[str, Any]) -> dict[str, Any]:
    """Make a message of a row: its id and time where they belong, and all other fields."""
    call, whose = rule["call"], rule["id"]
    own = {whose, rule.get("timestamp")}
    fields = {name: value for name, value in record.items() if name not in own}
    message = {
        "type": call,
        "groupId" if call == "group" else "userId": record.get(whose),
        "timestamp": record.get(rule.get("timestamp", "")),
        BAGS[call]: fields,
    }
    return message | ({"event": rule.get("event")} if call == "track" else {})
