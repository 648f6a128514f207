"""Which facts a condition or a rule reads.

Clauses: S2.2, S4.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel.ir import (
    And,
    Call,
    Choose,
    Const,
    FactRef,
    HasFact,
    Local,
    Macro,
    MakeList,
    MakeMap,
    Node,
    Not,
    Or,
    Select,
)
from demur.core.policy.document import AnyOf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demur.core.desk.plan import Mark, Measure, RiskReading
    from demur.core.policy.document import Clause, Condition, Rule


def slots_read(node: Node) -> frozenset[int]:
    """The slots that the condition reads, tests with `has` included."""
    found: set[int] = set()
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if isinstance(here, FactRef | HasFact):
            found.add(here.slot)
        else:
            waiting.extend(_parts(here))
    return frozenset(found)


def rule_slots(rule: Rule) -> frozenset[int]:
    """The slots that any condition of the rule reads."""
    return frozenset().union(*(slots_read(condition.node) for condition in conditions(rule)))


def risk_slots(reading: RiskReading, slots: Mapping[str, int]) -> frozenset[int]:
    """The slots by which a desk reads risk."""
    found = {slots[scale.path] for measure in _measures(reading) for scale in measure.scales if scale.path in slots}
    found.update(*(slots_read(mark.node) for mark in marks(reading)))
    return frozenset(found)


def marks(reading: RiskReading) -> tuple[Mark, ...]:
    """The conditions by which a desk reads risk."""
    return tuple(mark for measure in _measures(reading) for mark in measure.marks)


def _measures(reading: RiskReading) -> Iterator[Measure]:
    for measure in (reading.severity, reading.reversibility, reading.blast_radius, reading.novelty):
        if measure is not None:
            yield measure


def conditions(rule: Rule) -> Iterator[Condition]:
    """Every condition of the rule, those of any-of groups and of `unless` included, in document order."""
    for clause in (*rule.when, *rule.unless):
        yield from members(clause)


def members(clause: Clause) -> tuple[Condition, ...]:
    """The conditions of an any-of group, or the one that the clause is."""
    return clause.conditions if isinstance(clause, AnyOf) else (clause,)


def _parts(node: Node) -> tuple[Node, ...]:
    match node:
        case Const() | FactRef() | HasFact() | Local():
            return ()
        case Select():
            return (node.operand,)
        case Call() | And() | Or():
            return node.args
        case Not():
            return (node.arg,)
        case Choose() | MakeList() | MakeMap() | Macro():
            return _inner(node)


def _inner(node: Choose | MakeList | MakeMap | Macro) -> tuple[Node, ...]:
    match node:
        case Choose():
            return (node.condition, node.yes, node.no)
        case MakeList():
            return node.items
        case MakeMap():
            return (*node.keys, *node.values)
        case Macro():
            return (node.range, node.body, *((node.filter_body,) if node.filter_body is not None else ()))
