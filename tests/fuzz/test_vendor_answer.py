"""Whatever a vendor answers, something becomes of each message, and nothing of a secret is told.

Modules: `delivery/sender.py`, `delivery/answer_body.py`, `settings/redaction.py`,
`contract/records.py`.
"""

from __future__ import annotations

import asyncio
import gzip
import math
import zlib
from types import SimpleNamespace
from typing import Any

import httpcore
import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.contract.records import HttpRequest, HttpResponse, Outcome, retry_after
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.item import Answer
from destination_router.delivery.sender import Sender, read_answer, read_cut_answer
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin

SECRET = "s3cr3t/of+the vendor"
HEAP = Connection(
    "heap", load_plugin("heap"), {"appId": "11", "dialect": "heap", "deletionApiKey": SECRET}
)
assert SECRET in HEAP.secrets
SETTINGS = DeliverySettings(timeout=5.0, max_answer=20_000)
RESULTS = {"delivered", "retry", "rejected", "suspect", "held"}

# What has made some reader of text stumble: numbers without an end, halves of characters, layers.
pieces = st.sampled_from(
    [
        SECRET,
        SECRET.encode().hex(),
        "&#" + "9" * 5000,
        "&#" + "0" * 5000 + "115;",
        "&#x" + "f" * 5000 + ";",
        "&amp;" * 50,
        "%25" * 50 + "73",
        "%ed%a0%80",
        "\\ud800",
        "\\" * 100,
        "\x00",
        "\ufeff",
        "\N{LATIN SMALL LETTER SHARP S}",
        "9" * 5000,
        "-" * 50,
        "1e999",
        "[" * 3000,
        '{"a":' * 500,
        "postBody.events[0].properties",
        "postBody.events[9999] ",
        '{"errors": [{"index": 0}]}',
        "\n",
        "<html>",
        "NaN",
    ]
)
bodies = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(pieces, st.text(max_size=20)), max_size=8).map(
        lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
    ),
)
header_values = st.one_of(
    st.sampled_from(
        [
            "9" * 5000,
            "1e9",
            "-1",
            "Mon, 01 Jan 0001 00:00:00 +2359",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "Sun, 06 Nov 1994 08:49:37 -99999999999999999999",
            "1 Jan 99999999999999999999 00:00:00 GMT",
            "Sun Nov  6 08:49:37 1994",
            "gzip",
            "deflate",
            "chunked",
            "http://[",
            "c=" + "1" * 3000,
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "date", "content-type", "content-encoding", "location"]),
    header_values,
)
requests = st.sampled_from(
    [
        HttpRequest(url="https://v.example/x", json={}, message_ids=("a",)),
        HttpRequest(
            url="https://v.example/x",
            json={"events": [{}, {}]},
            message_ids=("a", "b", "c"),
            items=(("a",), ("b", "c")),
        ),
    ]
)


def hold(request: HttpRequest, outcomes: dict[str, Outcome]) -> None:
    """Each message has an outcome that can be acted on and told."""
    assert set(outcomes) == set(request.message_ids)
    for outcome in outcomes.values():
        assert outcome.result in RESULTS
        assert SECRET not in outcome.detail
        assert len(outcome.code) <= 40
        assert outcome.after is None or 0 <= outcome.after < math.inf


@settings(deadline=None)
@given(requests, st.integers(100, 999), headers, bodies)
def test_whatever_an_answer_says_every_message_has_an_outcome(
    request: HttpRequest, status: int, headers: dict[str, str], body: bytes
) -> None:
    """Read in full, or cut short; and so the words that are kept of it."""
    response = HttpResponse(status=status, headers=headers, body=body)
    hold(request, read_answer(HEAP, request, response))
    hold(request, read_cut_answer(HEAP, request, response))
    assert SECRET not in HEAP.told_answer(response.text)
    response.json()
    after = retry_after(response)
    assert after is None or 0 <= after < math.inf


@settings(deadline=None)
@given(requests, headers, bodies, st.sampled_from(["", "gzip", "deflate"]), st.data())
def test_whatever_comes_over_the_wire_is_an_answer_or_none(
    request: HttpRequest, headers: dict[str, str], body: bytes, encoding: str, data: st.DataObject
) -> None:
    """In pieces of any size, cut off anywhere, with any headers, packed or said to be."""
    packed = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}[encoding](body)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"content-encoding: {encoding}"] if encoding else []
    length = data.draw(st.sampled_from([len(packed), len(packed) + 5, None]))
    lines += [] if length is None else [f"content-length: {length}"]
    status = data.draw(
        st.sampled_from(["200", "207", "302", "400", "429", "503", "999", "99", "x"])
    )
    answer = "\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""]).encode() + packed
    answer = data.draw(st.sampled_from([answer, answer[: len(answer) // 2], packed]))
    step = data.draw(st.integers(1, 5000))

    told = asyncio.run(_attempt(request, answer, max(step, len(answer) // 50)))
    hold(request, told.outcomes)
    assert SECRET not in told.failure
    assert told.response is None or len(told.response.body) <= SETTINGS.max_answer


async def _attempt(request: HttpRequest, answer: bytes, step: int) -> Answer:
    pieces = [answer[start : start + step] for start in range(0, len(answer), step)]
    transport = httpx.AsyncHTTPTransport(verify=False)
    backend = httpcore.AsyncMockBackend(pieces)
    transport._pool = httpcore.AsyncConnectionPool(network_backend=backend)
    async with Sender(HEAP, SETTINGS, transport=transport) as sender:
        return await sender.attempt(request)


plugin_says: Any = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.dictionaries(
        st.sampled_from(["a", "b", "z"]),
        st.one_of(
            st.none(),
            st.builds(
                Outcome,
                st.sampled_from([*RESULTS, "unheard-of", None, 7]),
                st.one_of(st.none(), st.text(max_size=5), st.just(5)),
                st.one_of(st.none(), st.text(max_size=5), st.just([])),
                st.one_of(st.none(), st.floats(), st.text(max_size=2)),
            ),
        ),
    ),
)


@settings(deadline=None)
@given(requests, plugin_says)
def test_whatever_a_plugin_makes_of_an_answer_every_message_has_an_outcome(
    request: HttpRequest, says: Any
) -> None:
    """What is no outcome is the default one."""
    plugin = SimpleNamespace(
        origin="a plugin",
        capabilities={"on_response"},
        hook=SimpleNamespace(on_response=lambda **_: says),
    )
    connection: Any = SimpleNamespace(plugin=plugin, settings={}, told=HEAP.told)
    hold(request, read_answer(connection, request, HttpResponse(status=200)))
