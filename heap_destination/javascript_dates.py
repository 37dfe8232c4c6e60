"""Times as JavaScript reads them, for the dialects of systems that are written in JavaScript.

There are two readers, as in Segment's code. The library dayjs reads what looks like a date in its
own pattern, and V8's `Date` reads everything else. A time without a zone is UTC, because Segment's
servers use UTC. A time is a number of milliseconds since 1970, because JavaScript's calendar goes
beyond Python's.

Sources: dayjs, its documentation of parsing; ECMA-262, "Date Time String Format"; V8's behaviour
beyond it, which `tests/segment` compares with Node's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import msgspec

BLANKS = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What JavaScript's `trim` removes."""

_DAY = 86_400_000
_FURTHEST = 8_640_000_000_000_000
_DAYJS = re.compile(
    rf"([0-9]{{4}})[-/]?([0-9]{{1,2}})?[-/]?([0-9]{{0,2}})[Tt{BLANKS}]*([0-9]{{1,2}})?"
    r":?([0-9]{1,2})?:?([0-9]{1,2})?[.:]?([0-9]+)?"
)
_ISO = re.compile(
    r"(?P<year>[0-9]{4}|[+-][0-9]{6})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?)?(?P<rest>.*)",
    re.DOTALL,
)
_ISO_TIME = re.compile(
    r"T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?P<zone>Z|[+-](?:[0-9]{4}|[0-9]{2}:[0-9]{2}))?",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    rf"[0-9]+|[{BLANKS}]|(?:(?![{BLANKS}])[A-Z\[\\\]^_`a-z{{|}}~\x7f-\U0010ffff])+|.", re.DOTALL
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_HALVES = {"am": 0, "pm": 12}
_ZONES = {"ut": 0, "utc": 0, "z": 0, "gmt": 0}
_ZONES |= {"cdt": -5, "cst": -6, "edt": -4, "est": -5, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8}
_SIGNIFICANT = 9


def read_date(text: str) -> int | None:
    """Read a text as `dayjs.utc(text)` does.

    Returns:
        Milliseconds since 1970; None if the text is not a time.
    """
    if text[-1:] not in ("Z", "z"):
        found = _DAYJS.fullmatch(text)
        if found is not None:
            year, month, day, *clock, fraction = found.groups()
            hour, minute, second = (int(part or 0) for part in clock)
            milliseconds = int((fraction or "0")[:3])
            of_month = int(month) - 1 if month else 0
            return _moment(
                _of_two_digits(int(year)),
                of_month,
                int(day) if day else 1,
                ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds,
            )
    return read_native(text)


def read_native(text: str) -> int | None:
    """Read a text as V8's `Date` does on a machine whose zone is UTC."""
    iso = _read_iso(text)
    return iso if iso is None or iso is not _LEGACY else _Legacy(text).read()


def read_number(number: float) -> int | None:
    """Read a number as `Date` does: milliseconds since 1970, without the fraction."""
    if abs(number) > _FURTHEST or not math.isfinite(number):  # an integer may fit into no float
        return None
    return math.trunc(number)


def iso_text(moment: int) -> str:
    """Write a time as `toISOString` does: `2026-11-22T10:00:00.000Z`, `+010000-01-01T…`."""
    days, rest = divmod(moment, _DAY)
    year, month, day = _calendar(days)
    seconds, milliseconds = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    shown = f"{year:04}" if 0 <= year <= 9999 else f"{'-' if year < 0 else '+'}{abs(year):06}"  # noqa: PLR2004
    clock = f"{hour:02}:{minute:02}:{second:02}.{milliseconds:03}"
    return f"{shown}-{month:02}-{day:02}T{clock}Z"


def _of_two_digits(year: int) -> int:
    """Read years 0 to 99 as 1900 to 1999, as `Date.UTC` does."""
    return year + 1900 if year <= 99 else year  # noqa: PLR2004


def _moment(year: int, month: int, day: int, of_day: int) -> int | None:
    """Count the milliseconds to a time; a month (from 0) or day beyond its range carries over."""
    year += month // 12
    moment = (_days(year, month % 12) + day - 1) * _DAY + of_day
    return moment if abs(moment) <= _FURTHEST else None


def _days(year: int, month: int) -> int:
    """Count the days from 1970 to the first of a month, from 0, in the Gregorian calendar."""
    # A year that begins in March ends with the leap day.
    year, month = (year, month - 2) if month > 1 else (year - 1, month + 10)
    era, of_era = divmod(year, 400)
    of_year = (153 * month + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _calendar(days: int) -> tuple[int, int, int]:
    """Compute the year, month and day for a number of days after 1 January 1970."""
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month, year = (month + 3, year) if month < 10 else (month - 9, year + 1)  # noqa: PLR2004
    return era * 400 + year, month, day


# -- V8 -----------------------------------------------------------------------------------------

_LEGACY: Any = object()


def _read_iso(text: str) -> int | None:
    """Read ECMAScript's own format. `_LEGACY` means that the other reader may know the text."""
    found = _ISO.fullmatch(text)
    if found is None or found["year"] == "-000000":
        return _LEGACY  # type: ignore[no-any-return]
    month, day, rest = int(found["month"] or 1), int(found["day"] or 1), found["rest"]
    if not (1 <= month <= 12 and 1 <= day <= 31):  # noqa: PLR2004
        return _LEGACY  # type: ignore[no-any-return]
    # A `T` is a time's only if no letter follows: `2026-11-22 Tue` goes to the other reader.
    if not rest:
        return _moment(int(found["year"]), month - 1, day, 0)
    if rest[0] not in "Tt" or (len(rest) > 1 and _is_letter(rest[1])):
        return _LEGACY  # type: ignore[no-any-return]
    clock = _ISO_TIME.fullmatch(rest)
    if clock is None:
        return None
    hour, minute, second = (int(part or 0) for part in clock.groups()[:3])
    fraction = _milliseconds(clock[4]) if clock[4] else 0
    is_whole = hour < 24 or not (minute or second or _numeral(clock[4] or "0"))  # noqa: PLR2004
    if hour > 24 or minute > 59 or second > 59 or not is_whole:  # noqa: PLR2004
        return None
    offset = _iso_offset(clock["zone"])
    if offset is None:
        return None
    of_day = ((hour * 60 + minute - offset) * 60 + second) * 1000 + fraction
    return _moment(int(found["year"]), month - 1, day, of_day)


def _iso_offset(zone: str | None) -> int | None:
    """Count the minutes that a zone is ahead; None for an impossible hour or minute."""
    if zone is None or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:  # noqa: PLR2004
        return None
    return (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)


def _is_letter(character: str) -> bool:
    return character >= "A" and character not in BLANKS


def _numeral(digits: str) -> int:
    """Read a number as V8 does: it reads nine digits and skips the others."""
    return int(digits.lstrip("0")[:_SIGNIFICANT] or 0)


def _milliseconds(digits: str) -> int:
    """Read the digits after a point as milliseconds."""
    number, length = _numeral(digits), len(digits)
    if length <= 3:  # noqa: PLR2004
        return int(number * 10 ** (3 - length))
    return int(number // 10 ** (min(length, _SIGNIFICANT) - 3))


class _UnreadableError(Exception):
    """The text is not a time."""


class _Token(msgspec.Struct, frozen=True):
    text: str

    @property
    def is_number(self) -> bool:
        return self.text[:1].isascii() and self.text[:1].isdigit()

    @property
    def is_sign(self) -> bool:
        return self.text in ("+", "-")

    @property
    def ends_a_time(self) -> bool:
        return self.text in ("", "+", "-", "Z", "z") or self.text in BLANKS


class _Legacy:
    """One run of V8's reader for everything that is not in ECMAScript's format.

    Numbers are parts of a date until a colon makes them parts of a time. The reader knows names of
    months and zones by their first letters. It skips words before the first number and text in
    parentheses. With anything else, the text is not a time.
    """

    def __init__(self, text: str) -> None:
        self.tokens = [_Token(found) for found in _tokens(text)]
        self.at = 0
        self.day: list[int] = []
        self.month: int | None = None
        self.time: list[int] = []
        self.half: int | None = None
        self.zone_sign = 0
        self.zone_hour: int | None = None
        self.zone_minute: int | None = None
        self.has_number = False

    def read(self) -> int | None:
        self._begin()
        try:
            while (token := self._next()).text:
                self._take(token)
            return self._written()
        except _UnreadableError:
            return None

    def _begin(self) -> None:
        """Read the longest beginning in ECMAScript's own format. The rest may be anything."""
        if self.tokens[:1] and self.tokens[0].is_sign:
            year = self.tokens[1].text if len(self.tokens) > 1 else ""
            if len(year) != 6 or not _Token(year).is_number:  # noqa: PLR2004
                return
            self.at = 2
            if self.tokens[0].text == "-" and not int(year):
                return
            self.day.append(int(self.tokens[0].text + year))
        elif self._is_number(4, 0, 9999):
            self.day.append(int(self._next().text))
        else:
            return
        self.has_number = True
        for most in (12, 31):
            if not self._skip("-") or not self._is_number(2, 1, most):
                return
            self.day.append(int(self._next().text))

    def _is_number(self, digits: int, least: int, most: int) -> bool:
        text = self._peek()
        return len(text) == digits and _Token(text).is_number and least <= int(text) <= most

    def _peek(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def _next(self) -> _Token:
        token = self.tokens[self.at] if self.at < len(self.tokens) else _Token("")
        self.at += 1
        return token

    def _skip(self, symbol: str) -> bool:
        if self._peek() != symbol:
            return False
        self.at += 1
        return True

    def _take(self, token: _Token) -> None:
        if token.is_number:
            self.has_number = True
            self._number(token.text)
        elif _is_letter(token.text[0]):
            self._word(token.text.lower())
        elif token.is_sign and (self.zone_hour == self.zone_minute == 0 or self.time):
            self._offset(token.text)
        elif (token.is_sign or token.text == ")") and self.has_number:
            raise _UnreadableError

    def _number(self, digits: str) -> None:
        number = _numeral(digits)
        if self._skip(":"):
            if self._skip(":"):
                if self.time:
                    raise _UnreadableError
                self.time = [number, 0]
                return
            self._add(self.time, number, 4)
            self._skip(".")
        elif self._peek() == "." and self._skip(".") and self._expects(number):
            self.time.append(number)
            following = self._next()
            if not following.is_number:
                raise _UnreadableError
            self._close(_milliseconds(following.text))
        elif self.zone_hour is not None and self.zone_minute is None and number < 60:  # noqa: PLR2004
            self.zone_minute = number
        elif self._expects(number):
            self._close(number)
            if not _Token(self._peek()).ends_a_time:
                raise _UnreadableError
        else:
            self._add(self.day, number, 3)
            self._skip("-")

    def _expects(self, number: int) -> bool:
        """Whether a number may be the next part of a time that has begun."""
        bounds = {1: 60, 2: 60, 3: 1000}
        return number < bounds.get(len(self.time), 0)

    def _close(self, number: int) -> None:
        self.time = [*self.time, number, 0, 0, 0][:4]

    @staticmethod
    def _add(parts: list[int], number: int, most: int) -> None:
        if len(parts) >= most:
            raise _UnreadableError
        parts.append(number)

    def _word(self, word: str) -> None:
        start = word[:3]
        if word in _HALVES and self.time:
            self.half = _HALVES[word]
        elif start in _MONTHS:
            self.month = _MONTHS.index(start) + 1
            self._skip("-")
        elif word in _ZONES and self.has_number:
            hours = _ZONES[word]
            self.zone_sign = -1 if hours < 0 else 1
            self.zone_hour, self.zone_minute = abs(hours), 0
        elif self.has_number or _Token(self._peek()).is_number:
            raise _UnreadableError

    def _offset(self, sign: str) -> None:
        self.zone_sign = -1 if sign == "-" else 1
        digits = self._next().text if _Token(self._peek()).is_number else ""
        number = _numeral(digits)
        self.has_number = True
        if self._peek() == ":":
            self.zone_hour, self.zone_minute = number, None
        elif len(digits) in (1, 2):
            self.zone_hour, self.zone_minute = number, 0
        elif len(digits) in (3, 4):
            self.zone_hour, self.zone_minute = divmod(number, 100)
        else:
            raise _UnreadableError

    def _written(self) -> int | None:
        year, month, day = self._date()
        if 0 <= year <= 99:  # noqa: PLR2004
            year += 2000 if year <= 49 else 1900  # noqa: PLR2004
        if not (1 <= month <= 12 and 1 <= day <= 31):  # noqa: PLR2004
            return None
        hour, minute, second, fraction = (*self.time, 0, 0, 0, 0)[:4]
        if self.half is not None:
            if hour > 12:  # noqa: PLR2004
                return None
            hour = hour % 12 + self.half
        fits = hour < 24 and minute < 60 and second < 60 and fraction < 1000  # noqa: PLR2004
        if not fits and (hour, minute, second, fraction) != (24, 0, 0, 0):
            return None
        # V8 keeps a zone in 32 bits, however far away it is, and refuses what is negative then.
        zone = ((self.zone_hour or 0) * 3600 + (self.zone_minute or 0) * 60) % 2**32
        if zone >= 2**31:
            return None
        offset = self.zone_sign * zone
        of_day = ((hour * 60 + minute) * 60 - offset + second) * 1000 + fraction
        return _moment(year, month - 1, day, of_day)

    def _date(self) -> tuple[int, int, int]:
        """Choose which number is the year, the month and the day."""
        if not self.day:
            raise _UnreadableError
        first, second, third = (*self.day, 1, 1)[:3]  # hence 2001, where no year is given
        begins_with_day = 1 <= first <= 31  # noqa: PLR2004
        if self.month is None:
            return (third, first, second) if begins_with_day else (first, second, third)
        return (second, self.month, first) if begins_with_day else (first, self.month, second)


def _tokens(text: str) -> Iterator[str]:
    """Cut a text into numbers, words, blanks and signs. Skip text in parentheses."""
    at = 0
    while at < len(text):
        if text[at] == "(":
            at = _after_parentheses(text, at)
            yield "("
            continue
        found = _TOKEN.match(text, at)
        assert found is not None  # noqa: S101 -- its last alternative is any character
        yield found[0]
        at = found.end()


def _after_parentheses(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            break
    return at
