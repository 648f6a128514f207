"""Changed facts -> a repair: its words, its direction, and how much of each number which audience may see.

- A number tells of what it is measured against. What a fact is compared with is asked of all rules of the action, not
  only of those in the way, so that what is shown does not depend on what holds at the moment.
- A fact marked `show` may be shown whatever it is compared with, secrets excepted. Otherwise an end user sees a value
  only where every fact that it is compared with may be shown, and none is a constant of a rule, unless the value is one
  of those that the schema declares, true or false, or none at all.

Clauses: S2.3, S9.4, S10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel import walk
from demur.core.cel.ir import Const
from demur.core.policy import needs
from demur.core.remedy import freedom
from demur.core.remedy.chart import Kind
from demur.core.remedy.offers import Direction, Part, Repair
from demur.core.schema import Visibility
from demur.core.terms import Audience, Duration, Missing, Timestamp, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.cel.ir import Node
    from demur.core.remedy.chart import Variable
    from demur.core.remedy.ground import Ground
    from demur.core.schema import Fact
    from demur.core.terms import Outcome, State

_STRICTNESS = (Visibility.SHOW, Visibility.DIRECTION, Visibility.HIDE)


def repair(ground: Ground, chosen: Iterable[tuple[Variable, State]], leads_to: Outcome) -> Repair:
    """The repair that these values are."""
    items = sorted(chosen, key=lambda item: item[0].path)
    hidden = ground.site.confidential
    return Repair(
        parts=tuple(_part(ground, variable, value) for variable, value in items),
        leads_to=leads_to,
        cost=sum(variable.cost for variable, _ in items),
        as_of=ground.now,
        is_confidential=any(item.fact.confidential or readers(ground, item) & hidden for item, _ in items),
    )


def readers(ground: Ground, item: Variable) -> int:
    """The rules that read the fact, or what is looked up by it."""
    mask = 0
    for slot in (item.slot, *item.certain):
        mask |= ground.site.readers.get(slot, 0)
    return mask


def direction(current: State, value: State) -> Direction:
    """Which way the fact goes."""
    if isinstance(current, bool) or isinstance(value, bool):
        return Direction.OTHER
    for kinds in ((int, float), (Timestamp,), (Duration,)):
        if isinstance(current, kinds) and isinstance(value, kinds):
            return Direction.LOWER if value < current else Direction.HIGHER  # type: ignore[operator]  # of one kind
    return Direction.OTHER


def visible(ground: Ground, slot: int, fact: Fact, value: State) -> dict[Audience, Visibility]:
    """How much each audience may see of this value of the fact, where that is not all of it."""
    beside, has_constant = measures(ground, slot)
    is_plain = isinstance(value, (bool, Missing)) or value in fact.one_of
    found: dict[Audience, Visibility] = {}
    for audience in (Audience.END_USER, Audience.AGENT):
        own = fact.visible.get(audience)
        default = Visibility.DIRECTION if audience is Audience.END_USER else Visibility.SHOW
        levels = [own or Visibility.SHOW]
        levels += [other.visible.get(audience, default) for other in beside]
        if has_constant and not is_plain and own is not Visibility.SHOW:
            levels.append(default)
        level = max(levels, key=_STRICTNESS.index)
        if level is Visibility.HIDE and own is not Visibility.HIDE:
            level = Visibility.DIRECTION  # a hidden limit hides its number; that a smaller value would do is S9.4
        if level is not Visibility.SHOW:
            found[audience] = level
    if any(other.secret for other in beside):
        found |= {audience: Visibility.DIRECTION for audience in Audience if audience not in found}
    return found


def measures(ground: Ground, slot: int) -> tuple[tuple[Fact, ...], bool]:
    """The declared facts that conditions read beside this one, and whether a condition compares with a constant."""
    chart, site = ground.chart, ground.site
    action = ground.decision.facts.request.action
    key = (action, ground.decision.facts.request.resource.type, slot)
    known = chart.measures.get(key)
    if known is not None:
        return known
    others: set[int] = set()
    has_constant = False
    for rule in site.bucket.chosen(site.readers.get(slot, 0)):
        for condition in needs.conditions(rule):
            slots = needs.slots_read(condition.node)
            if slot in slots:
                others |= slots - {slot}
                has_constant |= any(_is_limit(part) for part in walk.nodes(condition.node))
    declared = [chart.fact(action, chart.policy_set.schema.slots[other].path) for other in sorted(others)]
    found = tuple(fact for fact in declared if fact is not None), has_constant
    chart.measures[key] = found
    return found


def _is_limit(node: Node) -> bool:
    return isinstance(node, Const) and not isinstance(node.value, bool)


def _part(ground: Ground, variable: Variable, value: State) -> Part:
    fact = variable.fact
    others = freedom.stands_for(ground, variable, value)
    is_any = others is not None
    return Part(
        kind=variable.kind,
        path=fact.path,
        value=None if isinstance(value, Missing) or is_any else to_json(value),
        is_any=is_any,
        other_than=others or (),
        is_left_out=value is Missing.ABSENT,
        direction=direction(ground.row[variable.slot], value),
        how=fact.obtain.how if fact.obtain is not None and variable.kind is Kind.OBTAIN else "",
        by=fact.obtain.by if fact.obtain is not None and variable.kind is Kind.OBTAIN else "",
        event=fact.awaits.event if fact.awaits is not None and variable.kind is Kind.AWAIT else "",
        visible=visible(ground, variable.slot, fact, Missing.ABSENT if is_any and not others else value),
    )
