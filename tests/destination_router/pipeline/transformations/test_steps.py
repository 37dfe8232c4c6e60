"""Transformations: each operation, its notes, its condition, and what it does when it cannot.

Modules: `steps.py`, `operations.py`, `conversions.py`, `edits.py`, `parts.py`.
"""

import json
from typing import Any

import msgspec
import pytest

from destination_router import Message, Reject, Track, hookimpl, parse_message
from destination_router.pipeline.paths import everything
from destination_router.pipeline.privacy.masking import MaskingKeys
from destination_router.pipeline.transformations.operations import OPERATIONS, Surroundings
from destination_router.pipeline.transformations.steps import Transformations, Transformed
from destination_router.plugins.code_transformations import (
    check_transformation,
    load_transformation,
)
from destination_router.plugins.loading import PluginError
from destination_router.settings.errors import SettingsError

KEYS = MaskingKeys({1: b"0123456789abcdef0123456789abcdef"})


def message(**fields: Any) -> Message:
    base = {"type": "track", "messageId": "m1", "userId": "ada", "event": "Paid"}
    return parse_message({**base, **fields})


def transformed(*steps: dict[str, Any], **fields: Any) -> Transformed:
    return Transformations(steps, Surroundings(keys=KEYS)).apply(message(**fields))


def properties(*steps: dict[str, Any], **values: Any) -> Any:
    done = transformed(*steps, properties=values)
    assert isinstance(done.message, Track)
    return done.message.properties


def codes(*steps: dict[str, Any], **fields: Any) -> list[str]:
    return [note.code for note in transformed(*steps, **fields).notes]


def problems(*steps: Any) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        Transformations(steps)
    return [str(problem) for problem in refused.value.problems]


# -- events -------------------------------------------------------------------------------------


def test_an_event_gets_another_name() -> None:
    """Only the event that is named is renamed, and that leaves a note."""
    done = transformed({"rename_event": {"Paid": "Order Paid"}})
    assert isinstance(done.message, Track)
    assert done.message.event == "Order Paid"
    assert [note.code for note in done.notes] == ["renamed"]
    assert codes({"rename_event": {"Other": "x"}}) == []


@pytest.mark.parametrize(
    ("step", "event", "kept"),
    [
        ({"drop_events": ["Debug *"]}, "Debug 1", False),
        ({"drop_events": ["Debug *"]}, "debug 1", True),
        ({"drop_events": ["a.c"]}, "abc", True),
        ({"keep_events": ["Paid", "*Seen"]}, "Ad Seen", True),
        ({"keep_events": ["Paid", "*Seen"]}, "Seen Ad", False),
        ({"keep_events": ["a*c"]}, "a\nc", True),
    ],
)
def test_events_are_dropped_and_kept_by_pattern(
    step: dict[str, Any], event: str, *, kept: bool
) -> None:
    """A star stands for any text; all else is taken at its word."""
    done = transformed(step, event=event)
    assert (done.message is not None) is kept
    assert (done.reason is None) is kept


def test_patterns_leave_calls_without_a_name_alone() -> None:
    """A list of events says nothing about who a user is."""
    kept = transformed({"keep_events": ["Paid"]}, type="identify")
    assert kept.message is not None


# -- properties and traits ----------------------------------------------------------------------


def test_a_property_is_renamed_in_its_place() -> None:
    """A new name changes neither the order nor the other properties, but takes its own place."""
    step = {"rename": {"properties.plan_name": "plan"}}
    assert json.dumps(properties(step, a=1, plan_name="x", plan="old", b=2)) == (
        '{"a": 1, "plan": "x", "b": 2}'
    )


def test_a_property_is_copied_and_moved_anywhere() -> None:
    """What is copied stays, what is moved goes; objects are made on the way."""
    copied = transformed({"copy": {"properties.a": "context.app.name"}}, properties={"a": 1})
    assert copied.message is not None
    assert copied.message.context == {"app": {"name": 1}}
    assert properties({"move": {"properties.a": "properties.b.c"}}, a=1) == {"b": {"c": 1}}
    moved = transformed({"move": {"properties.id": "userId"}}, properties={"id": 7})
    assert moved.message is not None
    assert moved.message.user_id == "7"


def test_something_in_the_way_is_told() -> None:
    """What cannot be placed is not lost in silence."""
    step = {"copy": {"properties.a": "properties.b.c"}}
    assert "dropped" in codes(step, properties={"a": 1, "b": 2})


