"""Condition -> the instants at which a wall clock in it turns: hours, minutes and days of a declared zone.

    time.now.getHours("Europe/Berlin") * 60 + time.now.getMinutes("Europe/Berlin") >= 510      08:30 of every day
    time.now.getDayOfWeek() in [1, 2]                                                          midnight of every day

A wall clock is taken apart into a time of day by the constants that it is compared with; where
only minutes are asked, they are proposed for every hour. Clauses: S2.4, S9.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel import walk
from demur.core.cel.ir import Call, Const, FactRef
from demur.core.cel.times import zone_seconds
from demur.core.policy import needs
from demur.core.terms import NANOS, Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.core.cel.ir import Node
    from demur.core.cel.overload import Zones

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60
_COMPARED = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in"})


def turns(node: Node, slot: int, now: Timestamp, horizon: int, zones: Zones) -> Iterator[Timestamp]:
    """The instants after `now` and within `horizon` seconds at which a clock of the condition may turn."""
    for part in walk.nodes(node):
        if isinstance(part, Call) and part.op in _COMPARED and slot in needs.slots_read(part):
            getters = [item for item in walk.nodes(part) if isinstance(item, Call) and _is_getter(item, slot)]
            for zone in sorted({_zone(item) for item in getters}):
                seconds = _times_of_day(part, [item.op for item in getters])
                yield from _daily(zone, seconds, now, horizon, zones)


def _is_getter(call: Call, slot: int) -> bool:
    return call.op.startswith("get") and isinstance(call.args[0], FactRef) and call.args[0].slot == slot


def _zone(getter: Call) -> str:
    """The zone that a getter names, UTC without one."""
    zone = getter.args[1] if len(getter.args) > 1 else None
    return zone.value if isinstance(zone, Const) and isinstance(zone.value, str) else "+00:00"


def _times_of_day(comparison: Call, ops: list[str]) -> list[int]:
    """Seconds after midnight at which the comparison may turn, midnight included."""
    constants = [item.value for item in walk.nodes(comparison) if isinstance(item, Const) and type(item.value) is int]
    if set(ops) == {"getHours"}:
        return [0, *(hour * _HOUR for value in constants for hour in (value, value + 1) if 0 <= hour < 24)]
    if set(ops) == {"getHours", "getMinutes"}:
        minutes = [minute for value in constants for minute in (value, value + 1)]
        return [0, *(minute * _MINUTE for minute in minutes if 0 < minute < 24 * 60)]
    if "getMinutes" in ops or "getSeconds" in ops:
        quarter = [value * _MINUTE for value in constants if 0 <= value < 60]
        return [hour * _HOUR + minute for hour in range(24) for minute in (0, *quarter)]
    return [0]


def _daily(zone: str, times: list[int], now: Timestamp, horizon: int, zones: Zones) -> Iterator[Timestamp]:
    """These times of day, in the zone, of every day within the horizon."""
    offset = zone_seconds(zones, zone, now)
    if not isinstance(offset, int):
        return
    today = (now.seconds + offset) // _DAY * _DAY
    for day in range(today - _DAY, today + horizon + 2 * _DAY, _DAY):
        for time in sorted(set(times)):
            wall = day + time
            for guess in (now, Timestamp((wall - offset) * NANOS)):
                # Where clocks are put forward or back, the offset before and the one after may both be meant.
                near = zone_seconds(zones, zone, guess)
                if isinstance(near, int):
                    yield Timestamp((wall - near) * NANOS)
