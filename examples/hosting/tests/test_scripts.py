"""A batch job and a plain script."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

ROWS = "id,customer,ordered_at,total\n" + "".join(
    f"{n},ada,2026-11-22T10:00:{n:02}Z,{n}.5\n" for n in range(20)
)


def ran(folder: Path, *arguments: str, text: str = "") -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_job_that_is_tried_again_sends_each_row_once(
    example: Callable[[str], Path], simulate: Callable[..., str]
) -> None:
    """It ends when all is delivered."""
    folder = example("batch_job")
    heap = simulate("heap")
    config = folder / "router.toml"
    config.write_text(config.read_text().replace("http://127.0.0.1:9101", heap))
    (folder / "orders.csv").write_text(ROWS)
    for _ in range(2):
        assert ran(folder, "job.py", "orders.csv") == "heap: 20 delivered, 0 rejected\n"
    events = httpx.get(f"{heap}/_simulator/events").json()["events"]
    assert sorted(event["idempotency_key"] for event in events) == sorted(
        f"order-{n}" for n in range(20)
    )


def test_a_script_sends_what_it_reads(
    example: Callable[[str], Path], simulate: Callable[..., str]
) -> None:
    """And says of the rest why not."""
    folder = example("plain_script")
    messages = [
        {"type": "track", "messageId": "m-1", "userId": "ada", "event": "Program Published"},
        {"type": "track", "messageId": "m-2", "userId": "null", "event": "Program Published"},
        {"type": "alias", "messageId": "m-3", "userId": "ada", "previousId": "a"},
    ]
    told = ran(
        folder, "script.py", "11", simulate("heap"), text="\n".join(map(json.dumps, messages))
    )
    first, last = told.splitlines()
    assert first.startswith("m-2: unsafe_identity: ")
    assert last == "{'requests': 1, 'rejected': 1, 'filtered': 1, 'delivered': 1}"
