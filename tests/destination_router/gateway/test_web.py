"""What browsers, pixels, beacons, webhooks and imports send, and what they are answered.

Modules: `cors.py`, `pixel.py`, `import_batches.py`, `source_config.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import pytest

from destination_router.eventlog.interface import LogUnavailableError
from destination_router.gateway.app import create_gateway
from destination_router.gateway.source_config import device_destinations
from destination_router.gateway.sources import Sources
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import PluginError, load_plugin

KEY = "key-one"
EVENT = {"type": "track", "userId": "u", "event": "E", "messageId": "m"}
NOBODY = {"type": "track", "event": "E"}
ORIGIN = "https://shop.example"
RUDDER_HEADERS = "authorization,content-type,anonymousid,sentat,rsa-sent-at,rsa-retry-attempt"


class Log:
    """An event log that remembers what was appended, or refuses it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.full = False

    async def append(self, bodies: Sequence[bytes], source: str | None = None) -> None:  # noqa: ARG002
        if self.full:
            raise LogUnavailableError("full")
        self.events.extend(json.loads(body) for body in bodies)

    async def read(self, connection: str, after: int, limit: int) -> Any:
        raise NotImplementedError

    async def commit(self, connection: str, offsets: Collection[int]) -> None:
        raise NotImplementedError


class Gateway:
    """A gateway without a socket, and what it kept."""

    def __init__(self, **options: Any) -> None:
        numbers = count(1)
        self.log = Log()
        self._app = create_gateway(
            self.log,
            Sources.of_keys([KEY]),
            clock=lambda: datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
            new_id=lambda: f"new-{next(numbers)}",
            **options,
        )

    def __call__(self, method: str, path: str, *, key: str = "", **parts: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=("192.0.2.7", 1234))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                auth = (key, "") if key else None
                return await client.request(method, path, auth=auth, **parts)

        return asyncio.run(send())


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


# -- CORS ---------------------------------------------------------------------------------------


def test_a_preflight_allows_any_page_and_any_header(gateway: Gateway) -> None:
    """The SDK's own headers, those of its retries too, may be sent from anywhere."""
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": RUDDER_HEADERS,
    }
    answer = gateway("OPTIONS", "/v1/track", headers=asked)

    assert (answer.status_code, answer.content) == (204, b"")
    assert {
        name: value for name, value in answer.headers.items() if name.startswith("access-control")
    } == {
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": RUDDER_HEADERS,
        "access-control-allow-credentials": "true",
        "access-control-max-age": "900",
    }
    assert "Origin" in answer.headers["vary"]


def test_a_preflight_for_another_method_allows_nothing(gateway: Gateway) -> None:
    """Only GET, POST and HEAD are for pages."""
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"}
    answer = gateway("OPTIONS", "/v1/track", headers=asked)
    assert answer.status_code == 204
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("key", "status"), [(KEY, 200), ("other", 401), ("", 401)])
def test_every_answer_may_be_read_by_the_page(gateway: Gateway, key: str, status: int) -> None:
    """A refusal too: the SDK decides by it whether to send again."""
    answer = gateway("POST", "/v1/track", key=key, json=EVENT, headers={"Origin": ORIGIN})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"


def test_without_an_origin_nothing_is_said_of_pages(gateway: Gateway) -> None:
    """A server's request gets no headers for browsers."""
    assert "access-control-allow-origin" not in gateway("GET", "/health").headers


# -- beacon and webhook -------------------------------------------------------------------------


def test_a_beacon_brings_its_key_in_the_query(gateway: Gateway) -> None:
    """Browsers send beacons as text, without headers."""
    answer = gateway(
        "POST",
        f"/beacon/v1/batch?writeKey={KEY}",
        content=json.dumps({"batch": [EVENT]}),
        headers={"Content-Type": "text/plain"},
    )
    assert (answer.status_code, answer.text) == (200, "ok")
    assert [event["messageId"] for event in gateway.log.events] == ["m"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "failed to read writekey from query params\n"),
        ("?writeKey=", "failed to read writekey from query params\n"),
        ("?writeKey=other", "invalid write key\n"),
    ],
)
def test_a_beacons_key_counts_in_the_query_only(gateway: Gateway, query: str, words: str) -> None:
    """Basic authentication is no way in here."""
    answer = gateway("POST", f"/beacon/v1/batch{query}", key=KEY, json={"batch": [EVENT]})
    assert (answer.status_code, answer.text) == (401, words)


@pytest.mark.parametrize("way", ["query", "header"])
def test_a_webhooks_event_is_kept_as_it_is(gateway: Gateway, way: str) -> None:
    """RudderStack's webhook destination sends a whole event, whose type is its own."""
    query = f"?writeKey={KEY}" if way == "query" else ""
    event = {**EVENT, "type": "page", "channel": "web", "rudderId": "r"}
    answer = gateway("POST", f"/v1/webhook{query}", key=KEY if not query else "", json=event)
    assert (answer.status_code, answer.text) == (200, "ok")
    (kept,) = gateway.log.events
    assert kept.items() >= event.items()


