"""What is known of the proxy, by its calls and by their absence."""

from __future__ import annotations

from destination_router.transformer.proxy_calls import ProxyCalls


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_proxy_is_expected_once_it_was_called() -> None:
    """For the destination that it was called for, however long ago."""
    clock = Clock()
    calls = ProxyCalls(clock)
    assert not calls.expected("d1")
    calls.called("d1", for_each_job=True)
    clock.now = 1e6
    assert (calls.expected("d1"), calls.expected("d2")) == (True, False)


def test_a_proxy_that_does_not_report_on_each_job_is_none() -> None:
    """The first version has one status for all; who uses it has switched the second off."""
    calls = ProxyCalls()
    calls.called("d1", for_each_job=True)
    calls.called("d1", for_each_job=False)
    assert not calls.expected("d1")


def test_a_proxy_that_was_switched_off_is_forgotten() -> None:
    """Answers that no call follows for a minute were not carried out."""
    clock = Clock()
    calls = ProxyCalls(clock)
    calls.called("d1", for_each_job=True)
    calls.answered("d1")
    clock.now = 59.0
    calls.answered("d1")  # the first one counts
    assert calls.expected("d1")
    clock.now = 60.0
    assert not calls.expected("d1")
    calls.answered("d1")
    assert not calls.expected("d1")


def test_a_call_settles_all_answers() -> None:
    """Each of several senders may be behind: what counts is that somebody calls."""
    clock = Clock()
    calls = ProxyCalls(clock)
    calls.called("d1", for_each_job=True)
    calls.answered("d1")
    clock.now = 59.0
    calls.called("d1", for_each_job=True)
    clock.now = 1e6
    assert calls.expected("d1")


def test_memory_is_bounded() -> None:
    """Of ten thousand destinations the one that was called longest ago is forgotten."""
    calls = ProxyCalls()
    for number in range(10_001):
        calls.called(str(number), for_each_job=True)
    assert (calls.expected("0"), calls.expected("1")) == (False, True)
