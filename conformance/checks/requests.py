"""Requests: the host can send, keep and show what a destination returns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from conformance.checks.check import Bed, Check
from conformance.checks.traffic import (
    Sent,
    all_traffic,
    case_traffic,
    generated_traffic,
    plain_traffic,
)
from conformance.compare import Difference
from conformance.subject import PluginSubject
from destination_router import HttpRequest
from destination_router.settings.validation import secret_values

_SECRET = "conformance s3cret/&?"  # noqa: S105 -- made up, and easily found in a URL


def _requests(traffic: Iterator[Sent]) -> Iterator[tuple[str, HttpRequest]]:
    for sent in traffic:
        for index, request in enumerate(sent.decide().requests):
            yield f"{sent.path}.requests.{index}", request


def _serialisable(bed: Bed) -> Iterator[Difference]:
    # Hostile messages hold NaN themselves; to pass it on as it came is no fault of a destination.
    for sent in (*plain_traffic(bed), *case_traffic(bed), *generated_traffic(bed)):
        decision = sent.decide()
        if decision.reject is not None and decision.reject.code == "plugin_error":
            yield Difference(sent.path, decision.reject.detail, "requests that can be sent")
        for index, request in enumerate(decision.requests):
            try:
                json.dumps(request.json, allow_nan=False)
            except (TypeError, ValueError, RecursionError) as error:
                path = f"{sent.path}.requests.{index}.json"
                yield Difference(path, f"{type(error).__name__}: {error}", "JSON")


def _https(bed: Bed) -> Iterator[Difference]:
    for path, request in _requests(all_traffic(bed)):
        parts = urlsplit(request.url)
        if parts.scheme != "https" or not parts.hostname:
            yield Difference(f"{path}.url", request.url, "an absolute https URL")
        elif parts.query or parts.fragment or parts.username or parts.password:
            yield Difference(f"{path}.url", request.url, "no query (use params), no credentials")
        if not request.method.isupper():
            yield Difference(f"{path}.method", request.method, "an HTTP method in capitals")


def _packed_by_the_host(bed: Bed) -> Iterator[Difference]:
    for path, request in _requests(all_traffic(bed)):
        for name in request.headers:
            if name.lower() in _HOSTS_HEADERS:
                yield Difference(f"{path}.headers", name, "a header that the host adds by itself")
        if request.content is None:
            continue
        if request.content.startswith(_GZIP_MAGIC):
            expected = "a body that is not packed, with gzip=True: the host packs it"
            yield Difference(f"{path}.content", "bytes that are gzip", expected)
        for name, value in request.headers.items():
            if name.lower() == "content-type" and value != request.content_type:
                got = f"{value} beside the content_type {request.content_type}"
                yield Difference(f"{path}.headers.{name}", got, "one type")


_HOSTS_HEADERS = frozenset({"content-encoding", "content-length", "host", "transfer-encoding"})
_GZIP_MAGIC = b"\x1f\x8b"


def _no_secret_in_url(bed: Bed) -> Iterator[Difference]:
    schema = bed.subject.plugin.hook.settings_schema()
    settings = _with_secrets(schema, bed.settings)
    connection = PluginSubject(bed.subject.plugin).connection(settings)
    secrets = secret_values(schema, settings)
    spelt = {form for text in secrets for form in (text, quote(text, safe=""), quote_plus(text))}
    for sent in plain_traffic(bed):
        for request in connection.decide(sent.raw).requests:
            for place, text in (("url", request.url), *_named(request)):
                if any(secret in text for secret in spelt):
                    got = "the value of a writeOnly setting"
                    yield Difference(f"{sent.path}.{place}", got, "no secret: URLs are logged")


def _named(request: HttpRequest) -> list[tuple[str, str]]:
    return [
        (f"params.{name}", text)
        for name, value in request.params.items()
        for text in ((value,) if isinstance(value, str) else value)
    ]


def _with_secrets(schema: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Give every secret of the top level a value that appears nowhere else."""
    secret = {
        name: _SECRET
        for name, field in schema.get("properties", {}).items()
        if field.get("writeOnly") is True
        and field.get("type") == "string"
        and not field.keys() & {"enum", "const", "pattern", "format", "maxLength"}
    }
    return {**settings, **secret}


CHECKS = (
    Check(
        id="check/requests-serialisable",
        title="Bodies are JSON as the standard has it; form, params and headers are text",
        run=_serialisable,
    ),
    Check(
        id="check/requests-https",
        title="Every request goes to an absolute https URL without a query or credentials",
        run=_https,
    ),
    Check(
        id="check/requests-encoding",
        title="A body is packed by the host alone, and says its type once",
        run=_packed_by_the_host,
    ),
    Check(
        id="check/requests-no-secret-in-url",
        title="No secret stands in a URL or its query",
        run=_no_secret_in_url,
    ),
)
