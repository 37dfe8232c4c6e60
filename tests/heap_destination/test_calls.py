"""From the six calls to Heap's requests: the default dialect, rule by rule."""

import json
from typing import Any

import pytest

from destination_router import HttpRequest, Ignored, Reject, parse_message
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from heap_destination import plugin
from heap_destination.identity import stitched_user_id
from heap_destination.settings import UNSAFE_IDENTITIES, heap_settings

US = "https://heapanalytics.com"
TIME = "2026-11-22T10:00:00.000Z"
EVENTS = {"track": "Clicked", "page": "Page viewed", "screen": "Screen viewed"}


def requests(kind: str, settings: dict[str, Any] | None = None, **fields: Any) -> list[HttpRequest]:
    """Map one call; a track has an event unless the test says otherwise."""
    event = {"event": "Clicked"} if kind == "track" else {}
    message = parse_message({"type": kind, "messageId": "message-1", **event, **fields})
    hook = getattr(plugin, f"on_{kind}")
    mapped: list[HttpRequest] | Ignored
    mapped = hook(message, heap_settings({"appId": "11", **(settings or {})}))
    return [] if isinstance(mapped, Ignored) else mapped


def sent(kind: str, settings: dict[str, Any] | None = None, **fields: Any) -> list[tuple[str, Any]]:
    """What goes out: each request's path and body, without what all bodies have."""
    found = []
    for request in requests(kind, settings, **fields):
        assert request.json.pop("app_id") == "11"
        found.append((request.url.removeprefix(US), request.json))
    return found


def noted(*arguments: Any, **fields: Any) -> list[tuple[str, str]]:
    """Every note of every request, by its code and path."""
    return [(n.code, n.path) for r in requests(*arguments, **fields) for n in r.notes]


def rejection(*arguments: Any, **fields: Any) -> tuple[str, str]:
    with pytest.raises(Reject) as caught:
        requests(*arguments, **fields)
    return caught.value.code, caught.value.path


def event(name: str = "Clicked", **more: Any) -> dict[str, Any]:
    return {"event": name, "properties": {}, "idempotency_key": "message-1", **more}


# -- identify -----------------------------------------------------------------------------------


def test_identify_creates_or_updates_the_user() -> None:
    """The flattened traits are the user's properties, with the anonymous id beside them."""
    traits = {"name": "Ada", "address": {"city": "London"}}
    assert sent("identify", userId="ada", anonymousId="anon", traits=traits) == [
        (
            "/api/add_user_properties",
            {
                "identity": "ada",
                "properties": {"name": "Ada", "address.city": "London", "anonymous_id": "anon"},
            },
        )
    ]


@pytest.mark.parametrize("traits", [{}, None, {"a": None}])
def test_identify_without_traits_still_creates_the_user(traits: object) -> None:
    """Properties are `{}` then, which Heap takes, and never null or a list."""
    (request,) = sent("identify", userId="ada", traits=traits)
    assert request == ("/api/add_user_properties", {"identity": "ada", "properties": {}})


def test_identify_takes_traits_from_the_context() -> None:
    """Where RudderStack's SDKs put them; the traits are sent once."""
    (request,) = sent("identify", userId="ada", context={"traits": {"plan": "pro"}})
    assert request[1]["properties"] == {"plan": "pro"}


def test_a_users_traits_keep_away_from_reserved_names() -> None:
    """`id` is renamed and a lone `Email` fills the built-in property, with notes."""
    fields = {"userId": "ada", "traits": {"id": 7, "Email": "ada@example.com"}}
    ((_, body),) = sent("identify", **fields)
    assert body["properties"] == {"_id": 7, "email": "ada@example.com"}
    assert noted("identify", **fields) == [("renamed", "traits.id"), ("renamed", "traits.Email")]


@pytest.mark.parametrize(
    ("trait", "sent_", "notes"),
    [
        ("mine", "mine", [("dropped", "anonymousId")]),
        ("anon", "anon", []),
        (7, 7, [("dropped", "anonymousId")]),
    ],
)
def test_a_trait_called_anonymous_id_is_the_senders_choice(
    trait: object, sent_: object, notes: list[tuple[str, str]]
) -> None:
    """It is not overwritten; the message's own anonymousId is told as dropped."""
    fields = {"userId": "ada", "anonymousId": "anon", "traits": {"anonymous_id": trait}}
    ((_, body),) = sent("identify", **fields)
    assert body["properties"] == {"anonymous_id": sent_}
    assert noted("identify", **fields) == notes


