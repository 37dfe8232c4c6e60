"""What the author of a destination gets to test its delivery with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette

from conformance.delivery import deliver
from heap_destination.simulator import Fault, create_simulator

MESSAGES = [
    {"type": "track", "messageId": f"message-{n}", "userId": f"user-{n}", "event": "E"}
    for n in range(3)
]


def vendor(*faults: Fault) -> Callable[[Callable[[], float]], Starlette]:
    """Make a simulated vendor in which something goes wrong."""

    def make(clock: Callable[[], float]) -> Starlette:
        app = create_simulator(clock=clock)
        for fault in faults:
            app.state.heap.faults.add(fault)
        return app

    return make


def test_it_tells_when_the_vendor_had_what() -> None:
    """A wait of an hour is in the seconds that it tells, and takes none of the test's."""
    fault = Fault(status=429, headers={"retry-after": "3600"}, next=1)
    done = deliver("heap", {"appId": "11"}, MESSAGES, vendor(fault))

    assert not done.dead_letters
    assert {key: 3600 <= after < 3660 for key, after in done.after.items()} == {
        "message-0": True,
        "message-1": True,
        "message-2": True,
    }


def test_it_tells_what_the_router_gave_up() -> None:
    """What the vendor refuses and what the destination rejects are dead letters both."""
    nobody: dict[str, Any] = {"type": "track", "messageId": "message-3", "event": "E"}
    refused = Fault(status=400, body="no", match="message-1")
    done = deliver("heap", {"appId": "11"}, [*MESSAGES, nobody], vendor(refused))

    assert sorted(done.after) == ["message-0", "message-2"]
    assert {(letter.message_id, letter.code) for letter in done.dead_letters} == {
        ("message-1", "http_400"),
        ("message-3", "missing_identity"),
    }
