"""Properties: one level, numbers and text, within Heap's limits, and nothing lost in silence."""

import json
import math
import random
import struct
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router import Note
from heap_destination.properties import (
    cut,
    event_properties,
    number_text,
    texts,
    user_properties,
)

FOX = "\N{FOX FACE}"


def of_event(properties: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    notes: list[Note] = []
    flat = event_properties(properties, "properties", notes)
    return flat, [(note.code, note.path) for note in notes]


def of_user(traits: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    notes: list[Note] = []
    flat = user_properties(traits, "traits", notes)
    return flat, [(note.code, note.path) for note in notes]


# -- what is kept, converted, joined, flattened, dropped ----------------------------------------


@pytest.mark.parametrize(
    "value",
    ["", "text", "caf\u00e9 \U0001f98a", 0, 1, -1, 1.5, -0.25, 1e300, 2**53, -(2**53)],
)
def test_text_and_numbers_are_kept_as_they_are(value: object) -> None:
    """What Heap documents needs no change and no note; an integer keeps its digits."""
    flat, notes = of_event({"k": value})
    assert (flat, notes) == ({"k": value}, [])
    assert type(flat["k"]) is type(value)


@pytest.mark.parametrize(
    ("properties", "flat", "notes"),
    [
        ({"k": True}, {"k": "true"}, [("converted", "properties.k")]),
        ({"k": False}, {"k": "false"}, [("converted", "properties.k")]),
        ({"k": None}, {}, [("dropped", "properties.k")]),
        ({"k": math.nan}, {}, [("dropped", "properties.k")]),
        ({"k": math.inf}, {}, [("dropped", "properties.k")]),
        ({"k": -math.inf}, {}, [("dropped", "properties.k")]),
        ({"k": {}}, {}, [("dropped", "properties.k")]),
        ({"k": []}, {}, [("dropped", "properties.k")]),
        ({"k": {"a": {"b": 1}}}, {"k.a.b": 1}, []),
        ({"k": {"a": {}}}, {}, [("dropped", "properties.k.a")]),
        # arrays
        ({"k": ["v"]}, {"k": "v"}, [("joined", "properties.k")]),
        ({"k": ["v", 1, 2.0, 0.5]}, {"k": "v||1||2||0.5"}, [("joined", "properties.k")]),
        ({"k": [True, "", False]}, {"k": "true||||false"}, [("joined", "properties.k")]),
        (
            {"k": ["v", None, "w"]},
            {"k": "v||w"},
            [("dropped", "properties.k.1"), ("joined", "properties.k")],
        ),
        (
            {"k": [math.nan, 1]},
            {"k": "1"},
            [("dropped", "properties.k.0"), ("joined", "properties.k")],
        ),
        ({"k": [None]}, {}, [("dropped", "properties.k.0")]),
        ({"k": [{"a": 1}, {"a": 2}]}, {"k.0.a": 1, "k.1.a": 2}, []),
        (
            {"k": [1, {"a": True}, None]},
            {"k.0": 1, "k.1.a": "true"},
            [("converted", "properties.k.1.a"), ("dropped", "properties.k.2")],
        ),
        (
            {"k": [[1, 2], [3]]},
            {"k.0": "1||2", "k.1": "3"},
            [("joined", "properties.k.0"), ("joined", "properties.k.1")],
        ),
        ({"k": [[]]}, {}, [("dropped", "properties.k.0")]),
        ({"k": [{}]}, {}, [("dropped", "properties.k.0")]),
        # keys
        ({"a.b": 1}, {"a.b": 1}, []),
        ({"": 1}, {}, [("dropped", "properties.")]),
        ({"": {"a": 1}}, {".a": 1}, []),
        ({"a": {"": 1}}, {"a.": 1}, []),
        ({" ": 1}, {" ": 1}, []),
    ],
)
def test_each_kind_of_value_is_mapped_by_its_rule(
    properties: dict[str, Any], flat: dict[str, Any], notes: list[tuple[str, str]]
) -> None:
    """Objects flatten with dots, arrays join or flatten with indices; every change has a note."""
    assert of_event(properties) == (flat, notes)


def test_the_example_on_which_other_systems_disagree() -> None:
    """One object, every rule: as Heap itself would have it."""
    flat, _ = of_event(
        {"a": 1, "b": True, "c": None, "f": {"g": [1, {"h": 2}], "i": {}}, "j": [], "m": ["v", "c"]}
    )
    assert flat == {"a": 1, "b": "true", "f.g.0": 1, "f.g.1.h": 2, "m": "v||c"}


def test_a_key_of_two_flattened_objects_that_clash_is_told() -> None:
    """Where neither spelling is the plainer, the later one counts."""
    flat, notes = of_event({"a": {"b.c": 1}, "a.b": {"c": 2}})
    assert (flat, notes) == ({"a.b.c": 2}, [("dropped", "properties.a.b.c")])


@pytest.mark.parametrize(
    "properties",
    [
        {"a.b": "explicit", "a": {"b": "nested"}},
        {"a": {"b": "nested"}, "a.b": "explicit"},
        {"a.b": "explicit", "a": {"b": ["nested"]}},
        {"a": {"b": True}, "a.b": "explicit"},
    ],
)
def test_on_a_clash_the_explicit_dotted_key_wins(properties: dict[str, Any]) -> None:
    """Whichever comes first: who spells the dot means it; the other is told."""
    flat, notes = of_event(properties)
    assert flat == {"a.b": "explicit"}
    assert ("dropped", "properties.a.b") in notes


@pytest.mark.parametrize(
    ("properties", "winner"),
    [
        ({"a": {"0": "object"}, "a.0": "explicit"}, "explicit"),
        ({"a.b.c": 3, "a.b": {"c": 2}, "a": {"b": {"c": 1}}}, 3),
        ({"a": {"b": {"c": 1}}, "a.b": {"c": 2}, "a.b.c": 3}, 3),
        ({"a": {"b": {"c": 1}}, "a.b": {"c": 2}}, 2),
    ],
)
def test_the_less_nested_of_several_clashing_keys_wins(
    properties: dict[str, Any], winner: object
) -> None:
    """The plainer the spelling, the more it counts."""
    flat, notes = of_event(properties)
    assert list(flat.values()) == [winner]
    assert len(notes) == len(properties) - 1


# -- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", ["x", "\u00e9", FOX, "\u0301"])
@pytest.mark.parametrize(
    ("length", "kept", "cut_"), [(1022, 1022, False), (1023, 1023, False), (1024, 1023, True)]
)
@pytest.mark.parametrize("build", [lambda text: text, lambda text: [text]], ids=["text", "array"])
def test_a_value_has_at_most_1023_characters(
    character: str, length: int, kept: int, cut_: object, build: Callable[[str], Any]
) -> None:
    """Fewer than 1024, counted in characters, none of them cut in two."""
    flat, notes = of_event({"k": build(character * length)})
    assert flat == {"k": character * kept}
    assert (("truncated", "properties.k") in notes) is cut_


def test_a_joined_array_is_cut_as_one_text() -> None:
    """Heap's limit is on the text that it would make of the array."""
    flat, notes = of_event({"k": ["x" * 600, "y" * 600]})
    assert flat == {"k": "x" * 600 + "||" + "y" * 421}
    assert notes == [("joined", "properties.k"), ("truncated", "properties.k")]


@pytest.mark.parametrize("character", ["k", FOX])
@pytest.mark.parametrize(("length", "kept"), [(1023, True), (1024, False)])
def test_a_key_has_at_most_1023_characters(character: str, length: int, kept: object) -> None:
    """A key that long is dropped: cut, it could be taken for another. Its note is readable."""
    key = character * length
    flat, notes = of_event({key: 1})
    assert (key in flat) is kept
    expected = [] if kept else [("dropped", f"properties.{key}"[:200] + "\u2026")]
    assert notes == expected


def test_a_flattened_key_counts_whole() -> None:
    """The dots and the names above it are part of a key."""
    flat, notes = of_event({"a" * 500: {"b" * 522: 1, "c" * 523: 2}})
    assert list(flat.values()) == [1]
    assert [code for code, _ in notes] == ["dropped"]


@pytest.mark.parametrize(("levels", "kept"), [(32, True), (33, False), (500, False)])
@pytest.mark.parametrize("wrap", [lambda inner: {"0": inner}, lambda inner: [inner]])
def test_what_is_nested_deeper_than_32_levels_is_dropped(
    levels: int, kept: object, wrap: Callable[[Any], Any]
) -> None:
    """The bound has a note with the path where it was reached, and the rest is kept."""
    nested: Any = ["leaf"]
    for _ in range(levels - 2):
        nested = wrap(nested)
    flat, notes = of_event({"0": nested, "1": [nested], "k": 1})
    deep = ".".join(["0"] * (levels - 1))
    assert (flat.get(deep), flat["k"]) == ("leaf" if levels <= 33 else None, 1)
    assert (flat.get(f"1.{deep}") == "leaf") is kept
    bound = ("dropped", "properties.1" + ".0" * 31)
    assert (bound in notes) is not kept


@pytest.mark.parametrize(
    ("number", "kept"),
    [(2**1023, True), (-(2**1024) + 1, True), (2**1024, False), (-(10**400), False)],
)
def test_an_integer_beyond_every_json_readers_numbers_is_dropped(number: int, kept: object) -> None:
    """It would arrive as infinity, or not at all."""
    flat, notes = of_event({"k": number})
    assert (flat == {"k": number}) is kept
    assert notes == [("imprecise_number" if kept else "dropped", "properties.k")]


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 10**20 + 1])
def test_an_integer_that_a_reader_may_round_is_sent_and_noted(value: int) -> None:
    """It keeps its digits here; whoever reads JSON as JavaScript does loses some."""
    assert of_event({"k": value}) == ({"k": value}, [("imprecise_number", "properties.k")])
    assert of_user({"a": {"b": value}})[1] == [("imprecise_number", "traits.a.b")]


