"""What a decision saw, as pages show it: values with what protects them, rules with the truth of every condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.core.policy.explanation import Truth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demur.core.decision import Decision
    from demur.core.policy.explanation import ClauseTruth, ConditionTruth, Explanation, RuleTruth


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A value as the page shows it; `text` is empty where it is masked, secret, absent or unknown."""

    path: str
    text: str = ""
    state: str = ""
    protection: str = "none"
    is_revealed: bool = False
    source: str = ""
    trust: str = ""
    age: str = ""
    why: str = ""


def rules(
    explanation: Explanation, decision: Decision, withheld: frozenset[str] = frozenset()
) -> list[dict[str, object]]:
    """Every rule that covers the action: those that decided first, then those that hold, then the others."""
    deciding = set(decision.determining)
    order = {Truth.TRUE: 1, Truth.ERROR: 2, Truth.UNKNOWN: 3, Truth.FALSE: 4}

    def place(item: RuleTruth) -> tuple[int, str]:
        return (0 if item.rule.id in deciding else order[item.truth], item.rule.id)

    return [
        {
            "id": item.rule.id,
            "effect": item.rule.effect.value,
            "truth": item.truth.value,
            "is_deciding": item.rule.id in deciding,
            "is_satisfied": item.rule.id in decision.satisfied,
            "category": item.rule.category.value if item.rule.category else "",
            "description": item.rule.description,
            "clauses": [_clause(clause, withheld) for clause in item.clauses],
        }
        for item in sorted(explanation.rules, key=place)
    ]


def _clause(clause: ClauseTruth, withheld: frozenset[str]) -> dict[str, object]:
    return {
        "is_unless": clause.is_unless,
        "is_group": len(clause.conditions) > 1,
        "name": clause.clause.name,
        "truth": clause.truth.value,
        "conditions": [_condition(item, withheld) for item in clause.conditions],
    }


def _condition(item: ConditionTruth, withheld: frozenset[str]) -> dict[str, object]:
    return {
        "name": item.condition.name,
        "expr": item.condition.expr,
        "explanation": item.condition.explanation,
        "truth": "withheld" if withheld.intersection(item.reads) else item.truth.value,
        "reads": item.reads,
        "missing": item.missing,
        "fault": item.fault,
    }


def reads(rule: Mapping[str, object]) -> set[str]:
    """The facts that the conditions of a rule read, as `rules` tells them."""
    clauses: Sequence[Mapping[str, Sequence[Mapping[str, Sequence[str]]]]] = rule["clauses"]  # type: ignore[assignment]  # made above
    return {path for clause in clauses for item in clause["conditions"] for path in item["reads"]}


def text(value: object) -> str:
    """A value as text: as it stands, or as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
