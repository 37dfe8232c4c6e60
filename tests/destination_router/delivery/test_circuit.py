"""The circuit: when a vendor is taken for dead, and how it is asked whether it is back."""

from destination_router.delivery.circuit import Circuit


def opened(now: float = 0.0) -> Circuit:
    circuit = Circuit(failures=3, first_wait=10.0, longest_wait=60.0)
    for _ in range(3):
        circuit.fail(now, 1.0)
    return circuit


def test_it_opens_after_failures_in_a_row_only() -> None:
    """A success in between starts the count anew."""
    circuit = Circuit(failures=3, first_wait=10.0, longest_wait=60.0)
    for _ in range(5):
        circuit.fail(0.0, 1.0)
        circuit.fail(0.0, 1.0)
        circuit.succeed()

    assert circuit.state(0.0) == "closed"
    assert opened().state(0.0) == "open"


def test_one_probe_at_a_time_asks_after_the_wait() -> None:
    """Nothing goes out before the wait ends, then one probe, and nothing beside it."""
    circuit = opened()
    assert circuit.opens_at(0.0) == 10.0
    assert circuit.state(10.0) == "half_open"
    circuit.begin()

    assert circuit.opens_at(11.0) is None


def test_a_probe_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    """A dead vendor is asked less and less often."""
    circuit = opened()
    waits, now = [], 10.0
    for _ in range(4):
        circuit.begin()
        circuit.fail(now, 1.0)
        opens = circuit.opens_at(now)
        assert opens is not None
        waits.append(opens - now)
        now = opens

    assert waits == [20.0, 40.0, 60.0, 60.0]


def test_a_probe_that_succeeds_closes_it() -> None:
    """The first sign of life opens the way for all."""
    circuit = opened()
    circuit.begin()
    circuit.succeed()

    assert circuit.state(10.0) == "closed"
    assert circuit.opens_at(10.0) == 10.0


def test_a_vendor_that_asks_everyone_to_wait_is_obeyed() -> None:
    """A closed circuit keeps still too until the time that the vendor named."""
    circuit = Circuit(failures=3, first_wait=10.0, longest_wait=60.0)
    circuit.wait_until(100.0)

    assert circuit.opens_at(50.0) == 100.0
    assert not circuit.may_send(99.0)
    assert circuit.may_send(100.0)
