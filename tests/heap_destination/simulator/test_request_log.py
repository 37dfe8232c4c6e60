"""The log's bound in bytes."""

from heap_destination.simulator.request_log import RequestLog


def add(log: RequestLog, body: bytes) -> None:
    log.add("POST", "/api/track", body, 200, fault=False)


def test_the_oldest_go_when_the_bodies_are_too_many_bytes() -> None:
    """The latest stay, within the bytes together."""
    log = RequestLog(most=100, most_bytes=10)
    for body in (b"aaaa", b"bbbb", b"cccc"):
        add(log, body)
    assert [row.body for row in log] == ["bbbb", "cccc"]


def test_a_body_that_is_too_large_is_not_kept() -> None:
    """Its request is, with its size; and so are those before it."""
    log = RequestLog(most=100, most_bytes=10)
    add(log, b"aaaa")
    add(log, b"b" * 11)
    assert [(row.body, row.size) for row in log] == [("aaaa", 4), (None, 11)]


def test_a_log_of_nothing_keeps_nothing() -> None:
    """A bound of 0 switches the log off."""
    log = RequestLog(most=0, most_bytes=10)
    add(log, b"aaaa")
    assert list(log) == []
