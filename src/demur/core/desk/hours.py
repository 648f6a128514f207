"""When the desk is open, and instants counted in open hours.

- Zones are those of the tz database that Demur ships with; `offset` gives seconds east of UTC for a zone at an instant.
- A local time that a clock change skips is the instant that the time before the change would have given; one that
  comes twice is the first of the two. A window over a change is as long as the clock on the wall makes it.
- A desk without hours is always open. One that never opens again within `MAX_DAYS` counts as always open too: time
  that cannot be counted must not keep a review alive.

Clauses: S2.4, S7.3.
"""

from __future__ import annotations

import datetime as _dt
from functools import lru_cache
from typing import TYPE_CHECKING

from demur.core.desk.plan import DAY_MINUTES
from demur.core.terms import NANOS, Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demur.core.desk.plan import Hours, Window

    Offset = Callable[[str, Timestamp], int]

MAX_DAYS = 400
"""How many local days are looked at for open hours."""
_DAY = 86_400
_EPOCH = _dt.date(1970, 1, 1)


def local(zone: str, at: Timestamp, offset: Offset) -> int:
    """Seconds that the wall clock shows at an instant, counted from 1970-01-01T00:00:00 on the wall."""
    return at.seconds + offset(zone, at)


def instant(zone: str, wall: int, offset: Offset) -> Timestamp:
    """The instant at which the wall clock shows `wall` seconds."""
    before, after = (offset(zone, Timestamp((wall + shift) * NANOS)) for shift in (-_DAY, _DAY))
    for seconds in (wall - before, wall - after):
        at = Timestamp(seconds * NANOS)
        if seconds + offset(zone, at) == wall:
            return at
    return Timestamp((wall - before) * NANOS)


def is_open(hours: Hours | None, at: Timestamp, offset: Offset) -> bool:
    """Whether the desk is open at an instant."""
    if hours is None:
        return True
    day = local(hours.zone, at, offset) // _DAY
    return any(start <= at < end for start, end in _spans(hours, day - 1, 3, offset))


def after(hours: Hours | None, start: Timestamp, seconds: float, offset: Offset) -> Timestamp:
    """The instant when the desk has been open for `seconds` since `start`."""
    if hours is None:
        return start.plus(seconds)
    left = round(seconds * NANOS)
    for begins, ends in _open_from(hours, start, offset):
        if ends.nanos - begins.nanos >= left:
            return Timestamp(begins.nanos + left)
        left -= ends.nanos - begins.nanos
    return start.plus(seconds)


def between(hours: Hours | None, start: Timestamp, end: Timestamp, offset: Offset) -> float:
    """For how many seconds the desk is open between two instants, at most `MAX_DAYS` apart."""
    if hours is None or end <= start:
        return max(0.0, (end.nanos - start.nanos) / NANOS)
    total = 0
    for begins, ends in _open_from(hours, start, offset):
        if begins >= end:
            break
        total += min(ends, end).nanos - begins.nanos
    return total / NANOS


def _open_from(hours: Hours, start: Timestamp, offset: Offset) -> Iterator[tuple[Timestamp, Timestamp]]:
    """The open spans after `start`, in order, none overlapping another."""
    until = start
    first = local(hours.zone, start, offset) // _DAY - 1
    for begins, ends in _spans(hours, first, MAX_DAYS, offset):
        if ends > until:
            yield max(begins, until), ends
            until = ends


def _spans(hours: Hours, first: int, days: int, offset: Offset) -> Iterator[tuple[Timestamp, Timestamp]]:
    """The windows of these days since the epoch, by their beginning."""
    for day in range(first, first + days):
        yield from _day(hours, day, offset)


@lru_cache(maxsize=1_024)
def _day(hours: Hours, day: int, offset: Offset) -> tuple[tuple[Timestamp, Timestamp], ...]:
    """The windows of one day. Many reviews fall into the same few days."""
    if (_EPOCH + _dt.timedelta(days=day)).isoformat() in hours.holidays:
        return ()
    windows = [window for window in hours.windows if weekday(day) in window.days]
    return tuple(sorted(span(window, hours.zone, day, offset) for window in windows))


def span(window: Window, zone: str, day: int, offset: Offset) -> tuple[Timestamp, Timestamp]:
    """Beginning and end of a window that opens on a day since the epoch."""
    closes = window.closes if window.closes > window.opens else window.closes + DAY_MINUTES
    midnight = day * _DAY
    return instant(zone, midnight + window.opens * 60, offset), instant(zone, midnight + closes * 60, offset)


def weekday(day: int) -> int:
    """The day of the week, Monday 0, of a day since the epoch, which was a Thursday."""
    return (day + 3) % 7
