"""Messages that no sender should send: each has broken something somewhere."""

from __future__ import annotations

from typing import Any

import msgspec


def _message(kind: str = "track", **fields: Any) -> bytes:
    ids = {"messageId": "hostile-1", "userId": "user-1", "anonymousId": "anonymous-1"}
    return msgspec.json.encode({"type": kind, "event": "E", **ids, **fields})


def _track(properties: str) -> bytes:
    """A track whose properties are written by hand, since no encoder would write them."""
    head = '{"type":"track","messageId":"hostile-1","userId":"user-1","event":"E","properties":'
    return f"{head}{properties}}}".encode()


def _identify(traits: str) -> bytes:
    head = '{"type":"identify","messageId":"hostile-1","userId":"user-1","traits":'
    return f"{head}{traits}}}".encode()


HOSTILE: dict[str, bytes] = {
    # -- not a message at all
    "empty": b"",
    "blank": b" \n ",
    "not-json": b"hello",
    "cut-off": b'{"type":"track","event":"E',
    "trailing": b'{"type":"track"} {"type":"track"}',
    "null": b"null",
    "number": b"17",
    "text": b'"track"',
    "list": b'[{"type":"track"}]',
    "bytes": b"\xff\xfe\x00",
    "not-utf-8": b'{"type":"track","messageId":"hostile-1","userId":"\xe9","event":"E"}',
    "byte-order-mark": b"\xef\xbb\xbf" + _message(),
    "deep-list": b"[" * 5000 + b"]" * 5000,
    "deep-object": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    # -- fields of another type
    "no-type": b'{"userId":"user-1","event":"E"}',
    "type-of-null": _message(kind=None),  # type: ignore[arg-type]
    "type-of-list": _message(kind=["track"]),  # type: ignore[arg-type]
    "type-of-number": _message(kind=1),  # type: ignore[arg-type]
    "type-unknown": _message("__class__"),
    "ids-of-objects": _message(userId={"a": 1}, anonymousId=["b"]),
    "ids-of-booleans": _message(userId=False, anonymousId=True),
    "ids-of-floats": _message(userId=1.5, anonymousId=1e300),
    "ids-huge-number": _message(userId=10**40),
    "no-ids": _message(userId=None, anonymousId=None, messageId=None),
    "blank-ids": _message(userId=" ", anonymousId="\t", messageId="\n"),
    "zero-width-id": _message(userId="\u200b", anonymousId="\ufeff"),
    "control-characters-in-id": _message(userId="a\x00b\r\nc", anonymousId="\x1f"),
    "long-ids": _message(userId="u" * 100_000, anonymousId="a" * 100_000),
    "long-message-id": _message(messageId="m" * 100_000),
    "right-to-left-id": _message(userId="\u202eada"),
    "half-a-character-in-id": b'{"type":"identify","messageId":"hostile-1","userId":"\\ud83d"}',
    "event-of-object": _message(event={"name": "E"}),
    "event-of-boolean": _message(event=False),
    "event-of-blanks": _message(event="\u00a0\u2003"),
    "event-of-a-megabyte": _message(event="E" * 1_000_000),
    "properties-of-text": _message(properties="a=1"),
    "properties-of-list": _message(properties=[1, 2]),
    "properties-of-number": _message(properties=0),
    "traits-of-text": _message("identify", traits="a=1"),
    "context-of-text": _message(context="web"),
    "context-of-list": _message(context=[]),
    "context-traits-of-number": _message(context={"traits": 7}),
    "context-traits-nested": _message(context={"traits": {"a": [[[{"b": [None]}]]]}}),
    "integrations-of-text": _message(integrations="all"),
    "integrations-of-numbers": _message(integrations={"All": 1, "Heap": 0}),
    "timestamp-of-object": _message(timestamp={}, originalTimestamp=[]),
    "timestamp-of-boolean": _message(timestamp=True),
    "timestamp-year-zero": _message(timestamp="0000-01-01T00:00:00Z"),
    "timestamp-beyond-the-calendar": _message(timestamp="9999-12-31T23:59:59-23:59"),
    "timestamp-before-the-calendar": _message(timestamp="0001-01-01T00:00:00+23:59"),
    "timestamp-huge-number": _message(timestamp=1e308, originalTimestamp=-1e308),
    "timestamp-leap-second": _message(timestamp="2016-12-31T23:59:60Z"),
    "page-name-of-object": _message("page", name={"a": 1}, category=[1]),
    "screen-name-of-boolean": _message("screen", name=False, category=True),
    "group-id-of-list": _message("group", groupId=["g"], traits={"a": 1}),
    "group-id-of-zero": _message("group", groupId=0),
    "alias-of-oneself": _message("alias", previousId="user-1"),
    "alias-of-object": _message("alias", previousId={}),
    # -- values that encoders and flatteners trip over
    "nan": _track('{"a":NaN,"b":[NaN]}'),
    "infinity": _track('{"a":Infinity,"b":{"c":-Infinity}}'),
    "overflowing-float": _track('{"a":1e400,"b":-1e400}'),
    "tiny-float": _track('{"a":1e-400,"b":5e-324,"c":-0.0}'),
    "integer-beyond-64-bits": _track('{"a":18446744073709551616,"b":-9223372036854775809}'),
    "integer-of-400-digits": _track('{"a":' + "9" * 400 + "}"),
    "integer-of-5000-digits": _track('{"a":' + "9" * 5000 + "}"),
    "half-characters": _track('{"\\ud83d":"\\ude00","a":"x\\ud800y"}'),
    "null-characters": _track('{"a\\u0000b":"c\\u0000d"}'),
    "empty-keys": _track('{"":{"":{"":1}},"a":{"":2}}'),
    "keys-that-collide": _track('{"a.b":1,"a":{"b":2,"b.c":3},"a.b.c":4}'),
    "keys-with-brackets": _track('{"a[0]":1,"a":[{"b":2}],"a.0.b":3}'),
    "keys-of-python": _track('{"__class__":1,"__dict__":{"__init__":2},"{0.__class__}":"%s"}'),
    "keys-of-javascript": _track('{"__proto__":{"a":1},"constructor":{"prototype":{"b":2}}}'),
    "key-twice": _track('{"a":1,"a":{"b":2}}'),
    "long-key": _track('{"' + "k" * 100_000 + '":1}'),
    "a-thousand-keys": _track("{" + ",".join(f'"k{i}":{i}' for i in range(1000)) + "}"),
    "a-long-list": _track('{"a":[' + ",".join(map(str, range(10_000))) + "]}"),
    "a-list-of-lists": _track('{"a":[[],[[]],[[[]]],[{}],[null],[[1],{"b":[2]}]]}'),
    "a-list-of-objects-and-nulls": _track('{"a":[null,{"b":null},true,{"c":[]},""]}'),
    "deep-properties": _track('{"a":' * 900 + "1" + "}" * 900),
    "deep-list-of-properties": _track('{"a":' + "[" * 900 + "1" + "]" * 900 + "}"),
    "long-text": _track('{"a":"' + "x" * 1_000_000 + '"}'),
    "combining-characters": _track('{"a":"' + "e\u0301" * 2000 + '"}'),
    "family-emoji": _track('{"a":"' + "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 500 + '"}'),
    "reserved-traits": _identify('{"id":null,"ID":[1],"user_id":{},"Email":5,"EMAIL":true}'),
    "traits-with-nan": _identify('{"a":NaN,"email":[null]}'),
    "deep-traits": _identify('{"a":' * 900 + "1" + "}" * 900),
}
"""Each message under a name: wire JSON, or whatever a sender sent in its place."""
