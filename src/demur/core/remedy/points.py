"""Condition -> the values of one fact at which the condition may turn.

    action.amount <= limits.largest + 10        the limit plus ten, one less and one more
    action.scope == "one"                       "one"
    has(action.filter)                          left out
    size(action.ids) <= 3                       the list so far, cut to three

- A comparison that is linear in the fact is solved for it, whatever else it reads being known. Of anything else come
  the constants that stand in it, and their neighbours.
- These are proposals: polarity is ignored, and only a judgement makes a remedy of one.

Clauses: S9.1, S9.2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias, Union

from demur.core.cel import walk
from demur.core.cel.evaluate import constant
from demur.core.cel.ir import Call, Choose, Const, FactRef, HasFact, Local, Macro, MakeList, Node
from demur.core.conform import ConformError, conform
from demur.core.policy import needs
from demur.core.schema import Kind
from demur.core.terms import NANOS, Duration, Missing, State, Timestamp, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from demur.core.schema import Fact, Type

    Read: TypeAlias = Callable[[Node], object]
    """The value of a node that does not read the fact; anything that is no value where it has none."""

Number: TypeAlias = Union[int, float]
Line: TypeAlias = tuple[Number, Number]
"""`a * fact + b`."""

MAX_ITEMS = 64
"""Of a list, so many items are looked at one by one."""

MAX_DIGITS = 15
"""A double of more digits is offered only where none of fewer will do."""

_COMPARED = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_OF_TEXT = frozenset({"@in", "startsWith", "endsWith", "contains"})
_ORDERED = frozenset({Kind.INT, Kind.DOUBLE, Kind.TIMESTAMP, Kind.DURATION})
_SMALL = (0.01, 1e-06)
"""Steps off a bound of doubles: the first that does is offered."""


def turning(node: Node, slot: int, declared: Type, row: list[State], read: Read) -> Iterator[Value]:
    """The values of the fact in `slot` at which a part of the condition may turn; any may be proposed twice."""
    read = _of_facts(read)
    for part in _leaves(node, slot):
        match part:
            case FactRef():
                yield from (True, False) if declared.kind is Kind.BOOL else ()
            case Call(args=(left, right)) if part.op in _COMPARED:
                yield from _comparison(left, right, slot, declared, row, read)
            case Call(args=(FactRef(slot=found), other)) if found == slot and part.op in _OF_TEXT:
                yield from _options(part.op, other, read)
            case Call(op="@in", args=(member, FactRef(slot=found))) if found == slot:
                yield from _with_member(member, row[slot], read)
            case Macro():
                yield from _items(row[slot], part)
            case _:
                yield from _constants((part,), declared)


def _of_facts(read: Read) -> Read:
    """Read nothing that hangs on a variable: by itself it has no value, for each item of the macro's list another."""
    return lambda node: None if _is_open(node, 0) else read(node)


def _is_open(node: Node, within: int) -> bool:
    match node:
        case Local(depth=depth):
            return depth >= within
        case Macro(range=around):
            inner = (part for part in walk.children(node) if part is not around)
            return _is_open(around, within) or any(_is_open(part, within + 1) for part in inner)
        case _:
            return any(_is_open(part, within) for part in walk.children(node))


def fits(value: State, fact: Fact) -> bool:
    """Whether the fact may have this value at all."""
    if value is Missing.ABSENT:
        return fact.optional
    try:
        conform(value, fact.type)
    except ConformError:
        return False
    return not fact.one_of or value in fact.one_of


def together(proposed: Iterable[State], current: State) -> list[Value]:
    """Of lists that each have one item more, the list that has them all; and what is new in it, alone."""
    present = current if isinstance(current, (list, tuple)) else ()
    added: list[Value] = []
    for value in proposed:
        if isinstance(value, list):
            added += [item for item in value if item not in present and item not in added]
    return [[*present, *added], added] if len(added) + bool(present) > 1 and added else []


