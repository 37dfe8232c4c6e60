"""Dead letters of a connection in HIPAA mode: kept masked, replayed once, forged by nobody."""

import json
from typing import Any

import msgspec
import pytest

from destination_router.config.router_toml import ConnectionConfig, SharedConfig
from destination_router.contract.records import Outcome
from destination_router.pipeline.connection import Connection, configured
from destination_router.plugins.loading import load_plugin

KEYS = {"v1": {"env": "MASKING_KEY_1"}}
ALLOW = {"events": ["Order Paid"], "properties": ["plan", "email"]}
TRACK = {
    "type": "track",
    "messageId": "m1",
    "userId": "Ada@example.com",
    "event": "Paid",
    "properties": {"plan": "gold", "email": "ada@example.com", "name": "Ada"},
}
RENAMED = ({"rename_event": {"Paid": "Order Paid", "Order Paid": "Twice"}},)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKING_KEY_1", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("MASKING_KEY_2", "fedcba9876543210fedcba9876543210")


def connection(
    name: str = "production",
    keys: Any = None,
    allow: Any = None,
    identifiers: tuple[str, ...] = ("properties.email",),
    transformations: tuple[dict[str, Any], ...] = RENAMED,
    **more: Any,
) -> Connection:
    table = {"allow": allow or ALLOW, "identifiers": list(identifiers)}
    config = ConnectionConfig(
        name=name,
        plugin="heap",
        settings={"appId": "11"},
        transformations=transformations,
        privacy={"mode": "hipaa", **table},
        shared=SharedConfig(privacy={"keys": keys or KEYS, **table}),
        **more,
    )
    return configured(config, load_plugin("heap"))


def raw(**fields: Any) -> bytes:
    return json.dumps({**TRACK, **fields}).encode()


def test_a_letter_is_kept_masked_and_replayed_as_it_was() -> None:
    """Neither transformations nor masking happen twice, so that the vendor sees the same."""
    private = connection()
    first = private.decide(raw())
    kept = private.kept(raw())
    assert b"ada" not in kept.lower()
    again = private.decide(kept)
    assert again.requests == first.requests
    assert (again.message_id, again.user_keys) == (first.message_id, first.user_keys)
    assert private.kept(kept) == kept


def test_a_field_at_the_root_is_kept_and_replayed() -> None:
    """What no call defines passes in the message's wire form alone, and passes again."""
    whole = {"track": {"properties": {"n": {"@path": "$.note"}, "d": {"@path": "$.deep.a"}}}}
    allow = {**ALLOW, "root": ["note", "deep.a"]}
    private = connection(allow=allow, mapping=whole)
    body = raw(note="fine", deep={"a": 1, "b": "ada"}, other="ada")
    first = private.decide(body)
    assert first.requests[0].json["properties"] == {"n": "fine", "d": 1}  # type: ignore[index, call-overload]
    kept = private.kept(body)
    assert b"ada" not in kept
    again = private.decide(kept)
    assert again.requests == first.requests
    assert again.notes == ()  # nothing was left out this time; the seal is ours
    assert connection(mapping=whole).decide(kept).requests[0].json["properties"] == {}  # type: ignore[index, call-overload]


def test_what_stands_for_nobody_is_not_said_to_be_masked() -> None:
    """A placeholder stays as it is, so no note says anything else."""
    decision = connection().decide(raw(userId=" Guest ", anonymousId="phone"))
    masked = {note.path for note in decision.notes if note.code == "masked"}
    assert masked == {"messageId", "anonymousId", "properties"}


def test_a_letter_is_held_against_the_lists_of_today() -> None:
    """What may no longer pass does not pass because it once did."""
    kept = connection().kept(raw())
    narrower = connection(allow={"events": ["Order Paid"]})
    assert "plan" not in repr(narrower.decide(kept).requests)
    withheld = connection(allow={"events": ["Seen"]}).decide(kept)
    assert withheld.reason == "privacy: the event is not on both allowlists"


def test_a_field_that_became_an_identifier_is_masked_when_replayed() -> None:
    """What went out in clear once goes out masked from the day its field is an identifier."""
    kept = connection(identifiers=()).kept(raw())
    assert b"ada@example.com" in kept
    assert connection().decide(kept).requests == connection().decide(raw()).requests


