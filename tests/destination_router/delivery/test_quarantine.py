"""The watch over identities: too many anonymous ids in too short a time, and what it remembers.

Modules: `delivery/quarantine.py`, `eventlog/sqlite/quarantine_book.py`.
"""

import json
from typing import Any

import pytest

from destination_router import Field, HttpRequest, Note, Track, hookimpl
from destination_router.config.router_toml import QuarantineConfig
from destination_router.delivery.quarantine import Quarantine
from destination_router.pipeline.connection import Connection, Decision
from destination_router.pipeline.subscriptions.subscriptions import SubscriptionSource
from destination_router.plugins.loading import check_destination, load_plugin

HOUR = 3600.0
CONNECTION = Connection("heap", load_plugin("heap"), {"appId": "11"})


def decided(user: str, anonymous: str | None, **fields: Any) -> Decision:
    message = {"type": "track", "event": "E", "userId": user, "anonymousId": anonymous, **fields}
    return CONNECTION.decide(json.dumps(message).encode())


def watch(**settings: Any) -> Quarantine:
    return Quarantine(QuarantineConfig(**settings))


def carried(
    quarantine: Quarantine, user: str, count: int, at: float = 0.0, pause: float = 0.0
) -> list[str]:
    return [
        quarantine.verdict(decided(user, f"anonymous-{at}-{n}"), at + n * pause)
        for n in range(count)
    ]


def test_the_fifty_first_within_an_hour_is_caught_and_all_after_it() -> None:
    """Fifty are a busy person; then the identity is held back, whatever comes with it, for good."""
    quarantine = watch()
    assert carried(quarantine, "ada", 51, pause=60) == ["free"] * 50 + ["caught"]
    for decision in (decided("ada", None), decided("ada", "anonymous-0.0-1")):
        assert quarantine.verdict(decision, 99 * HOUR) == "held"
    assert quarantine.verdict(decided("bob", "anonymous-0.0-1"), 0) == "free"


def test_fifty_one_in_more_than_an_hour_are_fine() -> None:
    """What was last seen longer ago than the period does not count, whatever comes each hour."""
    assert set(carried(watch(), "ada", 500, pause=HOUR / 50 + 1)) == {"free"}


def test_the_same_anonymous_ids_again_are_no_more() -> None:
    """Distinct ids count, not messages."""
    quarantine = watch(anonymous_ids=2)
    verdicts = [quarantine.verdict(decided("ada", f"a{n % 2}"), n) for n in range(100)]
    assert set(verdicts) == {"free"}


def test_a_backlog_is_no_rush() -> None:
    """The time of receipt counts, not the time at which it is delivered."""
    quarantine = watch(anonymous_ids=3)
    assert set(carried(quarantine, "ada", 30, at=0, pause=HOUR)) == {"free"}


def told_by_a_backend(user: str, count: int, kind: str = "identify", **traits: str) -> list[Any]:
    held = {"identify": "traits", "track": "context"}[kind]
    return [
        decided(
            user,
            None,
            type=kind,
            **{held: filled if held == "traits" else {"traits": filled}},
        )
        for number in range(count)
        for filled in [{name: f"{value}{number}" for name, value in traits.items()}]
    ]


@pytest.mark.parametrize("kind", ["identify", "track"])
@pytest.mark.parametrize("trait", ["email", "name"])
def test_an_identity_whose_person_keeps_changing_is_caught(kind: str, trait: str) -> None:
    """A backend has no anonymous ids: fifty-one emails under one identity are fifty-one people."""
    quarantine = watch()
    came = told_by_a_backend("row", 51, kind, **{trait: "ada"})
    assert [quarantine.verdict(one, 0) for one in came] == ["free"] * 50 + ["caught"]
    assert quarantine.verdict(decided("row", None), 0) == "held"


def test_a_person_may_change_other_traits_and_an_allowed_one_all_of_them() -> None:
    """A plan or a score changes with every call; whoever is allowed may be anybody."""
    quarantine = watch(changed_traits=3, allow=("shop",))
    for one in told_by_a_backend("ada", 30, plan="p") + told_by_a_backend("shop", 30, email="e"):
        assert quarantine.verdict(one, 0) == "free"
    again = told_by_a_backend("bob", 3, email="e") * 20
    assert {quarantine.verdict(one, 0) for one in again} == {"free"}


@pytest.mark.parametrize("user", ["null", "guest", "x" * 300])
def test_an_identity_that_the_destination_leaves_out_is_no_identity(user: str) -> None:
    """A known placeholder goes out as anonymous already: holding it back would lose events."""
    assert set(carried(watch(anonymous_ids=3), user, 20)) == {"free"}


def connection(*takes: SubscriptionSource, **settings: Any) -> Connection:
    return Connection("heap", load_plugin("heap"), {"appId": "11", **settings}, takes)


def mapped(path: str, subscription: str = 'type = "track"') -> SubscriptionSource:
    return SubscriptionSource(
        subscription=subscription, mapping={"track": {"identity": {"@path": path}}}
    )


