"""A test of one fact against constants, and its truth at every place on the line of values.

    fact <= 5  and  fact != 3       constants 3 and 5, five places:   ..3 | 3 | 3..5 | 5 | 5..
                                                                     true false true true false

Between two constants nothing changes, so a test needs to be judged only once per place. Clauses: S2.1, S3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, Union

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

Key: TypeAlias = Union[bool, int, float, str]
"""A constant as tables hold it; instants and durations as nanoseconds."""


class Compare(msgspec.Struct, frozen=True):
    """The fact `op` a constant."""

    op: str
    constant: Key


class OneOf(msgspec.Struct, frozen=True):
    """The fact equals one of the constants."""

    constants: frozenset[Key]


class Given(msgspec.Struct, frozen=True):
    """`has(fact)`."""


class Every(msgspec.Struct, frozen=True):
    """All parts hold."""

    parts: tuple[Test, ...]


class Some(msgspec.Struct, frozen=True):
    """One part holds."""

    parts: tuple[Test, ...]


class Inverse(msgspec.Struct, frozen=True):
    """The part does not hold."""

    part: Test


Test: TypeAlias = Union[Compare, OneOf, Given, Every, Some, Inverse]


def either(tests: tuple[Test, ...]) -> Test:
    """The disjunction; equalities become one look into a set, so that long lists of options cost no more."""
    sets = [_equals(test) for test in tests]
    known = [keys for keys in sets if keys is not None]
    return OneOf(frozenset().union(*known)) if len(known) == len(sets) else Some(tests)


def _equals(test: Test) -> frozenset[Key] | None:
    match test:
        case Compare(op="_==_"):
            return frozenset({test.constant})
        case OneOf():
            return test.constants
        case _:
            return None


class Places:
    """The constants of one fact in order. Each stands at an odd place; what lies between them at even ones."""

    __slots__ = ("keys", "of")

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = sorted(keys)
        self.of: dict[Key, int] = {key: 2 * index + 1 for index, key in enumerate(self.keys)}

    def key(self, place: int) -> Key | None:
        """The constant at a place; `None` between constants."""
        return self.keys[place // 2] if place % 2 else None


def constants(test: Test) -> frozenset[Key]:
    """Every constant that the test compares with."""
    match test:
        case Compare():
            return frozenset({test.constant})
        case OneOf():
            return test.constants
        case Given():
            return frozenset()
        case Every() | Some():
            return frozenset().union(*(constants(part) for part in test.parts))
        case Inverse():
            return constants(test.part)


def steps(test: Test) -> int:
    """How many comparisons the test takes at most."""
    match test:
        case Compare() | OneOf() | Given():
            return 1
        case Every() | Some():
            return sum(steps(part) for part in test.parts)
        case Inverse():
            return steps(test.part)


def holds(test: Test, place: int, places: Places) -> bool:
    """Whether a present value at `place` passes."""
    match test:
        case Compare():
            return _ORDER[test.op](place, places.of[test.constant])
        case OneOf():
            return places.key(place) in test.constants
        case Given():
            return True
        case Every():
            return all(holds(part, place, places) for part in test.parts)
        case Some():
            return any(holds(part, place, places) for part in test.parts)
        case Inverse():
            return not holds(test.part, place, places)


_ORDER = {
    "_==_": int.__eq__,
    "_!=_": int.__ne__,
    "_<_": int.__lt__,
    "_<=_": int.__le__,
    "_>_": int.__gt__,
    "_>=_": int.__ge__,
}


def holds_for_nan(test: Test) -> bool:
    """Whether a NaN passes: it equals nothing and has no order."""
    match test:
        case Compare():
            return test.op == "_!=_"
        case OneOf():
            return False
        case Given():
            return True
        case Every():
            return all(holds_for_nan(part) for part in test.parts)
        case Some():
            return any(holds_for_nan(part) for part in test.parts)
        case Inverse():
            return not holds_for_nan(test.part)


def holds_when_absent(test: Test) -> bool | None:
    """Whether an absent fact passes; `None` where reading it fails."""
    match test:
        case Compare() | OneOf():
            return None
        case Given():
            return False
        case Every():
            return _weigh(test.parts, decisive=False)
        case Some():
            return _weigh(test.parts, decisive=True)
        case Inverse():
            inner = holds_when_absent(test.part)
            return None if inner is None else not inner


def _weigh(parts: tuple[Test, ...], *, decisive: bool) -> bool | None:
    results = [holds_when_absent(part) for part in parts]
    if decisive in results:
        return decisive
    return None if None in results else not decisive
