"""Writes what a dead letter keeps in HIPAA mode: the masked message, with a seal.

A replayed letter comes back through the pipeline. The seal is made with the masking keys. It proves
that the message has been transformed and masked, so that neither happens twice. Without the keys,
nobody can forge one to avoid them.

The body is the message's own JSON, with two fields in front: `_masked`, the seal, and `_takers`,
the numbers of the connection's subscriptions that took it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from destination_router.contract.messages import Message, root_names
from destination_router.contract.records import Reject
from destination_router.pipeline.privacy.hipaa import DEFINED
from destination_router.pipeline.privacy.masking import MaskingKeys

# Anybody may write what looks like a seal: its version has no more digits than a key's name may.
_SEALED = re.compile(
    rb'\{"_masked":"(v[1-9][0-9]{0,5}_[0-9a-f]{64})",("_takers":\[([0-9,]*)\],[\s\S]*)'
)
_MARK = b'{"_masked":'


def is_marked(body: bytes) -> bool:
    """Tell whether a message says that it is sealed."""
    return body.startswith(_MARK)


def seal_version(body: bytes) -> int | None:
    """Read the key version of a message's seal; None if it has no seal."""
    found = _SEALED.fullmatch(body)
    return None if found is None else int(found[1][1:].partition(b"_")[0])


def sealed(
    message: Message, subscriptions: Sequence[int], connection: str, keys: MaskingKeys
) -> bytes:
    """Write the body of a dead letter.

    Args:
        message: as masked.
        subscriptions: which of the connection's subscriptions took it, from 0.
        connection: the connection's name.
        keys: the connection's.
    """
    numbers = ",".join(map(str, subscriptions)).encode()
    fields = {**msgspec.to_builtins(message), "context": message.context}
    own = msgspec.json.encode(fields)[1:]
    others = {name: message.wire[name] for name in sorted(root_names(message) - DEFINED)}
    if others:  # what passed of the fields that no call defines stands in the wire alone
        own = msgspec.json.encode(others)[1:-1] + b"," + own
    content = b'"_takers":[' + numbers + b"]," + own
    seal = keys.seal(_purpose(connection), content).encode()
    return _MARK + b'"' + seal + b'",' + content


def opened(body: bytes, connection: str, keys: MaskingKeys) -> tuple[int, ...]:
    """Check a seal, and return the subscriptions that took the message.

    Raises:
        Reject: `unknown_seal`: it belongs to another connection, or to another key.
    """
    found = _SEALED.fullmatch(body)
    if found is None or not keys.is_sealed(_purpose(connection), found[2], found[1].decode()):
        version = seal_version(body)
        key = "a key" if version is None else f"a key v{version}"
        detail = f"was masked for another connection, or with {key} that is not configured here"
        raise Reject("unknown_seal", detail, "_masked")
    return tuple(int(number) for number in found[3].split(b",") if number)


def _purpose(connection: str) -> str:
    return f"dead letter of {connection}"
