"""Where any value of a fact would do, so that none need be invented: the requester knows a ticket, the rules do not.

- Rules that ask only whether a fact is there treat all of its values alike.
- Rules that compare a text only with constants treat alike all texts that are none of these.
- Nothing may be looked up by the fact. Clauses: S9.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.cel import walk
from demur.core.cel.ir import Call, Const, FactRef, MakeList
from demur.core.policy import needs
from demur.core.remedy.chart import Kind
from demur.core.schema import Kind as TypeKind
from demur.core.terms import Duration, Missing, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.cel.ir import Node
    from demur.core.remedy.chart import Variable
    from demur.core.remedy.ground import Ground
    from demur.core.terms import Timestamp, Value

_SAMPLES: dict[TypeKind, Value] = {
    TypeKind.BOOL: True,
    TypeKind.INT: 0,
    TypeKind.DOUBLE: 0.0,
    TypeKind.STRING: "-",
    TypeKind.DURATION: Duration(0),
    TypeKind.LIST: [],
    TypeKind.MAP: {},
}
_EQUALITY = frozenset({"_==_", "_!=_"})


def sample(ground: Ground, item: Variable) -> State:
    """A value that stands for all that the rules treat alike; absent where there is none."""
    named = exceptions(ground, item)
    if named is None or item.fact.type.kind is TypeKind.OBJECT:
        return Missing.ABSENT
    if item.fact.one_of:
        return item.fact.one_of[0]
    now: Timestamp = ground.decision.facts.now
    value = _SAMPLES.get(item.fact.type.kind, now)
    return "-" * (1 + max(map(len, named))) if named else value


def stands_for(ground: Ground, item: Variable, value: State) -> tuple[str, ...] | None:
    """The texts that must be avoided where any other value than this does as well; `None` where the value matters."""
    named = exceptions(ground, item)
    if named is None or isinstance(value, Missing) or (named and value != sample(ground, item)):
        return None
    return named


def exceptions(ground: Ground, item: Variable) -> tuple[str, ...] | None:
    """The texts that some rule tells from others; `None` where rules ask more than that of the fact."""
    if item.certain:
        return None
    request = ground.decision.facts.request
    key = (request.action, request.resource.type, item.slot)
    known = ground.chart.exceptions
    if key not in known:
        rules = ground.site.bucket.chosen(ground.site.readers.get(item.slot, 0))
        nodes = [condition.node for rule in rules for condition in needs.conditions(rule)]
        known[key] = _named(nodes, item)
    return known[key]


def _named(nodes: Iterable[Node], item: Variable) -> tuple[str, ...] | None:
    reads = compared = 0
    found: set[str] = set()
    for part in (part for node in nodes for part in walk.nodes(node)):
        if isinstance(part, FactRef) and part.slot == item.slot:
            reads += 1
        elif isinstance(part, Call):
            texts = _compared(part, item.slot)
            compared += texts is not None
            found.update(texts or ())
    if not reads:
        return ()
    is_free_text = item.kind is Kind.CHANGE and item.fact.type.kind is TypeKind.STRING and not item.fact.one_of
    return tuple(sorted(found)) if is_free_text and found and reads == compared else None


def _compared(call: Call, slot: int) -> list[str] | None:
    """The constants with which the call compares the fact and nothing else."""
    match call:
        case Call(op=op, args=(FactRef(slot=found), Const(value=str() as text))) if op in _EQUALITY and found == slot:
            return [text]
        case Call(op=op, args=(Const(value=str() as text), FactRef(slot=found))) if op in _EQUALITY and found == slot:
            return [text]
        case Call(op="@in", args=(FactRef(slot=found), MakeList(items=items))) if found == slot:
            texts = [item.value for item in items if isinstance(item, Const) and isinstance(item.value, str)]
            return texts if len(texts) == len(items) else None
        case _:
            return None