def test_a_letter_remembers_which_subscriptions_took_it() -> None:
    """A condition may ask for what did not pass, so it is not asked again."""
    takes = {"subscription": 'properties.name = "Ada"'}
    private = connection(**takes)
    assert private.decide(private.kept(raw())).result == "requests"


def test_a_letter_survives_a_rotation_but_not_the_end_of_its_key() -> None:
    """With the old key still there, a letter goes out as the user it was masked for."""
    kept = connection().kept(raw())
    both = connection(keys={**KEYS, "v2": {"env": "MASKING_KEY_2"}})
    assert both.decide(kept).requests == connection().decide(raw()).requests
    assert both.decide(raw()).user_id != both.decide(kept).user_id
    over = connection(keys={"v2": {"env": "MASKING_KEY_2"}}).decide(kept)
    assert over.reject is not None
    assert over.reject.code == "unknown_seal"


@pytest.mark.parametrize("cut", [b'"plan":"gold"', b'"_takers":[0]'])
def test_nobody_forges_a_letter(cut: bytes) -> None:
    """A sender who marks a message as masked does not get it through unmasked."""
    private = connection()
    kept = private.kept(raw())
    assert cut in kept
    forged = [kept.replace(cut, b'"plan":"Ada"'), b'{"_masked":"v1_0",' + raw()[1:]]
    forged.append(connection("another").kept(raw()))
    forged.append(b'{"_masked":"v%s_%s",' % (b"9" * 5000, b"a" * 64) + kept[kept.index(b'"_t') :])
    for body in forged:
        decision = private.decide(body)
        assert decision.reject is not None
        assert decision.reject.code == "unknown_seal"
        assert msgspec.json.decode(private.kept(body)).keys() == {"messageId"}


@pytest.mark.parametrize(
    "body", [b"{", b'{"type":"track","messageId":"ada"', b"[1]", raw(event="X")]
)
def test_what_cannot_be_masked_is_not_kept(body: bytes) -> None:
    """Of a message that is no JSON, or may not pass, there is the masked id alone."""
    kept = connection().kept(body)
    assert msgspec.json.decode(kept).keys() == {"messageId"}
    assert b"ada" not in kept


def test_the_vendors_words_are_not_kept() -> None:
    """An answer may repeat what the vendor knows of a person from elsewhere."""
    private = connection()
    told = private.told(Outcome.rejected("http_400", "ada@example.com exists"))
    assert told == Outcome.rejected("http_400", "")
    assert private.told(Outcome.rejected("ada@example.com", "")).code == "rejected"
    assert private.told(Outcome.delivered()) == Outcome.delivered()
    assert private.told_answer("ada@example.com exists") == ""


def test_a_step_is_shown_only_once_the_message_is_masked() -> None:
    """A field that is allowlisted may hold what a later step masks; it is not shown before."""
    steps = ({"rename": {"properties.name": "email"}}, {"delete": ["properties.plan"]})
    private = connection(identifiers=(), transformations=steps)
    *transformed, masked = private.steps(raw(event="Order Paid"))
    assert [(taken.before, taken.after) for taken in transformed] == [(None, None)] * 2
    assert all(taken.notes for taken in transformed)
    assert masked.after is not None
    assert masked.after["properties"] == {"email": "Ada"}


def test_steps_end_where_the_message_did() -> None:
    """What no subscription takes is held against no list, so the lists are not its reason."""
    steps = ({"delete": ["properties.plan"]},)
    private = connection(transformations=steps, subscription='type = "page"')
    message = raw(event="Unlisted")
    (end,) = private.explained(message)
    assert (end.step, end.end) == ("subscription", private.decide(message).reason)
    assert private.steps(message) == []


def test_without_hipaa_mode_a_letter_is_the_message() -> None:
    """Everyone else gets all there is to see why a message failed."""
    config = ConnectionConfig(name="open", plugin="heap", settings={"appId": "11"})
    plain = configured(config, load_plugin("heap"))
    assert plain.kept(raw()) == raw()
    assert plain.told_answer("no") == "no"
