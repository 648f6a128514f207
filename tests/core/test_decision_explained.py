"""Why: every rule, clause and condition with its truth, and the facts with where they came from."""

from __future__ import annotations

import msgspec

from demur.core.decision import decide, explain
from demur.core.policy.explanation import Seen, Truth
from demur.core.resolution import Provenance
from tests.core.rulebook import ABSENT, NOW, PLACES, UNKNOWN, any_of, facts, policy_set, rule

ASKED = facts({"account.frozen": UNKNOWN, "context.ticket": ABSENT, "account.limit": 50})
RULES = policy_set(
    rule("a", "permit", "action.amount <= account.limit", any_of('subject.role == "boss"', "usage.today < 10")),
    rule("b", "forbid", "account.frozen", unless=['context.ticket == "x"']),
    rule("c", "review", "action.amount > 1", unless=['subject.role == "boss"']),
    rule("elsewhere", "forbid", actions=("read",)),
)


def test_every_candidate_rule_and_clause_has_its_truth() -> None:
    """S3.1"""
    told = explain(ASKED, RULES, decide(ASKED, RULES))
    truths = {item.rule.id: (item.truth, [clause.truth for clause in item.clauses]) for item in told.rules}
    assert truths == {
        "a": (Truth.FALSE, [Truth.FALSE, Truth.TRUE]),
        "b": (Truth.UNKNOWN, [Truth.UNKNOWN, Truth.ERROR]),
        "c": (Truth.TRUE, [Truth.TRUE, Truth.TRUE]),
    }


def test_a_condition_tells_what_it_read_what_is_missing_and_what_failed() -> None:
    """S2.1"""
    told = explain(ASKED, RULES, decide(ASKED, RULES), rules=["b"])
    (frozen,), (ticket,) = (clause.conditions for clause in told.rules[0].clauses)
    assert (frozen.truth, frozen.reads, frozen.missing) == (Truth.UNKNOWN, ("account.frozen",), ("account.frozen",))
    assert (ticket.truth, ticket.reads, ticket.fault) == (
        Truth.ERROR,
        ("context.ticket",),
        "`context.ticket` is absent",
    )


def test_the_conditions_of_an_any_of_group_are_told_one_by_one() -> None:
    """S3.1"""
    told = explain(ASKED, RULES, decide(ASKED, RULES), rules=["a"])
    assert [item.truth for item in told.rules[0].clauses[1].conditions] == [Truth.FALSE, Truth.TRUE]


def test_only_the_clauses_that_keep_a_rule_from_holding_are_its_failed_ones() -> None:
    told = explain(ASKED, RULES, decide(ASKED, RULES), rules=["a"])
    assert [clause.clause.name for clause in told.rules[0].failed] == ["action.amount <= account.limit"]


def test_facts_come_with_their_source_and_age() -> None:
    """S2.2"""
    earlier = NOW.plus(-5)
    asked = msgspec.structs.replace(
        ASKED,
        provenance={
            PLACES["account.frozen"]: Provenance("account", earlier, "timed out after 200 ms"),
            PLACES["account.limit"]: Provenance("account", earlier),
        },
    )
    told = explain(asked, RULES, decide(asked, RULES))
    assert told.facts["account.frozen"] == Seen("account.frozen", UNKNOWN, "account", earlier, "timed out after 200 ms")
    assert told.facts["account.limit"] == Seen("account.limit", 50, "account", earlier)
    assert told.facts["action.amount"] == Seen("action.amount", 100, "request", NOW)
    assert list(told.facts) == [
        "action.amount",
        "subject.role",
        "context.ticket",
        "account.frozen",
        "account.limit",
        "usage.today",
    ]


def test_asking_for_some_rules_tells_of_no_others() -> None:
    told = explain(ASKED, RULES, decide(ASKED, RULES), rules=["c", "elsewhere", "never-written", "c"])
    assert [item.rule.id for item in told.rules] == ["c"]
    assert list(told.facts) == ["action.amount", "subject.role"]


def test_a_rule_that_does_not_cover_the_action_is_never_told() -> None:
    """S3.6: the rules of undeclared actions lie in one bucket, but each action has its own."""
    rules = policy_set(rule("x", actions=("x*",)), rule("y", actions=("y*",)))
    asked = facts(action="xylem")
    told = explain(asked, rules, decide(asked, rules), rules=["x", "y"])
    assert [item.rule.id for item in told.rules] == ["x"]


def test_rules_for_another_type_of_resource_are_not_told() -> None:
    """S3.1"""
    rules = policy_set(rule("records", "forbid", resources=("record",)), rule("invoices", resources=("invoice",)))
    asked = facts(resource="invoice")
    assert [item.rule.id for item in explain(asked, rules, decide(asked, rules)).rules] == ["invoices"]
