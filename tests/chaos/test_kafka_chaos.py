"""What the judge of scripts/chaos --log kafka makes of a run, and a short run.

Modules: `kafka_chaos.py`.
"""

import asyncio
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kafka_log import servers
from program_file import imported

PATIENCE = 200  # what hangs


@pytest.fixture(scope="module")
def chaos() -> ModuleType:
    """The program, imported by its path."""
    return imported(Path(__file__).with_name("kafka_chaos.py"))


def judged(chaos: ModuleType, *, late: list[int], again: int, rows: list[tuple[str, str]]) -> Any:
    """Judge a run of two events of one user, with two kills and two stops."""
    watch = chaos.Watch()
    for number in range(again + 1):
        watch.note(b'{"idempotency_key":"1"}')
        watch.requests.append((0, float(number)))
    watch.taken_at = [1.0, 2.0]
    return chaos.judged(
        chaos.Plan(events=2, seed=1, workers=2, stops=2),
        chaos.Sent(events={"ada": ["1", "2"]}, profiles={}, poisoned={}),
        chaos.Arrived(
            [{"identity": u, "anonymous_id": None, "idempotency_key": k} for u, k in rows], [], []
        ),
        watch=watch,
        late=late,
        acts=[(0.0, "stop")],
        stats={"faults": 0, "duplicates": 0},
    )


def test_a_run_within_its_bounds_is_right(chaos: ModuleType) -> None:
    """A few events sent again for each kill, and as many late requests as were under way."""
    again = 4 * chaos.MOST_REDELIVERED
    rows = [("ada", "1"), ("ada", "2")]
    result = judged(chaos, late=[chaos.IN_FLIGHT, chaos.IN_FLIGHT], again=again, rows=rows)
    assert result.wrong == {}
    assert result.redelivered_per_kill == chaos.MOST_REDELIVERED
    assert result.late_requests == 2 * chaos.IN_FLIGHT
    assert "pauses" not in result.rows
    assert result.rows["pause_after_stop"] == 1.0


def test_what_is_beyond_a_bound_is_wrong(chaos: ModuleType) -> None:
    """One redelivery more, one late request more at one stop, and what any chaos run counts."""
    again = 4 * chaos.MOST_REDELIVERED + 4
    result = judged(chaos, late=[0, chaos.IN_FLIGHT + 1], again=again, rows=[("ada", "2")] * 2)
    assert result.wrong == {
        "lost": 1,
        "doubled": 1,
        "out_of_order": 1,
        "redelivered_per_kill": chaos.MOST_REDELIVERED + 1,
        "late_requests": chaos.IN_FLIGHT + 1,
    }


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
    assert result.stored > 400
    assert result.faults > 5
    assert set(result.pauses) == {"worker", "broker", "gateway"}
