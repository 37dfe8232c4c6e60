"""Which alerts are due: each begins and ends, and none floods a receiver."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest

from destination_router.config.router_toml import AlertsConfig
from destination_router.delivery.stats import DeliveryStats
from destination_router.service.alert_rules import (
    MEANINGS,
    Alert,
    AlertRules,
    Counted,
    Sight,
    State,
    sight,
)

CALM = Sight()
HELD = Sight(held={"US": ["http_401"]})


def rules(**settings: Any) -> AlertRules:
    return AlertRules(AlertsConfig(url="https://receiver.example/", **settings))


def step(made: AlertRules, seen: Sight, now: float) -> list[str]:
    """Look, and let the receiver take what is due; gives it in short."""
    made.look(seen, now)
    due = made.due(now, 1000)
    made.told(due, now)
    return [short(alert) for alert in due]


def short(alert: Alert) -> str:
    word = "begins" if alert.begins else "ends"
    about = " ".join((alert.connection, *alert.codes)).strip()
    return f"{alert.kind} {about} {word}" if about else f"{alert.kind} {word}"


def letters(**codes: int) -> Sight:
    return Sight(counts={("dead_letters", "US"): codes})


def test_a_state_begins_once_and_ends_once() -> None:
    """However often somebody looks meanwhile."""
    made = rules()
    assert step(made, CALM, 0) == []
    assert step(made, HELD, 1) == ["connection_held US http_401 begins"]
    assert [step(made, HELD, now) for now in range(2, 100)] == [[]] * 98
    assert [step(made, CALM, now) for now in range(100, 104)] == [[]] * 4
    assert step(made, CALM, 104) == ["connection_held US http_401 ends"]
    assert [step(made, CALM, now) for now in range(105, 300)] == [[]] * 195


def test_a_hold_that_nobody_sees_for_a_moment_lasts() -> None:
    """A reload or another process takes the connection up anew, and its vendor refuses it still."""
    made = rules(interval=1.0)
    assert step(made, HELD, 0) == ["connection_held US http_401 begins"]
    seen = [CALM if now % 60 in {1, 2, 3, 4} else HELD for now in range(1, 600)]
    assert [step(made, each, now) for now, each in enumerate(seen, 1)] == [[]] * 599


def test_an_alert_says_since_when() -> None:
    """Also the one that ends it, and one that was told late."""
    made = rules()
    made.look(HELD, 10)
    made.look(HELD, 20)
    (begins,) = made.due(20, 9)
    made.told([begins], 20)
    made.look(CALM, 90)
    (ends,) = made.due(90, 9)
    assert (begins.since, ends.since, ends.codes) == (10, 10, ("http_401",))


def test_of_a_kind_and_connection_at_most_one_is_due_in_an_interval() -> None:
    """Flapping every few seconds for an hour: one a minute, and what is true at last is told."""
    made = rules()
    told: list[tuple[float, str]] = []
    for now in range(3800):
        seen = HELD if now < 3600 and now % 14 == 7 else CALM
        told += [(now, words.split()[-1]) for words in step(made, seen, now)]
    assert min(later - earlier for (earlier, _), (later, _) in pairwise(told)) >= 60
    assert [state for _, state in told] == ["begins", "ends"] * (len(told) // 2)
    assert len(told) >= 50


def test_neighbours_do_not_wait_for_each_other() -> None:
    """Another connection and another kind are due at once."""
    made = rules()
    assert step(made, HELD, 0) == ["connection_held US http_401 begins"]
    both = Sight(held={**HELD.held, "EU": ["http_403"]}, writable=False)
    assert step(made, both, 1) == ["connection_held EU http_403 begins", "log_not_writable begins"]


def test_a_circuit_may_be_open_for_a_while() -> None:
    """Only then is it an alert, dated back to when the vendor fell silent; half open is silent."""
    made = rules(circuit_open=30.0)
    silent = Sight(silent=["US"])
    assert step(made, silent, 0) == []
    assert step(made, silent, 29) == []
    assert step(made, CALM, 29.5) == []
    assert step(made, silent, 30) == []
    assert step(made, silent, 59) == []
    made.look(silent, 60)
    assert [(alert.kind, alert.since) for alert in made.due(60, 9)] == [("circuit_open", 30)]
    seen = [
        sight({"US": DeliveryStats(circuit=circuit)}, **NOTHING).silent
        for circuit in ("closed", "open", "half_open")
    ]
    assert seen == [[], ["US"], ["US"]]


def test_dead_letters_are_an_alert_at_a_rate() -> None:
    """So many within the period, of all codes together, the most frequent ones first."""
    made = rules(dead_letters=10, period=600.0)
    assert step(made, letters(http_400=9), 0) == []
    assert step(made, letters(http_400=9), 550) == []
    assert step(made, letters(http_400=9, missing_event=1), 599) == [
        "dead_letters US http_400 missing_event begins"
    ]
    assert step(made, letters(http_400=9, missing_event=1), 601) == []
    assert step(made, letters(http_400=9, missing_event=1), 700) == [
        "dead_letters US http_400 missing_event ends"
    ]
    slowly = rules(dead_letters=10, period=600.0)
    assert [step(slowly, letters(http_400=n), n * 70) for n in range(100)] == [[]] * 100


def test_how_many_there_were_is_told() -> None:
    """Within the period, and not since the process began."""
    made = rules(dead_letters=3, period=10.0)
    step(made, letters(a=2), 0)
    made.look(letters(a=7), 20)
    (alert,) = made.due(20, 9)
    assert (alert.count, alert.codes) == (5, ("a",))


@pytest.mark.parametrize("kind", [kind for kind in get_args(Counted) if kind != "dead_letters"])
def test_one_is_enough_of_what_should_never_happen(kind: Counted) -> None:
    """It ends once there was none for a period."""
    made = rules(period=600.0)
    assert step(made, Sight(counts={(kind, "US"): {"": 0}}), 0) == []
    once = Sight(counts={(kind, "US"): {"": 1}})
    assert step(made, once, 1) == [f"{kind} US begins"]
    assert step(made, once, 600) == []
    assert step(made, once, 602) == [f"{kind} US ends"]
    assert step(made, Sight(counts={(kind, "US"): {"": 2}}), 700) == [f"{kind} US begins"]


def test_what_happened_before_anybody_looked_counts() -> None:
    """A process that begins with trouble tells it; a table that comes by a reload, what follows."""
    once = Sight(counts={("poisoned", "US"): {"": 1}})
    assert step(rules(), once, 0) == ["poisoned US begins"]
    added = AlertRules(rules().settings, once)
    assert step(added, once, 0) == []
    assert step(added, Sight(counts={("poisoned", "US"): {"": 2}}), 1) == ["poisoned US begins"]


def test_counts_that_begin_anew_are_counted_anew() -> None:
    """Nothing is negative, and nothing is missed."""
    made = rules(dead_letters=5)
    step(made, letters(a=4), 0)
    assert step(made, letters(a=1), 1) == ["dead_letters US a begins"]


def test_what_the_receiver_did_not_take_stays_due() -> None:
    """Until it is over: then nobody needs it, and what was taken gets its end."""
    made = rules()
    made.look(HELD, 0)
    assert made.due(0, 9) == made.due(500, 9) != []
    made.look(CALM, 501)
    assert made.due(501, 9) == []
    assert step(made, HELD, 502) == ["connection_held US http_401 begins"]
    made.look(CALM, 600)
    assert [short(alert) for alert in made.due(900, 9)] == ["connection_held US http_401 ends"]
    assert step(made, HELD, 901) == []


def test_a_connection_that_is_gone_ends_its_alert() -> None:
    """It was held, and a reload removed it."""
    made = rules()
    step(made, sight({"US": DeliveryStats(holds={"http_401": True})}, **NOTHING), 0)
    assert step(made, sight({}, **NOTHING), 60) == ["connection_held US http_401 ends"]


def test_a_connection_that_comes_again_brings_no_old_failures() -> None:
    """A reload took it away, and another one brings it back with what was counted before."""
    made = rules(period=60.0)
    failed = Sight(counts={("worker_failed", "US"): {"": 2}})
    assert step(made, failed, 0) == ["worker_failed US begins"]
    assert step(made, CALM, 100) == ["worker_failed US ends"]
    assert step(made, failed, 200) == []
    again = Sight(counts={("worker_failed", "US"): {"": 3}})
    assert step(made, again, 300) == ["worker_failed US begins"]


def test_another_receiver_is_told_all_that_lasts() -> None:
    """Of what is over, it needs no word."""
    made = rules()
    step(made, Sight(held={"US": ["http_401"], "EU": ["http_401"]}), 0)
    made.look(HELD, 10)
    made.forget_told()
    assert step(made, HELD, 11) == ["connection_held US http_401 begins"]


def test_a_thousand_connections_that_flap_take_bounded_room() -> None:
    """And no request tells more than its share."""
    made = rules()
    all_held = Sight(
        held={f"c{n}": ["http_401"] for n in range(1000)},
        counts={("dead_letters", f"c{n}"): {"a": 1} for n in range(1000)},
    )
    for now in range(0, 1000, 5):
        made.look(all_held if now % 2 else CALM, now)
        due = made.due(now, 50)
        assert len(due) <= 50
        made.told(due, now)
    assert len(made._told) <= 1000
    for now in range(2000, 2200):
        made.look(CALM, now)
        made.told(made.due(now, 50), now)
    assert (made._told, made._lasting, made._windows) == ({}, {}, {})


NOTHING: dict[str, Any] = {"letters": {}, "lost_letters": {}, "expired": {}, "failures": {}}


def test_what_a_process_sees_is_put_together_by_kind() -> None:
    """Only holds that last; dead letters that mean more than one more, by themselves too."""
    stats = {"US": DeliveryStats(holds={"http_401": True, "http_403": False})}
    seen = sight(
        stats,
        letters={("US", "poisoned"): 1, ("US", "quarantined_identity"): 2, ("US", "http_400"): 3},
        lost_letters={("US", "http_400"): 4},
        expired={"US": 5, "EU": 0},
        failures={"US": 6},
    )
    assert seen.held == {"US": ["http_401"]}
    assert seen.counts == {
        ("dead_letters", "US"): {"poisoned": 1, "quarantined_identity": 2, "http_400": 3},
        ("poisoned", "US"): {"": 1},
        ("quarantined_identity", "US"): {"": 2},
        ("dead_letters_lost", "US"): {"http_400": 4},
        ("events_expired", "US"): {"": 5},
        ("events_expired", "EU"): {"": 0},
        ("worker_failed", "US"): {"": 6},
    }


def test_each_kind_has_a_meaning_and_a_command() -> None:
    """None more, none less."""
    assert set(MEANINGS) == {*get_args(State), *get_args(Counted)}
