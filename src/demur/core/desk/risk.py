"""How much is at stake in one deferred action: severity x reversibility x blast radius x novelty, each explained.

- Each of the four is a level from 0 to 3. The overall risk is the product of the four levels, each counted from 1, so
  that 1 to 256 are possible: low below 8, medium below 48, high below 128, critical from there.
- What the rule itself says of its risk is the least that the whole can be; facts raise it and never lower it.
- A fact that should tell but is not known counts as the worst (S3.3). What the policies declare nothing about does not
  weigh, and the explanation says so.
- An explanation names facts, thresholds and counts. It never holds the value of a fact (S5.5).

Clauses: S3.3, S5.5, S7.
"""

from __future__ import annotations

from enum import StrEnum
from math import prod

import msgspec

MAX_LEVEL = 3
"""The highest level that one of the four can have."""


class Risk(StrEnum):
    """How much is at stake in a review, from the least to the most."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the lowest, 3 for the highest."""
        return list(Risk).index(self)


_FROM = ((128, Risk.CRITICAL), (48, Risk.HIGH), (8, Risk.MEDIUM))
"""The least product of each risk; below the last one it is low."""


class Level(msgspec.Struct, frozen=True):
    """One of the four: a level from 0 to 3, and why."""

    level: int
    explanation: str


UNDECLARED = Level(0, "the policies say nothing about it, so it does not weigh")


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """The risk of one deferred action. `overall` is the product of the four levels, or what the rule says if more."""

    overall: Risk
    severity: Level = UNDECLARED
    reversibility: Level = UNDECLARED
    blast_radius: Level = UNDECLARED
    novelty: Level = UNDECLARED
    explanation: str = ""

    def to_dict(self) -> dict[str, object]:
        """The `risk_assessment` of a review request (wire.md)."""
        four = {
            "severity": self.severity,
            "reversibility": self.reversibility,
            "blast_radius": self.blast_radius,
            "novelty": self.novelty,
        }
        levels = {name: {"level": item.level, "explanation": item.explanation} for name, item in four.items()}
        return {"overall": self.overall.value, "explanation": self.explanation, **levels}


def assess(*, floor: Risk, severity: Level, reversibility: Level, blast_radius: Level, novelty: Level) -> Assessment:
    """The whole of the four. `floor` is what the rule says: the least that the risk can be."""
    factors = [1 + item.level for item in (severity, reversibility, blast_radius, novelty)]
    product = prod(factors)
    counted = next((risk for least, risk in _FROM if product >= least), Risk.LOW)
    overall = max(floor, counted, key=lambda risk: risk.rank)
    told = f"{' x '.join(map(str, factors))} = {product} of 256, which is {counted.value}"
    if overall is not counted:
        told += f"; the rule says at least {floor.value}"
    return Assessment(
        overall=overall,
        severity=severity,
        reversibility=reversibility,
        blast_radius=blast_radius,
        novelty=novelty,
        explanation=told,
    )