def test_a_long_anonymous_id_is_cut_as_any_value() -> None:
    """As a property it is held to a property's limit; as an identifier it is not used."""
    fields = {"userId": "ada", "anonymousId": "x" * 1024}
    ((_, body),) = sent("identify", **fields)
    assert body["properties"] == {"anonymous_id": "x" * 1023}
    assert noted("identify", **fields) == [
        ("unsafe_identity", "anonymousId"),
        ("truncated", "anonymousId"),
    ]


@pytest.mark.parametrize("fields", [{}, {"userId": ""}, {"userId": None}, {"anonymousId": "anon"}])
def test_identify_without_an_identity_is_rejected(fields: dict[str, Any]) -> None:
    """An anonymous id is no identity: it would create a second user."""
    assert rejection("identify", **fields) == ("missing_identity", "userId")


@pytest.mark.parametrize(
    "identity", [*UNSAFE_IDENTITIES, "NULL", "Undefined", "x" * 256, 0, -1, True]
)
@pytest.mark.parametrize("fields", [{}, {"anonymousId": "anon"}])
def test_identify_with_an_unsafe_identity_is_rejected(
    identity: object, fields: dict[str, Any]
) -> None:
    """Heap merges all who carry it and cannot undo it, so it is never sent."""
    assert rejection("identify", userId=identity, **fields) == ("unsafe_identity", "userId")


def test_a_profile_update_names_the_state_it_overwrites() -> None:
    """The host may skip an exact repeat; an event is never skipped."""
    (profile,) = requests("identify", userId="ada")
    (tracked,) = requests("track", userId="ada")
    assert (profile.state_key, tracked.state_key) == ("user:ada", None)


# -- track --------------------------------------------------------------------------------------


def test_track_records_the_event_under_the_identity() -> None:
    """One event with its properties, its time and the messageId as idempotency key."""
    properties = {"a": 1, "b": {"c": True}, "d": ["x", "y"], "e": None}
    expected = {
        "event": "Clicked",
        "identity": "ada",
        "properties": {"a": 1, "b.c": "true", "d": "x||y"},
        "timestamp": TIME,
        "idempotency_key": "message-1",
    }
    fields = {"userId": "ada", "anonymousId": "anon", "properties": properties, "timestamp": TIME}
    assert sent("track", **fields) == [("/api/track", expected)]
    assert noted("track", **fields) == [
        ("converted", "properties.b.c"),
        ("joined", "properties.d"),
        ("dropped", "properties.e"),
    ]


@pytest.mark.parametrize("properties", [{}, None, []])
def test_properties_are_an_object_at_all_events(properties: object) -> None:
    """Heap answers `"properties": []` and null with a 400."""
    ((_, body),) = sent("track", userId="ada", properties=properties)
    assert body["properties"] == {}


@pytest.mark.parametrize("name", [None, "", "  ", "\t\n"])
def test_track_without_an_event_is_rejected(name: object) -> None:
    """There is nothing to record."""
    assert rejection("track", userId="ada", event=name) == ("missing_event", "event")


