"""Decision -> what of its "no" may be told below operator: the reason, the conditions, the words, the obligations.

- A rule that reads a confidential fact is not told. In its place stands the ordinary rule that it `stands_for`, told
  exactly as if that one held; without one, the answer reads like that of an action that nothing permits.
- As in S3.2, a forbid that holds comes before what is unknown: beside a stand-in, no rule is told that might hold.
- Everything told follows from the rules that are told: category, disposition, reference, and whether a change may help.
- Where an ordinary rule is stood for, its refusals offer no remedy below operator either: that would tell them apart.

Clauses: S2.3, S3.2, S3.4, S9.4, S10.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from demur.core import obstacles
from demur.core.policy import duties
from demur.core.schema import Visibility
from demur.core.terms import Audience, Category, Disposition, Effect
from demur.core.wording import TRUSTED, Marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from demur.core.decision import Decision
    from demur.core.obstacles import Obstacle, Obstacles
    from demur.core.policy.document import Obligation, Rule
    from demur.core.schema import Fact, Schema

_PRECEDENCE = tuple(Category)
_OPEN = frozenset({Category.INSUFFICIENT_CONTEXT, Category.INDETERMINATE, Category.REQUIRES_HUMAN})
_UNSURE = frozenset({Category.INSUFFICIENT_CONTEXT, Category.INDETERMINATE})
"""Where these are why, no rule is known to hold, so none speaks or obliges (S2.1)."""
_DEFAULT = {
    Category.CATEGORICAL: Disposition.NEVER_RETRY,
    Category.INSUFFICIENT_CONTEXT: Disposition.SUPPLY_CONTEXT,
    Category.TEMPORAL: Disposition.RETRY_AFTER,
    Category.QUOTA_EXCEEDED: Disposition.RETRY_AFTER,
    Category.STATE_CONFLICT: Disposition.WAIT,
    Category.INDETERMINATE: Disposition.SEEK_AUTHORITY,
    Category.REQUIRES_HUMAN: Disposition.AWAIT_REVIEW,
    Category.UNAVAILABLE: Disposition.RETRY_AFTER,
}


class Reason(msgspec.Struct, frozen=True):
    """Why not, in closed words; `policy_reference` is the triggering rule, empty where no rule is."""

    category: Category
    disposition: Disposition
    policy_reference: str = ""


@dataclass(frozen=True, slots=True)
class Disclosed:
    """What is told. `confidential` are the deciding rules that are not, `stand_ins` what is told in their place."""

    reason: Reason
    messages: dict[Audience, dict[str, str]]
    obligations: tuple[Obligation, ...]
    confidential: tuple[str, ...] = ()
    stand_ins: tuple[Obstacle, ...] = ()
    is_remediable: bool = False
    is_withheld: bool = False


def of_all(decision: Decision, found: Obstacles) -> Disclosed:
    """What is told to those who run Demur: everything."""
    schema = decision.policy_set.schema
    category = decision.category or Category.INDETERMINATE
    trigger = next((rule for rule in found.rules if rule.id == decision.trigger), None)
    if trigger is None and found.rules:
        trigger = found.rules[0]  # Where nothing permits, the first of the permits that do not hold.
    # An author's words are true where the rule holds. Where facts are missing nobody knows whether it does (S2.1).
    speaker = None if decision.missing else trigger
    advice = disposition(category, speaker, is_changeable=_is_changeable(schema, found.conditions))
    return Disclosed(
        reason=Reason(category, advice, trigger.id if trigger else ""),
        messages=speaker.messages if speaker else {},
        obligations=decision.obligations,
        is_remediable=category is not Category.CATEGORICAL and _is_remediable(schema, found.conditions),
    )


def below_operator(decision: Decision, found: Obstacles, whole: Disclosed) -> Disclosed:
    """What is told to agents and end users."""
    policies = decision.policy_set
    hidden = {rule.id: rule for rule in found.rules if obstacles.is_confidential(rule, decision)}
    is_withheld = any(rule.effect is not Effect.PERMIT for rule in hidden.values()) or _is_stood_for(decision, found)
    if not hidden:
        return replace(whole, is_withheld=is_withheld)
    told = [rule for rule in found.rules if rule.id not in hidden]
    standing = {rule.stands_for for rule in hidden.values() if rule.stands_for}
    if standing and whole.reason.category in _OPEN:
        hidden |= {rule.id: rule for rule in told}
        told = []
    standing -= {rule.id for rule in told}
    extra = [policies.rule(name) for name in sorted(standing)]
    stand_ins = tuple(item for rule in extra for item in obstacles.standing_in(rule, decision))
    conditions = [*(item for item in found.conditions if item.rule not in hidden), *stand_ins]
    rules = sorted((*told, *extra), key=lambda rule: rule.id)
    reason = _reason(whole.reason, rules, is_open=not extra, schema=policies.schema, conditions=conditions)
    holds = bool(extra) or whole.reason.category not in _UNSURE
    obliging = [rule for rule in rules if rule.effect is not Effect.PERMIT] if holds else []
    return Disclosed(
        reason=reason,
        messages=next((rule.messages for rule in rules if rule.id == reason.policy_reference and holds), {}),
        obligations=duties.union(obliging),
        confidential=tuple(sorted(hidden)),
        stand_ins=stand_ins,
        is_remediable=reason.category is not Category.CATEGORICAL and _is_remediable(policies.schema, conditions),
        is_withheld=is_withheld,
    )


def disposition(category: Category, rule: Rule | None, *, is_changeable: bool) -> Disposition:
    """What the caller should do: what the triggering rule says, else the default of the category."""
    if rule is not None and rule.disposition is not None:
        return rule.disposition
    fallback = Disposition.MODIFY if is_changeable else Disposition.SEEK_AUTHORITY
    return _DEFAULT.get(category, fallback)


def marks(schema: Schema, action: str, conditions: Iterable[Obstacle]) -> Marks:
    """By fact that these conditions read: how much of it an audience may see, where that is not all of it."""
    declared = schema.actions.get(action)
    arguments = {fact.path: fact for fact in declared.arguments} if declared else {}
    found: Marks = {}
    for path in {path for item in conditions for path in (*item.reads, *item.facts)}:
        fact = arguments.get(path) or schema.facts.get(path)
        if fact is not None and any(level is not Visibility.SHOW for level in fact.visible.values()):
            found[path] = {audience: level for audience, level in fact.visible.items() if audience not in TRUSTED}
    return found


def _reason(
    whole: Reason, rules: Sequence[Rule], *, is_open: bool, schema: Schema, conditions: Sequence[Obstacle]
) -> Reason:
    """The reason that these rules give. Where there is none, it is the one of a default deny."""
    if not rules:
        return Reason(Category.SCOPE_EXCEEDED, Disposition.SEEK_AUTHORITY)
    if is_open and whole.category in _OPEN:
        return msgspec.structs.replace(whole, policy_reference=rules[0].id)
    category = min((rule.category or whole.category for rule in rules), key=_PRECEDENCE.index)
    trigger = next(rule for rule in rules if (rule.category or whole.category) is category)
    advice = disposition(category, trigger, is_changeable=_is_changeable(schema, conditions))
    return Reason(category, advice, trigger.id)


def _is_stood_for(decision: Decision, found: Obstacles) -> bool:
    request = decision.facts.request
    told = {rule.id for rule in found.rules}
    candidates = decision.policy_set.candidates(request.action, request.resource.type)
    return any(rule.stands_for in told for rule in candidates if rule.stands_for)


def _is_changeable(schema: Schema, conditions: Iterable[Obstacle]) -> bool:
    """Whether the requester may change a fact that these read, in a further request (S9.2)."""
    return any(fact.change is not None for path in _paths(conditions) for fact in _declared(schema, path))


def _is_remediable(schema: Schema, conditions: Iterable[Obstacle]) -> bool:
    """Whether a fact that these read can come to be different: changed, obtained, awaited, or by time (S9.2)."""
    return any(
        path == "time.now"
        or path in schema.counters
        or any(fact.change or fact.obtain or fact.awaits for fact in _declared(schema, path))
        for path in _paths(conditions)
    )


def _paths(conditions: Iterable[Obstacle]) -> set[str]:
    return {path for item in conditions for path in item.facts}


def _declared(schema: Schema, path: str) -> list[Fact]:
    """All declarations of a path: one for a fact, one for each action that has an argument of this name."""
    if path in schema.facts:
        return [schema.facts[path]]
    return [fact for action in schema.actions.values() for fact in action.arguments if fact.path == path]
