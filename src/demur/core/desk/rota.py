"""Who is on duty: a pure function of the rota, an instant and the tz data that Demur ships with.

Clauses: S2.4, S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.desk import hours

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.desk.plan import Rota, Shift
    from demur.core.terms import Timestamp

_DAY = 86_400


def on_duty(rota: Rota, at: Timestamp, offset: Callable[[str, Timestamp], int]) -> frozenset[str]:
    """The names of those on duty at an instant; nobody where no shift covers it."""
    found: set[str] = set()
    for shift in rota.shifts:
        if _is_on(shift, rota.zone, at, offset):
            found.update(_turn(shift, rota.zone, at, offset))
    return frozenset(found)


def _is_on(shift: Shift, zone: str, at: Timestamp, offset: Callable[[str, Timestamp], int]) -> bool:
    if (shift.since is not None and at < shift.since) or (shift.until is not None and at >= shift.until):
        return False
    if shift.window is None:
        return True
    today = hours.local(zone, at, offset) // _DAY
    for day in (today - 1, today):
        if hours.weekday(day) in shift.window.days:
            begins, ends = hours.span(shift.window, zone, day, offset)
            if begins <= at < ends:
                return True
    return False


def _turn(shift: Shift, zone: str, at: Timestamp, offset: Callable[[str, Timestamp], int]) -> tuple[str, ...]:
    """Everybody, or whose turn it is: hands change at the same local time, whatever the clocks did since."""
    if not shift.turn_days or shift.since is None:
        return shift.people
    days = (hours.local(zone, at, offset) - hours.local(zone, shift.since, offset)) // _DAY
    return (shift.people[days // shift.turn_days % len(shift.people)],)
