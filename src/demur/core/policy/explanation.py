"""Rules -> why: the truth of every rule, clause and condition over one row of facts.

Conditions are evaluated one by one, without the index, so an explanation is also a second opinion on a decision.

Clauses: S2.2, S3.1.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core import cel
from demur.core.policy.document import Clause, Condition, Rule
from demur.core.schema import BUILT_IN
from demur.core.terms import State, Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from demur.core.cel import Program
    from demur.core.policy.index import PolicySet
    from demur.core.resolution import Facts


class Truth(StrEnum):
    """The truth of a condition, a clause or a rule."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"
    ERROR = "error"


class Seen(msgspec.Struct, frozen=True):
    """A fact as the decision saw it: its state, where it came from and when, and why it is unknown."""

    path: str
    state: State
    source: str
    at: Timestamp
    why: str = ""


class ConditionTruth(msgspec.Struct, frozen=True):
    """One condition as written, before any `unless` turns it around. `reads` names the facts it uses."""

    condition: Condition
    truth: Truth
    reads: tuple[str, ...]
    missing: tuple[str, ...] = ()
    fault: str = ""


class ClauseTruth(msgspec.Struct, frozen=True):
    """One clause of a rule. `truth` is what it does for the rule: false where an `unless` clause holds."""

    clause: Clause
    is_unless: bool
    truth: Truth
    conditions: tuple[ConditionTruth, ...]


class RuleTruth(msgspec.Struct, frozen=True):
    """One rule with its clauses, `when` before `unless`, in document order."""

    rule: Rule
    truth: Truth
    clauses: tuple[ClauseTruth, ...]

    @property
    def failed(self) -> tuple[ClauseTruth, ...]:
        """The clauses that keep the rule from being true."""
        return tuple(clause for clause in self.clauses if clause.truth is not Truth.TRUE)


class Explanation(msgspec.Struct, frozen=True):
    """The rules asked about, sorted by id, and every fact that they read, by path."""

    rules: tuple[RuleTruth, ...]
    facts: dict[str, Seen]


def explain(rules: Iterable[Rule], facts: Facts, policy_set: PolicySet) -> Explanation:
    """The truth of these rules over `facts`."""
    judged = tuple(_rule(rule, facts.values, policy_set) for rule in rules)
    paths = {slot for item in judged for slot in policy_set.reads(item.rule.id)}
    slots = policy_set.schema.slots
    return Explanation(judged, {slots[slot].path: _seen(slot, facts, policy_set) for slot in sorted(paths)})


def fault_of(rule: Rule, facts: Facts, policy_set: PolicySet) -> str:
    """The message of the first condition that made the rule fail."""
    for clause in _rule(rule, facts.values, policy_set).clauses:
        if clause.truth is Truth.ERROR:
            return next(condition.fault for condition in clause.conditions if condition.truth is Truth.ERROR)
    return "the rule could not be evaluated"


def _seen(slot: int, facts: Facts, policy_set: PolicySet) -> Seen:
    declared = policy_set.schema.slots[slot]
    origin = facts.provenance.get(slot)
    source = declared.source or ("request" if declared.path in BUILT_IN else "")
    if origin is None:
        return Seen(declared.path, facts.values[slot], source, facts.now)
    return Seen(declared.path, facts.values[slot], origin.source, origin.at, origin.why)


def _rule(rule: Rule, values: Sequence[State], policy_set: PolicySet) -> RuleTruth:
    clauses = []
    for clause, is_unless, members in policy_set.prepared(rule):
        conditions = tuple([_condition(condition, values, program, reads) for condition, program, reads in members])
        truth = conditions[0].truth
        if len(conditions) > 1:
            truth = weigh([item.truth for item in conditions], decisive=_TRUE)
        clauses.append(ClauseTruth(clause, is_unless, _OPPOSITE[truth] if is_unless else truth, conditions))
    return RuleTruth(rule, weigh([clause.truth for clause in clauses], decisive=_FALSE), tuple(clauses))


_TRUE, _FALSE = Truth.TRUE, Truth.FALSE  # looking a member up costs more than judging a condition
_OPPOSITE = {_TRUE: _FALSE, _FALSE: _TRUE, Truth.UNKNOWN: Truth.UNKNOWN, Truth.ERROR: Truth.ERROR}

_UNDECIDED = (Truth.UNKNOWN, Truth.ERROR)


def weigh(truths: Sequence[Truth], *, decisive: Truth) -> Truth:
    """Kleene: the decisive truth wins, then unknown, then error; else the opposite (S3.1)."""
    for candidate in (decisive, *_UNDECIDED):
        if candidate in truths:
            return candidate
    return _OPPOSITE[decisive]


def _condition(
    condition: Condition, values: Sequence[State], program: Program, reads: tuple[str, ...]
) -> ConditionTruth:
    result = program(values)
    if result is True:
        return ConditionTruth(condition, _TRUE, reads)
    if result is False:
        return ConditionTruth(condition, _FALSE, reads)
    if isinstance(result, cel.Unknown):
        return ConditionTruth(condition, Truth.UNKNOWN, reads, missing=result.paths)
    message = result.message if isinstance(result, cel.Fault) else "the condition is not true or false"
    return ConditionTruth(condition, Truth.ERROR, reads, fault=message)
