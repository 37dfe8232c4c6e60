"""Converts between an `HttpRequest` and rudder-server's `REST` output.

rudder-server keeps the output as a job and sends it by itself, or hands it to the proxy. It takes
the first body that is not empty, and neither a header nor the `userId` may be anything but text.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from destination_router.contract.bodies import FORM, body_of
from destination_router.contract.records import BasicAuth, BearerAuth, HttpRequest, Reject

_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_JSON_TYPE = "application/json"
_XML_TYPE = "application/xml"
JSON_HEADERS = {"Content-Type": _JSON_TYPE}
"""The headers of a request that has a JSON body and none of its own."""


_FORMATS = {
    "json": "JSON",
    "json_array": "JSON_ARRAY",
    "xml": "XML",
    "form": "FORM",
    "gzip": "GZIP",
}


def _encodable(value: object) -> object:
    """Turn what may stand in a request, and an encoder does not know, into what it knows."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


encode = msgspec.json.Encoder(enc_hook=_encodable).encode
"""Writes what holds parts of requests, which a plugin may make of types of its own."""


class Body(msgspec.Struct, rename=_FORMATS):
    """At most one of these is not empty."""

    json: dict[str, Any] | None = {}
    json_array: dict[str, Any] | None = {}
    xml: dict[str, Any] | None = {}
    form: dict[str, Any] | None = {}
    gzip: dict[str, Any] | None = {}


class Rest(msgspec.Struct, rename="camel"):
    """What rudder-server calls post parameters."""

    endpoint: str
    version: str = "1"
    type: str = "REST"
    method: str = "POST"
    headers: Mapping[str, str] = {}
    params: Mapping[str, Any] = {}
    body: Body | dict[str, str] = msgspec.field(default_factory=Body)
    files: dict[str, Any] = {}
    user_id: str = ""


def rest_output(request: HttpRequest, url: str, user_id: str = "") -> Rest:
    """Write a request as rudder-server wants it.

    Args:
        request: what to send.
        url: where to, which a configuration may have sent elsewhere than the request says.
        user_id: the `userId` of the output.
    """
    return Rest(
        endpoint=url,
        method=request.method,
        headers=_headers(request),
        params=request.params,
        body=_body(request),
        user_id=user_id,
    )


def uncarried(requests: Iterable[HttpRequest]) -> Reject | None:
    """Name what RudderStack's output cannot carry of a message's requests; None if it carries all.

    A parameter has one value there, and a body is text (`router/network.go` of rudder-server).
    """
    for request in requests:
        if request.params:
            for name, value in request.params.items():
                if type(value) is not str:
                    detail = "RudderStack's output cannot repeat a query parameter"
                    return Reject("not_for_rudderstack", f"{detail}: {name}", "params")
        if request.content is not None and not _is_text(request.content):
            detail = "RudderStack's output cannot hold a body that is not text in UTF-8"
            return Reject("not_for_rudderstack", detail, "content")
    return None


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _headers(request: HttpRequest) -> Mapping[str, str]:
    if request.json is not None and not request.headers and request.auth is None:
        return JSON_HEADERS
    headers = dict(request.headers)
    content_type = _content_type(request)
    if content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    match request.auth:
        case BasicAuth(username, password):
            credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        case BearerAuth(token):
            headers["Authorization"] = f"Bearer {token}"
    return headers


def _content_type(request: HttpRequest) -> str:
    """Return the type of a body, if rudder-server would not send that type by itself."""
    if request.content is not None:
        return request.content_type
    if request.json is not None:
        return _JSON_TYPE
    return FORM if request.gzip and request.form is not None else ""


def _body(request: HttpRequest) -> Body:
    if request.gzip or request.content is not None:
        body = body_of(request)
        if body is None:
            return Body()
        payload = {"payload": body[0].decode()}
        return Body(gzip=payload) if request.gzip else Body(xml=payload)
    if request.form is not None:
        return Body(form=dict(request.form))
    if isinstance(request.json, dict):
        return Body(json=request.json)
    if request.json is None:
        return Body()
    return Body(json_array={"batch": msgspec.json.encode(request.json).decode()})


class ProxiedBody(Body, rename={"sequence": "SEQUENCE", "later": "LATER", "last": "LAST"}):
    """A body as it comes back: with what only we write beside the formats (`sequences`)."""

    sequence: str | None = None
    later: dict[str, Any] | None = None
    last: dict[str, Any] | None = None


class Proxied(msgspec.Struct, rename="camel"):
    """A request to the proxy: post parameters, whose jobs they are, and the configuration.

    Attributes:
        metadata: one object in the proxy's first version, an array of them in its second.
    """

    endpoint: str
    method: str = "POST"
    endpoint_path: str | None = None
    headers: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
    body: ProxiedBody | None = None
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    destination_config: msgspec.Raw = msgspec.Raw(b"{}")


def read_proxied(body: bytes) -> Proxied:
    """Read a request to the proxy.

    Raises:
        Reject: `invalid_json`, where it is no such request.
    """
    try:
        return msgspec.json.decode(body, type=Proxied)
    except _UNDECODABLE:
        raise Reject("invalid_json", "it is no request for the delivery proxy") from None


def http_request(proxied: Proxied) -> HttpRequest:
    """Make a request of post parameters.

    Raises:
        Reject: `invalid_json` or `unsupported_body`: no output of ours has such a body.
    """
    headers = _texts(proxied.headers)
    types = [value for name, value in headers.items() if name.lower() == "content-type"]
    return HttpRequest(
        url=proxied.endpoint,
        method=proxied.method,
        headers=headers,
        params=_texts(proxied.params),
        **_content(proxied.body or Body(), types[0] if types else ""),
    )


def _content(body: Body, content_type: str) -> dict[str, Any]:
    if body.json:
        return {"json": body.json}
    if body.form:
        return {"form": _texts(body.form)}
    if body.json_array:
        try:
            return {"json": msgspec.json.decode(str(body.json_array.get("batch", "null")))}
        except _UNDECODABLE:
            raise Reject("invalid_json", "JSON_ARRAY.batch is not JSON", "body") from None
    if body.xml:
        return _payload(body.xml, content_type or _XML_TYPE)
    if body.gzip:
        return {**_payload(body.gzip, content_type or _JSON_TYPE), "gzip": True}
    return {}


def _payload(body: dict[str, Any], content_type: str) -> dict[str, Any]:
    """Read a body that is text, in the form in which a destination wrote it."""
    payload = body.get("payload")
    if not isinstance(payload, str):
        raise Reject("unsupported_body", "its payload is not text", "body")
    match content_type:
        case "application/json":
            try:
                return {"json": msgspec.json.decode(payload)}
            except _UNDECODABLE:
                pass
        case "application/x-www-form-urlencoded":
            return {"form": dict(parse_qsl(payload, keep_blank_values=True))}
        case _:
            pass
    return {"content": payload.encode(), "content_type": content_type}


def _texts(values: dict[str, Any] | None) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in (values or {}).items()
    }
