"""What is remembered of a file: where it cannot be read, the file is sent anew."""

from pathlib import Path

import pytest

from destination_router.files.resuming import state_of

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