@pytest.mark.parametrize("value", [object(), b"bytes", Decimal("1.5"), {1, 2}])
def test_what_json_has_no_word_for_is_dropped(value: object) -> None:
    """A host may build messages by hand; what Heap could not take is told."""
    assert of_event({"k": value}) == ({}, [("dropped", "properties.k")])
    assert of_event({"k": [value]}) == ({}, [("dropped", "properties.k.0")])


def test_a_time_becomes_iso_8601() -> None:
    """Heap's dates are ISO 8601 text."""
    moment = datetime(2026, 11, 22, 10, tzinfo=UTC)
    expected = {"k": "2026-11-22T10:00:00.000Z"}, [("converted", "properties.k")]
    assert of_event({"k": moment}) == expected


@pytest.mark.parametrize(
    ("length", "expected"), [(2, "ab"), (3, "abc"), (4, "abcd"), (0, ""), (1, "a")]
)
def test_a_text_is_cut_only_if_it_is_too_long(length: int, expected: str) -> None:
    """A note says how much is missing."""
    notes: list[Note] = []
    assert cut("abcd", length, "event", notes) == expected
    detail = f"4 characters were cut to {length}"
    assert notes == ([] if length == 4 else [Note("truncated", "event", detail)])


# -- a user's properties ------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["id", "ID", "Id", "iD", "user_id"])
def test_a_reserved_name_gets_a_leading_underscore(key: str) -> None:
    """Heap does not let a user property have it."""
    assert of_user({key: 7}) == ({f"_{key}": 7}, [("renamed", f"traits.{key}")])
    assert of_event({key: 7}) == ({key: 7}, [])


