"""Identifiers: what a message goes out under, and what is too unsafe to send."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router import Note, Track, parse_message
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from heap_destination.identity import (
    Identifiers,
    identifiers,
    missing_identity,
    stitched_user_id,
    unsafe,
)
from heap_destination.settings import UNSAFE_IDENTITIES, HeapSettings, heap_settings

SETTINGS = HeapSettings(app_id="11")
PLACEHOLDER = "it is a placeholder, and Heap would merge all who carry it into one"


def found(settings: HeapSettings = SETTINGS, **fields: Any) -> Identifiers:
    return identifiers(parse_message({"type": "track", "messageId": "m", **fields}), settings)


def dropped(identifiers_: Identifiers) -> list[tuple[str, str]]:
    return [(note.code, note.path) for note in identifiers_.notes]


# -- unsafe identities --------------------------------------------------------------------------


@pytest.mark.parametrize("identity", UNSAFE_IDENTITIES)
@pytest.mark.parametrize("casing", [str.lower, str.upper, str.title, str.swapcase])
@pytest.mark.parametrize("around", ["{}", " {}\t"])
def test_a_placeholder_is_unsafe_in_any_casing(identity: str, casing: Any, around: str) -> None:
    """Heap would merge all who carry it, for good."""
    assert unsafe(around.format(casing(identity)), SETTINGS) == PLACEHOLDER


def test_the_placeholders_are_pinned() -> None:
    """Each of them has merged strangers somewhere."""
    assert set(UNSAFE_IDENTITIES) == {
        "null", "undefined", "none", "nan", "true", "false", "guest", "anonymous", "user",
        "unknown", "0", "-1", "00000000-0000-0000-0000-000000000000", "[object object]", "(null)",
        "<null>", "nil", "<nil>", "n/a", "(none)", "<none>", "(nil)", "(undefined)", "<undefined>",
        "#n/a", "\\n", "%!s(<nil>)", "optional(nil)", "{}", "[]",
    }  # fmt: skip


@pytest.mark.parametrize(
    "identity",
    ["ada", "1", "01", "-10", "null@example.com", "users", "guest7", "n/a/1", "{ada}", "[object]"],
)
def test_an_id_that_only_resembles_a_placeholder_is_safe(identity: str) -> None:
    """Only the whole id counts."""
    assert unsafe(identity, SETTINGS) is None


@pytest.mark.parametrize("character", ["x", "\N{FOX FACE}"])
@pytest.mark.parametrize(("length", "safe"), [(254, True), (255, True), (256, False)])
def test_an_identity_has_at_most_255_characters(character: str, length: int, safe: object) -> None:
    """A longer one is never cut: cut, it could be another's."""
    reason = unsafe(character * length, SETTINGS)
    assert reason == (None if safe else "it is longer than 255 characters")


@pytest.mark.parametrize(
    "identity",
    [
        *("00", "000000", "0.0", "0-0", "[object Object]", "(null)", "<nil>", "N/A", "\ufeffnull"),
        *("[object Promise]", "[object Undefined]", "Optional(nil)", "%!s(<nil>)", "\\N", "#N/A"),
    ],
)
def test_what_programs_write_for_nothing_is_a_placeholder(identity: str) -> None:
    """JavaScript's objects, the null of C, Go, Swift and SQL, zeros, a stray mark beside it."""
    assert unsafe(identity, SETTINGS) == PLACEHOLDER


@pytest.mark.parametrize(
    "identity", ["{{ user.id }}", "user-{{id}}", "${userId}", "<%= id %>", "{% id %}", "%USER_ID%"]
)
def test_a_template_that_nobody_filled_in_is_nobody(identity: str) -> None:
    """Every message that such a program writes carries the same."""
    assert "template" in (unsafe(identity, SETTINGS) or "")


@pytest.mark.parametrize("identity", ["\u200b", "\u2800\u2800", "\u3164", "\ufeff \u00a0", "\0"])
def test_blanks_that_are_no_ascii_are_nobody(identity: str) -> None:
    """What shows nothing names nobody."""
    assert "blank" in (unsafe(identity, SETTINGS) or "")


def test_the_list_is_a_setting() -> None:
    """A sender with placeholders of its own names them; the usual ones are then its own affair."""
    settings = heap_settings({"appId": "11", "unsafeIdentities": ["Nobody"]})
    assert unsafe("NOBODY", settings) == PLACEHOLDER
    assert unsafe("guest", settings) is None
    assert unsafe("000", settings) is None


