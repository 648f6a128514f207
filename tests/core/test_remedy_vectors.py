"""The written cases of tests/vectors/remedy: a refusal, and what is offered to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from demur.core import intake, resolution
from demur.core.conform import conform
from demur.core.decision import Decision, decide
from demur.core.intake import Caller
from demur.core.policy.index import PolicySet
from demur.core.remedy import Changes, Remedies, find, rejudge
from demur.core.resolution import Learned
from demur.core.terms import Audience, Missing, Request, State, parse_timestamp
from tests.core.given_policies import policies

CASES = sorted((Path(__file__).parents[1] / "vectors" / "remedy").glob("*.yaml"))
WHO = {"subject": {"type": "user", "id": "ann"}, "resource": {"type": "thing", "id": "t-1"}}


def read(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return case


def states(policy_set: PolicySet, given: dict[str, Any], now: Any) -> dict[str, Learned]:
    kinds = {slot.path: slot.type for slot in policy_set.schema.slots}
    found: dict[str, State] = {
        path: Missing.ABSENT if value is None else conform(value, kinds[path]) for path, value in given.items()
    }
    return {path: Learned(state, now) for path, state in found.items()}


def answered(case: dict[str, Any]) -> tuple[Decision, Remedies]:
    policy_set, now = policies(case["policies"]), parse_timestamp(case["now"])
    request = intake.read({**WHO, **case["request"]}, policy_set.schema, caller=Caller())
    facts = resolution.resolve(request, policy_set.schema, states(policy_set, case["facts"], now), now)
    tables: dict[str, dict[str, Any]] = case["expect"].get("learned", {})

    def learn(changed: Request, paths: frozenset[str]) -> dict[str, Learned]:
        rows = [tables[str(value)] for value in changed.arguments.values() if str(value) in tables]
        return {path: item for row in rows for path, item in states(policy_set, row, now).items() if path in paths}

    def judge(changes: Changes) -> Decision:
        return rejudge(facts, policy_set, changes, learn)

    decision = decide(facts, policy_set)
    return decision, find(decision, judge, now=now)


def undated(shown: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in item.items() if name != "as_of"} for item in shown]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_is_offered_is_as_written(path: Path) -> None:
    """S9"""
    case = read(path)
    decision, remedies = answered(case)
    expected = case["expect"]
    assert decision.outcome.value == expected["decision"]["outcome"]
    assert decision.category is not None
    assert decision.category.value == expected["decision"]["category"]
    assert (remedies.reason.value if remedies.reason else None) == expected.get("reason")
    assert remedies.review_available is expected.get("review_available", False)
    for audience in ("end_user", "agent", "operator"):
        if audience in expected:
            assert undated(remedies.to_dict(Audience(audience))["suggested_modifications"]) == expected[audience]
    if "alternatives" in expected:
        assert undated(remedies.to_dict(Audience.AGENT)["compliant_alternatives"]) == expected["alternatives"]


def test_there_are_cases() -> None:
    assert len(CASES) >= 16
