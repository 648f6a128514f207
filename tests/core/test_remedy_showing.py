"""How much of a remedy each audience sees, and that what is hidden leaves no number behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demur.core.decision import decide
from demur.core.remedy import NoRemedy, Remedies, find, rejudge
from demur.core.terms import Audience
from tests.core.given_policies import NOW, policies
from tests.core.test_remedy import facts


def remedied(rule: str, *, amount: str = "", facts_: str = "", learned: dict[str, Any] | None = None) -> Remedies:
    """Remedies for an amount of 900 under one permit."""
    policy_set = policies(
        f"""
demur: 1
namespace: shop
sources: {{core: {{kind: static, table: {{}}}}}}
facts: {{core.limit: {{type: int, source: core{facts_}}}, core.spare: {{type: int, source: core}}}}
actions: {{pay: {{arguments: {{amount: {{type: int, change: true{amount}}}}}}}}}
rules: [{{id: p, effect: permit, actions: [pay], when: [{{name: a, expr: {rule}, explain: x}}]}}]
"""
    )
    given = facts(policy_set, learned or {"core.limit": 123}, action={"name": "pay", "properties": {"amount": 900}})
    return find(decide(given, policy_set), lambda changes: rejudge(given, policy_set, changes), now=NOW)


def shown(remedies: Remedies, audience: str) -> Any:
    """The value told, `direction` where only that is, or nothing."""
    told: Any = remedies.to_dict(Audience(audience))["suggested_modifications"]
    if not told:
        return None
    (found,) = told
    assert found["direction"] == {"action.amount": "lower"}
    return found["set"]["action.amount"] if "set" in found else "direction"


MEASURED = "action.amount <= core.limit"
CONSTANT = "action.amount <= 123"


@pytest.mark.parametrize(
    ("rule", "amount", "limit", "end_user", "agent"),
    [
        (MEASURED, "", "", "direction", 123),
        (MEASURED, "", ", visible: {end_user: show}", 123, 123),
        (MEASURED, "", ", visible: {end_user: show, agent: direction}", 123, "direction"),
        (MEASURED, "", ", visible: {end_user: hide, agent: hide}", "direction", "direction"),
        (MEASURED, ", visible: {end_user: show}", "", "direction", 123),
        (MEASURED, ", visible: {end_user: hide}", ", visible: {end_user: show}", None, 123),
        (MEASURED, ", visible: {agent: direction}", ", visible: {end_user: show}", 123, "direction"),
        (CONSTANT, "", "", "direction", 123),
        (CONSTANT, ", visible: {end_user: show}", "", 123, 123),
        (CONSTANT, ", visible: {end_user: direction, agent: direction}", "", "direction", "direction"),
        ("action.amount <= core.limit * 1", "", ", visible: {end_user: show}", "direction", 123),
    ],
)
def test_a_number_is_shown_where_what_it_is_measured_against_may_be(
    rule: str, amount: str, limit: str, end_user: Any, agent: Any
) -> None:
    """S9.4, S10"""
    found = remedied(rule, amount=amount, facts_=limit)
    assert (shown(found, "end_user"), shown(found, "agent")) == (end_user, agent)
    assert (shown(found, "operator"), shown(found, "auditor")) == (123, 123)


@pytest.mark.parametrize("audience", list(Audience))
def test_a_secret_limit_shows_in_no_number(audience: Audience) -> None:
    """S1.5"""
    found = remedied(MEASURED, facts_=", secret: true")
    assert shown(found, audience) == "direction"
    assert "123" not in json.dumps(found.to_dict(audience))


@pytest.mark.parametrize("audience", ["end_user", "agent"])
def test_below_operator_a_withheld_remedy_reads_like_none_at_all(audience: str) -> None:
    """S2.3"""
    hidden = remedied(MEASURED, facts_=", confidential: true").to_dict(Audience(audience))
    none = remedied("core.spare > 5", learned={"core.spare": 1}).to_dict(Audience(audience))
    assert hidden == none == {"reason": "none_found", "suggested_modifications": [], "compliant_alternatives": []}


def test_the_reason_is_told_to_operators() -> None:
    found = remedied("core.spare > 5", learned={"core.spare": 1})
    assert found.reason is NoRemedy.NOTHING_TO_CHANGE
    assert found.to_dict(Audience.OPERATOR)["reason"] == "nothing_to_change"


def test_what_a_macro_compares_with_brings_no_other_fact_into_a_remedy() -> None:
    """S1.5, S9.4: a variable of a macro has no value outside of it, and no fact stands in for it."""
    policy_set = policies(
        """
demur: 1
namespace: shop
sources: {core: {kind: static, table: {}}}
facts: {core.limits: {type: list<int>, source: core}}
actions: {pay: {arguments: {amount: {type: int, change: true}, pin: {type: int, secret: true}}}}
rules:
  - {id: p, effect: permit, actions: [pay], when: [{name: a, expr: 'core.limits.exists(x, action.amount <= x * 1)', explain: x}]}
"""
    )
    arguments = {"amount": 5000, "pin": 777}
    given = facts(policy_set, {"core.limits": [1000, 2000]}, action={"name": "pay", "properties": arguments})
    found = find(decide(given, policy_set), lambda changes: rejudge(given, policy_set, changes), now=NOW)
    assert found.repairs
    assert "77" not in json.dumps([found.to_dict(audience) for audience in Audience])
