"""The JSON Schema of a webhook connection's settings; its first names are RudderStack's."""

from __future__ import annotations

from destination_router import Json

_TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]"  # noqa: S105 -- RFC 9110 calls a header's name so
_URL = r"^(https://[^/?#@\s\\]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?)([/?][^#\s]*)?$"


def _text(title: str, description: str, **more: Json) -> dict[str, Json]:
    return {"title": title, "description": description, "type": "string", **more}


def _object(title: str, description: str, required: list[str], **fields: Json) -> dict[str, Json]:
    return {
        "title": title,
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": fields,
    }


def _statuses(title: str, description: str) -> dict[str, Json]:
    return {
        "title": title,
        "description": description,
        "type": "array",
        "default": [],
        "items": {"type": "integer", "minimum": 200, "maximum": 599},
    }


SETTINGS_SCHEMA: dict[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Webhook",
    "description": "Sends every event to a URL of yours: one by one or in batches, signed.",
    "type": "object",
    "additionalProperties": False,
    "required": ["webhookUrl"],
    "properties": {
        "webhookUrl": _text(
            "URL",
            "Where events go: https, or http on this machine. It is shown in logs, so put a secret "
            "into a header.",
            pattern=_URL,
            examples=["https://hooks.example/in"],
        ),
        "webhookMethod": _text(
            "Method",
            "GET and DELETE have no body: they send the properties or traits in the query.",
            enum=["POST", "PUT", "PATCH", "GET", "DELETE"],
            default="POST",
        ),
        "headers": {
            "title": "Headers",
            "description": "Sent with every request. Their values are hidden.",
            "type": "array",
            "default": [],
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["from", "to"],
                "properties": {
                    "from": _text("Name", "The header's name.", pattern=f"^{_TOKEN}*$"),
                    "to": _text(
                        "Value",
                        "The header's value, in visible ASCII.",
                        pattern=r"^[\t -~]*$",
                        writeOnly=True,
                    ),
                },
            },
        },
        "format": _text(
            "Format",
            "rudderstack: without nulls at the root, with the sender's address in context.ip; an "
            "event may name its path and add headers. segment: the event as it is.",
            enum=["rudderstack", "segment"],
            default="rudderstack",
        ),
        "body": _text(
            "Body",
            "json: an object for one event, an array for a batch. ndjson: a line of JSON for each "
            "event. form: a URL-encoded field for each of the event's, as JSON where it is no "
            "text.",
            enum=["json", "form", "ndjson"],
            default="json",
        ),
        "gzip": {
            "title": "Gzip",
            "description": "Whether bodies are packed. A signature is of the body before that.",
            "type": "boolean",
            "default": False,
        },
        "eventRouting": {
            "title": "Event routing",
            "description": "RudderStack's format: whether an event's own fullPath, appendPath and "
            "header count. Without it they are fields like all others. Turn it off where strangers "
            "may send events.",
            "type": "boolean",
            "default": True,
        },
        "basicAuth": _object(
            "Basic authentication",
            "A user name and a password, sent with every request.",
            ["username", "password"],
            username=_text("User name", "The user name.", minLength=1),
            password=_text("Password", "The password.", writeOnly=True),
        ),
        "bearerToken": _text(
            "Bearer token",
            "A token, sent with every request.",
            pattern="^[!-~]+$",
            writeOnly=True,
        ),
        "signature": _object(
            "Signature",
            "Signs every body with an HMAC that the receiver can verify.",
            ["secret"],
            secret=_text(
                "Secret", "What you share with the receiver.", minLength=1, writeOnly=True
            ),
            header=_text(
                "Header",
                "Where the signature stands.",
                pattern=f"^{_TOKEN}+$",
                default="X-Signature",
                examples=["X-Signature"],
            ),
            algorithm=_text(
                "Algorithm",
                "The hash. Left out: sha1 in Segment's format, as its webhook has it, else sha256.",
                enum=["sha1", "sha256", "sha512"],
            ),
            encoding=_text(
                "Encoding", "How the signature is written.", enum=["hex", "base64"], default="hex"
            ),
            prefix=_text(
                "Prefix",
                "What stands before the signature.",
                pattern="^[!-~]*$",
                default="",
                examples=["sha256="],
            ),
        ),
        "batch": _object(
            "Batch",
            "Sends many events in one request. Each body is an array then, or lines, even of one.",
            [],
            maxEvents={
                "title": "Most events",
                "description": "How many events a request holds at most.",
                "type": "integer",
                "minimum": 1,
                "maximum": 10_000,
                "default": 100,
            },
            maxBytes={
                "title": "Most bytes",
                "description": "How many bytes of body, before any gzip.",
                "type": "integer",
                "minimum": 1_000,
                "maximum": 100_000_000,
                "default": 1_000_000,
            },
        ),
        "requestsPerMinute": {
            "title": "Requests a minute",
            "description": "How often the receiver may be called. Left out: without a limit.",
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000_000,
        },
        "outcomes": _object(
            "Outcomes",
            "What a status means to this receiver, where that is not what it means to most.",
            [],
            delivered=_statuses("Delivered", "The receiver has it: 409 for what it knew already."),
            retry=_statuses("Retry", "The same may succeed later."),
            held=_statuses("Held", "The connection waits: the receiver takes nothing from it now."),
            rejected=_statuses("Rejected", "The event becomes a dead letter."),
        ),
    },
}
