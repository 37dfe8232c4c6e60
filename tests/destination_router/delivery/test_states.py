"""Which profile updates are exact repeats of what a vendor has."""

import pytest

from destination_router.contract.records import HttpRequest
from destination_router.delivery.states import States


def update(plan: str, user: str = "ada", state: str = "user:ada") -> HttpRequest:
    return HttpRequest(
        url="https://vendor.example/users", json={"plan": plan}, user_key=user, state_key=state
    )


def send(states: States, *updates: HttpRequest, window: int = 1, delivered: bool = True) -> None:
    for one in updates:
        states.begin(one, window)
    for one in updates:
        states.end(one, delivered=delivered)


def test_only_the_last_delivered_update_is_repeated() -> None:
    """Updates are partial: what came before the last one may have been overwritten."""
    states = States(10)
    send(states, update("free"))
    send(states, update("pro"))

    assert states.repeats(update("pro"))
    assert not states.repeats(update("free"))


def test_nothing_is_known_while_an_update_is_under_way() -> None:
    """An update that has no answer yet may change anything."""
    states = States(10)
    send(states, update("free"))
    states.begin(update("pro"), 2)

    assert not states.repeats(update("free"))
    assert not states.repeats(update("pro"))


def test_a_failed_update_is_forgotten_with_what_was_before() -> None:
    """An update that failed may have been stored all the same."""
    states = States(10)
    send(states, update("free"))
    send(states, update("pro"), delivered=False)

    assert not states.repeats(update("free"))
    assert not states.repeats(update("pro"))


@pytest.mark.parametrize("other", [(2, "ada"), (1, "bob")], ids=["window", "user"])
def test_updates_side_by_side_leave_a_state_unknown(other: tuple[int, str]) -> None:
    """Of two updates of one state from elsewhere, either may have come last."""
    states = States(10)
    first, second = update("free"), update("pro", user=other[1])
    states.begin(first, 1)
    states.begin(second, other[0])
    states.end(first, delivered=True)
    states.end(second, delivered=True)

    assert not states.repeats(first)
    assert not states.repeats(second)


def test_of_one_users_updates_together_the_last_counts() -> None:
    """Updates that are folded into one request leave the last one behind."""
    states = States(10)
    send(states, update("free"), update("pro"))

    assert states.repeats(update("pro"))


def test_memory_is_bounded() -> None:
    """Beyond the bound, the state that was not seen for longest is forgotten."""
    states = States(2)
    for user in ("ada", "bob"):
        send(states, update("free", state=user))
    assert states.repeats(update("free", state="ada"))
    send(states, update("free", state="cyd"))

    assert len(states) == 2
    assert not states.repeats(update("free", state="bob"))
    assert states.repeats(update("free", state="ada"))


def test_zero_turns_it_off() -> None:
    """Without memory nothing is a repeat."""
    states = States(0)
    send(states, update("free"))

    assert not states.repeats(update("free"))
