"""The earliest instant within 14 days at which the same request would be allowed, other facts unchanged.

- Candidates are the instants at which a condition on the time may turn: a constant or a known fact that the time is
  compared with; hours, minutes and days of a zone's wall clock; and the ends of the windows of usage facts.
- At the end of a calendar window its count begins again at nothing. A rolling window has certainly let go of all
  that it counted once its whole length has passed; that is offered, though it may be free earlier.
- Candidates are judged from the earliest on, so that what is offered is the first of them that does.

Clauses: S2.4, S4.1, S9.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core import usage
from demur.core.policy import needs
from demur.core.remedy import clocks, points, showing
from demur.core.remedy.changes import Changes
from demur.core.remedy.chart import AWAIT_COST, TIME, Kind
from demur.core.remedy.ground import SpentError, falls, unknown
from demur.core.remedy.offers import Direction, Part, Repair
from demur.core.schema import Kind as TypeKind
from demur.core.schema import Type, Visibility
from demur.core.terms import NANOS, Audience, Outcome, Timestamp, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.core.cel.ir import Node
    from demur.core.remedy.ground import Ground
    from demur.core.schema import Counter
    from demur.core.terms import State

HORIZON = 14 * 86_400
"""Seconds ahead within which an instant is looked for (S9.2)."""
MAX_INSTANTS = 400
"""Instants that are looked at for one refusal."""

_INSTANT = Type(TypeKind.TIMESTAMP)
_PAST_NEXT = {"hour": 5_400, "day": 36 * 3_600, "week": 10 * 86_400, "month": 40 * 86_400, "year": 400 * 86_400}
"""Seconds after the start of a calendar window that lie within the next one for certain, daylight saving included."""


def awaits(ground: Ground) -> tuple[Repair, ...]:
    """The earliest instant that leads to an allow, else from a deny the earliest that leads to a review; or none."""
    if not ground.must_fall and not _is_default_deny(ground):
        return ()
    if ground.must_fall & ~ground.site.clocks:
        return ()
    try:
        return _search(ground)
    except SpentError:
        return ()


def _is_default_deny(ground: Ground) -> bool:
    bucket = ground.site.bucket
    return not ground.decision.true_mask & (bucket.permits | bucket.reviews)


def _search(ground: Ground) -> tuple[Repair, ...]:
    resets = dict(_resets(ground))
    moving = {ground.chart.time, *resets}
    if not any(ground.site.readers.get(slot) for slot in moving):
        return ()
    truths = ground.probe(unknown(ground.row, moving))
    if ground.is_hopeless(truths):
        return ()
    deferred: tuple[Repair, ...] = ()
    falling = ground.must_fall & truths.unknown & ground.site.readers.get(ground.chart.time, 0)
    watched = ground.conditions(ground.site.bucket.chosen(0 if resets else falling), TIME)
    for instant in _instants(ground, truths.unknown, resets):
        row, values = _at(ground, instant, resets)
        if not falls(watched, row):
            continue
        promised = ground.promises(ground.probe(row), is_derived=False)
        if promised is None or (promised is Outcome.DEFER and (deferred or _is_deferral(ground))):
            continue
        outcome = ground.outcome(Changes(values=values))
        if outcome is Outcome.ALLOW:
            return (_repair(ground, instant, values, outcome), *deferred)
        if outcome is Outcome.DEFER and not deferred and not _is_deferral(ground):
            deferred = (_repair(ground, instant, values, outcome),)
    return deferred


def _is_deferral(ground: Ground) -> bool:
    return ground.decision.outcome is Outcome.DEFER


def _at(ground: Ground, instant: Timestamp, resets: dict[int, Timestamp]) -> tuple[list[State], dict[str, State]]:
    """The row at an instant, and what of it is different."""
    row = list(ground.row)
    row[ground.chart.time] = instant
    values: dict[str, State] = {TIME: instant}
    for slot, end in resets.items():
        if end <= instant and row[slot] != 0:
            row[slot] = 0
            values[ground.chart.policy_set.schema.slots[slot].path] = 0
    return row, values


def _resets(ground: Ground) -> Iterator[tuple[int, Timestamp]]:
    """The usage facts that rules read, with the instant at which each has certainly let go of what it counted."""
    counters, slots = ground.chart.policy_set.schema.counters, ground.chart.policy_set.schema.slots
    for slot in ground.site.readers:
        counter = counters.get(slots[slot].path)
        if counter is not None and isinstance(ground.row[slot], int):
            end = _end(counter, ground)
            if end is not None:
                yield slot, end


def _end(counter: Counter, ground: Ground) -> Timestamp | None:
    window, now = counter.window, ground.decision.facts.now
    if window.seconds:
        return now.plus(window.seconds + 1)
    if not window.calendar:
        return None
    offset = ground.chart.policy_set.zones.offset
    begun = usage.since(window, now, offset)
    return usage.since(window, begun.plus(_PAST_NEXT[window.calendar]), offset)


def _instants(ground: Ground, rules: int, resets: dict[int, Timestamp]) -> list[Timestamp]:
    """The candidates within the horizon, earliest first."""
    now = ground.decision.facts.now
    last = now.plus(HORIZON)
    found = set(resets.values())
    zones = ground.chart.policy_set.zones
    for rule in ground.site.bucket.chosen(rules & ground.site.readers.get(ground.chart.time, 0)):
        for condition in needs.conditions(rule):
            if ground.chart.time in needs.slots_read(condition.node):
                found.update(_turns(condition.node, ground))
                found.update(clocks.turns(condition.node, ground.chart.time, now, HORIZON, zones))
    return sorted(item for item in found if now < item <= last)[:MAX_INSTANTS]


def _turns(node: Node, ground: Ground) -> Iterator[Timestamp]:
    row = ground.row
    for value in points.turning(node, ground.chart.time, _INSTANT, row, lambda part: ground.read(part, row)):
        # Before a bound one is already; what matters is the bound itself and the next whole second.
        if isinstance(value, Timestamp) and value.nanos % NANOS in {0, 1}:
            yield value


def _repair(ground: Ground, instant: Timestamp, values: dict[str, State], leads_to: Outcome) -> Repair:
    chart, hidden = ground.chart, 0
    request = ground.decision.facts.request
    parts = []
    for path in sorted(values):
        slot = chart.slot(request.action, path)
        hidden |= ground.site.readers.get(slot, 0) & ground.site.confidential
        is_time = path == TIME
        parts.append(
            Part(
                kind=Kind.AWAIT,
                path=path,
                value=to_json(values[path]),
                direction=Direction.HIGHER if is_time else Direction.LOWER,
                event="the time comes" if is_time else "the window ends",
                visible=_visible(ground, slot) if is_time else {},
            )
        )
    return Repair(
        parts=tuple(parts),
        leads_to=leads_to,
        cost=AWAIT_COST,
        as_of=ground.now,
        earliest=instant,
        is_confidential=bool(hidden),
    )


def _visible(ground: Ground, slot: int) -> dict[Audience, Visibility]:
    """When to come back may be told, unless it is read off a fact that may not be shown."""
    beside, _ = showing.measures(ground, slot)
    return {
        audience: Visibility.DIRECTION
        for audience in (Audience.END_USER, Audience.AGENT)
        if any(fact.visible.get(audience, Visibility.SHOW) is not Visibility.SHOW for fact in beside)
    }
