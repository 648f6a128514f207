"""The cost budget of one evaluation, and what a linked condition passes around.

A linked part is a closure over the *row*: the values of the facts by slot. Where a condition has macros or builds text
and lists, the row is copied and followed by one cell for each level of macro variables and, last, the meter. One
evaluation has its own cells, so a program may run in many threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, Union

from demur.core.cel.truth import Result
from demur.core.terms import Missing

MAX_STEPS = 1_000_000
"""Steps of one evaluation: nodes evaluated in macros, members of lists built or compared, pieces of text."""


class ExhaustedError(Exception):
    """The budget is spent; never leaves the evaluator, which turns it into a fault."""


class Meter:
    """Counts down the steps of one evaluation."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def charge(self, steps: int) -> None:
        """Spend steps; raises `ExhaustedError` when none are left."""
        self.left -= steps
        if self.left < 0:
            raise ExhaustedError


Cell: TypeAlias = Union[Result, Missing, Meter]
Env: TypeAlias = Sequence[Cell]
Closure: TypeAlias = Callable[[Env], Result]


def meter_of(env: Env) -> Meter:
    """The meter of a metered evaluation."""
    meter = env[-1]
    assert isinstance(meter, Meter)
    return meter
