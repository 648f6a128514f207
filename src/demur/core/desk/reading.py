"""How one of the four parts of a risk is read from the facts of a decision, as the policies declare.

- The highest level that a fact or a condition gives counts. A fact that is not known, and a condition that is not known
  or failed, count as the worst that they can be (S3.3); an absent fact gives no level.
- An explanation names facts and thresholds, never the value of a fact (S5.5).

Clauses: S3.3, S5.5, S7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.desk.risk import MAX_LEVEL, Level
from demur.core.terms import Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.desk.plan import Mark, Measure, Scale
    from demur.core.terms import State


def read(
    measure: Measure | None, value_of: Callable[[str], State], holds: Callable[[Mark], bool | None]
) -> Level | None:
    """The highest level that what is declared gives; `None` where nothing is declared.

    `value_of` is the state of a fact by path. `holds` is the truth of a mark: `None` where it is not known or failed,
    and `False` where it does not cover the action.
    """
    if measure is None:
        return None
    found = [_scale(scale, value_of(scale.path)) for scale in measure.scales]
    found += [_mark(mark, holds(mark)) for mark in measure.marks]
    return max(found, key=lambda item: item.level, default=Level(0, "nothing declared about it holds"))


def _scale(scale: Scale, state: State) -> Level:
    if state is Missing.UNKNOWN:
        return Level(MAX_LEVEL, f"`{scale.path}` is not known, which counts as the worst")
    if isinstance(state, Missing):
        return Level(0, f"there is no `{scale.path}`")
    if scale.thresholds:
        reached = sum(1 for item in scale.thresholds if isinstance(state, int | float) and state >= item)
        limit = f", {scale.thresholds[reached - 1]}" if reached else ""
        return Level(reached, f"`{scale.path}` reaches {reached} of {len(scale.thresholds)} thresholds{limit}")
    key = str(state).lower() if isinstance(state, bool) else str(state)
    if key in scale.steps:
        return Level(scale.steps[key], f"`{scale.path}` is one of the values that the policies name")
    return Level(scale.otherwise, f"`{scale.path}` is none of the values that the policies name")


def _mark(mark: Mark, truth: bool | None) -> Level:  # noqa: FBT001  (a truth of three values, not a switch)
    told = mark.explanation or f"`{mark.expr}`"
    match truth:
        case True:
            return Level(mark.level, told)
        case False:
            return Level(0, f"does not hold: {told}")
        case None:
            return Level(mark.level, f"not known, which counts as true: {told}")
