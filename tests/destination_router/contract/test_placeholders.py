"""Ids that name nobody are known, and nobody's real id is taken for one."""

from string import ascii_letters, digits

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router import (
    PLACEHOLDER_IDS,
    harmless_ends,
    is_placeholder_id,
    placeholder_reason,
)


@pytest.mark.parametrize("identifier", PLACEHOLDER_IDS)
def test_what_senders_write_where_they_know_no_user(identifier: str) -> None:
    """In any casing, with blanks around."""
    for written in (identifier, identifier.upper(), f" {identifier.title()}\n"):
        assert is_placeholder_id(written)
        assert placeholder_reason(written) == "it is a placeholder"


@pytest.mark.parametrize("identifier", ["", " ", "\u200b", "\0", "\u3164", "\ufeff \u2060"])
def test_what_shows_nothing_is_blank(identifier: str) -> None:
    """A vendor would take it for one more user."""
    assert placeholder_reason(identifier) == "it is blank"


@pytest.mark.parametrize(
    "identifier", ["{{user.id}}", "${USER_ID}", "<%= id %>", "{% id %}", "%user_id%", "a-{{id}}"]
)
def test_a_template_that_nobody_filled_in(identifier: str) -> None:
    """Everybody for whom it was not filled in would be one."""
    assert placeholder_reason(identifier) == "it is a template that nobody filled in"


@pytest.mark.parametrize("identifier", ["00", "0.0", "000-00", "0" * 32, "\u200bnull\u200b"])
def test_zeros_and_hidden_characters_hide_nothing(identifier: str) -> None:
    """Of the all-zero ones, `0` stands for all."""
    assert is_placeholder_id(identifier)


@pytest.mark.parametrize("identifier", ["ada", "0a", "10", "usera", "100%", "{ada}", "<ada>", "-2"])
def test_a_real_id_is_none(identifier: str) -> None:
    """What only looks odd names somebody."""
    assert not is_placeholder_id(identifier)


def test_a_list_of_ones_own_takes_the_place_of_the_usual_one() -> None:
    """A vendor's own placeholders are known to its destination."""
    assert is_placeholder_id("TEST", {"test"})
    assert not is_placeholder_id("null", {"test"})
    assert not is_placeholder_id("000", {"test"})
    assert is_placeholder_id(" ", {"test"})


ODD_PARTS = (
    *("{{a}}", "{%a%}", "<%a%>", "${a}", "%a%", "{", "<", "0", "-", ".", "[object A]", "\0"),
    *("\u200b", "\u3164", "\u00ad", " ", "\n", "\u0130", "\u1e9e", "\ufb01", "\u212a", "\u01c5"),
)
PLACED = st.sampled_from(PLACEHOLDER_IDS).flatmap(
    lambda text: st.sampled_from((text, text.upper(), text.title(), text.swapcase()))
)
ODD_IDS = st.lists(PLACED | st.sampled_from(ODD_PARTS) | st.text(max_size=2), max_size=4)
LISTS = st.sampled_from(
    (PLACEHOLDER_IDS, (), ("test",), ("0",), ("user 1", "\u00e9", "", "ss", "k", "[object object]"))
)


@settings(max_examples=1000)
@given(parts=ODD_IDS, listed=LISTS)
def test_what_ends_with_a_harmless_end_is_at_most_a_template(
    parts: list[str], listed: tuple[str, ...]
) -> None:
    """Of placeholders in any casing, with anything around them."""
    for identifier in ("".join(parts), *("".join(parts) + end for end in ascii_letters + digits)):
        if identifier[-1:] in harmless_ends(listed) and not set("{<") & set(identifier):
            assert placeholder_reason(identifier, listed) is None


def test_most_ids_have_a_harmless_end() -> None:
    """Numbers, UUIDs and names; otherwise it would save nothing."""
    ends = harmless_ends()
    assert ends >= set("23456789bcfBCF")
    assert ends.isdisjoint(text[-1:] for text in PLACEHOLDER_IDS)


@given(st.text())
def test_any_text_is_judged(identifier: str) -> None:
    """And both say the same."""
    assert is_placeholder_id(identifier) == (placeholder_reason(identifier) is not None)
