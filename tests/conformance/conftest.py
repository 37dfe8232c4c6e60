"""Small destinations for the tests of the suite, each good but for one thing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.bench import Bench, bench_for
from conformance.case import CaseSet
from conformance.subject import PluginSubject
from destination_router import HttpRequest, Reject, hookimpl
from destination_router.plugins.loading import check_destination


def _settings_schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Small",
        "description": "A destination for tests.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "apiKey": {
                "title": "API key",
                "description": "A secret.",
                "type": "string",
                "writeOnly": True,
                "default": "key",
            }
        },
    }


def _request(message: Any, **fields: Any) -> HttpRequest:
    body = {"id": message.message_id, "user": message.user_id, **fields}
    return HttpRequest(url="https://vendor.example/events", json=body)


def _named(message: Any) -> None:
    if message.user_id is None:
        raise Reject("missing_identity", "it is missing: send one", "userId")
    if not (getattr(message, "event", "x") or "").strip():
        raise Reject("missing_event", "it is missing: send one", "event")


def _on_identify(message: Any) -> list[HttpRequest]:
    _named(message)
    return [_request(message, traits=message.traits)]


def _on_track(message: Any) -> list[HttpRequest]:
    _named(message)
    return [_request(message, event=message.event, properties=message.properties)]


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    """Put a small destination to the test, with hooks of one's own in place of its own."""

    def make(case_set: CaseSet | None = None, **hooks: Any) -> Bench:
        own = {
            "settings_schema": _settings_schema,
            "on_identify": _on_identify,
            "on_track": _on_track,
        }
        marked = {name: hookimpl(function) for name, function in {**own, **hooks}.items()}
        loaded = check_destination(SimpleNamespace(**marked), "small", "small 1.0")
        cases = case_set or CaseSet()
        return bench_for(PluginSubject(loaded), cases, distribution="small", version="1.0")

    return make


@pytest.fixture
def request_for() -> Callable[..., HttpRequest]:
    """Build the request that the small destination would send."""
    return _request
