"""A changed request, name by name; what hangs on what; and what of an action may be different (S1.2, S2.2, S9.2)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from demur.core.policy.index import PolicySet
from demur.core.remedy import Changes, rejudge
from demur.core.remedy.changes import dependents
from demur.core.remedy.chart import Chart, chart_of
from demur.core.terms import Missing, Outcome, State, parse_timestamp
from demur.errors import IntakeError
from tests.core.given_policies import NOW, policies
from tests.core.test_remedy import ASKED, SHOP, facts

DESK = policies("""
demur: 1
namespace: desk
sources:
  named: {kind: static, table: {}, key: action.name}
  both: {kind: static, table: {}, key: subject.level}
  free: {kind: static, table: {}}
  kept: {kind: python, ttl: 5m}
  keyed: {kind: python, ttl: 5m, key: [action.scope, context.order.urgent]}
  open: {kind: python}
  text: {kind: content}
facts:
  named.limit: {type: int, source: named}
  both.limit: {type: int, source: both}
  free.limit: {type: int, source: free}
  kept.limit: {type: int, source: kept}
  keyed.limit: {type: int, source: keyed}
  open.limit: {type: int, source: open}
  found.code: {type: bool, source: text, detect: {what: code, in: context.note}}
  subject.level: {type: int, change: true}
  actor.mode: {type: string, optional: true, change: true}
  resource.state: {type: string, optional: true, change: true}
  context.order.urgent: {type: bool, optional: true, change: true}
  context.note: {type: string, optional: true, change: true}
usage:
  spent: {actions: [pay], by: [subject.id, action.scope], window: {calendar: day, zone: UTC}}
actions:
  pay: {arguments: {amount: {type: int, change: true}, due: {type: timestamp, optional: true}, scope: string}}
  stamp: {}
  lend: {resources: [letter], arguments: {amount: {type: double, change: true}}}
rules:
  - {id: p, effect: permit, actions: [pay], when: [{name: a, expr: action.amount <= 5 && subject.level > 1, explain: x}]}
  - {id: l, effect: permit, actions: [lend], when: [{name: a, expr: action.amount <= 0.5, explain: x}]}
  - {id: s, effect: permit, actions: [stamp], resources: [letter], when: [{name: a, expr: subject.level > 2, explain: x}]}
  - {id: t, effect: permit, actions: ["*"], when: [{name: a, expr: subject.level > 7, explain: x}]}
