"""Bare URLs: where they lead passes, what they carry does not, however it is spelt."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.pipeline.privacy.allowlists import Allowlist, parse_rule

PASSING = Allowlist([parse_rule("url"), parse_rule("note")], str)


def passed(name: str, text: str) -> object:
    kept, _ = PASSING.kept({name: text})
    return kept[name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://clinic.example/book?mrn=1#ada", "https://clinic.example/book"),
        ("/book;jsessionid=ada", "/book"),
        ("/book&mrn=1", "/book"),
        ("book?mrn=1", "book"),
        ("https://clinic.example/book%3Fmrn=1", "https://clinic.example/book"),
        ("https://clinic.example/book%25253fmrn=1", "https://clinic.example/book"),
        ("https://clinic.example/book%25%33%46mrn=1", "https://clinic.example/book"),
        ("https://clinic.example/book\\u003fmrn=1", "https://clinic.example/book"),
        ("https://clinic.example/book\uff1fmrn=1", "https://clinic.example/book"),
        ("https://ada:pw@clinic.example/book", "https://clinic.example/book"),
        ("https://ada:pw@x@clinic.example/", "https://clinic.example/"),
        ("https://ada%40pw@clinic.example/", "https://clinic.example/"),
        ("https://ada:pw%40clinic.example/", "https://clinic.example/"),
        ("https://ada%5c:pw@clinic.example/", "https://"),
        ("https://ada\\:pw@clinic.example/", "https://"),
        ("https://ada%2f:pw@clinic.example/", "https://"),
        ("https://ada;x&y%:pw@clinic.example/", "https://clinic.example/"),
        ("https:/ada:pw@clinic.example/", "https:/clinic.example/"),
        ("https:\\\\ada:pw@clinic.example\\book?mrn=1", "https:\\\\clinic.example"),
        ("//ada:pw@clinic.example/book", "//clinic.example/book"),
        ("\ufeffhttps://ada:pw@clinic.example/", "https://clinic.example/"),
        ("\x00\x1f https://ada:pw@clinic.example/", "https://clinic.example/"),
        ("ht\ttps\n://ada:pw@clinic.example/\r", "https://clinic.example/"),
        ("https%3A%2F%2Fada%3Apw%40clinic.example%3Fmrn", "https%3A%2F%2Fclinic.example"),
        ("https://go.example/https://ada:pw@clinic.example/", "https://go.example/https:"),
        ("https://go.example/r/ada:pw@clinic.example/", "https://go.example/r/"),
        ("ada:pw@clinic.example/book", ""),
        ("mailto:ada@clinic.example", ""),
    ],
)
def test_what_a_url_carries_does_not_pass(text: str, expected: str) -> None:
    """In a field that holds URLs, and in any other whose value is one."""
    assert passed("url", text) == expected
    assert passed("note", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tel:+4930123456", ""),
        ("data:text/plain,ada", ""),
        ("ada@clinic.example", ""),
        ("https://ada:pw", "https://"),
    ],
)
def test_what_is_no_url_does_not_pass_as_one(text: str, expected: str) -> None:
    """In a field that holds URLs, what cannot be one for certain stays behind."""
    assert passed("url", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://clinic.example",
        "http://localhost:8080/a/b.html",
        "https://clinic.example/caf%C3%A9/%E2%82%AC",
        "https://münchen.example/straße",
        "https://[2001:db8::1]:8443/a",
        "https://medium.example/@ada/a,b",
        "android-app://com.example/screen",
        "file:///a/b",
        "clinic.example:443/a",
        "/a b/c",
        "Billing > Plans",
        "",
    ],
)
def test_what_carries_nothing_passes_as_it_is(text: str) -> None:
    """A plain URL or path is the same on both sides, to the character."""
    assert passed("url", text) == text


@pytest.mark.parametrize(
    "text", ["AT&T", "50% off; really?", "ada@clinic.example", "#1", "a:b c@d", "Who? 1=1"]
)
def test_a_text_that_is_no_url_passes_whole(text: str) -> None:
    """Marks that a URL has too make a text no URL; whether it may pass, its field says."""
    assert passed("note", text) == text


def test_a_url_within_a_text_is_cut_alone() -> None:
    """What people paste into a text carries as much as what stands there alone."""
    text = "Seen? at  https://ada:pw@clinic.example/book?mrn=1 and\n(//x) at 1=1, (http://x/?a)"
    expected = "Seen? at  https://clinic.example/book and\n(//x) at 1=1, (http://x/"
    assert passed("note", text) == expected


SECRET = "Zqada"
MARKS = st.text("?#;&@:/\\%.=25340fF \t\n\x00\ufeff\u200bhtps", max_size=6)


@settings(max_examples=300, deadline=None)
@given(MARKS, st.sampled_from(["https://", "//", "", "/", "ftp:"]), MARKS, st.data())
def test_no_query_passes_wherever_it_begins(
    before: str, scheme: str, between: str, data: st.DataObject
) -> None:
    """Behind a mark that begins a query nothing passes, whatever else stands before it."""
    mark = data.draw(st.sampled_from(["?", "#", "%3f", "%3F", "%253F", "\uff1f", "&", ";"]))
    text = f"{before}{scheme}{between}{mark}x={SECRET}"
    assert SECRET not in str(passed("url", text))


@settings(max_examples=300, deadline=None)
@given(st.text("abc.:%25@\\fF;&", max_size=6), st.sampled_from(["@", "%40", "%2540", "\uff20"]))
def test_no_credentials_pass(between: str, mark: str) -> None:
    """What stands before an at sign in a URL's authority does not pass, however it is spelt."""
    for lead in ("https://", "//", "https:\\\\", "ht\ntps://", "\ufeffhttps:/", "ftp:///"):
        text = f"{lead}{SECRET}{between}{mark}clinic.example/a"
        assert SECRET not in str(passed("url", text))
        assert SECRET not in str(passed("note", text))
