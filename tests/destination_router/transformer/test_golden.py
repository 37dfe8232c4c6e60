"""The transformer protocol as request and response pairs, written by hand from the protocol.

Modules: `transformer/app.py`, `processing.py`, `router_batches.py`, `sequences.py`, `statuses.py`,
`features.py`, `dynamic_config.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from destination_router.service.serving import Asgi
from destination_router.transformer.app import create_transformer

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_request_gets_its_response(path: Path, serve: Callable[[Asgi], str]) -> None:
    """Each pair's `rule` says which."""
    pair = json.loads(path.read_text(encoding="utf-8"))
    request, wanted = pair["request"], pair["response"]
    url = serve(create_transformer(**pair.get("transformer", {})))

    response = httpx.request(
        request["method"],
        url + request["path"],
        headers=request["headers"],
        content=request.get("text") or json.dumps(request.get("json")),
    )

    content = response.text if "text" in wanted else response.json()
    assert content == (wanted["text"] if "text" in wanted else wanted["json"]), pair["rule"]
    assert response.status_code == wanted["status"]
    headers = {"apiVersion": "2", **wanted.get("headers", {})}
    assert {name: response.headers.get(name) for name in headers} == headers
