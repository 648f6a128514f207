"""How new an action is for whoever acts: read from the last reviews of its kind that people ended.

A kind is an action on a type of resource. What was never decided for anybody is the newest; an agent for whom it was
approved again and again is doing what it does. A denial of the same agent makes it no more familiar.

Clauses: S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.desk.risk import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

FAMILIAR = 3
"""So many approvals for the same agent make an action familiar."""


class Past(msgspec.Struct, frozen=True):
    """One ended review: the pseudonym of whoever acted, and whether it was approved."""

    actor: str
    is_approved: bool


def of(actor: str, past: Sequence[Past]) -> Level:
    """The level of an action that `actor`, by pseudonym, wants now; `past` are the last ended reviews of its kind."""
    mine = sum(1 for item in past if item.actor == actor and item.is_approved)
    looked = f"of the last {len(past)} reviews of this kind, {mine} were approved for this agent"
    if mine >= FAMILIAR:
        return Level(0, looked)
    if mine:
        return Level(1, looked)
    if past:
        return Level(2, looked)
    return Level(3, "people have not decided an action of this kind before")
