"""An explanation in JSON and in words: every rule, clause and condition with its truth, and the facts behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from demur.core.policy.document import AnyOf
from demur.core.terms import Audience, Missing, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demur.core.policy.explanation import ClauseTruth, ConditionTruth, RuleTruth, Seen
    from demur.evaluation.inquiry import Inquiry

MARKS = {"true": "+", "false": "-", "unknown": "?", "error": "!"}
"""Before each line, so that the truth can be seen without reading it."""


def document(found: Inquiry) -> dict[str, object]:
    """The inquiry as JSON values."""
    decision = found.decision
    return {
        "outcome": decision.outcome.value,
        "category": decision.category.value if decision.category else None,
        "triggering_policy": decision.trigger or None,
        "determining": list(decision.determining),
        "missing_facts": list(decision.missing),
        "faults": [{"policy": rule, "message": message} for rule, message in decision.faults],
        "policy_version": decision.policy_digest,
        "as_of": str(decision.as_of),
        "explanation": found.refusal.explain(audience=Audience.OPERATOR) if found.refusal else None,
        "rules": [_rule(truth) for truth in found.explanation.rules],
        "facts": {path: _fact(seen) for path, seen in found.explanation.facts.items()},
    }


def show(found: Inquiry) -> None:
    """The inquiry in words, the answer first."""
    decision = found.decision
    because = f" ({decision.category.value})" if decision.category else ""
    by = f" by {', '.join(decision.determining)}" if decision.determining else ""
    typer.echo(f"{decision.outcome.value}{because}{by}")
    if found.refusal is not None:
        typer.echo(found.refusal.explain(audience=Audience.OPERATOR))
    if decision.missing:
        typer.echo(f"missing facts: {', '.join(decision.missing)}")
    for truth in found.explanation.rules:
        typer.echo("")
        typer.echo(f"{MARKS[truth.truth.value]} {truth.rule.effect.value} {truth.rule.id}: {truth.truth.value}")
        for clause in truth.clauses:
            for line in _clause_lines(clause):
                typer.echo(f"    {line}")
    if found.explanation.facts:
        typer.echo("\nfacts")
    for seen in found.explanation.facts.values():
        typer.echo(f"    {_seen_line(seen)}")


def _rule(truth: RuleTruth) -> dict[str, object]:
    return {
        "id": truth.rule.id,
        "effect": truth.rule.effect.value,
        "truth": truth.truth.value,
        "file": truth.rule.file,
        "line": truth.rule.line,
        "clauses": [
            {
                "unless": clause.is_unless,
                "any": isinstance(clause.clause, AnyOf),
                "truth": clause.truth.value,
                "conditions": [_condition(condition) for condition in clause.conditions],
            }
            for clause in truth.clauses
        ],
    }


def _condition(truth: ConditionTruth) -> dict[str, object]:
    return {
        "name": truth.condition.name,
        "expr": truth.condition.expr,
        "explanation": truth.condition.explanation,
        "truth": truth.truth.value,
        "facts": list(truth.reads),
        "missing_facts": list(truth.missing),
        "fault": truth.fault or None,
    }


def _fact(seen: Seen) -> dict[str, object]:
    told: dict[str, object] = {"source": seen.source or None, "at": str(seen.at), "why": seen.why or None}
    match seen.state:
        case Missing():
            return {"state": seen.state.value, **told}
        case value:
            return {"state": "value", "value": to_json(value), **told}


def _clause_lines(clause: ClauseTruth) -> Iterator[str]:
    kind = "unless " if clause.is_unless else ""
    for place, condition in enumerate(clause.conditions):
        joined = "or " if place else kind
        told = condition.condition.explanation or condition.condition.expr
        yield f"{MARKS[condition.truth.value]} {joined}{condition.condition.name}: {told}{_why(condition)}"


def _why(condition: ConditionTruth) -> str:
    if condition.missing:
        return f" (unknown: {', '.join(condition.missing)})"
    return f" (failed: {condition.fault})" if condition.fault else ""


def _seen_line(seen: Seen) -> str:
    from demur.cli.terminal import compact

    value = seen.state.value if isinstance(seen.state, Missing) else compact(to_json(seen.state))
    told = f"{seen.path} = {value}" if not isinstance(seen.state, Missing) else f"{seen.path} is {value}"
    origin = f" (from {seen.source})" if seen.source else ""
    return f"{told}{origin}" + (f": {seen.why}" if seen.why else "")