@pytest.mark.parametrize(("length", "cut"), [(1024, False), (1025, True)])
@pytest.mark.parametrize("character", ["e", "\N{FOX FACE}"])
def test_an_events_name_has_at_most_1024_characters(
    character: str, length: int, cut: object
) -> None:
    """A longer one is cut between characters, with a note."""
    fields = {"userId": "ada", "event": character * length}
    ((_, body),) = sent("track", **fields)
    assert body["event"] == character * 1024
    assert noted("track", **fields) == ([("truncated", "event")] if cut else [])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timestamp": "2026-11-22T10:00:00.000Z"}, TIME),
        ({"timestamp": "2026-11-22T12:00:00.000999+02:00"}, TIME),
        ({"timestamp": "2026-11-22 10:00:00"}, TIME),
        ({"timestamp": 1795341600}, TIME),
        ({"originalTimestamp": "2026-11-22T10:00:00Z"}, TIME),
        ({"timestamp": TIME, "originalTimestamp": "2025-01-01"}, TIME),
        ({"timestamp": "yesterday", "originalTimestamp": "2026-11-22T10:00:00Z"}, TIME),
        ({"timestamp": None, "originalTimestamp": "2026-11-22T10:00:00Z"}, TIME),
        ({"timestamp": "2099-01-01"}, "2099-01-01T00:00:00.000Z"),
        ({"timestamp": "yesterday", "originalTimestamp": "tomorrow"}, None),
        ({"sentAt": "2026-11-22T10:00:00Z"}, None),
        ({"receivedAt": "2026-11-22T10:00:00Z"}, TIME),
        ({"timestamp": "soon", "originalTimestamp": "x", "receivedAt": TIME}, TIME),
        ({"timestamp": "0001-01-01T00:00:00Z", "originalTimestamp": TIME}, TIME),
        ({}, None),
    ],
)
@pytest.mark.parametrize("ids", [{"userId": "ada"}, {"anonymousId": "anon"}])
def test_an_events_time_is_its_timestamp_else_its_original_timestamp(
    fields: dict[str, Any], expected: str | None, ids: dict[str, str]
) -> None:
    """ISO 8601 in UTC with milliseconds; left out where none is a time."""
    ((_, body),) = sent("track", **ids, **fields)
    assert body.get("events", [body])[0].get("timestamp") == expected


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"timestamp": "soon", "originalTimestamp": TIME}, "originalTimestamp is sent"),
        ({"timestamp": "soon", "receivedAt": TIME}, "receivedAt is sent"),
        ({"timestamp": "0027-01-01"}, "its year is 0027"),
        ({"timestamp": "5138-11-16"}, "its year is 5138"),
    ],
)
def test_a_note_says_which_time_is_sent(fields: dict[str, Any], told: str) -> None:
    """Whoever imports a file sees that its times were not what they seemed."""
    message = {"type": "track", "messageId": "m", "userId": "ada", "event": "E", **fields}
    decision = Connection("heap", load_plugin("heap"), {"appId": "11"}).decide(
        json.dumps(message).encode()
    )
    assert told in " ".join(note.detail for note in decision.notes)


@pytest.mark.parametrize("kind", EVENTS)
def test_traits_in_the_context_are_sent_first(kind: str) -> None:
    """Who carries them is a known user, whose properties they are."""
    fields = {"userId": "ada", "context": {"traits": {"plan": "pro", "id": 1, "x": None}}}
    assert sent(kind, **fields) == [
        ("/api/add_user_properties", {"identity": "ada", "properties": {"plan": "pro", "_id": 1}}),
        ("/api/track", event(EVENTS[kind], identity="ada")),
    ]
    assert noted(kind, **fields) == [
        ("dropped", "context.traits.x"),
        ("renamed", "context.traits.id"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"userId": "ada", "context": {"traits": {}}},
        {"userId": "ada", "context": {"traits": {"a": None}}},
        {"userId": "ada", "context": {"traits": None}},
        {"anonymousId": "anon", "context": {"traits": {"plan": "pro"}}},
        {"userId": "guest", "anonymousId": "anon", "context": {"traits": {"plan": "pro"}}},
    ],
)
def test_without_traits_or_without_an_identity_only_the_event_is_sent(
    fields: dict[str, Any],
) -> None:
    """There is nothing to say about the user, or nobody to say it about."""
    assert len(requests("track", **fields)) == 1


# -- page and screen ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["page", "screen"])
@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        ({}, {}),
        ({"name": "Docs"}, {"name": "Docs"}),
        ({"name": "Docs", "category": "Help"}, {"name": "Docs", "category": "Help"}),
        ({"name": "", "category": None}, {}),
        ({"name": "Docs", "properties": {"url": "/d"}}, {"url": "/d", "name": "Docs"}),
        ({"properties": {"name": "Other"}}, {"name": "Other"}),
    ],
)
def test_page_and_screen_are_one_event_each(
    kind: str, fields: dict[str, Any], properties: dict[str, Any]
) -> None:
    """One event name for all pages, so that Heap stays readable; which one is a property."""
    assert sent(kind, userId="ada", **fields) == [
        ("/api/track", {**event(EVENTS[kind], identity="ada"), "properties": properties})
    ]


@pytest.mark.parametrize(
    ("own", "notes"),
    [
        ("Docs", []),
        ("Other", [("dropped", "properties.name")]),
        (5, [("dropped", "properties.name")]),
    ],
)
def test_the_calls_own_name_comes_before_the_property(
    own: object, notes: list[tuple[str, str]]
) -> None:
    """A property of the same name that says something else is told as dropped."""
    fields = {"userId": "ada", "name": "Docs", "properties": {"name": own}}
    ((_, body),) = sent("page", **fields)
    assert body["properties"] == {"name": "Docs"}
    assert noted("page", **fields) == notes