# -- which identifiers --------------------------------------------------------------------------


def test_the_ids_of_a_message_are_its_identifiers() -> None:
    """UserId is the identity, anonymousId is kept for those not known yet."""
    assert found(userId="ada", anonymousId="anon") == Identifiers(
        identity="ada",
        user_id=None,
        anonymous_id="anon",
        session_id=None,
        identity_danger=None,
        anonymous_danger=None,
        notes=(),
    )


def test_an_unsafe_id_is_left_out_with_a_note() -> None:
    """Each id is judged by itself; the note names the field."""
    ids = found(userId="Guest", anonymousId="null")
    assert (ids.identity, ids.anonymous_id) == (None, None)
    assert ids.notes == (
        Note("unsafe_identity", "userId", PLACEHOLDER),
        Note("unsafe_identity", "anonymousId", PLACEHOLDER),
    )
    assert (ids.identity_danger, ids.anonymous_danger) == ids.notes


@pytest.mark.parametrize("name", ["Heap", "heap", "HEAP", "Heap.io", "heap.io"])
def test_the_sender_may_give_heaps_own_identifiers(name: str) -> None:
    """`identity`, `user_id` and `session_id` stand under any of Heap's names."""
    ids = found(userId="ada", integrations={name: {"user_id": "42", "session_id": " 77 "}})
    assert (ids.identity, ids.user_id, ids.session_id) == ("ada", "42", "77")
    ids = found(userId="ada", integrations={name: {"identity": "lovelace"}})
    assert (ids.identity, ids.user_id) == ("lovelace", None)


@pytest.mark.parametrize("given_", ["", "  ", None])
def test_a_blank_option_is_no_option(given_: object) -> None:
    """The userId counts then."""
    ids = found(userId="ada", integrations={"Heap": {"identity": given_}})
    assert (ids.identity, ids.notes) == ("ada", ())


@pytest.mark.parametrize("value", [1.5, True, [], {}])
def test_an_option_of_a_wrong_type_is_dropped_with_a_note(value: object) -> None:
    """It must be text or a whole number."""
    options = {"identity": value, "user_id": value, "session_id": value}
    ids = found(userId="ada", integrations={"Heap": options})
    assert (ids.identity, ids.user_id, ids.session_id) == ("ada", None, None)
    assert dropped(ids) == [("dropped", f"integrations.Heap.{name}") for name in options]


@pytest.mark.parametrize("given_", [4503599627370497.0, 4503599627370497, "4503599627370497"])
def test_a_whole_number_is_one_however_it_is_written(given_: object) -> None:
    """Some languages write every number with a fraction."""
    sent = found(userId="", integrations={"Heap": {"user_id": given_}})
    assert (sent.user_id, sent.notes) == ("4503599627370497", ())


@pytest.mark.parametrize("name", ["userId", "sessionId", "email"])
def test_an_option_that_is_not_read_is_told(name: str) -> None:
    """`userId` in place of `user_id` is a likely slip."""
    sent = found(userId="ada", integrations={"Heap": {name: "1"}})
    assert dropped(sent) == [("dropped", f"integrations.Heap.{name}")]


@pytest.mark.parametrize(
    ("identity", "code"), [("a" * 101, "long_identity"), ("a\0b", "control_character")]
)
@pytest.mark.parametrize("options", [{}, {"Heap": {"session_id": "1"}}])
def test_an_identity_that_may_not_meet_itself_elsewhere_is_sent_and_noted(
    identity: str, code: str, options: dict[str, Any]
) -> None:
    """Heap's own SDKs take 100 characters, and many programs end a text at a NUL."""
    sent = found(userId=identity, integrations=options)
    assert (sent.identity, dropped(sent)) == (identity, [(code, "userId")])
    assert found(userId="a" * 100).notes == ()