@pytest.mark.parametrize("key", ["ids", "_id", "User_Id", "USER_ID", "a.id", "user.id", "userId"])
def test_a_name_that_only_resembles_a_reserved_one_is_kept(key: str) -> None:
    """Heap documents `id` in any casing and `user_id`, nothing else."""
    assert of_user({key: 7}) == ({key: 7}, [])


@pytest.mark.parametrize("traits", [{"id": 1, "_id": 2}, {"_id": 2, "id": 1}])
def test_a_reserved_name_gives_way_where_its_new_name_is_taken(traits: dict[str, Any]) -> None:
    """A trait that the sender named `_id` is not overwritten."""
    assert of_user(traits) == ({"_id": 2}, [("dropped", "traits.id")])


def test_two_casings_of_a_reserved_name_stay_two_properties() -> None:
    """Each keeps its own casing behind the underscore."""
    assert of_user({"id": 1, "ID": 2})[0] == {"_id": 1, "_ID": 2}


@pytest.mark.parametrize(
    ("traits", "expected", "notes"),
    [
        ({"Email": "a@x"}, {"email": "a@x"}, [("renamed", "traits.Email")]),
        ({"EMAIL": "a@x"}, {"email": "a@x"}, [("renamed", "traits.EMAIL")]),
        ({"eMail": "a@x", "k": 1}, {"email": "a@x", "k": 1}, [("renamed", "traits.eMail")]),
        ({"email": "a@x"}, {"email": "a@x"}, []),
        ({"email": "a@x", "Email": "b@x"}, {"email": "a@x", "Email": "b@x"}, []),
        ({"Email": "a@x", "EMAIL": "b@x"}, {"Email": "a@x", "EMAIL": "b@x"}, []),
        ({"contact": {"Email": "a@x"}}, {"contact.Email": "a@x"}, []),
        ({"Email": None}, {}, [("dropped", "traits.Email")]),
        ({"e-mail": "a@x"}, {"e-mail": "a@x"}, []),
    ],
)
def test_a_lone_email_fills_the_built_in_property(
    traits: dict[str, Any], expected: dict[str, Any], notes: list[tuple[str, str]]
) -> None:
    """Only the lower-case key fills it; where there are several, the sender's choice stands."""
    assert of_user(traits) == (expected, notes)
    assert list(of_user(traits)[0]) == list(expected)


