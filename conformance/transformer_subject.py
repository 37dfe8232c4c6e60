"""Another system's destination as the subject: a transformer that speaks RudderStack's protocol.

Each message of a case goes to `/v0/destinations/{type}`, as rudder-server's processor sends it. The
case is compared with the answer. The protocol shows requests and rejections. Whatever else a case
asks for is `Unobservable`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import httpx
import msgspec

from conformance.case import Case
from conformance.subject import Observation, Unobservable
from destination_router.config.origins import is_loopback
from destination_router.faults import UsageError

_FILTERED = 298
"""The status for a message that a transformer leaves out on purpose."""

_PATIENCE = 30.0
_CONTENT_TYPE = "content-type"
"""A header that a host derives from the body. It counts only if a case mentions it."""

_CODE = re.compile(r"([a-z][a-z0-9]*(?:_[a-z0-9]+)+): ")
"""The beginning of a rejection that names its code."""

_RUDDERSTACK_NAMES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "region": ("dataResidency", {"US": "us", "EU": "eu"}),
}
"""Settings that have another name in RudderStack's configuration, with their values there."""


class TransformerSubject:
    """A destination of a running transformer.

    Args:
        url: where the transformer listens.
        kind: the destination's type: `HEAP`.
    """

    capabilities: Final = None
    """None: the protocol does not show its hooks."""

    def __init__(self, url: str, kind: str) -> None:
        self.name = kind.lower()
        self.url = url.rstrip("/")
        self._kind = kind
        # What is on this machine never takes a proxy.
        self._client = httpx.Client(timeout=_PATIENCE, trust_env=not is_loopback(url))

    def ask_whether_there(self) -> None:
        """Check that something answers at the URL.

        Raises:
            UsageError: nothing does.
        """
        try:
            self._client.get(f"{self.url}/health")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self.close()
            cause = str(error) or type(error).__name__
            raise UsageError(f"--transformer: nothing answers at {self.url}: {cause}") from error

    def close(self) -> None:
        """Close the HTTP connection."""
        self._client.close()

    def unobservable(self, _check: str) -> str:
        """Refuse every check: requests and rejections show too little of another process."""
        return "a transformer shows only the requests and rejections of a message"

    def observe(self, case: Case) -> Observation:
        """Send a case's message, and read the answer.

        Raises:
            Unobservable: the case asks for more than the protocol shows.
            ValueError: the answer is not one of the protocol.
        """
        if unseen := _unseen(case):
            raise Unobservable(unseen)
        (message,) = case.sent
        asked = [
            {"message": message, "metadata": {"jobId": 1}, "destination": self._described(case)}
        ]
        answer = self._client.post(f"{self.url}/v0/destinations/{self.name}", json=asked)
        if not answer.is_success:
            raise ValueError(f"the transformer answers {answer.status_code}")
        asks_for_type = any(
            name.lower() == _CONTENT_TYPE
            for request in case.expect.requests or ()
            for name in request.get("headers", {})
        )
        return _observed(answer.json(), set() if asks_for_type else {_CONTENT_TYPE})

    def _described(self, case: Case) -> dict[str, Any]:
        return {
            "ID": "conformance",
            "Name": "conformance",
            "Config": _config(case.settings),
            "Enabled": True,
            "DestinationDefinition": {
                "ID": self.name,
                "Name": self._kind,
                "DisplayName": self._kind,
                "Config": {},
            },
        }


def _unseen(case: Case) -> str:
    """Say what the protocol does not show of a case; empty if it shows everything."""
    if case.expect.settings is not None:
        return "whether settings can be used is not asked without a message"
    if case.response is not None:
        return "what becomes of a vendor's answer is not asked when messages are transformed"
    if case.messages is not None:
        return "messages are packed when they are delivered, and not when they are transformed"
    if case.connection:
        return "what stands beside the settings is the router's, and no transformer knows it"
    if any("pairings" in request for request in case.expect.requests or ()):
        return "rudder-server knows no ties that a vendor limits"
    return ""


def _config(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Add the settings that have another name in RudderStack's configuration."""
    config = dict(settings)
    for name, (theirs, values) in _RUDDERSTACK_NAMES.items():
        if settings.get(name) in values:
            config[theirs] = values[settings[name]]
    return config


def _observed(answers: Any, unasked: Collection[str]) -> Observation:
    """Read an answer, and drop the headers that no case mentions."""
    if not isinstance(answers, list) or not all(isinstance(one, dict) for one in answers):
        raise ValueError("the answer is no list of objects")
    outputs = [one["output"] for one in answers if "output" in one]
    if outputs:
        requests = tuple(_request(output, unasked) for output in outputs)
        return Observation(result="requests", requests=requests, notes=None)
    if not answers:
        raise ValueError("the answer says nothing of the message")
    detail = str(answers[0].get("error", ""))
    if answers[0].get("statusCode") == _FILTERED:
        return Observation(result="ignored", detail=detail, notes=None)
    code = _CODE.match(detail)
    return Observation(
        result="reject", code=None if code is None else code[1], detail=detail, notes=None
    )


def _text_body(bodies: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Read a body that rudder-server sends as text (XML) or compressed (GZIP)."""
    kind = "GZIP" if bodies.get("GZIP") else "XML"
    packed: dict[str, Any] = {"gzip": True} if kind == "GZIP" else {}
    text = str(bodies[kind].get("payload", ""))
    types = {name.lower(): value for name, value in headers.items()}
    content_type = types.get("content-type", "")
    if content_type == "application/json":
        return {"json": msgspec.json.decode(text), **packed}
    return {"content": text, "contentType": content_type, **packed}


def _request(output: Mapping[str, Any], unasked: Collection[str]) -> dict[str, Any]:
    """Turn an output into the JSON that cases compare."""
    bodies = output.get("body") or {}
    body: dict[str, Any] = {}
    if bodies.get("JSON_ARRAY"):
        body["json"] = msgspec.json.decode(bodies["JSON_ARRAY"]["batch"])
    elif bodies.get("FORM"):
        body["form"] = bodies["FORM"]
    elif bodies.get("JSON"):
        body["json"] = bodies["JSON"]
    headers = output.get("headers") or {}
    if bodies.get("XML") or bodies.get("GZIP"):
        body = _text_body(bodies, headers)
    return {
        "method": output.get("method", "POST"),
        "url": output.get("endpoint", ""),
        "params": output.get("params") or {},
        "headers": {name: text for name, text in headers.items() if name.lower() not in unasked},
        **body,
    }