# -- anonymous events ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVENTS)
def test_an_anonymous_event_goes_through_the_partner_api(kind: str) -> None:
    """Under its anonymousId, all values as text."""
    properties = {"a": 1, "b": True, "c": "x", "d": [1, 2]}
    fields = {"anonymousId": "anon", "messageId": "message-1", "properties": properties}
    item = {
        "event": EVENTS[kind],
        "user_identifier": {"anonymous_id": "anon"},
        "custom_properties": {"a": "1", "b": "true", "c": "x", "d": "1||2"},
        "idempotency_key": "message-1",
        "timestamp": TIME,
    }
    expected = [("/api/integrations/track", {"library": "server", "events": [item]})]
    assert sent(kind, **fields, timestamp=TIME) == expected
    assert noted(kind, **fields) == [
        ("converted", "properties.b"),
        ("joined", "properties.d"),
        ("converted", "properties.a"),
    ]


@pytest.mark.parametrize("message_id", ["m", "1234567", "\N{FOX FACE}" * 7])
def test_a_short_idempotency_key_of_the_partner_api_becomes_a_digest(message_id: str) -> None:
    """It has at least 8 characters; the digest is the same every time, and told."""
    fields = {"anonymousId": "anon", "messageId": message_id}
    keys = {sent("track", **fields)[0][1]["events"][0]["idempotency_key"] for _ in range(2)}
    (key,) = keys
    assert len(key) == 32
    assert noted("track", **fields) == [("converted", "messageId")]


def test_a_key_that_is_long_enough_is_kept() -> None:
    """The partner API takes 8 characters, the documented one takes any number."""
    ((_, body),) = sent("track", anonymousId="anon", messageId="12345678")
    assert body["events"][0]["idempotency_key"] == "12345678"
    ((_, body),) = sent("track", userId="ada", messageId="m")
    assert body["idempotency_key"] == "m"


def test_a_session_of_an_anonymous_event_is_told_as_dropped() -> None:
    """The partner API has no place for it."""
    fields = {"anonymousId": "anon", "integrations": {"Heap": {"session_id": "77"}}}
    ((_, body),) = sent("track", **fields)
    assert "session_id" not in body["events"][0]
    assert noted("track", **fields) == [("dropped", "integrations.Heap.session_id")]


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("identity", ["null", "GUEST", "x" * 256])
def test_an_event_with_an_unsafe_identity_goes_out_as_anonymous(kind: str, identity: str) -> None:
    """If it has an anonymousId; a note tells."""
    fields = {"userId": identity, "anonymousId": "anon"}
    ((path, body),) = sent(kind, **fields)
    assert (path, body["events"][0]["user_identifier"]) == (
        "/api/integrations/track",
        {"anonymous_id": "anon"},
    )
    assert noted(kind, **fields) == [("unsafe_identity", "userId")]


@pytest.mark.parametrize("mode", ["partner", "stitch", "reject"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("missing_identity", "userId")),
        ({"userId": " ", "anonymousId": ""}, ("missing_identity", "userId")),
        ({"userId": "null"}, ("unsafe_identity", "userId")),
        ({"userId": "null", "anonymousId": "undefined"}, ("unsafe_identity", "userId")),
        (
            {"integrations": {"Heap": {"identity": "0"}}},
            ("unsafe_identity", "integrations.Heap.identity"),
        ),
    ],
)
def test_an_event_of_nobody_is_rejected(
    mode: str, fields: dict[str, Any], expected: tuple[str, str]
) -> None:
    """Without a usable id there is nobody to record it for."""
    assert rejection("track", {"anonymousEvents": mode}, **fields) == expected


@pytest.mark.parametrize("mode", ["partner", "stitch"])
def test_an_unsafe_anonymous_id_is_no_id(mode: str) -> None:
    """Everybody's `null` would be one visitor."""
    expected = ("unsafe_identity", "anonymousId")
    assert rejection("track", {"anonymousEvents": mode}, anonymousId="null") == expected


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"anonymousId": "anon"}, "missing_identity"),
        ({"userId": "null", "anonymousId": "anon"}, "unsafe_identity"),
    ],
)
def test_anonymous_events_can_be_rejected(fields: dict[str, Any], code: str) -> None:
    """Who wants known users alone says so; known users are not concerned."""
    settings = {"anonymousEvents": "reject"}
    assert rejection("track", settings, **fields) == (code, "userId")
    assert sent("track", settings, userId="ada") == [("/api/track", event(identity="ada"))]


