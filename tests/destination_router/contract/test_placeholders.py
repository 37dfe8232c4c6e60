"""Ids that name nobody are known, and nobody's real id is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router import PLACEHOLDER_IDS, is_placeholder_id, placeholder_reason


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


@given(st.text())
def test_any_text_is_judged(identifier: str) -> None:
    """And both say the same."""
    assert is_placeholder_id(identifier) == (placeholder_reason(identifier) is not None)
