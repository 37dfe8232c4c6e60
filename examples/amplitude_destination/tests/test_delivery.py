"""From messages to what Amplitude then holds: a real router, the plugin and the simulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from amplitude_destination.simulator import Fault, SimulatedAmplitude, create_simulator
from conformance.delivery import Delivered, deliver

KEY = "0123456789abcdef0123456789abcdef"


class Vendor:
    """A simulated Amplitude that a test prepares, and looks into afterwards.

    Args:
        prepare: what is done to it beforehand.
        until: for how long its faults last, in seconds.
    """

    def __init__(
        self, prepare: Callable[[Starlette], None] = lambda _: None, until: float = inf
    ) -> None:
        self._prepare = prepare
        self._until = until

    def __call__(self, clock: Callable[[], float]) -> Any:
        self.app = create_simulator(KEY, clock=clock)
        self._prepare(self.app)
        mended_at = clock() + self._until

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if clock() > mended_at:
                self.app.state.faults.rules.clear()
            await self.app(scope, receive, send)

        return answer

    @property
    def amplitude(self) -> SimulatedAmplitude:
        found: SimulatedAmplitude = self.app.state.amplitude
        return found

    def keys(self) -> list[str]:
        """The insert ids of the events that Amplitude holds, in the order in which they came."""
        return [event["insert_id"] for event in self.amplitude.store.events()]


def run(vendor: Vendor, messages: list[dict[str, Any]], **settings: Any) -> Delivered:
    return deliver("amplitude", {"apiKey": KEY, **settings}, messages, vendor)


def track(number: int, user: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": f"m-{number}",
        "userId": user or f"user-{number}",
        "event": "Song Played",
        "timestamp": "2026-11-22T10:00:00Z",
        **fields,
    }


def refuse_one(app: Starlette) -> None:
    """Answer as Amplitude does about a field that the plugin would never spoil."""
    amplitude: SimulatedAmplitude = app.state.amplitude
    answer = amplitude.answer

    def with_a_grudge(path: str, content_type: str, body: bytes) -> Any:
        events = msgspec.json.decode(body).get("events", [])
        bad = [i for i, e in enumerate(events) if e["event_type"] == "Spoilt"]
        if bad:
            spoilt = [{**e, "time": "now"} if i in bad else e for i, e in enumerate(events)]
            body = msgspec.json.encode({"api_key": KEY, "events": spoilt})
        return answer(path, content_type, body)

    amplitude.answer = with_a_grudge  # type: ignore[method-assign]


def exhaust(app: Starlette) -> None:
    """Let somebody else use up what a user may send in a second."""
    burst = [{"event_type": "E", "user_id": "noisy-user"}] * 31
    body = msgspec.json.encode({"api_key": KEY, "events": burst})
    status, answer = app.state.amplitude.answer("/2/httpapi", "application/json", body)
    assert (status, answer["throttled_users"]) == (429, {"noisy-user": 31.0})


def test_a_bad_event_and_a_throttled_user_cost_nobody_else() -> None:
    """The rest is delivered at once, the bad one a dead letter, the throttled one retried."""
    messages = [track(n) for n in range(100)]
    messages[17]["event"] = "Spoilt"
    messages[40]["userId"] = messages[60]["userId"] = "noisy-user"

    def prepare(app: Starlette) -> None:
        exhaust(app)
        refuse_one(app)

    vendor = Vendor(prepare)
    done = run(vendor, messages, eventApi="httpapi")

    (letter,) = done.dead_letters
    assert (letter.message_id, letter.code) == ("m-17", "invalid_event")
    assert letter.detail == (
        "Invalid field values on some events: events_with_invalid_fields: time"
    )
    late = ["m-40", "m-60"]
    early = [f"m-{n}" for n in range(100) if n not in (17, 40, 60)]
    assert vendor.keys() == [*early, *late]
    assert max(done.after[key] for key in early) < 1
    assert all(30 <= done.after[key] < 35 for key in late)


def test_the_key_is_in_no_dead_letter() -> None:
    """A secret that travels in bodies is hidden in what is kept of them, and of the answers."""
    vendor = Vendor(refuse_one)
    (letter,) = run(vendor, [track(1, event="Spoilt")]).dead_letters

    assert letter.request is not None
    assert letter.request["json"]["api_key"] == "***"
    assert KEY not in str(msgspec.json.encode(letter))


def test_a_wrong_key_costs_nothing_but_time() -> None:
    """An hour of 400 `Invalid API key`, then the right one: no dead letter, and order is kept."""
    words = json.dumps({"code": 400, "error": "Invalid API key"})
    refusal = Fault(status=400, body=words)
    vendor = Vendor(lambda app: app.state.faults.rules.append(refusal), until=3600.0)
    done = run(vendor, [track(n, f"user-{n % 5}") for n in range(50)])

    assert not done.dead_letters
    assert min(done.after.values()) > 3600
    keys = vendor.keys()
    for user in range(5):
        sent = [key for key in keys if int(key[2:]) % 5 == user]
        assert sent == [f"m-{n}" for n in range(user, 50, 5)]
    assert vendor.app.state.answers["/batch 400"] < 25


def test_an_answer_that_is_lost_doubles_nothing() -> None:
    """What Amplitude had taken before it failed is known by its insert_id."""
    fault = Fault(status=502, after=True, next=1)
    vendor = Vendor(lambda app: app.state.faults.rules.append(fault))
    done = run(vendor, [track(n) for n in range(20)])

    assert not done.dead_letters
    assert sorted(vendor.keys()) == sorted(f"m-{n}" for n in range(20))
    assert vendor.amplitude.store.duplicates == 20


@pytest.mark.parametrize("api", ["batch", "httpapi"])
def test_a_user_who_sends_much_is_never_throttled(api: str) -> None:
    """The router keeps the limits by itself: not one 429."""
    vendor = Vendor()
    done = run(vendor, [track(n, "busy-user") for n in range(150)], eventApi=api)

    assert vendor.keys() == [f"m-{n}" for n in range(150)]
    assert all(answer.endswith(" 200") for answer in vendor.app.state.answers)
    assert (max(done.after.values()) >= 4) == (api == "httpapi")


def test_silenced_devices_and_spent_quotas_are_dead_letters() -> None:
    """What Amplitude will not take today is kept for another day, and nothing else is."""

    def flag(app: Starlette) -> None:
        app.state.amplitude.silenced.add("silent-device")
        app.state.amplitude.over_quota.add("user-3")

    vendor = Vendor(flag)
    messages = [track(n) for n in range(10)]
    messages[7]["anonymousId"] = "silent-device"
    done = run(vendor, messages)

    assert {(letter.message_id, letter.code) for letter in done.dead_letters} == {
        ("m-7", "silenced_device"),
        ("m-3", "over_daily_quota"),
    }
    assert vendor.keys() == [f"m-{n}" for n in range(10) if n not in (3, 7)]


def test_an_event_has_the_properties_of_its_time() -> None:
    """An identify call holds for the events after it, and only those, however it is packed."""
    plans: list[dict[str, Any]] = [
        {"type": "identify", "traits": {"plan": "free"}},
        {"type": "track", "event": "A"},
        {"type": "identify", "traits": {"plan": "pro"}},
        {"type": "track", "event": "B"},
    ]
    messages = [{"messageId": f"m-{n}", "userId": "user-1", **m} for n, m in enumerate(plans)]
    vendor = Vendor()
    run(vendor, messages)

    held = [(e["event_type"], e["user_properties"]) for e in vendor.amplitude.store.events()]
    assert held == [("A", {"plan": "free"}), ("B", {"plan": "pro"})]


def test_too_large_is_halved() -> None:
    """An event that is too large stands alone in the end, and its neighbours arrive."""
    fault = Fault(status=413, match="enormous")
    vendor = Vendor(lambda app: app.state.faults.rules.append(fault))
    messages = [track(n) for n in range(16)]
    messages[5]["properties"] = {"size": "enormous"}
    done = run(vendor, messages)

    assert [(letter.message_id, letter.code) for letter in done.dead_letters] == [
        ("m-5", "http_413")
    ]
    assert sorted(vendor.keys()) == sorted(f"m-{n}" for n in range(16) if n != 5)
