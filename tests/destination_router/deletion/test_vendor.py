"""Deleting users at a simulated Heap, in virtual time.

Modules: `deletion/vendor.py`, `contract/deletion.py`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from destination_router.deletion.vendor import Deleting, DeletionGroup, grouped
from destination_router.delivery.sender import Sender
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from heap_destination.simulator import Fault, create_simulator

Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
BASE = "/api/public/v0"
MINUTE = 60.0


class Vendor:
    """A simulated Heap, and what deletes there."""

    def __init__(self, seconds: float, key: str = "simulated-api-key") -> None:
        clock = asyncio.get_running_loop().time
        self.app = create_simulator(clock=clock, deletion_seconds=seconds)
        self.heap = self.app.state.heap
        connection = Connection("heap", load_plugin("heap"), {"appId": "11", "deletionApiKey": key})
        self.told: list[tuple[str, str]] = []
        self.deleting = Deleting(
            connection.plugin.hook.user_deletion(settings=connection.settings),
            Sender(connection, transport=httpx.ASGITransport(self.app)),
            lambda group: self.told.append((group.state, group.request_id)),
            chance=lambda: 0.5,
        )

    def asked(self, path: str) -> int:
        return sum(row.path.startswith(f"{BASE}/{path}") for row in self.heap.requests())


def users(count: int) -> list[DeletionGroup]:
    return grouped([{"identity": f"user-{n}"} for n in range(count)], 10_000)


def test_groups_go_out_and_are_asked_about_until_they_are_done(in_virtual_time: Run) -> None:
    """10,000 users in each; what changes is told; the longer it takes, the rarer the question."""

    async def main() -> None:
        vendor = Vendor(seconds=10 * MINUTE)
        groups = users(25_000)
        assert [len(group.subjects) for group in groups] == [10_000, 10_000, 5_000]
        await vendor.deleting.submit(groups)
        assert vendor.told == [("pending", "1"), ("pending", "2"), ("pending", "3")]
        await vendor.deleting.wait(groups, patience=3600)
        assert vendor.told[3:] == [("complete", "1"), ("complete", "2"), ("complete", "3")]
        assert asyncio.get_running_loop().time() < 11 * MINUTE + 1
        assert vendor.asked("deletion_status") < 3 * 20

    in_virtual_time(main)


def test_a_token_is_renewed_before_it_ends(in_virtual_time: Run) -> None:
    """An hour of questions never meets a 401, and takes no more tokens than it must."""

    async def main() -> None:
        vendor = Vendor(seconds=60 * MINUTE)
        groups = users(1)
        await vendor.deleting.submit(groups)
        await vendor.deleting.wait(groups, patience=2 * 3600)
        assert groups[0].state == "complete"
        assert {row.status for row in vendor.heap.requests()} == {200, 201}
        assert vendor.asked("auth_token") <= 14

    in_virtual_time(main)


def test_a_token_that_ended_early_is_renewed_once(in_virtual_time: Run) -> None:
    """A 401 on a token that should be good asks for a new one, and goes on."""

    async def main() -> None:
        vendor = Vendor(seconds=1)
        groups = users(1)
        await vendor.deleting.submit(groups)
        vendor.heap.faults.add(Fault(status=401, next=1, path=f"{BASE}/deletion_status/1"))
        await vendor.deleting.wait(groups, patience=60)
        assert groups[0].state == "complete"
        assert vendor.asked("auth_token") == 2

    in_virtual_time(main)


def test_a_wrong_key_fails_at_once(in_virtual_time: Run) -> None:
    """One question is enough, however many groups there are; the rest waits for a better key."""

    async def main() -> None:
        vendor = Vendor(seconds=1, key="wrong")
        groups = users(25_000)
        await vendor.deleting.submit(groups)
        assert [(group.state, group.detail) for group in groups] == [
            ("failed", "http_401"),
            ("new", ""),
            ("new", ""),
        ]
        assert len(list(vendor.heap.requests())) == 1

    in_virtual_time(main)


@pytest.mark.parametrize("status", [401, 403, 407, 302])
def test_a_key_that_is_revoked_midway_ends_the_run_and_loses_nothing(
    in_virtual_time: Run, status: int
) -> None:
    """What the vendor took stays pending, is asked about later, and is not asked for again."""

    async def main() -> None:
        vendor = Vendor(seconds=10 * MINUTE)
        groups = users(25_000)
        vendor.heap.faults.add(Fault(status=status, match="user-10000"))
        await vendor.deleting.submit(groups)
        assert [group.state for group in groups] == ["pending", "failed", "new"]
        assert vendor.deleting.held == f"http_{status}"
        vendor.heap.faults.clear()
        vendor.heap.faults.add(Fault(status=status))
        vendor.deleting.held = ""
        begun = asyncio.get_running_loop().time()
        await vendor.deleting.wait(groups, patience=3600)
        assert asyncio.get_running_loop().time() == begun
        assert vendor.deleting.held == f"http_{status}"
        assert groups[0].state == "pending"
        vendor.heap.faults.clear()
        vendor.deleting.held = ""
        await vendor.deleting.submit(groups)
        await vendor.deleting.wait(groups, patience=3600)
        assert [group.state for group in groups] == ["complete"] * 3
        assert vendor.asked("user_deletion") <= 6

    in_virtual_time(main)


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429}, {"drop_connection": True}], ids=str
)
def test_a_vendor_that_is_away_for_a_while_is_waited_for(
    in_virtual_time: Run, fault: dict[str, Any]
) -> None:
    """At every step: the token, the group and the question."""

    async def main() -> None:
        vendor = Vendor(seconds=1)
        for path in ("auth_token", "user_deletion", "deletion_status/1"):
            vendor.heap.faults.add(Fault(**fault, next=3, path=f"{BASE}/{path}"))
        groups = users(1)
        await vendor.deleting.submit(groups)
        await vendor.deleting.wait(groups, patience=600)
        assert [state for state, _ in vendor.told] == ["pending", "complete"]

    in_virtual_time(main)


def test_a_vendor_that_stays_away_keeps_what_it_took(in_virtual_time: Run) -> None:
    """A group that was taken is pending; one that was not has failed, and goes out another time."""

    async def main() -> None:
        vendor = Vendor(seconds=1)
        groups = users(10_001)
        vendor.heap.faults.add(Fault(status=503, match="user-10000"))
        await vendor.deleting.submit(groups)
        assert [group.state for group in groups] == ["pending", "failed"]
        vendor.heap.faults.add(Fault(status=503, path=f"{BASE}/deletion_status/1"))
        await vendor.deleting.wait(groups, patience=60)
        assert [group.state for group in groups] == ["pending", "failed"]
        vendor.heap.faults.clear()
        await vendor.deleting.submit(groups)
        await vendor.deleting.wait(groups, patience=60)
        assert [group.state for group in groups] == ["complete", "complete"]
        assert groups[0].request_id == "1"

    in_virtual_time(main)


def test_what_the_vendor_forgot_has_failed(in_virtual_time: Run) -> None:
    """A request that it does not know is asked for anew another time."""

    async def main() -> None:
        vendor = Vendor(seconds=1)
        groups = users(1)
        await vendor.deleting.submit(groups)
        vendor.heap.reset()
        await vendor.deleting.wait(groups, patience=60)
        assert (groups[0].state, groups[0].detail) == ("failed", "http_404")

    in_virtual_time(main)


def test_patience_ends(in_virtual_time: Run) -> None:
    """What is still pending then stays so; no patience at all asks once."""

    async def main() -> None:
        vendor = Vendor(seconds=3600)
        groups = users(1)
        await vendor.deleting.submit(groups)
        await vendor.deleting.wait(groups, patience=0)
        assert vendor.asked("deletion_status") == 1
        await vendor.deleting.wait(groups, patience=100)
        assert groups[0].state == "pending"
        assert asyncio.get_running_loop().time() == pytest.approx(100, abs=1)

    in_virtual_time(main)