@pytest.mark.parametrize("dialect", ["segment-cloud", "rudderstack"])
def test_every_dialect_tells_of_such_an_identity(dialect: str) -> None:
    """What is sent is the system's affair; what may become of it is told."""
    settings = heap_settings({"appId": "11", "dialect": dialect})
    ids = found(settings, userId="a\0b" + "a" * 98, anonymousId="c\0d")
    told = [("long_identity", "userId"), ("control_character", "userId")]
    assert dropped(ids) == [*told, ("control_character", "anonymousId")]
    alone = found(settings, anonymousId="c\0d")
    assert dropped(alone) == [("control_character", "anonymousId")]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"type": "track", "userId": "ada", "anonymousId": "a\0b", "event": "E"}, "anonymousId"),
        ({"type": "track", "anonymousId": "a\0b", "event": "E"}, "anonymousId"),
        ({"type": "group", "userId": "ada", "groupId": "a\0b"}, "groupId"),
        ({"type": "alias", "userId": "ada", "previousId": "a\0b"}, "previousId"),
    ],
)
def test_a_nul_in_any_id_is_noted(fields: dict[str, Any], path: str) -> None:
    """Many programs take it for the end of a text."""
    settings = {"appId": "11", "anonymousEvents": "stitch" if path == "previousId" else "partner"}
    message = {"messageId": "m", **fields}
    decision = Connection("heap", load_plugin("heap"), settings).decide(
        json.dumps(message).encode()
    )
    told = [(note.code, note.path) for request in decision.requests for note in request.notes]
    assert ("control_character", path) in told


def test_a_number_is_as_good_as_its_digits() -> None:
    """Heap's ids are numbers; whichever way a sender writes them."""
    options = {"user_id": 2**53 - 1, "session_id": 77}
    ids = found(integrations={"Heap": options})
    assert (ids.user_id, ids.session_id) == ("9007199254740991", "77")


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("0", True),
        (str(2**53 - 1), True),
        (str(2**53), False),
        ("9999999999999999", False),
        ("0" * 20 + "9" * 20, False),
        ("9" * 5000, False),
        ("-1", False),
        ("1.0", False),
        ("1e3", False),
        ("ada", False),
        ("\u0661\u0662", False),
        (2**53, False),
        (-1, False),
    ],
)
def test_a_user_id_is_a_number_from_0_to_2_to_the_53rd_minus_1(
    value: object, valid: object
) -> None:
    """Heap's bound; what lies beyond is dropped with a note."""
    ids = found(integrations={"Heap": {"user_id": value}})
    assert ids.user_id == (str(value) if valid else None)
    assert dropped(ids) == ([] if valid else [("dropped", "integrations.Heap.user_id")])


def test_of_two_identifiers_the_identity_is_sent_and_the_other_told() -> None:
    """Heap takes exactly one; a user_id that stands aside leaves a note."""
    ids = found(integrations={"Heap": {"identity": "ada", "user_id": "42"}})
    assert (ids.identity, ids.user_id) == ("ada", None)
    assert dropped(ids) == [("dropped", "integrations.Heap.user_id")]


def test_an_unsafe_identity_option_is_told_by_its_own_path() -> None:
    """The sender finds the field that it wrote; the userId does not take its place."""
    ids = found(userId="ada", integrations={"Heap": {"identity": "guest"}})
    assert ids.identity is None
    assert dropped(ids) == [("unsafe_identity", "integrations.Heap.identity")]


# -- made identifiers ---------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=())))
def test_a_stitched_user_id_is_within_heaps_bounds_and_stable(anonymous_id: str) -> None:
    """Whatever the anonymousId: a number of at most 53 bits, the same every time."""
    user_id = stitched_user_id(anonymous_id)
    assert 0 <= int(user_id) < 2**53
    assert user_id == stitched_user_id(anonymous_id)


def test_stitched_user_ids_are_pinned() -> None:
    """Another release must make the same numbers, or everyone would begin anew."""
    assert stitched_user_id("anon-1") == "1639105742322265"
    assert stitched_user_id("") == "8011147086339971"


def test_stitched_user_ids_are_spread() -> None:
    """Different anonymous ids get different numbers."""
    assert len({stitched_user_id(f"anon-{n}") for n in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    ("danger", "code", "detail"),
    [
        (None, "missing_identity", "userId: there is none; send one"),
        (
            Note("unsafe_identity", "anonymousId", "it is odd"),
            "unsafe_identity",
            "anonymousId: it is odd; send one",
        ),
    ],
)
def test_a_rejection_says_which_id_is_wanted(danger: Note | None, code: str, detail: str) -> None:
    """An id that is unsafe is told as such, one that is absent as missing."""
    reject = missing_identity(danger, "one")
    assert (reject.code, reject.detail) == (code, detail)


def test_identifiers_come_from_any_message() -> None:
    """A message that a host built by hand will do."""
    assert identifiers(Track(message_id="m"), SETTINGS).identity is None
