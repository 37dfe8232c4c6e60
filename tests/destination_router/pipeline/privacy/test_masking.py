"""Masked identifiers: keyed, versioned, the same for the same person, and nobody's for nobody."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router.pipeline.privacy.masking import (
    PLACEHOLDERS,
    MaskingKeys,
    load_masking_keys,
    plain_identifier,
)
from destination_router.settings.errors import SettingsError

OLD, NEW = b"0123456789abcdef0123456789abcdef", b"fedcba9876543210fedcba9876543210"
KEYS = MaskingKeys({1: OLD, 2: NEW})


def problems(raw: object) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load_masking_keys(raw, "privacy.keys")
    return [str(problem) for problem in refused.value.problems]


# -- what a masked identifier is ----------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("key", [NEW, NEW * 2, NEW * 3], ids=["half", "block", "longer"])
def test_a_masked_identifier_is_what_openssl_makes_of_it(key: bytes) -> None:
    """Anyone who has the key can recompute a masked identifier with another implementation."""
    command = ["openssl", "dgst", "-sha256", "-hmac", key.decode()]
    told = subprocess.run(command, input=b"ada@example.com", capture_output=True, check=True)
    digest = told.stdout.decode().split()[-1]
    assert MaskingKeys({2: key}).mask(" Ada@Example.com ") == f"v2_{digest}"


@given(st.text(max_size=2000), st.integers(1, 999_999))
def test_a_masked_identifier_has_at_most_100_characters(identifier: str, version: int) -> None:
    """A vendor's own SDKs may take no more (Heap's): the same user shall meet themselves there."""
    assert len(MaskingKeys({version: NEW}).mask(identifier)) <= 100


@pytest.mark.parametrize("nobody", ["(null)", "[object Object]", "<nil>", "N/A"])
def test_what_programs_write_for_nobody_stays_nobodys(nobody: str) -> None:
    """Masked, it would look like one person, whom every message is of."""
    assert KEYS.mask(nobody) == nobody.lower()


@given(st.text(min_size=1, max_size=2000))
def test_a_masked_identifier_is_safe_everywhere(identifier: str) -> None:
    """Whatever goes in, what comes out is short, lower-case, and stays itself if it is trimmed."""
    masked = KEYS.mask(identifier)
    assert masked in PLACEHOLDERS or re.fullmatch("v2_[0-9a-f]{64}", masked)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ada@example.com", "\tADA@Example.COM "), (" a1", "a1"), ("b\u00e9@x.org", "B\u00c9@X.ORG")],
)
def test_the_spellings_of_one_identifier_are_one(one: str, other: str) -> None:
    """Blanks around an identifier, and the casing of an e-mail address, make no other person."""
    assert KEYS.mask(one) == KEYS.mask(other)


@pytest.mark.parametrize(("one", "other"), [("aB", "Ab"), ("a@b", "A@b"), ("1", "01")])
def test_different_identifiers_stay_different(one: str, other: str) -> None:
    """Only an e-mail address is known to mean the same in any casing."""
    assert KEYS.mask(one) != KEYS.mask(other)


@pytest.mark.parametrize("word", ["null", " NULL ", "Undefined", "0", "", "guest"])
def test_a_placeholder_does_not_become_a_person(word: str) -> None:
    """What stands for nobody stays readable, or all who carry it would be merged into one."""
    assert KEYS.mask(word) == plain_identifier(word) == word.strip().lower()
    assert KEYS.mask_all_versions(word) == (word.strip().lower(),)


@given(st.text(min_size=1))
def test_a_message_id_becomes_an_unrelated_uuid(text: str) -> None:
    """A message's id stays a stable idempotency key, and says neither itself nor who sent it."""
    masked = KEYS.mask_message_id(text)
    assert masked == KEYS.mask_message_id(text)
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", masked)
    assert masked.replace("-", "")[:12] not in KEYS.mask(text)


# -- versions -----------------------------------------------------------------------------------


def test_new_events_use_the_newest_key_and_deletion_covers_all() -> None:
    """After a rotation, every value that a user was ever sent as can still be named."""
    before, after = MaskingKeys({1: OLD}), KEYS
    assert after.mask("ada").startswith("v2_")
    assert after.mask_all_versions("ada") == (after.mask("ada"), before.mask("ada"))
    assert after.versions == (2, 1)


def test_what_was_sealed_with_any_key_is_known_again() -> None:
    """A seal outlives a rotation, but holds for its purpose and its content alone."""
    seal = MaskingKeys({1: OLD}).seal("dead letter", b"content")
    assert KEYS.is_sealed("dead letter", b"content", seal)
    assert not KEYS.is_sealed("dead letter", b"Content", seal)
    assert not KEYS.is_sealed("another", b"content", seal)
    assert not MaskingKeys({1: NEW}).is_sealed("dead letter", b"content", seal)


# -- configuration ------------------------------------------------------------------------------


def test_keys_come_from_the_environment_and_from_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each version's key is read from where its reference points."""
    monkeypatch.setenv("MASKING_KEY_1", OLD.decode())
    (tmp_path / "key").write_bytes(NEW + b"\n")
    (tmp_path / "key").chmod(0o600)
    raw = {"v1": {"env": "MASKING_KEY_1"}, "v2": {"file": str(tmp_path / "key")}}
    assert load_masking_keys(raw, "privacy.keys").mask("ada") == KEYS.mask("ada")


def test_every_mistake_is_told_and_no_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is missing, short, repeated or written into the file is an error that hides it."""
    monkeypatch.setenv("SHORT", "s3cret")
    monkeypatch.setenv("LONG", OLD.decode())
    raw = {
        "1": {"env": "LONG"},
        "v1": {"env": "LONG"},
        "v2": {"env": "LONG"},
        "v3": {"env": "SHORT"},
        "v4": {"env": "NOT_SET"},
        "v5": OLD.decode(),
        "v6": {"vault": "x"},
    }
    assert problems(raw) == [
        "privacy.keys.1: name keys by version: v1, v2, ...",
        "privacy.keys.v3: a key has at least 32 characters",
        "privacy.keys.v4: the environment variable NOT_SET is not set",
        'privacy.keys.v5: write {env = "NAME"} or {file = "PATH"}, never the key itself',
        'privacy.keys.v6: write {env = "NAME"} or {file = "PATH"}',
        "privacy.keys.v2: is the same key as v1; make a new one",
    ]
    assert (
        problems({})
        == problems("x")
        == ['privacy.keys: write a table: v1 = {env = "MASKING_KEY_1"}']
    )


def test_no_representation_shows_a_key() -> None:
    """Keys that end up in a traceback or a log are not told there."""
    assert repr(KEYS) == f"{KEYS}" == "MaskingKeys(versions=(2, 1))"
