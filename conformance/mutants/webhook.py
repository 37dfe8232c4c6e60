"""Slips that somebody could make in the webhook destination, which its cases and the checks find.

A signature, a host and a header are nothing that a check knows of: the cases must catch these.
"""

from __future__ import annotations

import msgspec

from conformance.mutants.mutation import Mutant
from destination_router import HttpRequest

PLUGIN = "webhook_destination.plugin"


def _slip(name: str, description: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(id=name, description=description, module=module, old=old, new=new)


def _resigned_as_the_first(requests: list[HttpRequest]) -> list[HttpRequest]:
    """Forget that a batch has another body than its first event."""
    return [
        msgspec.structs.replace(request, headers=requests[0].headers) if requests else request
        for request in requests
    ]


MUTANTS = (
    _slip(
        "signature-of-another-hash",
        "Segment's format is signed with SHA-256",
        "settings",
        '"sha1" if form == "segment" else "sha256"',
        '"sha256"',
    ),
    _slip(
        "signature-without-prefix",
        "the prefix is forgotten",
        "signing",
        "    return signature.prefix + text\n",
        "    return text\n",
    ),
    _slip(
        "signature-always-hex",
        "the encoding is forgotten",
        "signing",
        'digest.hex() if signature.encoding == "hex" else base64.b64encode(digest).decode()',
        "digest.hex()",
    ),
    _slip(
        "batch-not-signed-again",
        "a batch has its first event's signature",
        "packing",
        "        signed(request, settings.signature)\n        for _, run",
        "        request\n        for _, run",
    ),
    _slip(
        "signed-events-never-share",
        "what differs in the signature alone does not share a batch",
        "packing",
        "unsigned_headers(request, settings.signature)",
        "dict(request.headers)",
    ),
    Mutant(
        id="batch-signed-as-another",
        description="every request of a window has the first one's headers",
        repack=_resigned_as_the_first,
    ),
    _slip(
        "any-host",
        "an event may name another host",
        "target",
        "        if _host(parts) != _host(urlsplit(configured.origin)):\n",
        "        if False:\n",
    ),
    _slip(
        "host-without-port",
        "another port is the same host",
        "target",
        'parts.hostname or "", parts.port or _PORTS.get(parts.scheme)',
        'parts.hostname or "", None',
    ),
    _slip(
        "path-as-it-comes",
        "a path is sent unencoded",
        "target",
        "        path=quote(parts.path, safe=_IN_A_PATH),\n",
        "        path=parts.path,\n",
    ),
    _slip(
        "last-parameter-wins",
        "of a parameter that comes twice the last is sent",
        "target",
        "values[0] if len(values) == 1 else tuple(values)",
        "values[-1]",
    ),
    _slip(
        "query-stays-in-the-url",
        "the query stands in the URL",
        "target",
        "        return self.origin + self.path\n",
        '        return self.text if "?" in self.text else self.origin + self.path\n',
    ),
    _slip(
        "integrations-first",
        "integrations.webhook counts before the root",
        "events",
        "    given = message.other(name)\n    if given is None:\n"
        "        given = message.options(*NAMES).get(name)\n",
        "    given = message.options(*NAMES).get(name)\n    if given is None:\n"
        "        given = message.other(name)\n",
    ),
    _slip(
        "instructions-sent",
        "what an event says about its delivery is sent too",
        "events",
        "    left_out = INSTRUCTIONS if settings.event_routing else ()\n",
        "    left_out = ()\n",
    ),
    _slip(
        "routing-never-off",
        "events are routed whatever the settings say",
        "settings",
        'event_routing=given.event_routing and given.format == "rudderstack"',
        'event_routing=given.format == "rudderstack"',
    ),
    _slip(
        "segment-routed",
        "in Segment's format an event says where it goes",
        "settings",
        'event_routing=given.event_routing and given.format == "rudderstack"',
        "event_routing=given.event_routing",
    ),
    _slip(
        "ip-overwritten",
        "the sender's address takes the place of the context's",
        "events",
        'payload.get("request_ip") and context.get("ip") is None',
        'payload.get("request_ip")',
    ),
    _slip(
        "nulls-sent",
        "nulls at the root are sent",
        "events",
        "if name not in left_out and value is not None",
        "if name not in left_out",
    ),
    _slip(
        "event-authenticates",
        "an event may bring its own credentials",
        "settings",
        '{"authorization", "cookie", "content-type", "user-agent", *self.headers}',
        '{"content-type", "user-agent", *self.headers}',
    ),
    _slip(
        "event-replaces-key",
        "an event replaces a configured header",
        "settings",
        '{"authorization", "cookie", "content-type", "user-agent", *self.headers}',
        '{"authorization", "cookie", "content-type", "user-agent"}',
    ),
    _slip(
        "header-of-two-lines",
        "a header's value may hold a line end",
        "event_headers",
        "    if not _VALUE.fullmatch(text):\n",
        "    if False:\n",
    ),
    _slip(
        "lines-without-end",
        "the last line has no end",
        "bodies",
        'return _encode(event) + b"\\n"',
        "return _encode(event)",
    ),
    _slip(
        "batch-of-one-is-an-object",
        "a batch of one is no array",
        "bodies",
        'return b"[%b]" % _encode(event) if settings.batch else _encode(event)',
        "return _encode(event)",
    ),
    _slip(
        "too-large-sent",
        "an event larger than any batch is sent",
        "events",
        "len(content) > settings.batch.max_bytes",
        "False",
    ),
    _slip(
        "bytes-not-counted",
        "a batch has any number of bytes",
        "packing",
        "most_bytes=batch.max_bytes",
        "most_bytes=None",
    ),
    _slip(
        "batch-without-gzip",
        "nothing is packed",
        "events",
        "gzip=settings.gzip and content is not None",
        "gzip=False",
    ),
    _slip(
        "path-of-an-event-holds",
        "an event's own path holds the connection",
        "responses",
        "if astray and request.url != settings.target.url:",
        "if False:",
    ),
    _slip(
        "statuses-ignored",
        "what the settings say of a status does not count",
        "responses",
        "    if said is not None:\n",
        "    if False:\n",
    ),
    _slip(
        "http-anywhere",
        "http is taken for any host",
        "schema",
        r"^(https://[^/?#@\s\\]+|",
        r"^(https?://[^/?#@\s\\]+|",
    ),
    _slip(
        "secret-shown",
        "the signature's secret is not marked",
        "schema",
        '"What you share with the receiver.", minLength=1, writeOnly=True',
        '"What you share with the receiver.", minLength=1',
    ),
)
"""All of them."""
