"""Decision -> Remedies: repairs, other actions, instants to wait for, and whether a person could decide.

- Never for a categorical denial, nor where the policy advises against any further attempt (S9.3).
- The search is bounded by judgements, not by time, so the same refusal always gets the same remedies.

Clauses: S9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.core.conform import ConformError, conform
from demur.core.remedy import search, times
from demur.core.remedy.changes import Changes
from demur.core.remedy.chart import Kind, chart_of
from demur.core.remedy.ground import Ground, SpentError
from demur.core.remedy.offers import NoRemedy, OtherAction, Remedies
from demur.core.terms import Category, Disposition, Effect, Outcome, Timestamp, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.core.decision import Decision
    from demur.core.policy.document import Alternative, Rule
    from demur.core.remedy.changes import Judge
    from demur.core.remedy.offers import Repair
    from demur.core.terms import Value

MAX_ALTERNATIVES = 8
"""Other actions that are judged for one refusal at most."""


def find(decision: Decision, judge: Judge, *, now: Timestamp) -> Remedies:
    """What is offered after this decision; `judge` judges the same request with changes, `now` is the label `as_of`.

    Raises only what `judge` raises other than `IntakeError`.
    """
    reason = _why_never(decision)
    if reason is not None:
        return Remedies(reason=reason, as_of=now)
    request = decision.facts.request
    chart = chart_of(decision.policy_set)
    ground = Ground(decision, judge, chart, chart.site(request.action, request.resource.type), now)
    alternatives = tuple(_alternatives(ground))
    repairs = (*search.repairs(ground), *times.awaits(ground))
    leads = {*(item.leads_to for item in repairs), *(item.leads_to for item in alternatives)}
    return Remedies(
        modifications=_of_kind(repairs, Kind.CHANGE),
        alternatives=alternatives,
        awaits=_of_kind(repairs, Kind.AWAIT),
        obtains=_of_kind(repairs, Kind.OBTAIN),
        review_available=decision.outcome is Outcome.DEFER or Outcome.DEFER in leads,
        reason=None if repairs or alternatives else _why_none(ground),
        judgements=ground.judgements,
        probes=ground.probes,
        as_of=now,
    )


def _of_kind(repairs: tuple[Repair, ...], kind: Kind) -> tuple[Repair, ...]:
    return tuple(item for item in repairs if item.kind is kind)


def _why_never(decision: Decision) -> NoRemedy | None:
    if decision.outcome is Outcome.ALLOW:
        return NoRemedy.ALLOWED
    if decision.category is Category.CATEGORICAL:
        return NoRemedy.CATEGORICAL
    rules = (decision.policy_set.rule(name) for name in decision.determining)
    if any(rule.disposition is Disposition.NEVER_RETRY for rule in rules):
        return NoRemedy.NEVER_RETRY
    return None


def _why_none(ground: Ground) -> NoRemedy:
    if ground.is_cut_short:
        return NoRemedy.LIMIT_REACHED
    if not ground.site.variables and not ground.site.clocks:
        return NoRemedy.NOTHING_TO_CHANGE
    return NoRemedy.NONE_FOUND


def _alternatives(ground: Ground) -> Iterator[OtherAction]:
    """The actions that the rules in the way offer instead, those that would be allowed first."""
    decision = ground.decision
    found: list[OtherAction] = []
    seen: list[tuple[str, dict[str, Value]]] = []
    for rule in _speaking(decision):
        for offered in rule.alternatives:
            arguments = _carried(offered, decision)
            if (offered.action, arguments) in seen or len(seen) >= MAX_ALTERNATIVES:
                continue
            seen.append((offered.action, arguments))
            if (other := _judged(ground, rule, offered, arguments)) is not None:
                found.append(other)
    yield from sorted(found, key=lambda item: item.leads_to is not Outcome.ALLOW)


def _speaking(decision: Decision) -> tuple[Rule, ...]:
    """The rules that decided or, where nothing permits, the permits that do not hold."""
    if decision.determining:
        return tuple(decision.policy_set.rule(name) for name in decision.determining)
    request = decision.facts.request
    covering = decision.policy_set.candidates(request.action, request.resource.type)
    return tuple(rule for rule in covering if rule.effect is Effect.PERMIT)


def _judged(ground: Ground, rule: Rule, offered: Alternative, arguments: dict[str, Value]) -> OtherAction | None:
    try:
        outcome = ground.outcome(Changes(action=offered.action, arguments=arguments))
    except SpentError:
        return None
    if outcome is not Outcome.ALLOW and (outcome is not Outcome.DEFER or ground.decision.outcome is Outcome.DEFER):
        return None
    return OtherAction(
        action=offered.action,
        arguments={name: to_json(value) for name, value in arguments.items()},
        leads_to=outcome,
        as_of=ground.now,
        explanation=offered.explanation,
        is_confidential=bool(ground.site.confidential >> ground.site.bucket.places[rule.id] & 1),
    )


def _carried(offered: Alternative, decision: Decision) -> dict[str, Value]:
    """The arguments of the other action: those that the policy sets, and those of the request that fit (S9.2)."""
    request = decision.facts.request
    action = decision.policy_set.schema.actions.get(offered.action)
    declared = {fact.path.removeprefix("action."): fact for fact in (action.arguments if action else ())}
    found: dict[str, Value] = {}
    for name, value in sorted(request.arguments.items()):
        fact = declared.get(name)
        if fact is None or name in offered.arguments or fact.secret:
            continue
        try:
            typed = conform(value, fact.type)
        except ConformError:
            continue
        if not fact.one_of or typed in fact.one_of:
            found[name] = typed
    return found | dict(offered.arguments)
