"""How much memory the bodies of requests may take together.

Modules: `transformer/app.py`, `gateway/body_room.py`.
"""

from collections.abc import Callable

import httpx

from destination_router.gateway.body_room import FREE_BYTES
from destination_router.service.serving import Asgi
from destination_router.transformer.app import create_transformer


def test_a_body_that_finds_no_room_is_to_be_sent_again(serve: Callable[[Asgi], str]) -> None:
    """rudder-server sends again for as long as it reads so, and small bodies find room."""
    url = serve(create_transformer(max_bodies_bytes=1000))
    large = b"[" + b" " * (FREE_BYTES + 1000) + b"]"
    for _ in range(2):  # what was held is given back
        refused = httpx.post(f"{url}/v0/destinations/heap", content=large)
        assert refused.status_code == 503
        assert refused.headers["x-rudder-should-retry"] == "true"
        assert int(refused.headers["retry-after"]) > 0
        small = b"[" + b" " * (FREE_BYTES - 2) + b"]"
        assert httpx.post(f"{url}/v0/destinations/heap", content=small).status_code == 200
