"""Times: every form that senders write, and the one that vendors want."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination_router import format_time, parse_time
from destination_router.contract.times import parse_epoch, utc_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T10:00:00.000Z", "2026-11-22T10:00:00.000Z"),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000Z"),
        (" 2026-11-22T10:00:00.123456789Z ", "2026-11-22T10:00:00.123Z"),
        ("2026-11-22T10:00:00+01:00", "2026-11-22T09:00:00.000Z"),
        ("2026-11-22T10:00:00-0530", "2026-11-22T15:30:00.000Z"),
        ("2026-11-22 10:00:00", "2026-11-22T10:00:00.000Z"),
        ("2026-11-22", "2026-11-22T00:00:00.000Z"),
        ("20261122T100000Z", "2026-11-22T10:00:00.000Z"),
    ],
)
def test_any_form_of_iso_8601_is_read(text: str, expected: str) -> None:
    """Whatever the precision, the zone and the separators, the moment is the same in UTC."""
    moment = parse_time(text)
    assert moment is not None
    assert format_time(moment) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-13-01",
        "2026-11-22T25:00:00Z",
        "1790000000",
        "1701011202333",
        "0001-01-01T00:00:00Z",
        "0001-01-01",
        "Sun, 22 Nov 2026 10:00:00 GMT",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
        "\ud800",
        "2026-11-22\0",
        "x" * 100_000,
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    """A time that cannot be read, or that lies beyond the calendar in UTC, is None."""
    assert parse_time(text) is None


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_is_too_strange_to_ask(text: str) -> None:
    """Reading a time never raises."""
    moment = parse_time(text)
    assert moment is None or moment.tzinfo is UTC


@given(st.datetimes(min_value=datetime(2, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_what_is_written_can_be_read(moment: datetime) -> None:
    """Writing and reading a time keeps its milliseconds; the year 1 stands for no time."""
    expected = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert parse_time(format_time(moment)) == expected


@given(
    st.datetimes(
        min_value=datetime(2, 1, 1),  # noqa: DTZ001
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.none() | st.sampled_from([UTC, timezone(-timedelta(minutes=307))]),
    ).map(lambda moment: moment.replace(microsecond=moment.microsecond % 1100 * 909))
)
def test_a_time_is_written_as_python_writes_it(moment: datetime) -> None:
    """Milliseconds are cut, and three digits even where they are zero; years have four."""
    in_utc = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    expected = in_utc.replace(tzinfo=None).isoformat(timespec="milliseconds")
    assert format_time(moment) == f"{expected}Z"


@given(
    st.from_regex(
        r"(2026-11-22|2026-W47-7|20261122|2026-1-2)[T t](1?[0-9]|2[0-9]):?[0-9]{2}:?[0-9]{2}"
        r"[.,]?[0-9]{0,6}(Z|z|\+00:?00|)",
        fullmatch=True,
    )
)
def test_a_text_is_kept_where_it_is_written_as_we_write_times(text: str) -> None:
    """What is written in UTC to the millisecond stays as it is, and nothing else does."""
    moment = parse_time(text)
    assert utc_text(text) == (None if moment is None else format_time(moment))


def test_a_time_is_written_in_utc() -> None:
    """A zone is converted; a time without one is UTC, wherever the program runs."""
    local = datetime(2026, 11, 22, 10, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(local) == "2026-11-22T08:00:00.000Z"
    assert format_time(local.replace(tzinfo=None)) == "2026-11-22T10:00:00.000Z"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_790_000_000, "2026-09-21T14:13:20.000Z"),
        (1_790_000_000.25, "2026-09-21T14:13:20.250Z"),
        (1_790_000_000_250, "2026-09-21T14:13:20.250Z"),
        (99_999_999_999, "5138-11-16T09:46:39.000Z"),
        (100_000_000_000, "1973-03-03T09:46:40.000Z"),
        (-1, "1969-12-31T23:59:59.000Z"),
    ],
)
def test_a_number_is_seconds_or_milliseconds_by_its_size(number: float, expected: str) -> None:
    """From 100 billion up a number counts milliseconds."""
    moment = parse_epoch(number)
    assert moment is not None
    assert format_time(moment) == expected


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), -float("inf"), 1e300, 10**400, -(10**400)]
)
def test_a_number_beyond_the_calendar_is_none(number: float) -> None:
    """No number is too large to ask."""
    assert parse_epoch(number) is None
