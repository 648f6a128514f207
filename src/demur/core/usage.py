"""What Demur counts itself: which grants a usage fact counts, and since when.

- A counter counts grants, live or redeemed, never refusals (S4.1).
- A calendar window begins at midnight of its first day in the declared zone; a rolling one begins that many seconds
  ago; a counter without a window counts for ever.
- Whom a counter counts is named by facts. Where one of them is not known, nobody can be counted, so the usage fact is
  unknown and the rules that read it decide (S3.2).

Clauses: S4.
"""

from __future__ import annotations

import datetime as _dt
from functools import lru_cache
from typing import TYPE_CHECKING

from demur.core.policy.patterns import matches
from demur.core.terms import NANOS, Missing, Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from demur.core.resolution import Facts
    from demur.core.schema import Counter, Window

_EPOCH = _dt.datetime(1970, 1, 1)  # noqa: DTZ001  (local wall-clock arithmetic; the offset is applied separately)
_FOREVER = Timestamp(-62_135_596_800 * NANOS)


def since(window: Window, now: Timestamp, offset: Callable[[str, Timestamp], int]) -> Timestamp:
    """The instant from which the window counts. `offset` gives seconds east of UTC for a zone at an instant."""
    if window.seconds:
        return Timestamp(now.nanos - window.seconds * NANOS)
    if not window.calendar:
        return _FOREVER
    return _start(window.calendar, window.zone, now.seconds, offset)


@lru_cache(maxsize=256)
def _start(calendar: str, zone: str, seconds: int, offset: Callable[[str, Timestamp], int]) -> Timestamp:
    """The first instant of the window around this second. Many decisions fall into one second."""
    now = Timestamp(seconds * NANOS)
    local = _EPOCH + _dt.timedelta(seconds=seconds + offset(zone, now))
    wall = (_first(calendar, local) - _EPOCH) // _dt.timedelta(seconds=1)
    # The offset at the start may differ from the one now (daylight saving); two rounds settle it.
    start = Timestamp((wall - offset(zone, now)) * NANOS)
    for _ in range(2):
        start = Timestamp((wall - offset(zone, start)) * NANOS)
    return start


def counted(counters: Mapping[str, Counter], action: str) -> tuple[Counter, ...]:
    """The counters that count a grant of this action."""
    return tuple(item for item in counters.values() if any(matches(pattern, action) for pattern in item.actions))


def key(counter: Counter, facts: Facts, slots: Mapping[str, int]) -> tuple[str, ...] | None:
    """Whom the counter counts for these facts; `None` where that is not known."""
    parts: list[str] = []
    for path in counter.key:
        state = facts.values[slots[path]]
        if isinstance(state, Missing):
            return None
        parts.append(str(state))
    return tuple(parts)


def amount(counter: Counter, arguments: Mapping[str, object]) -> int:
    """What a grant adds to the counter's sum; 0 where it only counts."""
    value = arguments.get(counter.adds) if counter.adds else 0
    return value if isinstance(value, int) else 0


def _first(calendar: str, local: _dt.datetime) -> _dt.datetime:
    day = local.replace(minute=0, second=0, microsecond=0)
    if calendar == "hour":
        return day
    day = day.replace(hour=0)
    match calendar:
        case "day":
            return day
        case "week":
            return day - _dt.timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
        case _:
            message = f"expected hour, day, week, month or year, found `{calendar}`"
            raise ValueError(message)
