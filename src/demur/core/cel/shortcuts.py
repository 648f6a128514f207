"""Closures for what conditions mostly are: a fact against a constant, a fact in a list of constants.

They read the row directly and make no object unless the fact is missing. Each is the general closure, made short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from demur.core.cel.ir import Call, Const, FactRef, MakeList
from demur.core.cel.truth import Fault, Result, Unknown
from demur.core.schema import Kind
from demur.core.terms import Missing, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from demur.core.cel.meter import Closure


class Ordered(Protocol):
    """A value of an ordered kind, as the checker has made sure."""

    def __lt__(self, other: object, /) -> bool: ...
    def __le__(self, other: object, /) -> bool: ...
    def __gt__(self, other: object, /) -> bool: ...
    def __ge__(self, other: object, /) -> bool: ...


_UNKNOWN: Final = Missing.UNKNOWN
_ABSENT: Final = Missing.ABSENT
_SCALARS = frozenset({Kind.BOOL, Kind.INT, Kind.DOUBLE, Kind.STRING, Kind.TIMESTAMP, Kind.DURATION})
SEARCHED = _SCALARS - {Kind.DOUBLE}
"""Kinds whose members Python finds as CEL does; it takes NaN for equal to itself."""
_MIRROR = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_", "_==_": "_==_", "_!=_": "_!=_"}


def read(path: str, slot: int) -> Closure:
    """The fact itself: its value, Unknown, or a Fault where it is absent (S2.1)."""
    unknown, absent = _missing(path)

    def run(row: Sequence[Result | Missing]) -> Result:
        value = row[slot]
        if value is _UNKNOWN:
            return unknown
        return absent if value is _ABSENT else value

    return cast("Closure", run)


def has(path: str, slot: int) -> Closure:
    """`has(path)`: true on a value, false on absent, Unknown on Unknown (S2.1)."""
    unknown = Unknown((path,))

    def run(row: Sequence[object]) -> Result:
        value = row[slot]
        return unknown if value is _UNKNOWN else value is not _ABSENT

    return cast("Closure", run)


def local(cell: int) -> Closure:
    """The variable of a macro."""
    return cast("Closure", lambda row: row[cell])


def comparison(node: Call, constant: Callable[[Const], Value]) -> Closure | None:
    """`fact op constant` or `constant op fact` of one scalar kind; None for anything else."""
    if node.op not in _MIRROR:
        return None
    left, right = node.args
    op = node.op
    if isinstance(left, Const):
        left, right, op = right, left, _MIRROR[op]
    if not isinstance(left, FactRef) or not isinstance(right, Const):
        return None
    if left.type.kind not in _SCALARS or left.type.kind is not right.type.kind:
        return None
    return _COMPARISONS[op](left.slot, cast("Ordered", constant(right)), *_missing(left.path))


def membership(node: Call, constant: Callable[[Const], Value]) -> Closure | None:
    """`fact in [constants]`; None for anything else."""
    if node.op != "@in":
        return None
    item, members = node.args
    if isinstance(item, FactRef) and isinstance(members, MakeList) and item.type.kind in _SCALARS:
        constants = [part for part in members.items if isinstance(part, Const) and part.type.kind is item.type.kind]
        if len(constants) == len(members.items):
            known = frozenset(constant(part) for part in constants)
            return _in_constants(item.slot, known, *_missing(item.path))
    return None


def holding(node: Call, constant: Callable[[Const], Value]) -> Closure | None:
    """`constant in fact`, which takes time in proportion to the fact; None for anything else."""
    if node.op != "@in":
        return None
    item, members = node.args
    if isinstance(item, Const) and isinstance(members, FactRef) and members.type.kind is Kind.LIST:
        element = members.type.element
        if element is not None and element.kind is item.type.kind and element.kind in SEARCHED:
            return _holds(members.slot, constant(item), *_missing(members.path))
    return None


def _missing(path: str) -> tuple[Unknown, Fault]:
    return Unknown((path,)), Fault(f"`{path}` is absent")


def _in_constants(slot: int, known: frozenset[Value], unknown: Unknown, absent: Fault) -> Closure:
    def run(row: Sequence[Value | Missing]) -> object:
        value = row[slot]
        if value is _UNKNOWN:
            return unknown
        if value is _ABSENT:
            return absent
        return value in known

    return cast("Closure", run)


def _holds(slot: int, item: Value, unknown: Unknown, absent: Fault) -> Closure:
    def run(row: Sequence[Sequence[Value] | Missing]) -> object:
        value = row[slot]
        if value is _UNKNOWN:
            return unknown
        if value is _ABSENT:
            return absent
        return item in value

    return cast("Closure", run)


def _less(slot: int, limit: Ordered, unknown: Unknown, absent: Fault) -> Closure:
    def run(row: Sequence[Ordered | Missing]) -> object:
        value = row[slot]
        if value is _UNKNOWN:
            return unknown
        if value is _ABSENT:
            return absent
        return value < limit

    return cast("Closure", run)


def _at_most(slot: int, limit: Ordered, unknown: Unknown, absent: Fault) -> Closure:
    def run(row: Sequence[Ordered | Missing]) -> object:
        value = row[slot]
        if value is _UNKNOWN:
            return unknown
        if value is _ABSENT:
            return absent
        return value <= limit

    return cast("Closure", run)


def _more(slot: int, limit: Ordered, unknown: Unknown, absent: Fault) -> Closure:
    def run(row: Sequence[Ordered | Missing]) -> object:
        value = row[slot]
        if value is _UNKNOWN:
            return unknown
        if value is _ABSENT:
            return absent
        return value > limit

    return cast("Closure", run)


def _at_least(slot: int, limit: Ordered, unknown: Unknown, absent: Fault) -> Closure:
    def run(row: Sequence[Ordered | Missing]) -> object:
        value = row[slot]
        if value is _UNKNOWN:
            return unknown
        if value is _ABSENT:
            return absent
        return value >= limit

    return cast("Closure", run)


def _same(slot: int, other: Ordered, unknown: Unknown, absent: Fault) -> Closure:
    def run(row: Sequence[Ordered | Missing]) -> object:
        value = row[slot]
        if value is _UNKNOWN:
            return unknown
        if value is _ABSENT:
            return absent
        return value == other

    return cast("Closure", run)


def _different(slot: int, other: Ordered, unknown: Unknown, absent: Fault) -> Closure:
    def run(row: Sequence[Ordered | Missing]) -> object:
        value = row[slot]
        if value is _UNKNOWN:
            return unknown
        if value is _ABSENT:
            return absent
        return value != other

    return cast("Closure", run)


_COMPARISONS: dict[str, Callable[[int, Ordered, Unknown, Fault], Closure]] = {
    "_<_": _less,
    "_<=_": _at_most,
    "_>_": _more,
    "_>=_": _at_least,
    "_==_": _same,
    "_!=_": _different,
}
