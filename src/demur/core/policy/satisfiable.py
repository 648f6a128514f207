"""Can a rule ever hold? Finds the contradictions that are plain to see, and claims nothing else.

    x == "a" && x == "b"        x > 5 && x < 3        frozen && !frozen        has(y) && !has(y)        false

- What must all hold is taken apart into tests of single facts; the tests of one fact are intersected.
- A test that is more than a comparison with a constant is left out, so a rule is never called impossible wrongly.
- An int has nothing between 3 and 4; a double has.

Clauses: S3.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demur.core.cel.ir import Const, Not
from demur.core.policy.atoms import Computed, Family, OnFact, pieces
from demur.core.policy.predicates import Compare, Every, Given, Inverse, OneOf
from demur.core.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demur.core.cel.ir import Node
    from demur.core.policy.document import Rule
    from demur.core.policy.predicates import Key, Test
    from demur.core.schema import Slot

_OPPOSITE = {"_==_": "_!=_", "_!=_": "_==_", "_<_": "_>=_", "_<=_": "_>_", "_>_": "_<=_", "_>=_": "_<_"}
_ORDERED = {Family.NUMBER, Family.INSTANT, Family.SPAN}


def contradiction(rule: Rule, slots: Sequence[Slot]) -> str:
    """Why the rule can never hold, as a path or `false`; empty where no contradiction is plain to see."""
    ranges: dict[tuple[int, Family], _Range] = {}
    for piece in pieces(rule):
        if isinstance(piece, Computed) and _is_false(piece.node):
            return "false"
        if not isinstance(piece, OnFact):
            continue
        is_whole = slots[piece.slot].type.kind is not Kind.DOUBLE
        for op, constant in _comparisons(piece.test, is_inverted=False):
            found = ranges.setdefault((piece.slot, piece.family), _Range(is_whole=is_whole))
            if not found.narrow(op, constant, is_ordered=piece.family in _ORDERED):
                return slots[piece.slot].path
    return ""


def _is_false(node: Node) -> bool:
    match node:
        case Const(value=bool(value)):
            return not value
        case Not(arg=Const(value=bool(value))):
            return value
        case _:
            return False


def _comparisons(test: Test, *, is_inverted: bool) -> Iterator[tuple[str, Key]]:
    """The comparisons that must hold whenever the test does."""
    match test:
        case Compare():
            yield (_OPPOSITE[test.op] if is_inverted else test.op), test.constant
        case OneOf(constants) if is_inverted or len(constants) == 1:
            yield from (("_!=_" if is_inverted else "_==_", constant) for constant in constants)
        case Given():
            yield "_==_", not is_inverted
        case Inverse():
            yield from _comparisons(test.part, is_inverted=not is_inverted)
        case Every() if not is_inverted:
            for part in test.parts:
                yield from _comparisons(part, is_inverted=False)
        case _:
            return


@dataclass(slots=True)
class _Range:
    """The values that one fact may still have."""

    is_whole: bool
    only: Key | None = None
    never: set[Key] = field(default_factory=set)
    least: float = -math.inf
    most: float = math.inf
    excludes_least: bool = False
    excludes_most: bool = False

    def narrow(self, op: str, constant: Key, *, is_ordered: bool) -> bool:
        """Take in one comparison; false where nothing is left."""
        if op == "_!=_":
            self.never.add(constant)
        elif op == "_==_":
            if self.only is not None and self.only != constant:
                return False
            self.only = constant
        elif isinstance(constant, (int, float)):
            self._limit(op, constant)
        return self._is_possible(is_ordered=is_ordered)

    def _limit(self, op: str, constant: float) -> None:
        is_strict = op in {"_<_", "_>_"}
        if op in {"_<_", "_<=_"}:
            if constant < self.most or (constant == self.most and is_strict):
                self.most, self.excludes_most = constant, is_strict
        elif constant > self.least or (constant == self.least and is_strict):
            self.least, self.excludes_least = constant, is_strict

    def _is_possible(self, *, is_ordered: bool) -> bool:
        if self.only is not None:
            return self.only not in self.never and (not is_ordered or self._is_within(self.only))
        if self.never >= {True, False} and not is_ordered:
            return False
        least, most = self.least, self.most
        if self.is_whole:
            least += self.excludes_least
            most -= self.excludes_most
            return least <= most
        return least < most or (least == most and not (self.excludes_least or self.excludes_most))

    def _is_within(self, value: Key) -> bool:
        if not isinstance(value, (int, float)):
            return True
        above = value > self.least or (value == self.least and not self.excludes_least)
        below = value < self.most or (value == self.most and not self.excludes_most)
        return above and below
