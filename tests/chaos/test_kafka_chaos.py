"""What the judge of scripts/chaos --log kafka makes of a run, and a short run.

Modules: `kafka_chaos.py`, `watched_vendor.py`.
"""

import asyncio
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import msgspec
import pytest
from kafka_log import servers
from program_file import imported

from destination_router.service.serving import serving
from heap_destination.simulator import create_simulator

PATIENCE = 1200  # what hangs


@pytest.fixture(scope="module")
def chaos() -> ModuleType:
    """The program, imported by its path."""
    return imported(Path(__file__).with_name("kafka_chaos.py"))


def event(number: int) -> bytes:
    """A request of Heap's with one event, as the router writes it."""
    row = {"app_id": "11", "event": "Clicked", "identity": "ada", "properties": {}}
    return msgspec.json.encode({**row, "idempotency_key": str(number)})


def judged(
    chaos: ModuleType,
    watch: Any,
    *,
    late: list[int],
    rows: list[tuple[str, str]],
    repeated: set[str],
) -> Any:
    """Judge a run of two events of one user, with two kills and two stops."""
    watch.requests = [(0, 1.0), (0, 2.0)]
    watch.taken_at = [1.0, 2.0]
    return chaos.judged(
        chaos.Plan(events=2, seed=1, workers=2, stops=2),
        chaos.Sent(events={"ada": ["1", "2"]}, profiles={}, poisoned={}, repeated=repeated),
        chaos.Arrived(
            [{"identity": u, "anonymous_id": None, "idempotency_key": k} for u, k in rows], [], []
        ),
        watch=watch,
        late=late,
        acts=[(0.0, "stop")],
        stats={"faults": 0, "duplicates": 0},
    )


def test_a_run_within_its_bounds_is_right(chaos: ModuleType) -> None:
    """What no commit held may be sent again, what a sender repeated, too; and a few are late."""
    watch = chaos.Watch()
    for keys in ("1", "1", "2", "2"):
        watch.took(frozenset({keys.encode()}))
    watch.again = {b"2"}
    late = [chaos.IN_FLIGHT, chaos.IN_FLIGHT]
    rows = [("ada", "1"), ("ada", "2")]
    result = judged(chaos, watch, late=late, rows=rows, repeated={"2"})
    assert result.wrong == {}
    assert result.redelivered_per_kill == 1 / 4
    assert result.late_requests == 2 * chaos.IN_FLIGHT
    assert "pauses" not in result.rows
    assert result.rows["pause_after_stop"] == 1.0


def test_what_is_beyond_a_bound_is_wrong(chaos: ModuleType) -> None:
    """One event that a commit held, one late request more, and what any chaos run counts."""
    watch = chaos.Watch()
    watch.again = {b"2"}
    late = [0, chaos.IN_FLIGHT + 1]
    result = judged(chaos, watch, late=late, rows=[("ada", "2")] * 2, repeated={"1"})
    assert result.wrong == {
        "lost": 1,
        "doubled": 1,
        "out_of_order": 1,
        "sent_again_though_committed": 1,
        "late_requests": chaos.IN_FLIGHT + 1,
    }


def test_a_commit_that_lacks_what_was_answered_is_wrong(chaos: ModuleType) -> None:
    """Those events would be sent again after any kill."""
    watch = chaos.Watch()
    rows = [("ada", "1"), ("ada", "2")]
    result = judged(chaos, watch, late=[], rows=rows, repeated=set())
    result.answered_not_committed = 3
    assert result.wrong == {"answered_not_committed": 3}


def test_a_door_knows_what_its_sender_has_heard(chaos: ModuleType) -> None:
    """An answer counts as heard once the next request comes through its connection."""
    watch = chaos.Watch()

    async def heard() -> list[set[bytes]]:
        steps = []
        async with (
            httpx.AsyncClient() as client,
            serving(create_simulator(rate_limits=False)) as heap,
            serving(chaos.VendorDoor(0, heap, client, watch)) as door,
            httpx.AsyncClient(base_url=door) as worker,
        ):
            for number in range(2):
                await worker.post("/api/track", content=event(number))
                steps.append(set(watch.heard))
        return steps

    begun = time.time()
    assert asyncio.run(heard()) == [set(), {b"0"}]
    assert begun <= watch.heard[b"0"] <= time.time()
    assert watch.taken == {b"0": 1, b"1": 1}


