"""What can be known of where a plugin sends to, before anybody has given it settings."""

from types import SimpleNamespace
from typing import Any

import pytest

from destination_router import hookimpl
from destination_router.faults import UsageError
from destination_router.plugins.loading import LoadedPlugin, check_destination, load_plugin
from destination_router.service.possible_origins import possible_origins, refuse_impossible

HEAP = ("https://heapanalytics.com", "https://c.eu.heap-api.com")
TYPO = "https://heapanalytic.com"


def plugin_of(origins: Any, required: tuple[str, ...] = (), **properties: Any) -> LoadedPlugin:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": list(required),
    }
    hooks = {
        "settings_schema": lambda: schema,
        "on_identify": lambda: [None],
        "on_track": lambda: [None],
        "origins": origins,
    }
    made = {name: hookimpl(function) for name, function in hooks.items() if function}
    return check_destination(SimpleNamespace(**made), "small", "small 1.0")


def by_host(settings: dict[str, Any]) -> list[str]:
    return [f"https://{settings.get('host', 'api.vendor.example')}"]


def by_choices(settings: dict[str, Any]) -> list[str]:
    region = "eu" if settings.get("eu") else "us"
    return [f"https://{region}-{settings.get('tier', 'a')}.vendor.example"]


def raising() -> list[str]:
    raise ValueError


def test_each_choice_of_the_schema_is_asked_for() -> None:
    """Heap has two regions, and no other setting moves its requests."""
    told = possible_origins(load_plugin("heap"))
    assert (set(told.known), told.complete) == (set(HEAP), True)


def test_choices_that_count_together_are_combined() -> None:
    """Otherwise a right origin would be refused."""
    told = possible_origins(
        plugin_of(by_choices, eu={"type": "boolean"}, tier={"enum": ["a", "b"]})
    )
    assert {
        f"https://{region}-{tier}.vendor.example" for region in ("eu", "us") for tier in "ab"
    } == (set(told.known))
    assert told.complete


@pytest.mark.parametrize(
    "plugin",
    [
        plugin_of(None),
        plugin_of(raising),
        plugin_of(by_host, host={"type": "string"}),
        plugin_of(by_host, host={"type": "string", "pattern": r"^[a-z]{3}\.vendor\.example$"}),
        plugin_of(by_host, required=("host",), host={"type": "string"}),
        plugin_of(by_host, host={"type": "object"}),
    ],
    ids=[
        "no hook",
        "it fails",
        "a host",
        "a host of a form",
        "a host without example",
        "an object",
    ],
)
def test_what_settings_alone_can_say_is_open(plugin: LoadedPlugin) -> None:
    """An origin that may be right is warned of, and not refused."""
    assert not possible_origins(plugin).complete
    (warning,) = refuse_impossible([TYPO, "*"], [load_plugin("heap"), plugin])
    assert (TYPO in warning, "(small)" in warning) == (True, True)


def test_an_origin_that_no_plugin_can_send_to_is_refused() -> None:
    """The one that is meant is named; right ones, in every spelling, pass without a word."""
    with pytest.raises(UsageError, match=r"delivery.origins: .* did you mean https://heapanal"):
        refuse_impossible([TYPO], [load_plugin("heap")])
    assert not refuse_impossible(
        ["*", "HTTPS://HeapAnalytics.com:443/", HEAP[1]], [load_plugin("heap")]
    )