def test_a_star_stands_for_every_item() -> None:
    """A path reaches into each item of a list."""
    items = [{"sku": "a", "n": 1}, {"n": 2}, 3]
    step = {"delete": ["properties.items.*.sku"]}
    assert properties(step, items=items) == {"items": [{"n": 1}, {"n": 2}, 3]}


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        ("string", 1.0, "1"),
        ("string", True, "true"),
        ("number", " 1.5 ", 1.5),
        ("number", "12", 12),
        ("integer", "12.0", 12),
        ("boolean", "TRUE", True),
        ("boolean", 0, False),
        ("datetime", 1792650000, "2026-10-22T06:20:00.000Z"),
        ("datetime", "2026-11-22", "2026-11-22T00:00:00.000Z"),
    ],
)
def test_types_are_converted(wanted: str, value: object, expected: object) -> None:
    """What can be read as the wanted type becomes it."""
    found = properties({"convert": {"properties.v": wanted}}, v=value)["v"]
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ("number", "12 kg"),
        ("number", "nan"),
        ("number", "1e999"),
        ("number", True),
        ("integer", 1.5),
        ("boolean", "yes"),
        ("datetime", "soon"),
        ("string", {"a": 1}),
        ("string", None),
    ],
)
def test_what_cannot_be_converted_stays(wanted: str, value: object) -> None:
    """As Freshpaint documents: the value stays as it is; here, with a note."""
    step = {"convert": {"properties.v": wanted}}
    assert properties(step, v=value) == {"v": value}
    assert codes(step, properties={"v": value}) == ["unconverted"]


def test_text_is_put_in_form() -> None:
    """Upper, lower and trim change text, and leave what is none."""
    steps = ({"upper": ["properties.a"]}, {"lower": ["properties.b"]}, {"trim": ["properties.c"]})
    assert properties(*steps, a="xY", b="xY", c=" x ") == {"a": "XY", "b": "xy", "c": "x"}
    assert codes({"upper": ["properties.a"]}, properties={"a": "X"}) == []
    assert properties({"upper": ["properties.a"]}, a=1) == {"a": 1}


def test_constants_and_builtins_are_set() -> None:
    """A value of the configuration's, or of the message's own, stands where it should."""
    done = transformed(
        {"constant": {"properties.source": "web", "properties.tags": ["a"]}},
        {"builtin": {"properties.at": "timestamp", "properties.tz": "context.timezone"}},
        {"builtin": {"properties.received": "receivedAt"}},
        timestamp="2026-11-22T00:00:00Z",
        context={"timezone": "UTC"},
    )
    assert isinstance(done.message, Track)
    assert done.message.properties == {
        "source": "web",
        "tags": ["a"],
        "at": "2026-11-22T00:00:00Z",
        "tz": "UTC",
    }
    assert [note.code for note in done.notes] == ["set", "set", "set", "set", "dropped"]


# -- people -------------------------------------------------------------------------------------


def test_a_hashed_value_is_what_a_masked_identifier_is() -> None:
    """The same person has the same value, whether hashed here or masked by privacy."""
    found = properties({"hash": ["properties.email"]}, email=" Ada@Example.com")
    assert found == {"email": KEYS.mask("ada@example.com")}


def test_only_the_end_of_a_masked_value_stays() -> None:
    """No more than the configured number of characters can be read, and none of a short value."""
    step = {"mask": {"properties.phone": 4}}
    assert properties(step, phone="+49 30 1234") == {"phone": "*******1234"}
    assert properties(step, phone="1234") == {"phone": "****"}
    assert properties({"mask": {"properties.n": 0}}, n=1234) == {"n": "****"}


def test_what_cannot_be_hidden_goes() -> None:
    """An object has no text to hide: it does not pass unhidden."""
    for step in ({"hash": ["properties.a"]}, {"mask": {"properties.a": 2}}):
        assert properties(step, a={"name": "ada"}, b=1) == {"b": 1}
        assert properties(step, a=[{"name": "ada"}]) == {"a": []}


def test_a_sample_is_a_share_of_the_users() -> None:
    """Each user is in the sample or not, with all of their events, in about that share."""
    steps = Transformations([{"sample": 0.25}])
    users = {
        user: {steps.apply(message(userId=user, event=e)).message is None for e in "ab"}
        for user in map(str, range(2000))
    }
    assert all(len(verdicts) == 1 for verdicts in users.values())
    kept = sum(verdicts == {False} for verdicts in users.values())
    assert 400 < kept < 600


# -- the whole message --------------------------------------------------------------------------


def test_nobody_reads_around_a_transformation() -> None:
    """What is deleted is gone from the wire form and the context too."""
    done = transformed(
        {"delete": ["traits.email", "userId"]},
        type="identify",
        anonymousId="a",
        traits={"email": "x@y.z", "plan": "p"},
        context={"traits": {"email": "x@y.z"}},
    )
    assert done.message is not None
    assert "x@y.z" not in msgspec.json.encode(everything(done.message)).decode()
    assert "x@y.z" not in msgspec.json.encode(done.message).decode()
    assert everything(done.message)["userId"] is None


