"""Instants and spans: arithmetic, parts of the calendar, zones, text.

- An instant lies in the years 1 to 9999; a span written as text within 10,000 years; sums and differences of spans
  and differences of instants within 64 bits of nanoseconds (about 292 years). Beyond is a fault.
- Parts of the calendar count as in CEL: months, days of the month and of the year from 0, Sunday is 0; `getDate`
  counts from 1. A zone is a name of the tz database or an offset such as `+05:30`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from demur.core.cel.arithmetic import MAX_INT, MIN_INT
from demur.core.cel.overload import Library, Overload, Zones
from demur.core.cel.truth import Fault
from demur.core.schema import Kind
from demur.core.terms import NANOS, Duration, Timestamp, parse_duration, parse_timestamp

MIN_SECONDS, MAX_SECONDS = -62_135_596_800, 253_402_300_799
_MAX_SPAN = 315_576_000_001 * NANOS - 1
_DAY = 86_400
_OFFSET = re.compile(r"([+-]?)([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,32}){0,3}", re.ASCII)
_OUT_OF_RANGE = Fault("the instant lies outside the years 0001 to 9999")
_TOO_LONG = Fault("the duration does not fit into 64 bits of nanoseconds")


def to_timestamp(text: str) -> Timestamp | Fault:
    """The instant written as RFC 3339."""
    try:
        return parse_timestamp(text)
    except ValueError:
        return Fault(f"`{text[:40]}` is not an RFC 3339 time such as `2026-11-20T09:00:00Z`")


def to_duration(text: str) -> Duration | Fault:
    """The span written as `90s` or `1h30m`."""
    if len(text) > _LONGEST_DURATION:
        return Fault("a duration has at most 100 characters")
    try:
        span = parse_duration(text)
    except ValueError as error:
        return Fault(str(error))
    return span if -_MAX_SPAN <= span.nanos <= _MAX_SPAN else Fault(f"the duration `{text[:40]}` exceeds 10000 years")


_LONGEST_DURATION = 100


def from_seconds(seconds: int) -> Timestamp | Fault:
    """The instant that many seconds after 1970."""
    return Timestamp(seconds * NANOS) if MIN_SECONDS <= seconds <= MAX_SECONDS else _OUT_OF_RANGE


def timestamp_text(instant: Timestamp) -> str:
    """RFC 3339 in UTC, with no or 3, 6 or 9 digits of a second's fraction, as protobuf's JSON writes it."""
    days, second = divmod(instant.seconds, _DAY)
    year, month, day = civil(days)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}{_fraction(instant.nanos % NANOS)}Z"


def duration_text(span: Duration) -> str:
    """Seconds, with no or 3, 6 or 9 digits of fraction: `120s`, `-0.500s`."""
    seconds, nanos = divmod(abs(span.nanos), NANOS)
    return f"{'-' if span.nanos < 0 else ''}{seconds}{_fraction(nanos)}s"


def zone_seconds(zones: Zones, zone: str, at: Timestamp) -> int | Fault:
    """Seconds east of UTC at an instant; a fault for a zone that does not exist."""
    match = _OFFSET.fullmatch(zone)
    if match:
        seconds = int(match[2]) * 3_600 + int(match[3]) * 60
        return -seconds if match[1] == "-" else seconds
    if is_zone_name(zone):
        try:
            return zones.offset(zone, at)
        except KeyError:
            pass
    return Fault(f"`{zone[:64]}` is not a time zone")


def is_fixed_offset(zone: str) -> bool:
    """Whether the text is an offset such as `+05:30`, which needs no database."""
    return _OFFSET.fullmatch(zone) is not None


def is_zone_name(zone: str) -> bool:
    """Whether the text has the shape of a name of the tz database, so that it may be looked up."""
    return _NAME.fullmatch(zone) is not None


def civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of the month of a day counted from 1970, proleptic Gregorian, any year.

    A zone can carry an instant into the years 0 and 10000, which the standard library's calendar does not have.
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    digits = f"{nanos:09d}"
    if digits.endswith("000000"):
        return "." + digits[:3]
    return "." + (digits[:6] if digits.endswith("000") else digits)


def _instant(nanos: int) -> Timestamp | Fault:
    return Timestamp(nanos) if MIN_SECONDS <= nanos // NANOS <= MAX_SECONDS else _OUT_OF_RANGE


def _span(nanos: int) -> Duration | Fault:
    return Duration(nanos) if MIN_INT <= nanos <= MAX_INT else _TOO_LONG


def _later(instant: Timestamp, span: Duration) -> Timestamp | Fault:
    return _instant(instant.nanos + span.nanos)


def _later_reversed(span: Duration, instant: Timestamp) -> Timestamp | Fault:
    return _instant(instant.nanos + span.nanos)


def _earlier(instant: Timestamp, span: Duration) -> Timestamp | Fault:
    return _instant(instant.nanos - span.nanos)


def _between(end: Timestamp, start: Timestamp) -> Duration | Fault:
    return _span(end.nanos - start.nanos)


def _sum(left: Duration, right: Duration) -> Duration | Fault:
    if not (_fits(left) and _fits(right)):
        return _TOO_LONG
    return _span(left.nanos + right.nanos)


def _difference(left: Duration, right: Duration) -> Duration | Fault:
    if not (_fits(left) and _fits(right)):
        return _TOO_LONG
    return _span(left.nanos - right.nanos)


def _fits(span: Duration) -> bool:
    return MIN_INT <= span.nanos <= MAX_INT


_Part: TypeAlias = Callable[[int], int]
"""A part of the calendar or clock, from nanoseconds of local time."""


def _day(nanos: int) -> int:
    return nanos // (_DAY * NANOS)


def _day_of_year(nanos: int) -> int:
    day = _day(nanos)
    year, month, date = civil(day)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    before = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)[month - 1]
    return before + date - 1 + (leap and month > 2)


_PARTS: dict[str, _Part] = {
    "getFullYear": lambda nanos: civil(_day(nanos))[0],
    "getMonth": lambda nanos: civil(_day(nanos))[1] - 1,
    "getDate": lambda nanos: civil(_day(nanos))[2],
    "getDayOfMonth": lambda nanos: civil(_day(nanos))[2] - 1,
    "getDayOfWeek": lambda nanos: (_day(nanos) + 4) % 7,
    "getDayOfYear": _day_of_year,
    "getHours": lambda nanos: nanos // (3_600 * NANOS) % 24,
    "getMinutes": lambda nanos: nanos // (60 * NANOS) % 60,
    "getSeconds": lambda nanos: nanos // NANOS % 60,
    "getMilliseconds": lambda nanos: nanos // 1_000_000 % 1_000,
}


def _truncate(nanos: int, unit: int) -> int:
    return nanos // unit if nanos >= 0 else -(-nanos // unit)


_SPANS: dict[str, _Part] = {
    "getHours": lambda nanos: _truncate(nanos, 3_600 * NANOS),
    "getMinutes": lambda nanos: _truncate(nanos, 60 * NANOS),
    "getSeconds": lambda nanos: _truncate(nanos, NANOS),
    "getMilliseconds": lambda nanos: _truncate(nanos, 1_000_000) - 1_000 * _truncate(nanos, NANOS),
}


def _of_instant(part: _Part) -> Callable[[Timestamp], int]:
    return lambda instant: part(instant.nanos)


def _of_span(part: _Part) -> Callable[[Duration], int]:
    return lambda span: part(span.nanos)


def _in_zone(part: _Part) -> Callable[[Zones, Timestamp, str], int | Fault]:
    def run(zones: Zones, instant: Timestamp, zone: str) -> int | Fault:
        seconds = zone_seconds(zones, zone, instant)
        return seconds if isinstance(seconds, Fault) else part(instant.nanos + seconds * NANOS)

    return run


def _getters(name: str, part: _Part) -> dict[tuple[Kind, ...], Overload]:
    found = {
        (Kind.TIMESTAMP,): Overload(Kind.INT, _of_instant(part)),
        (Kind.TIMESTAMP, Kind.STRING): Overload(Kind.INT, _in_zone(part), zoned=True),
    }
    if name in _SPANS:
        found[(Kind.DURATION,)] = Overload(Kind.INT, _of_span(_SPANS[name]))
    return found


OVERLOADS: Library = {
    "_+_": {
        (Kind.TIMESTAMP, Kind.DURATION): Overload(Kind.TIMESTAMP, _later),
        (Kind.DURATION, Kind.TIMESTAMP): Overload(Kind.TIMESTAMP, _later_reversed),
        (Kind.DURATION, Kind.DURATION): Overload(Kind.DURATION, _sum),
    },
    "_-_": {
        (Kind.TIMESTAMP, Kind.DURATION): Overload(Kind.TIMESTAMP, _earlier),
        (Kind.TIMESTAMP, Kind.TIMESTAMP): Overload(Kind.DURATION, _between),
        (Kind.DURATION, Kind.DURATION): Overload(Kind.DURATION, _difference),
    },
    **{name: _getters(name, part) for name, part in _PARTS.items()},
}
