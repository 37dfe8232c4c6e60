"""What the cases cannot say: loopback, quotas, windows, and notes that quote nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from destination_router import HttpRequest, Reject, parse_message
from webhook_destination import plugin
from webhook_destination.target import ForeignError, parse_target, target_of_event


def settings(**more: Any) -> Any:
    return plugin.configure({"webhookUrl": "https://hooks.example/in", **more})


def parsed(**fields: Any) -> Any:
    message = {"type": "track", "messageId": "m-1", "userId": "ada", "event": "E", **fields}
    return parse_message(json.dumps(message).encode())


def test_http_goes_to_this_machine() -> None:
    """Without a query in the URL, and with the port."""
    chosen = settings(webhookUrl="http://127.0.0.1:9100/in?key=a")
    found = plugin.on_track(parsed(appendPath="&b=1"), chosen)
    assert isinstance(found, list)
    (request,) = found
    assert (request.url, request.params) == ("http://127.0.0.1:9100/in", {"key": "a", "b": "1"})
    assert plugin.origins(chosen) == ["http://127.0.0.1:9100"]


@pytest.mark.parametrize(
    ("full", "more"),
    [
        ("", "@elsewhere.example/"),
        ("", ".elsewhere.example/"),
        ("", ":8443/"),
        ("", "\\@elsewhere.example/"),
        ("", ".\nelsewhere.example/"),
        ("https://hooks.example:x/", ""),
        ("https://hooks.example\t.elsewhere.example/", ""),
        ("https://user@hooks.example/", ""),
        ("https://[hooks.example/", ""),
        ("javascript:alert(1)", ""),
        ("https:/in", ""),
        ("https://", "elsewhere.example"),
    ],
)
def test_no_spelling_reaches_another_host(full: str, more: str) -> None:
    """What is compared is what is sent."""
    with pytest.raises(ForeignError):
        target_of_event(parse_target("https://hooks.example"), full, more)


@pytest.mark.parametrize("full", ["HTTPS://Hooks.Example/x", "https://hooks.example:443/x"])
def test_the_same_host_may_be_spelt_otherwise(full: str) -> None:
    """It is sent to as it is configured."""
    found = target_of_event(parse_target("https://hooks.example"), full, "")
    assert found.url == "https://hooks.example/x"


def test_a_port_that_is_none_is_refused() -> None:
    """When the settings are read."""
    with pytest.raises(ValueError, match="port"):
        settings(webhookUrl="https://hooks.example:99999/")


def test_quotas_and_window_are_those_of_the_settings() -> None:
    """A rate only where one is given; a window that fills the largest batch."""
    assert plugin.quotas(settings()) == []
    (quota,) = plugin.quotas(settings(requestsPerMinute=60))
    assert (quota.limit, quota.period, quota.unit) == (60, 60.0, "requests")
    assert plugin.window(settings()) == 1000
    assert plugin.window(settings(batch={"maxEvents": 5000})) == 5000


def test_notes_and_reasons_quote_nothing() -> None:
    """Neither a header's name or value, nor a path."""
    found = plugin.on_track(
        parsed(header={"planted name": "planted", "host": "planted"}), settings()
    )
    assert isinstance(found, list)
    assert [note.path for note in found[0].notes] == ["header", "header"]
    assert "planted" not in str(found[0].notes)
    with pytest.raises(Reject) as told:
        plugin.on_track(parsed(fullPath="https://planted.example/"), settings())
    assert "planted" not in str(told.value)


def test_nobody_is_held_back_for_an_id_that_many_carry() -> None:
    """A webhook merges nobody, so its requests name nobody."""
    found = plugin.on_track(parsed(), settings())
    assert isinstance(found, list)
    assert found[0].identity == ""


def test_a_batch_keeps_its_credentials_and_gzip() -> None:
    """A batch goes out as its events would."""
    chosen = settings(batch={}, bearerToken="t", gzip=True)
    singles: list[HttpRequest] = []
    for number in range(2):
        found = plugin.on_track(parsed(messageId=f"m-{number}"), chosen)
        assert isinstance(found, list)
        singles += found
    (packed,) = plugin.pack(singles, chosen)
    assert (packed.auth, packed.gzip, len(packed.items)) == (chosen.auth, True, 2)


def test_every_secret_is_marked() -> None:
    """So that hosts hide it."""
    fields = plugin.settings_schema()["properties"]
    secrets = (
        fields["headers"]["items"]["properties"]["to"],
        fields["basicAuth"]["properties"]["password"],
        fields["bearerToken"],
        fields["signature"]["properties"]["secret"],
    )
    assert [field.get("writeOnly") for field in secrets] == [True] * 4
