"""What is remembered of a file: where it cannot be read, the file is sent anew."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from destination_router.eventlog.interface import Order, Standing
from destination_router.eventlog.memory import MemoryStanding
from destination_router.files.resuming import SendStanding, claimed_state, state_of

SPOILT = {
    "nothing": b"",
    "no JSON": b"{",
    "another shape": b'{"low": 1}',
    "no text": b'{"file": "\xff"}',
    "deep": b"[" * 100_000,
    "digits": b'{"low": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_state_that_cannot_be_read_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A crash or a hand may have spoilt it: everything is sent again, which costs no event."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    source = tmp_path / "messages.jsonl"
    source.write_text("{}\n{}\n")
    state = state_of(str(source), "heap")
    state.hand_out([1, 2], 2)
    state.commit([1])
    assert state_of(str(source), "heap").is_done(1)
    (kept,) = (tmp_path / "state" / "destination-router" / "send").iterdir()
    kept.write_bytes(SPOILT[name])
    state = state_of(str(source), "heap")
    assert not state.resumed
    assert not state.is_done(1)
    assert state.unreadable


def test_one_process_at_a_time_sends_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two would each send everything; to another connection, another one may."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    source = tmp_path / "messages.jsonl"
    source.write_text("{}\n")
    code = (
        "import sys; from destination_router.files.resuming import claimed_state\n"
        "with claimed_state(sys.argv[1], sys.argv[2]): print('mine')"
    )

    def another(connection: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, str(source), connection]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with claimed_state(str(source), "heap"):
        assert "another process sends" in another("heap").stderr
        assert another("shop").stdout == "mine\n"
    assert another("heap").stdout == "mine\n"


def test_proven_origins_are_remembered_with_the_file_and_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run learnt, the next one knows: by either."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    source = tmp_path / "messages.jsonl"
    source.write_text("{}\n")
    proven = frozenset({"https://vendor.example"})

    async def main() -> None:
        state, log = state_of(str(source), "heap"), MemoryStanding()
        await SendStanding(state, log).keep("heap", Standing(origins=proven))
        state.save()
        again = SendStanding(state_of(str(source), "heap"), None)
        assert (await again.standing("heap")).origins == proven
        other = SendStanding(state_of(str(source), "another"), log)
        assert (await other.standing("heap")).origins == proven
        assert await again.order("heap") is None
        log.orders["heap"] = Order(paused=True, at=1.0)
        assert await other.order("heap") == Order(paused=True, at=1.0)

    asyncio.run(main())