# -- stitching ----------------------------------------------------------------------------------

STITCH = {"anonymousEvents": "stitch"}
MADE = stitched_user_id("anon")


def test_stitched_events_go_out_under_a_made_user_id() -> None:
    """Through the documented API, so numbers stay numbers and a session is kept."""
    fields = {"properties": {"a": 1}, "integrations": {"Heap": {"session_id": "77"}}}
    assert sent("track", STITCH, anonymousId="anon", **fields) == [
        ("/api/track", {**event(user_id=MADE, session_id="77"), "properties": {"a": 1}})
    ]


def test_stitching_merges_on_identify() -> None:
    """The user first, then the merge, with the time of the identify."""
    assert sent("identify", STITCH, userId="ada", anonymousId="anon", timestamp=TIME) == [
        ("/api/add_user_properties", {"identity": "ada", "properties": {"anonymous_id": "anon"}}),
        ("/api/v1/identify", {"user_id": MADE, "identity": "ada", "timestamp": TIME}),
    ]


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, {"anonymousId": "anon"}),
        ({"anonymousEvents": "reject"}, {"anonymousId": "anon"}),
        (STITCH, {}),
        (STITCH, {"anonymousId": "null"}),
    ],
)
def test_without_stitching_or_without_an_anonymous_id_nothing_is_merged(
    settings: dict[str, Any], fields: dict[str, Any]
) -> None:
    """A merge cannot be undone, so it happens only where it is wanted and safe."""
    paths = [path for path, _ in sent("identify", settings, userId="ada", **fields)]
    assert paths == ["/api/add_user_properties"]


def test_heaps_own_user_id_is_merged_where_the_sender_knows_it() -> None:
    """A `user_id` in the options is whose events are merged."""
    fields = {"userId": "ada", "anonymousId": "anon", "integrations": {"Heap": {"user_id": "42"}}}
    assert sent("identify", STITCH, **fields)[1] == (
        "/api/v1/identify",
        {"user_id": "42", "identity": "ada"},
    )


# -- alias --------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"anonymousEvents": "reject"}])
@pytest.mark.parametrize("fields", [{"userId": "ada", "previousId": "anon"}, {}])
def test_alias_is_ignored_unless_stitching_is_on(
    settings: dict[str, Any], fields: dict[str, Any]
) -> None:
    """Heap has no such thing; whoever looks for the alias reads which setting changes it."""
    message = parse_message({"type": "alias", "messageId": "m-1", **fields})
    ignored = plugin.on_alias(message, heap_settings({"appId": "11", **settings}))
    assert ignored == Ignored(
        "an alias merges users only where the setting anonymousEvents is stitch"
    )


def test_alias_merges_the_previous_id_with_stitching_on() -> None:
    """The events that the anonymous id sent become the user's."""
    assert sent("alias", STITCH, userId="ada", previousId="anon", timestamp=TIME) == [
        ("/api/v1/identify", {"user_id": MADE, "identity": "ada", "timestamp": TIME})
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"previousId": "anon"}, ("missing_identity", "userId")),
        ({"userId": "null", "previousId": "anon"}, ("unsafe_identity", "userId")),
        ({"userId": "ada"}, ("missing_previous_id", "previousId")),
        ({"userId": "ada", "previousId": "undefined"}, ("unsafe_identity", "previousId")),
        ({"userId": "ada", "previousId": "x" * 256}, ("unsafe_identity", "previousId")),
    ],
)
def test_an_alias_that_cannot_be_merged_is_rejected(
    fields: dict[str, Any], expected: tuple[str, str]
) -> None:
    """Both ids must be somebody's own."""
    assert rejection("alias", STITCH, **fields) == expected


# -- group --------------------------------------------------------------------------------------

COMPANY = {"accountIdProperty": "company_id"}
ACCOUNT = ("/api/add_account_properties", {"account_id": "acme", "properties": {"plan": "pro"}})


@pytest.mark.parametrize("fields", [{}, {"userId": "ada"}, {"anonymousId": "anon"}])
def test_group_creates_or_updates_the_account(fields: dict[str, Any]) -> None:
    """Whoever says it; the group's traits are the account's properties."""
    assert sent("group", groupId="acme", traits={"plan": "pro"}, **fields) == [ACCOUNT]


