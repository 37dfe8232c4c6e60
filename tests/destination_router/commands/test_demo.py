"""What a demo keeps of what it showed.

Modules: `commands/demo.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from destination_router.commands.demo import _Seen
from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.records import Outcome
from destination_router.delivery.worker import Delivery
from destination_router.service.connections import connect


def deliveries(offsets: Sequence[int], outcome: Outcome) -> list[Delivery]:
    connection = connect(ConnectionConfig(name="heap", plugin="heap", settings={"appId": "11"}))
    body = json.dumps({"type": "track", "event": "Paid", "userId": "u", "messageId": "m"}).encode()
    return [Delivery(connection.decide(body), outcome, offset) for offset in offsets]


def test_of_messages_after_the_play_a_demo_keeps_nothing() -> None:
    """It may run for days: it only notes whether some were not delivered."""
    connection = connect(ConnectionConfig(name="heap", plugin="heap", settings={"appId": "11"}))
    seen = _Seen(connection, as_json=True)
    seen.report(deliveries([2, 1], Outcome("delivered")))
    assert [delivery.offset for delivery in seen.played()] == [1, 2]
    seen.report(deliveries([3, 4], Outcome("rejected")))
    assert seen.played() == []
    assert seen.undelivered == 2
