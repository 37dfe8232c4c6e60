"""Times as senders write them and as vendors want them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

_encode = msgspec.json.Encoder().encode
_from_iso = datetime.fromisoformat
_LENGTH = len("2026-11-22T10:00:00.000Z")
_SECONDS_LENGTH = len("2026-11-22T10:00:00")
_ENCODED_LENGTH = len('"2026-11-22T10:00:00.000000Z"')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Seconds reach it in the year 5138, milliseconds reached it in 1973: below it, it is seconds.
_FIRST_MILLISECONDS = 1e11
_DATE_DIGITS = len("20261122")
_EPOCH_DIGITS = (len("1701011202"), len("1701011202333"))  # seconds and milliseconds


def parse_time(text: str) -> datetime | None:
    """Read a time in any ISO 8601 form. A time without a zone is UTC.

    Args:
        text: `2026-11-22T10:00:00.000Z`, `2026-11-22 10:00:00+01:00`, `2026-11-22`, ...

    Returns:
        The time in UTC, or None if the text is not a time. Digits alone are a time only if they are
        a date (`20261122`). A time of the year 1 is not: Go and .NET write it if they have none.
    """
    try:
        moment = _from_iso(text.strip())
        if moment.year == 1 or (text.isdecimal() and len(text) != _DATE_DIGITS):
            return None
        if moment.tzinfo is UTC:
            return moment
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_time(text: str) -> bool:
    """Tell whether `parse_time` reads a text."""
    written: str = str(text)
    # As most senders write it: there is nothing to strip or to convert, and it is not the year 1.
    if written[-1:] == "Z" and written[0] != "0":
        try:
            _from_iso(written)
        except ValueError:
            pass
        else:
            return True
    return parse_time(text) is not None


def parse_epoch(number: float) -> datetime | None:
    """Read a number as a time since 1970, in seconds or, from 100 billion up, milliseconds.

    Returns:
        The time in UTC, or None if no calendar reaches it.
    """
    try:
        seconds = number if abs(number) < _FIRST_MILLISECONDS else number / 1000
        return _EPOCH + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None


def read_time(value: object) -> datetime | None:
    """Read what senders write for a time: text, or a number since 1970, which may be text, too.

    Args:
        value: any JSON: `2026-11-22T10:00:00Z`, `1701011202333`, `"1701011202"`.

    Returns:
        The time in UTC, or None if it is not a time.
    """
    if isinstance(value, str):
        if value[-1:] == "Z":  # no digits alone, as nearly all
            return parse_time(value)
        digits = value.strip()
        is_epoch = digits.isdecimal() and len(digits) in _EPOCH_DIGITS
        return parse_epoch(int(digits)) if is_epoch else parse_time(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return parse_epoch(value)
        except OverflowError:  # an integer that no float can hold
            return None
    return None


def utc_text(text: str, *, is_valid: bool = False) -> str | None:
    """Read a time from a text and write it as `format_time` does, or return None if it is no time.

    Most senders write it that way already, which is quick to see.

    Args:
        text: as in `parse_time`.
        is_valid: whether the text is a time for certain, as a message's `timestamp` is. A text that
            is written as `format_time` writes it is then not parsed again.
    """
    # With these marks at these places in 24 characters, a time has one way left to write the rest,
    # but for weeks (`2026-W47-7T…`) and for the hour 24, which some versions of Python read.
    given: str = str(text)
    is_as_formatted = (
        len(given) == _LENGTH
        and given[10] == "T"
        and given[19] == "."
        and given[23] == "Z"
        and given[5] != "W"
        and (given[11] != "2" or given[12] != "4")
    )
    if is_valid and is_as_formatted:
        return text
    moment = parse_time(text)
    if moment is None:
        return None
    return text if is_as_formatted else format_time(moment)


def format_time(moment: datetime) -> str:
    """Write a time as ISO 8601 UTC with milliseconds: `2026-11-22T10:00:00.000Z`.

    One without a zone is UTC, as in `parse_time`.
    """
    if moment.tzinfo is not UTC:
        zone = moment.tzinfo
        moment = moment.replace(tzinfo=UTC) if zone is None else moment.astimezone(UTC)
    # msgspec writes microseconds, in a tenth of the time that `isoformat` takes.
    text = _encode(moment).decode()
    if len(text) == _ENCODED_LENGTH:
        return text[1:_LENGTH] + "Z"
    return text[1 : _SECONDS_LENGTH + 1] + ".000Z"  # it leaves a whole second's zeros out