""")
PAY: dict[str, Any] = {
    "subject": {"type": "user", "id": "ann", "properties": {"level": 1, "team": "x"}},
    "actor": {"type": "agent", "id": "bot", "properties": {"mode": "slow"}},
    "resource": {"type": "letter", "id": "r-1", "properties": {"state": "new"}},
    "action": {"name": "pay", "properties": {"amount": 9, "due": "2026-11-21T00:00:00Z", "scope": "one"}},
}
LEND: dict[str, Any] = {**PAY, "action": {"name": "lend", "properties": {"amount": 9.0}}}
RESOLVED = ("named.limit", "both.limit", "free.limit", "kept.limit", "keyed.limit", "open.limit", "found.code", "usage.spent")  # fmt: skip


def changed(values: dict[str, State], policy_set: PolicySet = DESK, **asked: Any) -> Any:
    given = facts(policy_set, {}, **{**PAY, **asked})
    return given, rejudge(given, policy_set, Changes(values=values)).facts


def test_claims_of_all_kinds_are_set_where_they_stand() -> None:
    """S1.3"""
    given, facts_ = changed(
        {"subject.level": 3, "actor.mode": Missing.ABSENT, "resource.state": "old", "context.order.urgent": True}
    )
    request = facts_.request
    assert request.subject.properties == {"level": 3, "team": "x"}
    assert request.actor.properties == {}
    assert request.resource.properties == {"state": "old"}
    assert request.context == {"order": {"urgent": True}}
    assert (request.subject.id, request.actor.id, request.resource.id) == ("ann", "bot", "r-1")
    assert given.request.subject.properties == {"level": 1, "team": "x"}


def test_one_claim_leaves_the_others_and_the_arguments() -> None:
    given, facts_ = changed({"context.note": "hello"})
    assert facts_.request == msgspec.structs.replace(
        given.request, context={"note": "hello"}, digest=facts_.request.digest
    )


def test_what_is_not_there_can_be_left_out() -> None:
    given, facts_ = changed({"context.note": Missing.ABSENT})
    assert facts_.request.context == given.request.context == {}


def test_arguments_keep_their_types_beside_a_changed_one() -> None:
    _, facts_ = changed({"action.amount": 2})
    assert facts_.request.arguments == {
        "amount": 2,
        "due": parse_timestamp("2026-11-21T00:00:00Z"),
        "scope": "one",
    }


def test_a_fact_that_a_source_provides_changes_the_row_and_not_the_request() -> None:
    given, facts_ = changed({"free.limit": 7})
    assert facts_.request is given.request
    assert facts_.values[DESK.slot("free.limit")] == 7
    _, both = changed({"free.limit": 7, "action.amount": 2})
    assert (both.request.arguments["amount"], both.values[DESK.slot("free.limit")]) == (2, 7)


def test_another_time_is_the_time_of_the_judgement() -> None:
    later = NOW.plus(60)
    decision = rejudge(ASKED, SHOP, Changes(values={"time.now": later}))
    assert (decision.facts.now, decision.as_of) == (later, later)
    assert decision.facts.values[SHOP.slot("time.now")] == later


def test_where_the_facts_came_from_stays() -> None:
    """S6.1: a record of the judgement names the sources."""
    given = msgspec.structs.replace(ASKED, understands=frozenset({"notify"}))
    decision = rejudge(given, SHOP, Changes(values={"action.amount": 3}))
    assert decision.facts.provenance == ASKED.provenance
    assert decision.facts.understands == frozenset({"notify"})
    assert ASKED.provenance


def test_another_action_is_asked_with_its_own_arguments_at_the_same_time() -> None:
    given = facts(DESK, {}, **PAY)
    decision = rejudge(given, DESK, Changes(action="lend", arguments={"amount": 0.25}))
    assert (decision.outcome, decision.facts.request.action) == (Outcome.ALLOW, "lend")
    assert decision.facts.request.arguments == {"amount": 0.25}
    assert decision.facts.values[DESK.slot("time.now")] == NOW
    assert decision.facts.values[chart_of(DESK).slot("lend", "action.amount")] == 0.25


@pytest.mark.parametrize(("asked", "amount"), [(PAY, 4), (LEND, 0.25)])
def test_one_name_of_two_types_is_the_one_of_the_action(asked: dict[str, Any], amount: State) -> None:
    given = facts(DESK, {}, **asked)
    found = rejudge(given, DESK, Changes(values={"action.amount": amount})).facts
    name = asked["action"]["name"]
    slot = chart_of(DESK).slot(name, "action.amount")
    assert found.values[slot] == amount
    assert str(DESK.schema.slots[slot].type) == {"pay": "int", "lend": "double"}[name]


@pytest.mark.parametrize(
    ("changes", "pointer", "expected", "found"),
    [
        (Changes(values={"action.amount": Missing.ABSENT}), "/action/properties/amount", "a value of type int", "nothing"),
        (Changes(values={"subject.level": "3"}), "/subject/properties/level", "int", "string"),
        (Changes(values={"context.order.urgent": 3}), "/context/order/urgent", "bool", "int"),
        (Changes(action="lend", arguments={}), "/action/properties/amount", "the arguments of `lend`", "others"),
        (Changes(action="lend", arguments={"amount": 0.5, "x": 1}), "/action/properties/x", "the arguments of `lend`", "others"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_where_intake_would_refuse_it(
    changes: Changes, pointer: str, expected: str, found: str
) -> None:
    """S1.2"""
    with pytest.raises(IntakeError) as caught:
        rejudge(facts(DESK, {}, **PAY), DESK, changes)
    assert caught.value.pointer == pointer
    assert expected in caught.value.expected
    assert found in caught.value.found


def test_a_value_that_is_not_declared_is_refused() -> None:
    with pytest.raises(IntakeError) as caught:
        rejudge(ASKED, SHOP, Changes(values={"action.scope": "ward"}))
    error = caught.value
    assert (error.pointer, error.expected, error.found) == (
        "/action/properties/scope",
        "one of the values declared",
        "another",
    )


def test_a_resource_that_the_other_action_does_not_take_is_refused() -> None:
    given = facts(DESK, {}, **{**PAY, "resource": {"type": "invoice", "id": "r-1"}})
    with pytest.raises(IntakeError) as caught:
        rejudge(given, DESK, Changes(action="lend", arguments={"amount": 0.5}))
    error = caught.value
    assert (error.pointer, error.expected, error.found) == ("/resource/type", "a type of this action", "another")


def paths(slots: frozenset[int]) -> set[str]:
    return {DESK.schema.slots[slot].path for slot in slots}


@pytest.mark.parametrize(
    ("path", "certain", "doubtful"),
    [
        ("action.name", {"named.limit"}, {"open.limit"}),
        ("action.amount", set(), {"open.limit"}),
        ("action.scope", {"keyed.limit", "usage.spent"}, {"open.limit"}),
        ("subject.id", {"kept.limit", "usage.spent"}, {"open.limit"}),
        ("resource.type", {"kept.limit"}, {"open.limit"}),
        ("subject.level", {"both.limit"}, {"open.limit"}),
        ("context.order", {"keyed.limit"}, {"open.limit"}),
        ("context.order.urgent", {"keyed.limit"}, {"open.limit"}),
        ("context.order.urgent.now", {"keyed.limit"}, {"open.limit"}),
        ("context.ordered", set(), {"open.limit"}),
        ("context.note", {"found.code"}, {"open.limit"}),
        ("context", {"keyed.limit", "found.code"}, {"open.limit"}),
        ("time.now", set(), set()),
        ("free.limit", set(), set()),
    ],
)
def test_what_hangs_on_a_path_is_what_is_looked_up_by_it(path: str, certain: set[str], doubtful: set[str]) -> None:
    """S2.2, and the table of docs/spec/remedies.md."""
    chart = Chart(DESK)
    for _ in range(2):  # found, and remembered
        found = chart.hanging(path)
        assert (paths(found[0]), paths(found[1])) == (certain, doubtful)


def test_another_action_changes_its_name_its_arguments_and_what_is_changed_beside_it() -> None:
    request = facts(DESK, {}, **PAY).request
    other = dependents(chart_of(DESK), request, Changes(action="stamp"))
    assert paths(other) == {"named.limit", "keyed.limit", "usage.spent", "open.limit"}  # its arguments: the scope
    beside = dependents(chart_of(DESK), request, Changes(action="stamp", values={"context.note": "x"}))
    assert paths(beside) == paths(other) | {"found.code"}


def test_an_action_that_is_not_declared_has_the_facts_of_all() -> None:
    chart = Chart(DESK)
    fact = chart.fact("dance", "subject.level")
    assert fact is not None
    assert fact.path == "subject.level"
    assert chart.fact("dance", "action.amount") is None
    assert [item.path for item in chart.site("dance", "letter").variables] == ["subject.level"]


@pytest.mark.parametrize(("resource", "rules"), [("letter", {"desk/s", "desk/t"}), ("invoice", {"desk/t"})])
def test_the_rules_of_an_action_are_those_for_the_type_of_the_resource(resource: str, rules: set[str]) -> None:
    site = Chart(DESK).site("stamp", resource)
    covering = {rule.id for rule in site.bucket.chosen(site.covering)}
    assert covering == rules


def test_each_fact_is_read_by_the_rules_that_name_it() -> None:
    site = Chart(SHOP).site("pay", "letter")
    places = site.bucket.places
    pay, large = 1 << places["shop/pay"], 1 << places["shop/large"]
    assert site.readers[SHOP.slot("fixed.limit")] == pay
    assert site.readers[SHOP.slot("action.amount")] == pay | large
    assert site.clocks == pay
    assert site.confidential == 0
