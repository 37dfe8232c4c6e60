"""Bytes that nearly are what a reader expects: valid ones, cut, doubled, mixed with trouble."""

from typing import Any

from hypothesis import strategies as st

TROUBLE = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"\\u0000",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0.0",
    b"9" * 5000,
    b"1" + b"0" * 400 + b".5",
    b"[" * 3000,
    b'{"a":' * 1500,
    b'"' + b"\\" * 99,
    b"{{ message.a || " + b" " * 5000,
    b'"a@' + b"." * 20_000 + b'@"',
    b'"' + b"debug" * 5000 + b'"',
    b"\n",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"",',
    b"]]]",
    b"}}}",
]
"""What has made some reader of text stumble."""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", " ", "0", "null", "\ud800", "2026-11-22T10:00:00Z", "a@b.c", "*", "$.a"]),
)


toml_scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["", " ", "0", "7d", "4 MB", "2026-11-22T10:00:00Z", "a@b.c", "*", "$.a"]),
)


def json_like(
    names: list[str], scalars: st.SearchStrategy[Any] = scalars
) -> st.SearchStrategy[Any]:
    """Make values whose objects have names that mean something, and others."""
    keys = st.one_of(st.sampled_from(names), st.text(max_size=8))
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=6)
        ),
        max_leaves=25,
    )


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Put trouble in place of some bytes, a few times over; or cut the end off, or double it."""
    content = whole
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        piece = draw(st.one_of(st.sampled_from(TROUBLE), st.binary(max_size=12)))
        content = content[:start] + piece + content[end:]
    return draw(st.sampled_from([content, content[: len(content) // 2], content * 2]))
