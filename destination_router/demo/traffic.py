"""The demo's traffic: one message of each important kind, sent with the real SDK for Python."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib import import_module

from destination_router.faults import UsageError

_NO_PROXY = ("NO_PROXY", "no_proxy")


def require_sdk() -> None:
    """Check that the SDK is installed, before anything starts.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import_module("rudderstack.analytics.client")
    except ImportError:
        text = "the demo sends with the real SDK: pip install 'heap-destination[demo]'"
        raise UsageError(text) from None


def send_traffic(data_plane_url: str, write_key: str) -> None:
    """Send a handful of calls as an application would, and wait until the gateway has them.

    Args:
        data_plane_url: the gateway's.
        write_key: one that it accepts.

    Raises:
        RuntimeError: the gateway did not take the events.
    """
    with _without_proxy():
        _send(data_plane_url, write_key)


@contextlib.contextmanager
def _without_proxy() -> Iterator[None]:
    """Keep the SDK from using a proxy of the environment, because the gateway is local."""
    before = {name: os.environ.get(name) for name in _NO_PROXY}
    os.environ.update(dict.fromkeys(_NO_PROXY, "*"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _send(data_plane_url: str, write_key: str) -> None:
    from rudderstack.analytics.client import Client  # noqa: PLC0415 -- the demo extra

    failures: list[Exception] = []
    client = Client(
        write_key,
        host=data_plane_url,
        on_error=lambda error, _events: failures.append(error),
        upload_interval=0.05,
        max_retries=3,
    )
    user = "ada.lovelace@example.com"
    # The identify call of https://documentation.freshpaint.io/integrations/destinations/apps/heap
    client.identify(
        user,
        {
            "email": user,
            "name": "Ada Lovelace",
            "role": "mathematician",
            "specialty": "computer languages",
        },
    )
    client.track(
        user,
        "Program Published",
        {
            "title": "Note G",
            "machine": {"name": "Analytical Engine", "columns": 50, "built": False},
            "topics": ["Bernoulli numbers", "loops"],
            "reviews": [{"by": "Babbage", "stars": 5}],
            "publisher": None,
        },
    )
    client.page(user, "Docs", "Notes on the Engine", {"url": "https://example.com/notes"})
    client.group(user, "analytical-society", {"name": "Analytical Society", "members": 12})
    client.track(anonymous_id="visitor-1815", event="Article Read", properties={"minutes": 7})
    # An id that many senders write where they know no user; it would merge them all into one.
    client.identify("undefined", {"plan": "free"})
    client.shutdown()
    if failures:
        raise RuntimeError(f"the SDK could not send: {type(failures[0]).__name__}")
