"""How a decision reads what it is made of. Module: `decisions.py`.

Compiled, `hatch_slots.h` remembers where an attribute lay in objects of its class.
"""

from __future__ import annotations

from typing import Any

import pytest

from destination_router.pipeline.decisions import leaves_user_id_out


def noted(path: str = "userId", code: str = "unsafe_identity") -> Any:
    """A note of a class of its own, whose attributes lie in slots."""

    class Noted:
        __slots__ = ("code", "path")

    note: Any = Noted()
    note.path, note.code = path, code
    return note


def is_left_out(*notes: Any) -> bool:
    """Ask twice, so that the second answer goes by what is remembered."""
    first, second = leaves_user_id_out(notes), leaves_user_id_out(notes)
    assert first == second
    return first


def test_attributes_are_read_from_objects_of_many_classes() -> None:
    """Objects whose classes are alike in all but their layout are told apart."""

    class Reversed:
        __slots__ = ("code", "padding", "path")

    other: Any = Reversed()
    other.path, other.code = "userId", "unsafe_identity"
    kinds = [noted() for _ in range(2000)]  # more classes than are remembered
    assert all(is_left_out(each) for each in [*kinds, other])
    assert not any(is_left_out(noted(path="event")) for _ in range(2000))


def test_an_attribute_that_is_deleted_is_missing() -> None:
    """An empty slot is an error, not a crash, and may be filled again."""
    note = noted()
    assert is_left_out(note)
    del note.path
    with pytest.raises(AttributeError):
        leaves_user_id_out([note])
    note.path = "userId"
    assert is_left_out(note)


def test_a_class_that_changes_is_asked_again() -> None:
    """A property in the place of a slot counts from then on, and so does one of a subclass."""
    note = noted()
    assert is_left_out(note)
    kind: Any = type(note)

    class Other(kind):
        path = property(lambda _: "event")

    other: Any = Other()
    other.code = note.code
    assert not is_left_out(other)
    del Other.path
    other.path = "userId"
    assert is_left_out(other)
    kind.path = property(lambda _: "event")
    assert not is_left_out(note)
    assert not is_left_out(other)


def test_an_instances_own_attributes_are_found() -> None:
    """What lies in an object's dictionary is read there each time."""

    class Loose:
        path = "event"
        code = "unsafe_identity"

    loose: Any = Loose()
    assert not is_left_out(loose)
    loose.path = "userId"
    assert is_left_out(loose)
    del loose.path
    assert not is_left_out(loose)
