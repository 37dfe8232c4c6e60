"""From messages to what a receiver then has, in virtual time: what is refused costs only time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.delivery import deliver
from webhook_destination import plugin

HOUR = 3600.0
URL = "https://hooks.example/in"


def messages(count: int) -> list[dict[str, Any]]:
    return [
        {"type": "track", "messageId": f"m-{n}", "userId": f"user-{n % 5}", "event": "E"}
        for n in range(count)
    ]


def test_a_receiver_that_refuses_the_signature_for_an_hour_loses_nothing() -> None:
    """It answers 401; then it knows the secret, and every message arrives in its order."""
    settings = {"webhookUrl": URL, "signature": {"secret": "s3cret"}, "batch": {"maxEvents": 20}}
    order: list[str] = []
    tried: list[float] = []

    def vendor(clock: Callable[[], float]) -> Any:
        real = plugin.simulator(plugin.configure(settings))
        begun = clock()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if clock() - begun > HOUR:
                await real(scope, receive, send)
                return
            tried.append(clock() - begun)
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"the signature is wrong"})

        return answer

    done = deliver("webhook", settings, messages(100), vendor)
    order = sorted(done.after, key=lambda message_id: done.after[message_id])

    assert done.dead_letters == []
    assert len(order) == 100
    assert min(done.after.values()) > HOUR
    assert len(tried) < 50


def test_the_rate_is_kept() -> None:
    """No more requests in a minute than the receiver takes."""
    settings = {"webhookUrl": URL, "requestsPerMinute": 10}

    def vendor(_: Callable[[], float]) -> Any:
        return plugin.simulator(plugin.configure(settings))

    done = deliver("webhook", settings, messages(25), vendor)

    assert done.dead_letters == []
    assert sum(after < 60 for after in done.after.values()) <= 10
    assert 120 <= max(done.after.values()) < 200
