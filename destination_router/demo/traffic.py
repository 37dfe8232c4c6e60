"""The demo's traffic: one message of each important kind, sent with the real SDK for Python.

Where the SDK is not installed (the extra `demo`), the same calls go out as one request.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx

from destination_router.contract.records import Json

_NO_PROXY = ("NO_PROXY", "no_proxy")


def has_sdk() -> bool:
    """Tell whether RudderStack's SDK is installed."""
    try:
        import_module("rudderstack.analytics.client")
    except ImportError:
        return False
    return True


def send_traffic(data_plane_url: str, write_key: str) -> None:
    """Send a handful of calls as an application would, and wait until the gateway has them.

    Args:
        data_plane_url: the gateway's.
        write_key: one that it accepts.

    Raises:
        RuntimeError: the gateway did not take the events.
    """
    if not has_sdk():
        client = _PlainClient(data_plane_url, write_key)
        _call(client)
        client.shutdown()
        return
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
    _call(client)
    client.shutdown()
    if failures:
        raise RuntimeError(f"the SDK could not send: {type(failures[0]).__name__}")


def _call(client: Any) -> None:
    """Make the calls of the demo with a client of the SDK's form."""
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


class _PlainClient:
    """Takes the calls of the demo in place of the SDK's client, and sends them in one request.

    Args:
        url: the gateway's.
        write_key: one that it accepts.
    """

    def __init__(self, url: str, write_key: str) -> None:
        self._url = url
        self._write_key = write_key
        self._batch: list[Json] = []

    def identify(self, user: str, traits: Json) -> None:
        """Say who a user is."""
        self._batch.append({"type": "identify", "userId": user, "traits": traits})

    def track(
        self,
        user: str | None = None,
        event: str = "",
        properties: Json = None,
        anonymous_id: str | None = None,
    ) -> None:
        """Say what a user did."""
        who = {"userId": user} if user is not None else {"anonymousId": anonymous_id}
        self._batch.append({"type": "track", **who, "event": event, "properties": properties})

    def page(self, user: str, category: str, name: str, properties: Json) -> None:
        """Say which page a user saw."""
        page = {"category": category, "name": name, "properties": properties}
        self._batch.append({"type": "page", "userId": user, **page})

    def group(self, user: str, group: str, traits: Json) -> None:
        """Say which account a user belongs to."""
        self._batch.append({"type": "group", "userId": user, "groupId": group, "traits": traits})

    def shutdown(self) -> None:
        """Send everything.

        Raises:
            RuntimeError: the gateway did not take it.
        """
        with httpx.Client(trust_env=False, timeout=30.0) as client:
            url, key = f"{self._url}/v1/batch", (self._write_key, "")
            answer = client.post(url, json={"batch": self._batch}, auth=key)
        if not answer.is_success:
            raise RuntimeError(f"the gateway answered {answer.status_code}")
