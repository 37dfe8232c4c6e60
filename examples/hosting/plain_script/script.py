"""Sends messages, one a line, with nothing but a connection and an HTTP client of your choice.

`python script.py APP_ID [ORIGIN] < messages.jsonl`
"""

import sys
from collections import Counter

import httpx

from destination_router import HttpResponse, connect

WINDOW = 1000


def main(app_id: str, origin: str | None) -> None:
    """Decide, pack, send, and tell what became of it."""
    heap = connect("heap", {"appId": app_id})
    told: Counter[str] = Counter()
    requests = []
    for line in sys.stdin.buffer:
        decision = heap.decide(line)
        if decision.reject is not None:
            print(f"{decision.message_id}: {decision.reject.code}: {decision.reject.detail}")
        told[decision.result] += 1
        requests += decision.requests
    with httpx.Client(timeout=30.0) as client:
        for start in range(0, len(requests), WINDOW):
            for request in heap.pack(requests[start : start + WINDOW]):
                sent = heap.rendered(request)
                url = sent.url if origin is None else sent.url.replace(BASE, origin, 1)
                answer = client.request(
                    sent.method, url, headers=sent.headers, content=sent.content
                )
                headers = {name.lower(): value for name, value in answer.headers.items()}
                response = HttpResponse(
                    status=answer.status_code, headers=headers, body=answer.content
                )
                # `retry` and `held` are for you to send again: a Router does that by itself.
                for outcome in heap.outcomes(request, response).values():
                    told[outcome.result] += 1
    print(dict(told))


BASE = "https://heapanalytics.com"

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)  # noqa: PLR2004