def test_an_accounts_properties_have_no_reserved_names() -> None:
    """Heap reserves `id` and fills Email for users only."""
    traits = {"id": 7, "Email": "office@example.com"}
    ((_, body),) = sent("group", groupId="acme", traits=traits)
    assert body["properties"] == traits


def test_group_joins_the_user_to_the_account_where_the_settings_say_how() -> None:
    """First the user property that Heap joins accounts on, then the account."""
    fields = {"groupId": "acme", "userId": "ada", "traits": {"plan": "pro"}}
    assert sent("group", COMPANY, **fields) == [
        ("/api/add_user_properties", {"identity": "ada", "properties": {"company_id": "acme"}}),
        ACCOUNT,
    ]
    assert noted("group", COMPANY, **fields) == []


@pytest.mark.parametrize(
    ("fields", "notes"),
    [
        ({}, [("dropped", "userId")]),
        ({"anonymousId": "anon"}, [("dropped", "userId")]),
        ({"anonymousId": "null"}, [("unsafe_identity", "anonymousId"), ("dropped", "userId")]),
        ({"userId": "guest"}, [("unsafe_identity", "userId"), ("dropped", "userId")]),
    ],
)
def test_an_account_is_updated_even_if_nobody_can_be_joined_to_it(
    fields: dict[str, Any], notes: list[tuple[str, str]]
) -> None:
    """The note says that the user was not joined."""
    group = {"groupId": "acme", "traits": {"plan": "pro"}, **fields}
    assert sent("group", COMPANY, **group) == [ACCOUNT]
    assert noted("group", COMPANY, **group) == notes


@pytest.mark.parametrize(
    ("group_id", "expected"),
    [
        (None, ("missing_group_id", "groupId")),
        (" ", ("missing_group_id", "groupId")),
        ("undefined", ("unsafe_identity", "groupId")),
        ("x" * 256, ("unsafe_identity", "groupId")),
    ],
)
def test_a_group_without_a_usable_id_is_rejected(
    group_id: object, expected: tuple[str, str]
) -> None:
    """A placeholder would merge accounts as it merges users."""
    assert rejection("group", userId="ada", groupId=group_id) == expected


# -- what the sender says to Heap ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"identity": "lovelace"}, {"identity": "lovelace"}),
        ({"user_id": "42"}, {"user_id": "42"}),
        ({"session_id": "77"}, {"identity": "ada", "session_id": "77"}),
        ({"user_id": 42, "session_id": 77}, {"user_id": "42", "session_id": "77"}),
        (
            {"identity": "lovelace", "session_id": "77"},
            {"identity": "lovelace", "session_id": "77"},
        ),
    ],
)
@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_goes_out_under_what_its_options_say(
    kind: str, options: dict[str, Any], expected: dict[str, str]
) -> None:
    """Exactly one of `identity` and `user_id`, and the session if it is known."""
    integrations = {"Heap": options}
    assert sent(kind, userId="ada", anonymousId="anon", integrations=integrations) == [
        ("/api/track", event(EVENTS[kind], **expected))
    ]


def test_a_user_id_needs_no_other_id() -> None:
    """Heap's own id is enough for an event, and not an identity for a profile."""
    integrations = {"Heap": {"user_id": "42"}}
    fields: dict[str, Any] = {"integrations": integrations, "context": {"traits": {"a": 1}}}
    assert sent("track", **fields) == [("/api/track", event(user_id="42"))]
    assert rejection("identify", **fields) == ("missing_identity", "userId")


# -- region -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("identify", {"userId": "ada", "anonymousId": "anon"}),
        ("track", {"userId": "ada", "context": {"traits": {"a": 1}}}),
        ("track", {"anonymousId": "anon"}),
        ("page", {"userId": "ada"}),
        ("screen", {"userId": "ada"}),
        ("group", {"userId": "ada", "groupId": "acme"}),
        ("alias", {"userId": "ada", "previousId": "anon"}),
    ],
)
@pytest.mark.parametrize("mode", ["partner", "stitch"])
def test_everything_of_a_european_project_stays_in_europe(
    kind: str, fields: dict[str, Any], mode: str
) -> None:
    """Not one request goes to the other region's host."""
    settings = {"region": "EU", "anonymousEvents": mode, "accountIdProperty": "company"}
    urls = [request.url for request in requests(kind, settings, **fields)]
    assert all(url.startswith("https://c.eu.heap-api.com/api/") for url in urls)
    assert urls or (kind, mode) == ("alias", "partner")