def nearest_first(values: Iterable[State], current: State) -> list[State]:
    """Each value once, without the current one: numbers and times by distance, others as they come, absence last."""
    seen: dict[object, State] = {}
    for value in values:
        seen.setdefault(_key(value), value)
    seen.pop(_key(current), None)
    found = list(seen.values())
    base = _number(current) or 0
    if all(type(item) is int for item in found):
        return sorted(found, key=lambda item: (abs(item - base), item))  # type: ignore[operator]  # ints all
    found.sort(key=lambda item: _rank(item, base))
    return found


def _rank(item: State, base: Number) -> tuple[bool, bool, Number, Number]:
    """Plain numbers before those that only a computer would write; of two at one distance the smaller."""
    number = _number(item)
    if number is None:
        return isinstance(item, Missing), False, 0, 0
    is_odd = len(repr(number)) > MAX_DIGITS if isinstance(item, float) else _has_fraction(item)
    return False, is_odd, abs(number - base), number


def _has_fraction(item: State) -> bool:
    return isinstance(item, (Timestamp, Duration)) and item.nanos % NANOS != 0


def _key(value: State) -> object:
    return (type(value).__name__, repr(value)) if isinstance(value, (list, dict, Missing)) else value


def _leaves(node: Node, slot: int) -> Iterator[Node]:
    """The smallest parts that are true or false by themselves and read the fact."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if slot not in needs.slots_read(part):
            continue
        match part:
            case HasFact():
                continue
            case Macro() if slot not in needs.slots_read(part.range):
                waiting.append(part.body)
            case Call() | Macro() | FactRef():
                yield part
            case _:
                waiting.extend(walk.children(part))


def _comparison(left: Node, right: Node, slot: int, declared: Type, row: list[State], read: Read) -> Iterator[Value]:
    bound = _bound(left, right, slot, read) if declared.kind in _ORDERED else None
    if bound is not None:
        yield from _around(bound, declared.kind)
        return
    for one, other in ((left, right), (right, left)):
        if slot in needs.slots_read(other):
            continue
        if isinstance(one, FactRef) and not _is_open(other, 0):
            yield from _equal(read(other))
            return
        if isinstance(one, Call) and one.op == "size" and isinstance(one.args[0], FactRef):
            yield from _cut(row[slot], read(other))
            return
    yield from _constants((left, right), declared)


def _equal(value: object) -> Iterator[Value]:
    if isinstance(value, bool):
        yield from (value, not value)
    elif isinstance(value, (str, list)):
        yield value


def _options(op: str, other: Node, read: Read) -> Iterator[Value]:
    """The texts or numbers that a fact is looked for among, begins or ends with, or contains."""
    parts = other.items if isinstance(other, MakeList) else (other,)
    for part in parts:
        value = read(part)
        if isinstance(value, (list, tuple)) and op == "@in":
            yield from value
        elif isinstance(value, (bool, int, float, str, Timestamp, Duration)):
            yield value
            if type(value) is int:  # what is in no list may be next to one of its members
                yield from (value - 1, value + 1)


def _with_member(member: Node, current: State, read: Read) -> Iterator[Value]:
    value = read(member)
    if isinstance(value, (str, bool, int, float)):
        items = list(current) if isinstance(current, (list, tuple)) else []
        yield [item for item in items if item != value]
        yield from ([*items, value], [value])


def _cut(current: State, size: object) -> Iterator[Value]:
    if isinstance(size, int) and isinstance(current, (str, list, tuple)):
        for length in (size, size - 1):
            if 0 <= length < len(current):
                yield current[:length]


def _items(current: State, macro: Macro) -> Iterator[Value]:
    """A list without one of its items, each of its items alone, nothing; with and without what the macro names."""
    items = list(current[:MAX_ITEMS]) if isinstance(current, (list, tuple)) else []
    element = macro.range.type.element
    named = [
        constant(part)
        for part in walk.nodes(macro.body)
        if isinstance(part, Const) and element is not None and part.type.kind is element.kind
    ]
    for value in named:
        yield [item for item in items if item != value]
        yield from ([*items, value], [value])
    yield [item for item in items if item not in named]
    yield [item for item in items if item in named]
    yield from (items[:index] + items[index + 1 :] for index in range(len(items)))
    yield from ([item] for item in items)
    yield []


def _constants(parts: Iterable[Node], declared: Type) -> Iterator[Value]:
    """The constants of the fact's type that occur in a condition that cannot be solved, with their neighbours."""
    found: list[Value] = [
        constant(part)
        for whole in parts
        for part in walk.nodes(whole)
        if isinstance(part, Const) and part.type.kind is declared.kind
    ]
    ints = [value for value in found if type(value) is int]
    found += [one // other for one in ints for other in ints if other]
    for value in found:
        number = _number(value)
        if declared.kind in _ORDERED and number is not None:
            yield from _around(number, declared.kind)
        else:
            yield value


def _bound(left: Node, right: Node, slot: int, read: Read) -> Number | None:
    """Where the two sides are equal; for whole numbers rounded down."""
    one, other = line(left, slot, read), line(right, slot, read)
    if one is None or other is None or one[0] == other[0]:
        return None
    rise, run = other[1] - one[1], one[0] - other[0]
    if isinstance(rise, int) and isinstance(run, int):
        return rise // run
    bound = rise / run
    return bound if math.isfinite(bound) else None


def line(node: Node, slot: int, read: Read) -> Line | None:
    """The node as a line over the fact, times in nanoseconds; `None` where it is none."""
    match node:
        case FactRef(slot=found) if found == slot:
            return 1, 0
        case _ if slot not in needs.slots_read(node):
            number = _number(read(node))
            return None if number is None else (0, number)
        case Call():
            return _call(node, slot, read)
        case Choose():
            return line(_branch(node, slot, read), slot, read)
        case _:
            return None


def _call(node: Call, slot: int, read: Read) -> Line | None:
    parts = [line(part, slot, read) for part in node.args]
    match node.op, parts:
        case "-_", [inner]:
            return _scaled(inner, -1)
        case "int" | "double", [inner] if node.args[0].type.kind in {Kind.INT, Kind.DOUBLE}:
            return inner
        case "_+_" | "_-_" | "_*_", [left, right]:
            return _joined(node.op, left, right)
        case _:
            return None


def _branch(node: Choose, slot: int, read: Read) -> Node:
    """The branch that is taken, the fact being there."""
    if slot in needs.slots_read(node.condition):
        return node.yes if isinstance(node.condition, HasFact) else node.condition
    return node.yes if read(node.condition) is True else node.no


def _joined(op: str, left: Line | None, right: Line | None) -> Line | None:
    if left is None or right is None:
        return None
    match op:
        case "_+_":
            return left[0] + right[0], left[1] + right[1]
        case "_-_":
            return left[0] - right[0], left[1] - right[1]
        case _ if not left[0]:
            return _scaled(right, left[1])
        case _:
            return _scaled(left, right[1]) if not right[0] else None


def _scaled(found: Line | None, factor: Number) -> Line | None:
    return None if found is None else (found[0] * factor, found[1] * factor)


def _number(value: object) -> Number | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Timestamp() | Duration():
            return value.nanos
        case _:
            return None


def _around(bound: Number, kind: Kind) -> Iterator[Value]:
    """The values just below, at and just above a bound."""
    whole = math.floor(bound)
    match kind:
        case Kind.DOUBLE:
            yield from _doubles(float(bound))
        case Kind.TIMESTAMP:
            yield from (Timestamp(whole + step) for step in (-NANOS, -1, 0, 1, NANOS))
        case Kind.DURATION:
            yield from (Duration(whole + step) for step in (-NANOS, -1, 0, 1, NANOS))
        case _:
            yield from (whole - 1, whole, whole + 1)


def _doubles(bound: float) -> Iterator[float]:
    yield bound
    for step in _SMALL:
        size = step * max(1.0, 10.0 ** math.floor(math.log10(abs(bound)))) if bound else step
        yield from (round(bound - size, 12), round(bound + size, 12))
    yield from (math.nextafter(bound, -math.inf), math.nextafter(bound, math.inf))