def test_the_original_is_not_changed() -> None:
    """Every connection starts from the same message."""
    original = message(properties={"a": {"b": [1, {"c": "x"}]}}, context={"ip": "1"})
    before = msgspec.json.encode(everything(original))
    Transformations(
        [{"upper": ["properties.a.b.*.c"]}, {"delete": ["context.ip"]}, {"delete": ["userId"]}]
    ).apply(original)
    assert msgspec.json.encode(everything(original)) == before


def test_a_condition_decides() -> None:
    """A step with `when` leaves other messages alone, and later steps see what earlier ones did."""
    steps = (
        {"rename_event": {"Paid": "Sold"}},
        {"when": 'event = "Sold"', "constant": {"properties.n": 1}},
        {"when": 'event = "Paid"', "constant": {"properties.n": 2}},
    )
    assert properties(*steps) == {"n": 1}


# -- code ---------------------------------------------------------------------------------------


class Code:
    """A transformation that does as the message's event says."""

    @hookimpl
    def transform_message(self, message: Message, connection: str) -> Message | None:
        match message.other("event"):
            case "drop":
                return None
            case "reject":
                raise Reject("no_plan", "ada has no plan")
            case "fail":
                raise ValueError("ada@example.com")
            case "wrong":
                return 1  # type: ignore[return-value]
        return Track(message_id="other", user_id=" ada ", event=connection)


def coded(event: str, *, private: bool = False) -> Transformed:
    code = check_transformation(Code(), "code")
    around = Surroundings(connection="production", private=private, load=lambda _: code)
    return Transformations([{"code": "code"}], around).apply(message(event=event))


def test_code_changes_or_drops_a_message() -> None:
    """What code returns is made well-formed, and stays the same message; None drops it."""
    done = coded("Paid")
    assert isinstance(done.message, Track)
    assert (done.message.event, done.message.user_id) == ("production", "ada")
    assert done.message.message_id == "m1"
    assert [note.code for note in done.notes] == ["transformed", "converted"]
    assert coded("drop").reason == "transformations.0.code: code dropped it"


@pytest.mark.parametrize("event", ["fail", "wrong"])
def test_code_that_fails_rejects_the_message_without_its_words(event: str) -> None:
    """A message that code could not deal with is not passed on as it was."""
    with pytest.raises(Reject) as refused:
        coded(event)
    assert refused.value.code == "transformation_error"
    assert "ada" not in refused.value.detail


def test_code_that_rejects_is_quoted_unless_private() -> None:
    """In HIPAA mode nobody knows what code may have put into its words."""
    with pytest.raises(Reject, match="ada has no plan"):
        coded("reject")
    with pytest.raises(Reject) as refused:
        coded("reject", private=True)
    assert (refused.value.code, refused.value.detail) == ("no_plan", "code refuses it")


@pytest.mark.parametrize("code", [Code, object(), type("C", (), {"transform_message": len})()])
def test_code_that_is_no_transformation_is_refused(code: object) -> None:
    """What pluggy would let pass is told when the connection is made."""
    with pytest.raises(PluginError, match="breaks the contract"):
        check_transformation(code, "code")


def test_code_that_is_not_installed_is_told() -> None:
    """A name without an entry point is an error of the configuration."""
    with pytest.raises(PluginError, match="no transformation called 'x' is installed"):
        load_transformation("x")


# -- configuration ------------------------------------------------------------------------------


def test_every_mistake_is_told_with_its_place() -> None:
    """All steps are checked when the connection is made."""
    known = ", ".join(OPERATIONS)
    assert problems(
        {"rename": {"properties.a": "b"}, "delete": ["properties.a"]},
        {"delete": ["messageId"]},
        {"convert": {"properties.a": "float"}},
        {"when": "type =", "upper": ["properties.a"]},
        {"hash": ["userId"]},
        {"sample": 2},
        {"code": "x"},
        {"copy": {"properties.*.a": "properties.b"}},
        1,
        {"renam": {"properties.a": "b"}},
        {"zzz": 1},
        {"when": 'type = "track"'},
    ) == [
        "transformations.0: names rename and delete: write one operation a step, and perhaps when",
        (
            "transformations.1.delete: write a path: properties.<name>, traits.<name>, "
            "context.<name>, or one of event, name, category, userId, anonymousId, groupId, "
            "previousId, timestamp"
        ),
        (
            "transformations.2.convert: no type is called float; "
            "known: string, number, integer, boolean, datetime"
        ),
        (
            "transformations.3.when: at character 7: expected text in quotes, a number, true, "
            "false or null"
        ),
        'transformations.4.hash: needs a key: [privacy.keys] v1 = {env = "MASKING_KEY_1"}',
        "transformations.5.sample: write a share from 0 to 1, such as 0.1",
        "transformations.6.code: no transformation called 'x' is installed; installed: none",
        "transformations.7.copy: properties.*.a: name one place, without *",
        "transformations.8: must be a table",
        "transformations.9: renam is no operation; did you mean rename?",
        f"transformations.10: zzz is no operation; known: {known}",
        f"transformations.11: names no operation; known: {known}",
    ]
