"""Numbers: 64-bit integers that fault instead of wrapping, IEEE 754 doubles, and order within each kind."""

from __future__ import annotations

import math
import operator

from demur.core.cel.overload import Library, Overload
from demur.core.cel.truth import Fault
from demur.core.schema import Kind

MIN_INT, MAX_INT = -(2**63), 2**63 - 1
_OVERFLOW = Fault("integer overflow")

_ORDERED = (Kind.BOOL, Kind.INT, Kind.DOUBLE, Kind.STRING, Kind.TIMESTAMP, Kind.DURATION)
_MIXED = ((Kind.INT, Kind.DOUBLE), (Kind.DOUBLE, Kind.INT))


def fit(number: int) -> int | Fault:
    """The number, or a fault where it does not fit into 64 bits."""
    return number if MIN_INT <= number <= MAX_INT else _OVERFLOW


def _add(left: int, right: int) -> int | Fault:
    return fit(left + right)


def _subtract(left: int, right: int) -> int | Fault:
    return fit(left - right)


def _multiply(left: int, right: int) -> int | Fault:
    return fit(left * right)


def _divide(left: int, right: int) -> int | Fault:
    if right == 0:
        return Fault("division by zero")
    quotient = abs(left) // abs(right)
    return fit(quotient if (left < 0) == (right < 0) else -quotient)


def _modulo(left: int, right: int) -> int | Fault:
    if right == 0:
        return Fault("modulus by zero")
    if left == MIN_INT and right == -1:
        return _OVERFLOW
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def _divide_double(left: float, right: float) -> float:
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _negate(number: int) -> int | Fault:
    return fit(-number)


_INTS = (Kind.INT, Kind.INT)
_DOUBLES = (Kind.DOUBLE, Kind.DOUBLE)

OVERLOADS: Library = {
    "_+_": {_INTS: Overload(Kind.INT, _add), _DOUBLES: Overload(Kind.DOUBLE, operator.add)},
    "_-_": {_INTS: Overload(Kind.INT, _subtract), _DOUBLES: Overload(Kind.DOUBLE, operator.sub)},
    "_*_": {_INTS: Overload(Kind.INT, _multiply), _DOUBLES: Overload(Kind.DOUBLE, operator.mul)},
    "_/_": {_INTS: Overload(Kind.INT, _divide), _DOUBLES: Overload(Kind.DOUBLE, _divide_double)},
    "_%_": {_INTS: Overload(Kind.INT, _modulo)},
    "-_": {(Kind.INT,): Overload(Kind.INT, _negate), (Kind.DOUBLE,): Overload(Kind.DOUBLE, operator.neg)},
    **{
        name: {(kind, kind): Overload(Kind.BOOL, compare) for kind in _ORDERED}
        for name, compare in (
            ("_<_", operator.lt),
            ("_<=_", operator.le),
            ("_>_", operator.gt),
            ("_>=_", operator.ge),
        )
    },
}

MIXED: Library = {
    name: {kinds: Overload(Kind.BOOL, compare) for kinds in _MIXED}
    for name, compare in (("_<_", operator.lt), ("_<=_", operator.le), ("_>_", operator.gt), ("_>=_", operator.ge))
}
"""Order between integers and doubles, exact; only for values whose kind is not known before they are read."""
