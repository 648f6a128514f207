"""From what people approved to the bounds of a standing approval: the narrowest that covers it, and nothing denied.

- A number gets the range of what was approved, a text or another value the few that there were. What people write in
  sentences, and what was different nearly every time, stays free, and the words say so.
- Where a denied case lies within, a range is cut so that it does not, at the cost of the fewest approved cases.
  What cannot be cut away is counted and told.
- It is a proposal: a person reads it, narrows it, and grants it or not (S7.4).

Clauses: S7.1, S7.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.scope import Bound
from demur.core.terms import Missing, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demur.core.precedent import Case
    from demur.core.scope import Number
    from demur.core.terms import State, Value

MAX_VALUES = 8
"""Different values that are listed one by one; more of them are free."""
LEAST = 3
"""Approved cases without which nothing is proposed."""
_MAX_CUTS = 16


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What is proposed for the arguments: bounds and the words for each, by path."""

    arguments: dict[str, Bound]
    words: dict[str, str]
    approved: int
    """Approved cases within."""
    denied: int
    """Denied cases that could not be kept out."""


def propose(approved: Sequence[Case], denied: Sequence[Case], secret: Sequence[str] = ()) -> Bounds:
    """The bounds over what was approved; `secret` are paths of arguments that no case was kept with."""
    given = (item for case in approved for item in case.arguments.items())
    paths = sorted({path for path, value in given if not isinstance(value, Missing)})
    bounds, words = {}, {}
    for path in paths:
        bounds[path], words[path] = _bound([case.arguments.get(path, Missing.ABSENT) for case in approved])
    for path in secret:
        bounds[path], words[path] = Bound(is_free=True, may_be_absent=True), "secret and never kept, so left free"
    for _ in range(_MAX_CUTS):
        inside = [case for case in denied if is_within(bounds, case)]
        cut = _cut(bounds, inside[0], approved) if inside else None
        if cut is None:
            break
        path, bound = cut
        bounds[path], words[path] = bound, f"{_range(bound)}, which keeps out what was denied"
    return Bounds(
        arguments=bounds,
        words=words,
        approved=sum(is_within(bounds, case) for case in approved),
        denied=sum(is_within(bounds, case) for case in denied),
    )


def is_within(bounds: Mapping[str, Bound], case: Case) -> bool:
    """Whether a case lies within these bounds."""
    given = {path for path, value in case.arguments.items() if not isinstance(value, Missing)}
    return given <= bounds.keys() and all(
        _fits(bound, case.arguments.get(path, Missing.ABSENT)) for path, bound in bounds.items()
    )


def _bound(states: Sequence[State]) -> tuple[Bound, str]:
    known = [state for state in states if not isinstance(state, Missing)]
    may_be_absent = len(known) < len(states)
    if all(_is_number(value) for value in known):
        numbers: list[Number] = [value for value in known if isinstance(value, (int, float))]
        bound = Bound(at_least=min(numbers), at_most=max(numbers), may_be_absent=may_be_absent)
        return bound, f"{_range(bound)}, as approved"
    if any(isinstance(value, str) and len(value.split()) > 1 for value in known):
        return Bound(is_free=True, may_be_absent=may_be_absent), "written in sentences, so left free"
    different: list[Value] = []
    for value in known:
        # `False == 0`, yet they are different values.
        if not any(type(value) is type(one) and value == one for one in different):
            different.append(value)
    if len(different) > MAX_VALUES:
        return Bound(is_free=True, may_be_absent=may_be_absent), f"{len(different)} different values, so left free"
    return Bound(one_of=tuple(different), may_be_absent=may_be_absent), "what was approved, and nothing else"


def _cut(bounds: Mapping[str, Bound], case: Case, approved: Sequence[Case]) -> tuple[str, Bound] | None:
    """The bound of one argument that keeps this case out and most of what was approved in; `None` for none."""
    best: tuple[int, str, Bound] | None = None
    for path, bound in sorted(bounds.items()):
        value = case.arguments.get(path)
        if bound.at_most is None or not isinstance(value, (int, float)) or isinstance(value, bool):
            continue
        values = [one.arguments.get(path) for one in approved if is_within(bounds, one)]
        numbers = [one for one in values if isinstance(one, (int, float)) and not isinstance(one, bool)]
        below, above = [one for one in numbers if one < value], [one for one in numbers if one > value]
        for kept, edges in (
            (below, {"at_most": max(below, default=None)}),
            (above, {"at_least": min(above, default=None)}),
        ):
            if kept and (best is None or len(kept) > best[0]):
                best = len(kept), path, msgspec.structs.replace(bound, **edges)
    return None if best is None else best[1:]


def _fits(bound: Bound, state: State) -> bool:
    if isinstance(state, Missing):
        return bound.may_be_absent
    if bound.one_of:
        return any(type(state) is type(one) and state == one for one in bound.one_of)
    if bound.is_free:
        return True
    if not isinstance(state, (int, float)) or isinstance(state, bool):
        return False
    return (bound.at_least is None or bound.at_least <= state) and (bound.at_most is None or state <= bound.at_most)


def _is_number(value: State) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _range(bound: Bound) -> str:
    return f"from {to_json(bound.at_least)} to {to_json(bound.at_most)}"


__all__ = ["LEAST", "Bounds", "is_within", "propose"]
