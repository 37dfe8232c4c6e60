"""From messages to what Mixpanel then holds, in virtual time: wrong credentials cost only time."""

from collections.abc import Callable
from typing import Any

import pytest

from conformance.delivery import deliver
from mixpanel_destination.simulator import create_simulator

TOKEN = "a-project-token"
TIME = "2025-11-22T10:00:00.000Z"
HOUR = 3600.0


def messages(count: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number in range(count):
        common = {"userId": f"user-{number % 10}", "timestamp": TIME}
        made.append(
            {"type": "identify", "messageId": f"i-{number}", "traits": {"n": number}, **common}
        )
        made.append({"type": "track", "messageId": f"t-{number}", "event": "E", **common})
    return made


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_lose_nothing(status: int) -> None:
    """Events wait for an hour, while profiles, which have no credentials, may go on."""
    tried: list[float] = []
    taken: list[str] = []

    def vendor(clock: Callable[[], float]) -> Any:
        real = create_simulator(TOKEN, clock=clock)
        begun = clock()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] != "/import" or clock() - begun > HOUR:
                taken.append(scope["path"])
                await real(scope, receive, send)
                return
            tried.append(clock() - begun)
            body = b'{"code": %d, "error": "no", "status": "no"}' % status
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": body})

        return answer

    sent = messages(200)
    done = deliver("mixpanel", {"token": TOKEN}, sent, vendor)

    assert done.dead_letters == []
    assert done.after.keys() == {message["messageId"] for message in sent}
    events = [done.after[f"t-{number}"] for number in range(200)]
    assert min(events) > HOUR
    assert max(events) < HOUR + 700
    assert events[::10] == sorted(events[::10])
    assert len(tried) < 500
