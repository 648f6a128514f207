"""The macros `all`, `exists`, `exists_one`, `filter` and `map`, over the members of a list or the keys of a map.

`all` and `exists` are Kleene's conjunction and disjunction over the members; the others are strict in every member.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from demur.core.cel.containers import is_list
from demur.core.cel.meter import Cell, Closure, Env, meter_of
from demur.core.cel.overload import no_overload
from demur.core.cel.truth import STOPS, Fault, Result, Unknown, stop, undecided

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demur.core.terms import Value


class Loop(NamedTuple):
    """What all macros share: the range, the cell of the variable, and the steps that one round is worth."""

    range: Closure
    cell: int
    steps: int

    def rounds(self, env: Env, items: Iterable[Value]) -> Iterator[Value]:
        """Each member in turn, in the variable's cell, charged to the meter."""
        meter, cells = meter_of(env), cast("list[Cell]", env)
        for item in items:
            meter.charge(self.steps)
            cells[self.cell] = item
            yield item


def quantify(loop: Loop, body: Closure, *, deciding: bool) -> Closure:
    """`exists` (true decides) or `all` (false decides)."""

    def run(env: Env) -> Result:
        items = _members(loop.range(env))
        if isinstance(items, Unknown | Fault):
            return items
        worst: Unknown | Fault | None = None
        for _ in loop.rounds(env, items):
            result = body(env)
            if result is deciding:
                return deciding
            if not isinstance(result, bool):
                worst = undecided(worst, result)
        return (not deciding) if worst is None else worst

    return run


def count_one(loop: Loop, body: Closure) -> Closure:
    """`exists_one`: whether exactly one member satisfies the body; every member must have an answer."""

    def run(env: Env) -> Result:
        items = _members(loop.range(env))
        if isinstance(items, Unknown | Fault):
            return items
        count, stopped = 0, _Stopped()
        for _ in loop.rounds(env, items):
            if stopped.takes(body(env)):
                count += 1
        return stopped.result or count == 1

    return run


def keep(loop: Loop, body: Closure) -> Closure:
    """`filter`: the members that satisfy the body."""

    def run(env: Env) -> Result:
        items = _members(loop.range(env))
        if isinstance(items, Unknown | Fault):
            return items
        stopped = _Stopped()
        kept = [item for item in loop.rounds(env, items) if stopped.takes(body(env))]
        return stopped.result or kept

    return run


def transform(loop: Loop, body: Closure, filter_body: Closure | None) -> Closure:
    """`map`: the body's value for each member, or for those that satisfy the filter."""

    def run(env: Env) -> Result:
        items = _members(loop.range(env))
        if isinstance(items, Unknown | Fault):
            return items
        stopped = _Stopped()
        made = [body(env) for _ in loop.rounds(env, items) if filter_body is None or stopped.takes(filter_body(env))]
        stops = [value for value in made if value.__class__ in STOPS]
        if stopped.result or stops:
            return stop((stopped.result, *stops))
        return cast("Value", made)

    return run


class _Stopped:
    """Remembers what kept a strict macro from an answer."""

    __slots__ = ("result",)

    def __init__(self) -> None:
        self.result: Unknown | Fault | None = None

    def takes(self, result: Result) -> bool:
        """Whether the member counts; what is neither true nor false is remembered."""
        if result is True or result is False:
            return result
        self.result = undecided(self.result, result)
        return False


def _members(value: Result) -> Iterable[Value] | Unknown | Fault:
    if isinstance(value, Unknown | Fault | Mapping) or is_list(value):
        return cast("Iterable[Value]", value)
    return no_overload("macro", (value,))
