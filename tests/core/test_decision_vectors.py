"""The written cases of tests/vectors/decision, answered by the decision and, separately, by the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from demur.adapters.documents import parse
from demur.adapters.zones import TzdataZones
from demur.core.conform import conform
from demur.core.decision import decide
from demur.core.policy.document import Documents, Narrowing
from demur.core.policy.index import PolicySet
from demur.core.policy.load import load
from demur.core.resolution import Approval, Facts
from demur.core.schema import BUILT_IN
from demur.core.terms import Missing, State
from demur.evaluation import oracle
from tests.core.rulebook import NOW, request

ZONES = TzdataZones()
CASES = sorted((Path(__file__).parents[1] / "vectors" / "decision").glob("*.yaml"))
TELLS = {"trigger", "determining", "missing", "satisfied", "grant_seconds"}


def read(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return case


def set_up(case: dict[str, Any]) -> tuple[Documents, Facts]:
    written = load([parse(case["policies"].encode(), "case.yaml")], ZONES.is_zone)
    asked = request(case["action"])
    values: list[State] = []
    for slot in written.schema.slots:
        given = case.get("facts", {})
        if slot.path in given:
            values.append(conform(given[slot.path], slot.type))
        elif slot.path in case.get("absent", ()):
            values.append(Missing.ABSENT)
        else:
            assert slot.path in {*case.get("unknown", ()), *BUILT_IN}
            values.append(Missing.UNKNOWN)
    rules = {rule.id: rule for rule in written.rules}
    approvals = tuple(
        Approval("rev", ((item["rule"], item.get("digest", rules[item["rule"]].digest)),))
        for item in case.get("approvals", ())
    )
    return written, Facts(asked, values, NOW, approvals)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_decision_is_as_written(path: Path) -> None:
    """S3, S7.1"""
    case = read(path)
    written, facts = set_up(case)
    decision = decide(facts, PolicySet.build(written, ZONES))
    found: dict[str, Any] = {"outcome": decision.outcome.value}
    if decision.category:
        found["category"] = decision.category.value
    expected = case["expect"]
    for name in TELLS & set(expected):
        told = getattr(decision, name)
        found[name] = list(told) if isinstance(told, tuple) else told
    if "failed" in expected:
        found["failed"] = [rule for rule, _ in decision.faults]
    if "obligations" in expected:
        found["obligations"] = sorted(item.type for item in decision.obligations)
    if "narrows" in expected:
        expected["narrows"] = [Narrowing(**item) for item in expected["narrows"]]
        found["narrows"] = list(decision.narrows)
    assert found == expected


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_oracle_says_the_same(path: Path) -> None:
    """S3, S7.1"""
    case = read(path)
    written, facts = set_up(case)
    verdict, expected = oracle.judge(facts, written, ZONES), case["expect"]
    assert (verdict.outcome.value, verdict.category) == (expected["outcome"], expected.get("category", ""))
    assert (verdict.trigger, list(verdict.determining)) == (expected["trigger"], expected["determining"])
    assert list(verdict.missing) == expected.get("missing", list(verdict.missing))


def test_there_are_cases() -> None:
    assert len(CASES) >= 15
