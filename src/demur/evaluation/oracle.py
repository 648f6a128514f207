"""A second, naive decision: every rule, every condition, one after the other, straight from the clauses of S3.

It shares no code with the decision that it checks: no index, no masks, and its own combination of rules. It is slow,
and meant to be read beside docs/spec/semantics.md.

Clauses: S3.1 to S3.6, S7.1.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from demur.core import cel
from demur.core.policy.document import AnyOf, Condition
from demur.core.terms import Category, Effect, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from demur.core.cel.overload import Zones
    from demur.core.policy.document import Clause, Documents, Narrowing, Rule
    from demur.core.resolution import Facts

Answer: TypeAlias = "bool | cel.Unknown | cel.Fault"

_ORDER = [
    "categorical",
    "policy_violation",
    "scope_exceeded",
    "state_conflict",
    "quota_exceeded",
    "temporal",
    "insufficient_context",
    "indeterminate",
]


@dataclass(frozen=True)
class Verdict:
    """What the clauses say. `category` is empty for an allow; tuples of rules are sorted by id."""

    outcome: Outcome
    category: str = ""
    trigger: str = ""
    determining: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    obligations: frozenset[str] = frozenset()
    narrows: tuple[tuple[str, str], ...] = ()
    grant_seconds: int | None = None


@dataclass
class _Judged:
    """The rules that cover the request, by effect and truth."""

    true: dict[str, list[Rule]] = field(default_factory=lambda: {"permit": [], "review": [], "forbid": []})
    unknown: dict[str, list[Rule]] = field(default_factory=lambda: {"permit": [], "review": [], "forbid": []})
    failed: dict[str, list[Rule]] = field(default_factory=lambda: {"permit": [], "review": [], "forbid": []})
    missing: dict[str, set[str]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)


def judge(facts: Facts, documents: Documents, zones: Zones) -> Verdict:
    """The verdict on one request, by the documents alone."""
    judged = _Judged()
    for rule in sorted(documents.rules, key=lambda rule: rule.id):
        if rule.id in {known.id for group in (judged.true, judged.unknown, judged.failed) for known in _all(group)}:
            continue
        if covers(rule, facts.request.action, facts.request.resource.type, documents):
            _sort(rule, facts, zones, judged)
    faults = tuple(sorted(judged.messages.items()))
    verdict = _combine(judged, facts)
    return Verdict(**{**verdict.__dict__, "faults": faults})


def _all(group: dict[str, list[Rule]]) -> list[Rule]:
    return [rule for rules in group.values() for rule in rules]


def covers(rule: Rule, action: str, resource_type: str, documents: Documents) -> bool:
    """S3.6: does the rule cover this action on this type of resource?"""
    if not _fits(rule.actions, action) or not _fits(rule.resources, resource_type):
        return False
    if rule.effect is Effect.FORBID or rule.namespace not in documents.namespaces:
        return True
    return _fits(documents.namespaces[rule.namespace].owns, action)


def _fits(patterns: Iterable[str], name: str) -> bool:
    for pattern in patterns:
        expression = ".*".join(re.escape(part) for part in pattern.split("*"))
        if re.fullmatch(expression, name, re.DOTALL):
            return True
    return False


def _sort(rule: Rule, facts: Facts, zones: Zones, judged: _Judged) -> None:
    answers = [_clause(clause, facts, zones) for clause in rule.when]
    answers += [_not(_clause(clause, facts, zones)) for clause in rule.unless]
    answer = _all_of(answers)
    if answer is True:
        judged.true[rule.effect].append(rule)
    elif isinstance(answer, cel.Unknown):
        judged.unknown[rule.effect].append(rule)
        judged.missing[rule.id] = set(answer.paths)
    elif isinstance(answer, cel.Fault):
        judged.failed[rule.effect].append(rule)
        judged.messages[rule.id] = answer.message


def _clause(clause: Clause, facts: Facts, zones: Zones) -> Answer:
    match clause:
        case Condition():
            return _condition(clause, facts, zones)
        case AnyOf():
            inverted = [_not(_condition(condition, facts, zones)) for condition in clause.conditions]
            return _not(_all_of(inverted))


def _condition(condition: Condition, facts: Facts, zones: Zones) -> Answer:
    result = cel.link(condition.node, zones)(facts.values)
    if isinstance(result, bool | cel.Unknown | cel.Fault):
        return result
    return cel.Fault("the condition is not true or false")


def _not(answer: Answer) -> Answer:
    return not answer if isinstance(answer, bool) else answer


def _all_of(answers: Sequence[Answer]) -> Answer:
    """S3.1, three-valued, with failures: false wins, then unknown, then failure."""
    if any(answer is False for answer in answers):
        return False
    unknown = [answer for answer in answers if isinstance(answer, cel.Unknown)]
    if unknown:
        return cel.Unknown(tuple(sorted({path for answer in unknown for path in answer.paths})))
    return next((answer for answer in answers if isinstance(answer, cel.Fault)), True)


def _combine(judged: _Judged, facts: Facts) -> Verdict:
    """S3.2, in its order."""
    if judged.true["forbid"]:
        return _forbidden(judged.true["forbid"])
    blocking = judged.unknown["forbid"] + judged.unknown["review"]
    if blocking:
        return _insufficient(blocking, judged)
    broken = judged.failed["forbid"] + judged.failed["review"]
    if broken:
        return _deny("indeterminate", broken)
    satisfied = [rule for rule in judged.true["review"] if _is_satisfied(rule, facts)]
    open_reviews = [rule for rule in judged.true["review"] if rule not in satisfied]
    if open_reviews:
        obligations = frozenset(text for rule in open_reviews for text in _obligations(rule))
        ids = _ids(open_reviews)
        return Verdict(Outcome.DEFER, "requires_human", ids[0], ids, obligations=obligations)
    granting = sorted(judged.true["permit"] + satisfied, key=lambda rule: rule.id)
    if granting:
        return _grant(granting, judged, facts.understands)
    if judged.unknown["permit"]:
        return _insufficient(judged.unknown["permit"], judged)
    return Verdict(Outcome.DENY, "scope_exceeded")


def _ids(rules: Iterable[Rule]) -> tuple[str, ...]:
    return tuple(sorted(rule.id for rule in rules))


def _deny(category: str, rules: Sequence[Rule]) -> Verdict:
    ids = _ids(rules)
    return Verdict(Outcome.DENY, category, ids[0], ids)


def _insufficient(rules: Sequence[Rule], judged: _Judged) -> Verdict:
    ids = _ids(rules)
    missing = tuple(sorted({path for rule in ids for path in judged.missing[rule]}))
    return Verdict(Outcome.DENY, "insufficient_context", ids[0], ids, missing)


def _forbidden(rules: Sequence[Rule]) -> Verdict:
    """S3.4: the category by precedence, the trigger the lowest id of that category."""
    by_category: dict[str, list[Rule]] = {}
    for rule in rules:
        category = rule.category or Category.POLICY_VIOLATION
        by_category.setdefault(category if category in _ORDER else "policy_violation", []).append(rule)
    first = min(by_category, key=_ORDER.index)
    obligations = frozenset(text for rule in rules for text in _obligations(rule))
    return Verdict(Outcome.DENY, first, _ids(by_category[first])[0], _ids(rules), obligations=obligations)


def _is_satisfied(review: Rule, facts: Facts) -> bool:
    """S7.1: exactly the rules that an approval names, by id and digest."""
    return bool(review.digest) and any((review.id, review.digest) in approval.rules for approval in facts.approvals)


def _grant(granting: Sequence[Rule], judged: _Judged, understands: frozenset[str] | None) -> Verdict:
    """S3.5, S6.4, and S3.3 for permits that might yet prove true."""
    contradicting = _contradictions(granting)
    if contradicting:
        return _deny("indeterminate", [rule for rule in granting if rule.id in contradicting])
    maybe = judged.unknown["permit"]
    risky = [rule for rule in maybe if rule.id in _contradictions([*granting, *maybe])]
    if risky:
        return _insufficient(risky, judged)
    if understands is not None:
        foreign = [rule for rule in granting if any(item.type not in understands for item in rule.obligations)]
        if foreign:
            return _deny("policy_violation", foreign)
        doubtful = [rule for rule in maybe if any(item.type not in understands for item in rule.obligations)]
        if doubtful:
            return _insufficient(doubtful, judged)
    seconds = [rule.grant_seconds for rule in granting if rule.grant_seconds is not None]
    return Verdict(
        Outcome.ALLOW,
        trigger=granting[0].id,
        determining=_ids(granting),
        obligations=frozenset(text for rule in granting for text in _obligations(rule)),
        narrows=tuple(sorted(_narrowed(granting).items())),
        grant_seconds=min(seconds) if seconds else None,
    )


def _obligations(rule: Rule, of_type: str | None = None) -> set[str]:
    return {
        f"{item.type} {json.dumps(item.properties, sort_keys=True, default=str)}"
        for item in rule.obligations
        if of_type in {None, item.type}
    }


def _contradictions(rules: Sequence[Rule]) -> set[str]:
    """The ids of the rules that cannot all be kept."""
    found: set[str] = set()
    for of_type in {item.type for rule in rules for item in rule.obligations}:
        demanding = [rule for rule in rules if _obligations(rule, of_type)]
        if any(_obligations(rule, of_type) != _obligations(demanding[0], of_type) for rule in demanding):
            found.update(rule.id for rule in demanding)
    for argument in {item.argument for rule in rules for item in rule.narrows}:
        parts = [(rule, item) for rule in rules for item in rule.narrows if item.argument == argument]
        if not _is_possible([item for _, item in parts]):
            found.update(rule.id for rule, _ in parts)
    return found


def _is_possible(parts: Sequence[Narrowing]) -> bool:
    """Is a value left that all parts admit?"""
    fixed = [part.set for part in parts if part.set is not None]
    limits = [part for part in parts if part.at_most is not None or part.at_least is not None]
    if any(json.dumps(value) != json.dumps(fixed[0]) for value in fixed):
        return False
    if fixed and limits:
        value = fixed[0]
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return all(_is_within(value, part) for part in limits)
    tops = [part.at_most for part in parts if part.at_most is not None]
    bottoms = [part.at_least for part in parts if part.at_least is not None]
    return not (tops and bottoms) or max(bottoms) <= min(tops)


def _is_within(value: float, part: Narrowing) -> bool:
    return (part.at_most is None or value <= part.at_most) and (part.at_least is None or value >= part.at_least)


def _narrowed(rules: Sequence[Rule]) -> dict[str, str]:
    """Argument -> what is left of it, as text."""
    left: dict[str, str] = {}
    for argument in {item.argument for rule in rules for item in rule.narrows}:
        parts = [item for rule in rules for item in rule.narrows if item.argument == argument]
        fixed = [part.set for part in parts if part.set is not None]
        if fixed:
            left[argument] = f"set {json.dumps(fixed[0])}"
            continue
        top = min((part.at_most for part in parts if part.at_most is not None), default=None)
        bottom = max((part.at_least for part in parts if part.at_least is not None), default=None)
        left[argument] = f"{bottom}..{top}"
    return left