def test_an_events_email_is_an_ordinary_property() -> None:
    """The built-in Email is the user's."""
    assert of_event({"Email": "a@x"}) == ({"Email": "a@x"}, [])


# -- numbers as text ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (100.0, "100"),
        (123456789.125, "123456789.125"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e21, "1.5e+21"),
        (-1.25e22, "-1.25e+22"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (2**53 + 1, "9007199254740993"),
        (10**22, "10000000000000000000000"),
    ],
)
def test_a_number_is_written_as_javascript_does(number: float, expected: str) -> None:
    """A whole number keeps all its digits, where JavaScript would round."""
    assert number_text(number) == expected


def floats() -> list[float]:
    """Ten thousand floats: of any bits, subnormal, near powers of ten, and everyday ones."""
    chance = random.Random(20261122)
    found = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(5000)]
    found += [struct.unpack("<d", chance.randbytes(6) + b"\0\0")[0] for _ in range(1500)]
    found += [
        math.nextafter(10.0**power, chance.choice((0, math.inf))) for power in range(-300, 300)
    ]
    found += [10.0**power for power in range(-300, 300)]
    found += [round(chance.uniform(-1e6, 1e6), chance.randrange(6)) for _ in range(2400)]
    return [number for number in found if math.isfinite(number)][:10_000]


def test_javascript_agrees(node: str) -> None:
    """Node prints the same for thousands of numbers, subnormal ones included."""
    numbers = floats()
    assert len(numbers) >= 9_900
    script = "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(0)).map(String)))"
    done = subprocess.run(
        [node, "-e", script], input=json.dumps(numbers), capture_output=True, text=True, check=True
    )
    assert list(map(number_text, numbers)) == json.loads(done.stdout)