def test_a_webhook_that_asks_is_answered_with_nothing(gateway: Gateway) -> None:
    """Some services probe a webhook with GET."""
    answer = gateway("GET", "/v1/webhook")
    assert (answer.status_code, answer.content) == (200, b"")


# -- pixel --------------------------------------------------------------------------------------


def test_a_pixels_query_is_an_event(gateway: Gateway) -> None:
    """Names are paths, values are text, and the rest is filled in."""
    query = (
        f"writeKey={KEY}&userId=u&event=E&properties.price=1&properties.size.x=2&properties.a%5C.b=3"
        "&properties.tags.0=x&properties.tags.-1=y&properties.by.:7=z&event=second&context.ip=1"
    )
    answer = gateway("GET", f"/pixel/v1/track?{query}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/gif"
    assert answer.content.startswith(b"GIF89a")
    (event,) = gateway.log.events
    assert event == {
        "type": "track",
        "channel": "web",
        "integrations": {"All": True},
        "originalTimestamp": "2026-03-04T05:06:07.000Z",
        "sentAt": "2026-03-04T05:06:07.000Z",
        "timestamp": "2026-03-04T05:06:07.000Z",
        "receivedAt": "2026-03-04T05:06:07.000Z",
        "request_ip": "192.0.2.7",
        "messageId": "new-1",
        "userId": "u",
        "event": "E",
        "context": {"ip": "1"},
        "properties": {
            "price": "1",
            "size": {"x": "2"},
            "a.b": "3",
            "tags": ["x", "y"],
            "by": {"7": "z"},
        },
    }


@pytest.mark.parametrize(
    ("query", "name"), [("&name=Docs", "Docs"), ("&name=", "Unknown Page"), ("", "Unknown Page")]
)
def test_a_page_without_a_name_gets_one(gateway: Gateway, query: str, name: str) -> None:
    """rudder-server's own words for it."""
    gateway("GET", f"/pixel/v1/page?writeKey={KEY}&anonymousId=a{query}")
    assert [event["name"] for event in gateway.log.events] == [name]


@pytest.mark.parametrize(
    "query", ["", "writeKey=other&userId=u", f"writeKey={KEY}", f"writeKey={KEY}&event=E"]
)
def test_a_pixel_is_always_a_picture(gateway: Gateway, query: str) -> None:
    """Whatever was wrong, a page is not to show a broken image."""
    answer = gateway("GET", f"/pixel/v1/track?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert gateway.log.events == []


def test_a_pixel_is_a_picture_while_the_log_is_full(gateway: Gateway) -> None:
    """As above, though the event is lost: a page cannot send it again."""
    gateway.log.full = True
    assert gateway("GET", f"/pixel/v1/track?writeKey={KEY}&userId=u").status_code == 200


@pytest.mark.parametrize(
    "path", ["a.999999999", "a.*", "%23", "", ".", "a..b", "a.", "userId.x", ".".join("a" * 40)]
)
def test_a_path_that_leads_nowhere_harms_nothing(gateway: Gateway, path: str) -> None:
    """A stranger's query neither fails nor fills the memory."""
    gateway("GET", f"/pixel/v1/track?writeKey={KEY}&userId=u&{path}=1&b.0=2")
    (event,) = gateway.log.events
    assert event["b"] == ["2"]
    assert len(json.dumps(event)) < 500


# -- import and merge ---------------------------------------------------------------------------


def test_an_import_is_kept_user_by_user(gateway: Gateway) -> None:
    """Each user's events stay in order, one user after the other."""
    events = [{**EVENT, "userId": user, "n": n} for n, user in enumerate("abab")]
    answer = gateway("POST", "/v1/import", key=KEY, json={"batch": events})
    assert (answer.status_code, answer.text) == (200, "ok")
    assert [event["n"] for event in gateway.log.events] == [0, 2, 1, 3]


@pytest.mark.parametrize("body", [{"batch": []}, {}, {"batch": None}])
def test_an_empty_import_is_no_error(gateway: Gateway, body: Any) -> None:
    """Unlike an empty batch."""
    answer = gateway("POST", "/v1/import", key=KEY, json=body)
    assert (answer.status_code, answer.text) == (200, "ok")


def test_one_refused_user_of_an_import_costs_no_other(gateway: Gateway) -> None:
    """The answer says what was wrong; what was right is kept."""
    answer = gateway("POST", "/v1/import", key=KEY, json={"batch": [NOBODY, EVENT]})
    words = "request neither has anonymousId nor userId\n"
    assert (answer.status_code, answer.text) == (400, words)
    assert [event["messageId"] for event in gateway.log.events] == ["m"]


def test_two_refused_users_of_an_import_are_told_in_one_breath(gateway: Gateway) -> None:
    """rudder-server joins the words, and knows no status for them but 500."""
    blank = {**NOBODY, "userId": " "}
    answer = gateway("POST", "/v1/import", key=KEY, json={"batch": [NOBODY, blank]})
    words = "request neither has anonymousId nor userId" * 2 + "\n"
    assert (answer.status_code, answer.text) == (500, words)


def test_a_merge_is_taken(gateway: Gateway) -> None:
    """Whether a destination has a use for it is not for the gateway to say."""
    assert gateway("POST", "/v1/merge", key=KEY, json={"userId": "u"}).status_code == 200
    assert [event["type"] for event in gateway.log.events] == ["merge"]


# -- what else is asked -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/health"])
def test_a_probe_reads_what_rudder_server_would_say(gateway: Gateway, path: str) -> None:
    """Its fields are those that probes look at."""
    told = gateway("GET", path).json()
    assert told.items() >= {"server": "UP", "db": "UP", "acceptingEvents": "TRUE"}.items()
    assert {"appType", "routingEvents", "mode", "backendConfigMode", "lastSync"} <= told.keys()


def test_the_version_says_that_gzip_is_taken(gateway: Gateway) -> None:
    """SDKs may look for the feature."""
    told = gateway("GET", "/version").json()
    assert told["Features"] == ["gzip-req-payload"]
    assert told.keys() == {"Version", "Commit", "BuildDate", "BuiltBy", "Features"}


def test_robots_are_sent_away(gateway: Gateway) -> None:
    """There is nothing to index."""
    assert gateway("GET", "/robots.txt").text == "User-agent: *\nDisallow: /\n"


# -- the browser SDK's configuration ------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sourceConfig", "/sourceConfig/"])
def test_a_source_is_told_that_it_is_enabled(gateway: Gateway, path: str) -> None:
    """The least that the browser SDK starts with; its key is not repeated."""
    answer = gateway("GET", f"{path}?p=npm&v=3&writeKey={KEY}", key=KEY)
    source = answer.json()["source"]
    assert (source["enabled"], source["destinations"]) == (True, [])
    assert isinstance(source["config"], dict)
    assert source["id"]
    assert source["workspaceId"]
    assert KEY not in answer.text


def test_a_source_keeps_its_id(gateway: Gateway) -> None:
    """The same key is the same source after every start."""
    path = f"/sourceConfig?writeKey={KEY}"
    assert gateway("GET", path).json() == Gateway()("GET", path).json()


@pytest.mark.parametrize("query", ["", "?writeKey=other"])
def test_a_stranger_is_told_nothing(gateway: Gateway, query: str) -> None:
    """Without a valid key there is no configuration."""
    assert gateway("GET", f"/sourceConfig{query}").status_code == 401


def test_a_client_side_heap_is_loaded_by_the_browser() -> None:
    """The SDK is told to load Heap in device mode, with the connection's own App ID."""
    heap = load_plugin("heap")
    connections = [
        Connection("heap-web", heap, {"appId": "123"}, client_side=True),
        Connection("heap-server", heap, {"appId": "456"}),
    ]
    gateway = Gateway(destinations=lambda _: device_destinations(connections))

    (told,) = gateway("GET", "/sourceConfig", key=KEY).json()["source"]["destinations"]

    assert (told["name"], told["enabled"]) == ("heap-web", True)
    assert told["config"].items() >= {"appId": "123", "connectionMode": "device"}.items()
    assert told["destinationDefinition"] == {"name": "HEAP", "displayName": "Heap.io"}


def test_a_client_side_connection_leaves_to_the_browser_what_is_the_browsers() -> None:
    """Heap would count it twice; what other senders send is still ours to deliver."""
    connection = Connection("heap", load_plugin("heap"), {"appId": "123"}, client_side=True)
    results = {
        channel: connection.decide(json.dumps({**EVENT, "channel": channel}).encode()).result
        for channel in ("web", "mobile", "server")
    }
    assert results == {"web": "filtered", "mobile": "requests", "server": "requests"}


def test_a_destination_that_browsers_cannot_load_is_a_mistake() -> None:
    """The configuration is refused, and the text says what to drop."""
    heap = load_plugin("heap")
    names = tuple(name for name in heap.capabilities if name != "client_side")
    plain = type(heap)(name=heap.name, origin=heap.origin, hook=heap.hook, capabilities=names)
    connection = Connection("web", plain, {"appId": "123"}, client_side=True)
    with pytest.raises(PluginError, match="drop clientSide"):
        device_destinations([connection])
