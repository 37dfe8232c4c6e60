"""A short run of scripts/chaos: a killed router loses, doubles and disorders nothing."""

import asyncio
from pathlib import Path
from types import ModuleType

import pytest
from program_file import imported


@pytest.fixture(scope="module")
def chaos() -> ModuleType:
    """The program, imported by its path."""
    return imported(Path(__file__).with_name("chaos.py"))


@pytest.mark.parametrize("mode", ["one", "split", "workers"])
def test_a_killed_router_loses_nothing(chaos: ModuleType, tmp_path: Path, mode: str) -> None:
    """Each accepted event is with the vendor once, in order; dead letters are the poisoned."""
    workers = chaos.WORKERS if mode == "workers" else 0
    plan = chaos.Plan(events=1500, kills=3, seed=20261122, split=mode == "split", workers=workers)
    result = asyncio.run(chaos.run(plan, tmp_path))
    assert result.wrong == {}
    assert (result.accepted, result.kills) == (1500, 3)
    # The seed says so: as nothing is lost or wrong, all of its events and letters are there.
    assert result.stored > 1000
    assert result.dead_letters > 0
    assert result.faults >= sum("next" in fault for fault in chaos.AT_FIRST)
    hits = [kill.worker for kill in plan.kill_plan if kill.worker is not None]
    assert result.worker_kills == len(hits)
    assert bool(hits) == bool(workers)


@pytest.mark.parametrize("split", [False, True], ids=["one process", "two processes"])
def test_a_steered_router_loses_nothing(chaos: ModuleType, tmp_path: Path, *, split: bool) -> None:
    """While keys are revoked, connections paused, and router.toml changed around each kill."""
    plan = chaos.Plan(events=600, kills=2, seed=20261122, split=split, steered=True)
    result = asyncio.run(chaos.run(plan, tmp_path))
    assert result.wrong == {}
    assert result.stored > 1200
    steered = result.steered
    assert steered["revoked"] + steered["users_refused"] == 2
    # Whether a revoked key is met by a request in so short a run is chance: `--steer` counts it.
    assert steered["pauses_seen"] > 0
    assert steered["reloaded"] > 0  # at least the last one, which is waited for


def test_the_judge_sees_what_is_wrong(chaos: ModuleType) -> None:
    """A lost, a doubled, a disordered event, a stale profile and each wrong dead letter count."""
    sent = chaos.Sent(
        events={"ada": ["1", "2"], "grace": ["3", "4"]}, profiles={"ada": 9}, poisoned={"5": "x"}
    )
    rows = [("ada", "2"), ("ada", "1"), ("grace", "3"), ("grace", "3")]
    result = chaos._judge(
        chaos.Plan(events=5, kills=0, seed=1),
        sent,
        [
            chaos.Arrived(
                [{"identity": u, "anonymous_id": None, "idempotency_key": k} for u, k in rows],
                users=[{"identity": "ada", "properties": {"seen": 8}}],
                letters=[{"messageId": "1"}],
            )
        ],
        stats={"requests": {}, "faults": 0, "duplicates": 0},
        seconds=0.0,
        status=1,
    )
    assert result.wrong == {
        "lost": 1,
        "doubled": 1,
        "out_of_order": 2,
        "profiles_wrong": 1,
        "dead_letters_missing": 1,
        "dead_letters_wrong": 1,
        "exit_status": 1,
    }