KIOSK: dict[str, Any] = {
    "mapping": (connection(mapped("$.properties.email")), {"properties": {"email": "kiosk"}}),
    "options": (CONNECTION, {"integrations": {"Heap": {"identity": "kiosk"}}}),
    "traits": (connection(dialect="rudderstack"), {"userId": "", "traits": {"id": "kiosk"}}),
    "two": (connection(mapped("$.userId"), mapped("$.event")), {"event": "kiosk"}),
}


@pytest.mark.parametrize("way", KIOSK)
def test_an_identity_is_watched_wherever_it_comes_from(way: str) -> None:
    """What counts is whom the requests name, be it by a mapping, an option or a dialect."""
    sender, fields = KIOSK[way]
    quarantine = watch(anonymous_ids=3)
    verdicts = []
    for n in range(5):
        message = {"type": "track", "event": "E", "userId": f"u{n}", "anonymousId": f"a{n}"}
        decision = sender.decide(json.dumps({**message, **fields}).encode())
        assert "kiosk" in decision.identities
        verdicts.append(quarantine.verdict(decision, n))
    assert verdicts == ["free"] * 3 + ["caught", "held"]


class Small:
    """A destination that says nothing of whom its requests name."""

    @hookimpl
    def settings_schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": False, "properties": {}}

    @hookimpl
    def fields(self) -> dict[str, list[Field]]:
        return {"track": [Field(name="user", type="string", description="who", part="userId")]}

    @hookimpl
    def on_identify(self) -> list[HttpRequest]:
        return []

    @hookimpl
    def on_track(self, message: Track) -> list[HttpRequest]:
        left_out = Note("unsafe_identity", "userId", "a placeholder")
        notes = (left_out,) if message.user_id == "guest" else ()
        return [HttpRequest(url="https://x.example", notes=notes)]


@pytest.mark.parametrize(("email", "identities"), [("kiosk", {"kiosk"}), ("guest", set())])
def test_of_a_destination_that_does_not_say_it_is_the_user_id_as_mapped(
    email: str, identities: set[str]
) -> None:
    """What a mapping puts in the place of userId goes out in its place."""
    takes = SubscriptionSource(
        subscription='type = "track"',
        mapping={"track": {"user": {"@path": "$.properties.email"}}},
    )
    sender = Connection("small", check_destination(Small(), "small", "small 1"), {}, [takes])
    message = {"type": "track", "userId": "u", "anonymousId": "a", "properties": {"email": email}}
    assert sender.decide(json.dumps(message).encode()).identities == identities
    plain = Connection("small", check_destination(Small(), "small", "small 1"), {})
    assert plain.decide(json.dumps(message).encode()).identities == {"u"}


def test_a_user_id_that_is_not_sent_is_not_watched() -> None:
    """Where a mapping gives another identity, any number may carry the same userId."""
    sender, quarantine = connection(mapped("$.properties.email")), watch(anonymous_ids=3)
    for n in range(9):
        message = {"type": "track", "event": "E", "userId": "shared", "anonymousId": f"a{n}"}
        raw = json.dumps({**message, "properties": {"email": f"u{n}@example.com"}}).encode()
        assert quarantine.verdict(sender.decide(raw), n) == "free"


def test_what_is_allowed_is_never_held_back() -> None:
    """Not even if it was, before it was allowed."""
    caught = watch(anonymous_ids=3)
    carried(caught, "ada", 4)
    again = Quarantine(QuarantineConfig(anonymous_ids=3, allow=("ada",)), held=caught.caught)
    assert set(carried(again, "ada", 20)) == {"free"}


def test_what_is_held_survives_and_shows_no_identity() -> None:
    """Digests are enough to go on from."""
    caught = watch(anonymous_ids=3)
    carried(caught, "ada@example.com", 4)
    assert all(b"ada" not in digest for digest in caught.caught)
    again = Quarantine(QuarantineConfig(), held=caught.caught)
    assert again.verdict(decided("ada@example.com", None), 0) == "held"
    assert "ada" not in again.refusal().detail


def test_memory_is_bounded_and_a_flood_is_caught_all_the_same() -> None:
    """A crowd of others is forgotten, oldest first; who is seen all the time is not."""
    quarantine = Quarantine(QuarantineConfig(anonymous_ids=20), most_remembered=100)
    verdicts = []
    for n in range(21):
        for other in range(30):
            quarantine.verdict(decided(f"user-{n}-{other}", "a"), n)
            assert quarantine.remembered <= 102
        verdicts.append(quarantine.verdict(decided("shared", f"a{n}"), n))
    assert verdicts == ["free"] * 20 + ["caught"]


def test_memory_follows_the_traffic_of_a_period() -> None:
    """What was not seen for a period is forgotten when anything else is."""
    quarantine = watch()
    for n in range(50):
        quarantine.verdict(decided(f"user-{n}", "a"), 0)
    quarantine.verdict(decided("late", "a"), HOUR)
    assert quarantine.remembered == 2


def test_ids_of_any_characters_are_judged() -> None:
    """Half of a character in an id stops nothing."""
    decision = CONNECTION.decide(
        b'{"type": "track", "event": "E", "userId": "\\ud800", "anonymousId": "\\udfff"}'
    )
    assert watch().verdict(decision, 0) == "free"