def test_the_partner_apis_values_are_text() -> None:
    """Every number becomes text, with a note; text is left as it is."""
    notes: list[Note] = []
    found = texts({"a": 1, "b": 1.5, "c": "x", "d": 2**53 + 1}, "properties", notes)
    assert found == {"a": "1", "b": "1.5", "c": "x", "d": "9007199254740993"}
    assert [(n.code, n.path) for n in notes] == [
        ("converted", f"properties.{key}") for key in ("a", "b", "d")
    ]


# -- anything at all ----------------------------------------------------------------------------

keys = st.text(max_size=5) | st.sampled_from(
    ["a", "b", "a.b", "a.b.c", "0", "", ".", "id", "ID", "_id", "Email", "email", "k" * 1024]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**1020, max_value=2**1030)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["x" * 1024, FOX * 1023]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=5)


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """List what stands at the ends of an object; an empty container is an end too."""
    items = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(items, dict) or (not items and path):
        yield path, value
        return
    for key, item in items.items():
        yield from leaves(item, (*path, str(key)))


def shown(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:200]}\u2026"


@pytest.mark.parametrize(
    ("of", "root"), [(event_properties, "properties"), (user_properties, "traits")]
)
@given(properties=objects)
@settings(deadline=None, max_examples=200)
def test_whatever_is_not_kept_as_it_was_is_told(
    of: Callable[..., dict[str, Any]], root: str, properties: dict[str, Any]
) -> None:
    """Every leaf arrives under its name and unchanged, or a note names it or what holds it."""
    notes: list[Note] = []
    flat = of(properties, root, notes)
    told = {note.path for note in notes}
    for path, value in leaves(properties):
        key = ".".join(path)
        kept = key in flat and type(flat[key]) is type(value) and flat[key] == value
        around = {shown(".".join((root, *path[:end]))) for end in range(1, len(path) + 1)}
        assert kept or around & told, key


_UNFIT = "an object, which the loop takes over from, and which no property is called"
small = st.integers() | st.floats() | st.text(max_size=5)


@given(properties=st.one_of(objects, st.dictionaries(keys, small), st.dictionaries(keys, values)))
@settings(deadline=None, max_examples=500)
def test_what_needs_no_change_is_kept_as_the_loop_would(properties: dict[str, Any]) -> None:
    """From the first value that needs one, the loop takes over: in the same order, note by note."""
    notes: list[Note] = []
    slow = event_properties({_UNFIT: {}, **properties}, "properties", notes)
    told: list[Note] = []
    flat = event_properties(properties, "properties", told)
    assert list(map(repr, flat.items())) == list(map(repr, slow.items()))
    dropped, *others = notes
    assert (dropped.path, told) == (f"properties.{_UNFIT}", others)


@pytest.mark.parametrize("of", [event_properties, user_properties])
@given(properties=objects)
@settings(deadline=None, max_examples=200)
def test_whatever_comes_heap_can_take_what_goes(
    of: Callable[..., dict[str, Any]], properties: dict[str, Any]
) -> None:
    """Keys and values are of the types and lengths that Heap documents."""
    notes: list[Note] = []
    flat = of(properties, "properties", notes)
    for key, value in {**flat, **texts(flat, "properties", [])}.items():
        assert 1 <= len(key) <= 1023
        assert type(value) in (str, int, float)
        assert not isinstance(value, str) or len(value) <= 1023
    if of is user_properties:
        assert not {key for key in flat if key.casefold() == "id" or key == "user_id"}
    assert {note.code for note in notes} <= {
        "truncated",
        "renamed",
        "joined",
        "converted",
        "dropped",
        "imprecise_number",
    }
    json.dumps(flat, allow_nan=False)
