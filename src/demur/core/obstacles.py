"""What stands in the way of an allow: the rules that decided, and each of their conditions that is not as it must be.

- Of a forbid or a review that holds: every condition that makes it hold, and every exception that would lift it.
- Of a rule that is unknown or failed: the conditions that are unknown or failed.
- Where nothing permits: of every permit that covers the action, the conditions that do not hold.

Clauses: S3.2, S3.4, S9 (missing conditions are complete even where no remedy is known).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core.decision import Decision, explain
from demur.core.policy.explanation import Truth
from demur.core.terms import Category, Effect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.core.policy.document import Rule
    from demur.core.policy.explanation import ConditionTruth, RuleTruth
    from demur.core.schema import Schema

MAX_PERMITS = 100
"""Of so many permits on one action, at most, the failed conditions are told."""


class Standing(StrEnum):
    """How a condition stands in the way: it holds and should not, it should hold, it is not known, it failed."""

    HOLDS = "holds"
    LACKING = "lacking"
    UNKNOWN = "unknown"
    FAILED = "failed"


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """One condition that stands in the way, the rule it belongs to and the facts it reads.

    `facts` of an unknown condition are only those that are missing.
    """

    rule: str
    condition: str
    explanation: str
    facts: tuple[str, ...]
    state: Standing
    is_confidential: bool = False
    reads: tuple[str, ...] = ()
    """Every fact that the condition reads."""


@dataclass(frozen=True, slots=True)
class Obstacles:
    """Everything in the way. `rules` are those that decided or, where nothing permits, the permits that do not hold."""

    rules: tuple[Rule, ...]
    conditions: tuple[Obstacle, ...]
    escalation_roles: tuple[str, ...]


def find(decision: Decision) -> Obstacles:
    """What stands between this decision and an allow; empty conditions for a rule that has none."""
    policies, request = decision.policy_set, decision.facts.request
    candidates = policies.candidates(request.action, request.resource.type)
    rules = tuple(policies.rule(name) for name in decision.determining)
    if decision.category is Category.SCOPE_EXCEEDED and not rules:
        rules = tuple(rule for rule in candidates if rule.effect is Effect.PERMIT)[:MAX_PERMITS]
    told = explain(decision.facts, policies, decision, rules=[rule.id for rule in rules])
    conditions = tuple(item for rule in told.rules for item in _of(rule, decision, policies.schema))
    roles = sorted({rule.panel.role for rule in candidates if rule.panel is not None})
    return Obstacles(rules, conditions, tuple(roles))


def _of(told: RuleTruth, decision: Decision, schema: Schema) -> Iterator[Obstacle]:
    for clause in told.clauses:
        if clause.truth is Truth.TRUE and told.truth is not Truth.TRUE:
            continue  # A group that holds has done its part; what its other members lack is in nobody's way.
        for item in clause.conditions:
            if _is_in_the_way(item.truth, told.truth, told.rule.effect, is_unless=clause.is_unless):
                yield _obstacle(told.rule, item, schema, decision)


def _is_in_the_way(truth: Truth, whole: Truth, effect: Effect, *, is_unless: bool) -> bool:
    """Whether a condition with this truth keeps its rule from being what an allow needs it to be."""
    if whole in {Truth.UNKNOWN, Truth.ERROR}:
        return truth is whole
    wanted = Truth.TRUE if effect is Effect.PERMIT else Truth.FALSE
    if is_unless:
        wanted = Truth.FALSE if wanted is Truth.TRUE else Truth.TRUE
    return truth is not wanted


def _obstacle(rule: Rule, item: ConditionTruth, schema: Schema, decision: Decision) -> Obstacle:
    action = schema.actions.get(decision.facts.request.action)
    declared = {fact.path: fact for fact in action.arguments} if action else {}
    facts = [declared.get(path) or schema.facts.get(path) for path in item.reads]
    return Obstacle(
        rule=rule.id,
        condition=item.condition.name,
        explanation=item.condition.explanation,
        facts=item.missing if item.truth is Truth.UNKNOWN else item.reads,
        state=_STANDING[item.truth],
        is_confidential=any(fact is not None and fact.confidential for fact in facts),
        reads=item.reads,
    )


def standing_in(rule: Rule, decision: Decision) -> tuple[Obstacle, ...]:
    """What would be told of this rule if it held: the conditions that make it hold, and the exceptions that do not."""
    return tuple(
        Obstacle(
            rule=rule.id,
            condition=condition.name,
            explanation=condition.explanation,
            facts=reads,
            state=Standing.LACKING if is_unless else Standing.HOLDS,
            reads=reads,
        )
        for _, is_unless, members in decision.policy_set.prepared(rule)
        for condition, _, reads in members
    )


_STANDING = {
    Truth.TRUE: Standing.HOLDS,
    Truth.FALSE: Standing.LACKING,
    Truth.UNKNOWN: Standing.UNKNOWN,
    Truth.ERROR: Standing.FAILED,
}


def is_confidential(rule: Rule, decision: Decision) -> bool:
    """Whether any condition of the rule reads a confidential fact, so that the rule may not be told below operator."""
    schema = decision.policy_set.schema
    paths = {schema.slots[slot].path for slot in decision.policy_set.reads(rule.id)}
    return any(path in schema.facts and schema.facts[path].confidential for path in paths)
