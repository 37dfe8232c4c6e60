"""Which messages `integrations` keeps from a destination."""

import msgspec
import pytest

from destination_router import Track
from destination_router.pipeline.integrations import refusal
from destination_router.pipeline.normalise import normalise

NAMES = ("production", "heap", "Heap", "Heap.io")
ALL_FALSE = "integrations.All is false"
ODD = ((None, "null"), ("true", "text"), (1, "a number"), ({}, "an object"), ([], "a list"))


def all_odd(kind: str) -> str:
    return f"integrations.All is {kind}, neither true nor false"


@pytest.mark.parametrize(
    ("integrations", "expected"),
    [
        # Nothing is said about the destination: All decides, and is true where it is missing.
        ({}, None),
        ({"All": True}, None),
        ({"All": False}, ALL_FALSE),
        ({"Mixpanel": True}, None),
        ({"Mixpanel": False}, None),
        ({"All": False, "Mixpanel": True}, ALL_FALSE),
        # A boolean of its own is obeyed, whatever All says.
        ({"Heap": True}, None),
        ({"All": True, "Heap": True}, None),
        ({"All": False, "Heap": True}, None),
        ({"Heap": False}, "integrations.Heap is false"),
        ({"All": True, "Heap": False}, "integrations.Heap is false"),
        ({"All": False, "Heap": False}, "integrations.Heap is false"),
        # An object takes part even where All is false.
        ({"Heap": {}}, None),
        ({"All": False, "Heap": {}}, None),
        ({"All": False, "Heap": {"identity": "x"}}, None),
        # Anything else leaves the decision to All.
        *(({"Heap": value}, None) for value in (None, "true", "false", 0, 1, [], [True])),
        *(({"All": True, "Heap": value}, None) for value in (None, "false", 0, [])),
        *(({"All": False, "Heap": value}, ALL_FALSE) for value in (None, "true", 1, [1])),
        # An All that is not a boolean keeps the message from everyone.
        *(({"All": value}, all_odd(kind)) for value, kind in ODD),
        *(({"All": value, "Heap": True}, all_odd(kind)) for value, kind in ODD),
        ({"All": None, "Heap": {}}, all_odd("null")),
    ],
)
def test_integrations_decide_as_in_rudder_server(
    integrations: dict[str, object], expected: str | None
) -> None:
    """The kinds of value mean what they mean in `FilterClientIntegrations`."""
    assert refusal(Track(message_id="m", integrations=integrations), NAMES) == expected


@pytest.mark.parametrize("name", ["production", "PRODUCTION", "heap", "HEAP", "hEAP.IO", "Heap.io"])
def test_every_name_counts_in_any_casing(name: str) -> None:
    """A sender need not know how the destination spells itself; the reason quotes the sender."""
    message = Track(message_id="m", integrations={name: False})
    assert refusal(message, NAMES) == f"integrations.{name} is false"


@pytest.mark.parametrize("name", ["all", "ALL"])
def test_all_counts_in_any_casing(name: str) -> None:
    """`all` means `All`."""
    assert refusal(Track(message_id="m", integrations={name: False}), NAMES) == ALL_FALSE


@pytest.mark.parametrize(
    ("integrations", "expected"),
    [
        ({"production": True, "heap": False}, None),
        ({"heap": True, "production": False}, "integrations.production is false"),
        ({"production": "odd", "heap": False}, "integrations.heap is false"),
        ({"production": None, "All": False}, ALL_FALSE),
    ],
)
def test_the_most_specific_name_that_says_something_counts(
    integrations: dict[str, object], expected: str | None
) -> None:
    """What is said to one connection comes before what is said to all of its kind."""
    assert refusal(Track(message_id="m", integrations=integrations), NAMES) == expected


@pytest.mark.parametrize(("value", "kind"), [("x", "text"), (5, "a number"), ([1], "a list")])
def test_the_reason_names_what_stood_there(value: object, kind: str) -> None:
    """Who wrote no object is not told of an `All` that nobody wrote."""
    raw = msgspec.json.encode({"type": "track", "userId": "u", "integrations": value})
    told = refusal(normalise(raw).message, NAMES)
    assert told == f"integrations is {kind}, and has to be an object"
