"""What the policies declare about their review desk: hours, rotas, how risk is read, times, shedding, peak.

A set of policies has one desk; without the key `desk` it is `NO_DESK`, under which all is as the rules alone say.

- Minutes of a day count from midnight, 0 to 1440. A window that closes no later than it opens ends on the next day.
- Days of the week count from Monday, 0 to 6.

Clauses: S2.4, S7.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Union

import msgspec

from demur.core.cel.ir import Node
from demur.core.desk.risk import Risk
from demur.core.terms import Timestamp

DAY_MINUTES = 1_440
DEFAULT_LEASE_SECONDS = 900


class Assignment(StrEnum):
    """How a review comes to somebody: whoever takes it, or whom the desk picks."""

    TAKEN = "taken"
    AUTOMATIC = "automatic"


class Window(msgspec.Struct, frozen=True):
    """The same span on these days of every week, in minutes of the local day."""

    days: tuple[int, ...]
    opens: int
    closes: int


class Hours(msgspec.Struct, frozen=True):
    """When the desk is open, in local time of `zone`; on a holiday (`2026-12-25`) no window opens."""

    zone: str
    windows: tuple[Window, ...]
    holidays: tuple[str, ...] = ()


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """People on duty: within `window` where there is one, from `since` and before `until` where these are set.

    With `turn_days` they take turns of so many local days, in their order, the first one from `since` on.
    """

    people: tuple[str, ...]
    window: Window | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None
    turn_days: int = 0


class Rota(msgspec.Struct, frozen=True):
    """Shifts in local time of `zone`. Whoever is in one of them is on duty."""

    zone: str
    shifts: tuple[Shift, ...]


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """A level read from one fact: how many of `thresholds` it reaches, or what `steps` gives for its value."""

    path: str
    thresholds: tuple[Union[int, float], ...] = ()
    steps: dict[str, int] = {}
    """By the value as text; `true` and `false` for a bool."""
    otherwise: int = 0


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A level that holds where a condition does, for the actions that these patterns cover."""

    level: int
    expr: str
    node: Node
    actions: tuple[str, ...] = ("*",)
    explanation: str = ""


class Measure(msgspec.Struct, frozen=True):
    """How one of the four is read: the highest level that a scale or a mark gives."""

    scales: tuple[Scale, ...] = ()
    marks: tuple[Mark, ...] = ()


class RiskReading(msgspec.Struct, frozen=True, kw_only=True):
    """How the four are read; `None` where the policies say nothing."""

    severity: Measure | None = None
    reversibility: Measure | None = None
    blast_radius: Measure | None = None
    novelty: Measure | None = None


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long a review may wait, in seconds of open hours, by risk; never under `least` nor over `most` of the clock.

    `most` 0 is no limit but that of the rule.
    """

    least: int = 60
    most: int = 0
    by_risk: dict[Risk, int] = {}


class Shed(msgspec.Struct, frozen=True):
    """With `over` reviews waiting, another one of at most this risk is not queued; `again` is the least wait in s."""

    over: int
    up_to: Risk
    again: int = 900


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """The desk of one set of policies."""

    is_declared: bool = False
    hours: Hours | None = None
    rotas: dict[str, Rota] = {}
    risk: RiskReading = RiskReading()
    timeouts: Timeouts | None = None
    shed: tuple[Shed, ...] = ()
    peak: int = 0
    """The number of waiting reviews from which on it is peak; 0 where the policies name none."""
    assign: Assignment = Assignment.TAKEN
    lease_seconds: int = DEFAULT_LEASE_SECONDS


NO_DESK = Desk()
