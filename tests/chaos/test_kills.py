"""The seed makes the plan of kills, and nothing else does.

Modules: `kills.py`, `steering.py`, `processes.py`.
"""

import asyncio
import sys
from pathlib import Path
from types import ModuleType

import pytest
from program_file import imported
from waiting import until

LATE = """
import pathlib, subprocess, time
while not pathlib.Path("go").exists():
    time.sleep(0.01)
subprocess.run(["sleep", "1000"])
pathlib.Path("killed").touch()
time.sleep(1000)
"""
"""A router whose worker comes late, and which notes its end."""


@pytest.fixture(scope="module")
def chaos() -> ModuleType:
    """The program, imported by its path."""
    return imported(Path(__file__).with_name("chaos.py"))


@pytest.mark.parametrize("seed", range(50))
def test_a_few_kills_hit_workers_and_their_router(chaos: ModuleType, seed: int) -> None:
    """Else a short run would test one of them by chance."""
    for count in (2, 3, 10):
        kills = chaos.planned_kills(seed, count, workers=2)
        assert len(kills) == count
        assert {kill.worker is None for kill in kills} == {False, True}
        assert all(0 <= kill.moment < 1 and 0 <= kill.nap <= 0.6 for kill in kills)


def test_the_workers_of_a_plan_are_those_that_there_are(chaos: ModuleType) -> None:
    """Each is hit at some time, and none where a router has none."""
    kills = chaos.planned_kills(1, 100, workers=2)
    assert {kill.worker for kill in kills} == {None, 0, 1}
    assert {kill.worker for kill in chaos.planned_kills(1, 100)} == {None}
    assert {kill.router for kill in kills} == {0}
    assert {kill.router for kill in chaos.planned_kills(1, 100, routers=2)} == {0, 1}


@pytest.mark.parametrize("mode", ["one", "split", "workers"])
def test_a_seed_makes_one_plan(chaos: ModuleType, mode: str) -> None:
    """It is made before anything runs, and the same again; another seed makes another one."""

    def plan(seed: int) -> object:
        workers = chaos.WORKERS if mode == "workers" else 0
        made = chaos.Plan(events=1, kills=20, seed=seed, split=mode == "split", workers=workers)
        steps = chaos.planned_steps(seed, made.kill_plan, routers=made.routers)
        assert [step.kill for step in steps if step.part == "kill"] == made.kill_plan
        return made.kill_plan, steps

    assert plan(7) == plan(7)
    assert plan(7) != plan(8)


@pytest.mark.parametrize("seed", range(20))
def test_a_steered_run_pauses_visibly(chaos: ModuleType, seed: int) -> None:
    """The first pause waits until it is obeyed; after that, chance says whether one does."""
    steps = chaos.planned_steps(seed, chaos.planned_kills(seed, 2))
    first, _ = (step for step in steps if step.part == "pause")
    assert first.sees
    assert [step.moment for step in steps] == sorted(step.moment for step in steps)
    assert (steps[0].moment, steps[-1].moment) == (pytest.approx(0.5, abs=0.5), 2.0)


def test_a_kill_waits_for_a_worker(chaos: ModuleType, tmp_path: Path) -> None:
    """Where none is there yet, or no more of them than one, one is hit all the same."""
    router = chaos.Router(tmp_path, 1)
    router._command = [sys.executable, "-c", LATE]
    router.start()

    async def killed() -> None:
        killing = asyncio.create_task(router.kill_worker(1))
        done, _ = await asyncio.wait({killing}, timeout=0.1)
        assert not done
        (tmp_path / "go").touch()
        await killing

    try:
        asyncio.run(killed())
        until((tmp_path / "killed").exists)
    finally:
        router.end()
    assert router.worker_kills == 1
