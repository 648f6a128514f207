"""How long a review may wait, and when it is likely to be decided.

    deadline   now + what the desk declares for this risk, in open hours; longer where the desk is known to need more,
               never under `least` nor over `most`, and never longer than the rule's `within`
    estimate   now + the median of what reviews of this kind took, or the time for those ahead in the queue if longer,
               in open hours; `None` where nothing was measured. Never after the deadline.

- A desk that declares no timeouts leaves the deadline to the rule alone.
- What was measured are the last reviews of this kind that people ended, each from its opening to its last ruling, in
  open hours. Ninety in a hundred took no longer than the p90.

Clauses: S7.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.desk import hours
from demur.core.terms import Duration, Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demur.core.desk.plan import Desk
    from demur.core.desk.risk import Risk

MIN_MEASURED = 3
"""With fewer ended reviews nothing is estimated from them."""


class Served(msgspec.Struct, frozen=True):
    """One review that people ended: when it was opened, and when it ended."""

    opened_at: Timestamp
    ended_at: Timestamp


class Service(msgspec.Struct, frozen=True):
    """What was measured, in seconds of open hours: the median and the p90 of the times taken, and between two ends."""

    median: float
    p90: float
    pace: float
    """The time from one end to the next, on average."""


class Times(msgspec.Struct, frozen=True):
    """When a review is denied by silence, when it is likely to be decided, and why the deadline is what it is."""

    deadline: Timestamp
    estimated: Timestamp | None
    explanation: str


def measure(desk: Desk, served: Sequence[Served], offset: Callable[[str, Timestamp], int]) -> Service | None:
    """The service times of these reviews; `None` where they are too few to say."""
    if len(served) < MIN_MEASURED:
        return None
    took = sorted(hours.between(desk.hours, item.opened_at, item.ended_at, offset) for item in served)
    ends = sorted(item.ended_at for item in served)
    pace = hours.between(desk.hours, ends[0], ends[-1], offset) / (len(ends) - 1)
    return Service(_quantile(took, 0.5), _quantile(took, 0.9), pace)


def times(
    desk: Desk,
    *,
    risk: Risk,
    within: int,
    ahead: int,
    service: Service | None,
    now: Timestamp,
    offset: Callable[[str, Timestamp], int],
) -> Times:
    """The times of a review that is opened now behind `ahead` others; `within` is the rule's limit in seconds."""
    limit = now.plus(within)
    deadline, why = _deadline(desk, risk, limit, _needed(service, ahead, tail=True), now, offset)
    needed = _needed(service, ahead, tail=False)
    estimated = None if needed is None else min(deadline, hours.after(desk.hours, now, needed, offset))
    return Times(deadline, estimated, why)


def _deadline(
    desk: Desk,
    risk: Risk,
    limit: Timestamp,
    needed: float | None,
    now: Timestamp,
    offset: Callable[[str, Timestamp], int],
) -> tuple[Timestamp, str]:
    declared = desk.timeouts
    rule = f"the rule allows {_span(now, limit)}"
    if declared is None:
        return limit, rule
    wanted = declared.by_risk.get(risk)
    why = []
    if wanted is None:
        deadline = limit
        why.append(f"the desk names no time for {risk.value} risk and {rule}")
    else:
        opened = " of open hours" if desk.hours is not None else ""
        why.append(f"{Duration(wanted * 1_000_000_000)}{opened} for {risk.value} risk")
        deadline = hours.after(desk.hours, now, max(wanted, needed or 0.0), offset)
        if needed is not None and needed > wanted:
            why.append("longer, since nine in ten of what is waiting and was measured take so long")
    deadline = max(deadline, now.plus(declared.least))
    if declared.most and deadline > now.plus(declared.most):
        deadline = now.plus(declared.most)
        why.append(f"no longer than the desk's {_span(now, deadline)}")
    if deadline > limit:
        deadline = limit
        why.append(f"no longer, since {rule}")
    return deadline, "; ".join(why)


def _needed(service: Service | None, ahead: int, *, tail: bool) -> float | None:
    if service is None:
        return None
    return max(service.p90 if tail else service.median, ahead * service.pace)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that at least this share of them does not exceed."""
    place = -(-len(ordered) * round(share * 100) // 100) - 1
    return ordered[max(0, place)]


def _span(start: Timestamp, end: Timestamp) -> str:
    return str(Duration(end.nanos - start.nanos))