def test_when_a_worker_took_over_is_in_its_log(chaos: ModuleType, tmp_path: Path) -> None:
    """What it was asked before may be of a time when it lost its place."""
    worker = chaos.Mutated(tmp_path, 1, "--workers-only", "none")
    line = (
        '{{"time":"1970-01-01T00:00:0{}.500Z","level":"info","event":"{}","connection":"heap"}}\n'
    )
    events = ("partitions_assigned", "partitions_revoked", "commit_postponed")
    worker.said.write_text("")
    assert worker.took_over_at == 0.0
    worker.said.write_text("".join(line.format(at, event) for at, event in enumerate(events)))
    assert worker.took_over_at == 1.5


def test_a_door_holds_one_request_and_what_has_its_events(chaos: ModuleType) -> None:
    """The vendor gets neither, and others pass."""
    watch = chaos.Watch()
    watch.holds_next = True

    async def statuses() -> list[int]:
        async with (
            httpx.AsyncClient() as client,
            serving(create_simulator(rate_limits=False)) as heap,
            serving(chaos.VendorDoor(0, heap, client, watch)) as door,
            httpx.AsyncClient(base_url=door) as worker,
        ):
            held = [asyncio.create_task(worker.post("/api/track", content=event(0)))]
            while watch.held is None:
                await asyncio.sleep(0)
            held.append(asyncio.create_task(worker.post("/api/track", content=event(0))))
            passed = await worker.post("/api/track", content=event(1))
            while len(watch.requests) < 3:
                await asyncio.sleep(0)
            watch.held.end()
            return [passed.status_code, *[(await each).status_code for each in held]]

    assert asyncio.run(statuses()) == [200, 503, 503]
    assert watch.taken == {b"1": 1}


def test_a_watch_tells_whose_the_latest_request_was(chaos: ModuleType) -> None:
    """A worker is named even if no request has come: whoever kills one still finds it."""
    watch = chaos.Watch()
    assert watch.latest_worker == 0
    watch.arrived(0, frozenset())
    watch.arrived(1, frozenset())
    assert watch.latest_worker == 1


def test_a_watch_counts_what_is_sent_again_though_committed(chaos: ModuleType) -> None:
    """A worker that was stopped is no part of it: its late requests count by themselves."""
    watch = chaos.Watch()
    watch.committed = {b"1", b"2"}
    watch.woken = 1
    watch.arrived(1, frozenset({b"1"}))
    watch.arrived(0, frozenset({b"2", b"3"}))
    assert watch.again == {b"2"}


def test_a_pause_belongs_to_what_was_done_within_it(chaos: ModuleType) -> None:
    """Else to what was done before; what came before anything was done belongs to nothing."""
    acts = [(10.0, "worker"), (20.0, "broker"), (30.0, "worker")]
    pauses = [(0.0, 9.0), (9.0, 12.0), (12.0, 14.0), (19.0, 21.0), (28.0, 35.0)]
    assert chaos.longest_pauses(pauses, acts) == {"broker": 2.0, "worker": 7.0}


def test_a_short_run_loses_nothing(chaos: ModuleType, tmp_path: Path) -> None:
    """One kill of a worker, of the broker and of a gateway."""
    servers()  # skips where there is no Kafka
    plan = chaos.Plan(
        events=600, seed=20261129, workers=1, brokers=1, stops=0, gateways=1, cluster=1
    )
    result = asyncio.run(asyncio.wait_for(chaos.run(plan, tmp_path), PATIENCE))
    assert result.wrong == {}
    assert (result.accepted, result.kills) == (600, 1)
    assert result.stored > 400  # the seed says so, as nothing is lost
    assert result.faults >= sum("next" in fault for fault in chaos.AT_FIRST)
    assert set(result.pauses) == {"worker", "broker", "gateway"}
