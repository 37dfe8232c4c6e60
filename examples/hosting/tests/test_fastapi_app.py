"""A FastAPI app that mounts the gateway, with two destinations, as docs/hosting.md tells it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from conftest import BIN, free_port, until_it_answers


def test_events_of_the_app_and_of_an_sdk_reach_both_destinations(
    example: Callable[[str], Path],
    simulate: Callable[..., str],
    start: Callable[..., subprocess.Popen[bytes]],
) -> None:
    """Each has both events once."""
    folder = example("fastapi_app")
    config = folder / "router.toml"
    text = config.read_text()
    for port, plugin in ((9101, "heap"), (9102, "shop")):
        more = ("--set", "apiKey=a-key-of-the-shop") if plugin == "shop" else ()
        text = text.replace(f"http://127.0.0.1:{port}", simulate(plugin, *more))
    config.write_text(text)
    subprocess.run([BIN / "destination-router", "check"], cwd=folder, check=True)
    port = free_port()
    start("uvicorn", "app:app", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    assert until_it_answers(f"{url}/events/health").status_code == 200

    order = {"customer": "ada", "total": 9.5}
    assert httpx.post(f"{url}/orders", json=order).json() == {"order": "taken"}
    event = {"userId": "ada", "event": "Program Published"}
    key = ("a-key-of-your-own", "")
    assert httpx.post(f"{url}/events/v1/track", json=event, auth=key).status_code == 200
    assert httpx.post(f"{url}/events/v1/track", json=event).status_code == 401

    by = time.monotonic() + 60
    wanted = {"state": "sending", "detail": "", "delivered": 2, "behind": 0}
    while (told := httpx.get(f"{url}/deliveries").json()) != {"heap": wanted, "shop": wanted}:
        assert time.monotonic() < by, told
        time.sleep(0.05)
