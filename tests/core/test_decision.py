"""Facts and rules in, one decision out: every step of S3.2, and what it says beside the outcome."""

from __future__ import annotations

import msgspec
import pytest

from demur.core.decision import decide
from demur.core.policy.document import Narrowing
from demur.core.policy.duties import Contradiction
from demur.core.terms import Category, Outcome
from tests.core.rulebook import (
    ABSENT,
    NOW,
    UNKNOWN,
    any_of,
    approval,
    facts,
    narrow,
    obligation,
    policy_set,
    rule,
)

FROZEN = rule("frozen", "forbid", "account.frozen", category=Category.STATE_CONFLICT)
SMALL = rule("small", "permit", "action.amount <= 500")
LARGE = rule("large", "review", "action.amount > 50")


def test_nothing_permits_is_scope_exceeded_and_names_no_rule() -> None:
    """S3.2"""
    decision = decide(facts(), policy_set())
    assert (decision.outcome, decision.category) == (Outcome.DENY, Category.SCOPE_EXCEEDED)
    assert (decision.trigger, decision.determining, decision.missing) == ("", (), ())


def test_a_true_permit_allows_and_is_named() -> None:
    """S3.2"""
    decision = decide(facts(), policy_set(SMALL, FROZEN))
    assert (decision.outcome, decision.category) == (Outcome.ALLOW, None)
    assert (decision.trigger, decision.determining, decision.permits) == ("small", ("small",), ("small",))


def test_a_true_forbid_denies_whatever_permits_or_reviews() -> None:
    """S3.2"""
    decision = decide(facts({"account.frozen": True}), policy_set(SMALL, LARGE, FROZEN))
    assert (decision.outcome, decision.category) == (Outcome.DENY, Category.STATE_CONFLICT)
    assert (decision.forbids, decision.reviews, decision.permits) == (("frozen",), ("large",), ("small",))


def test_an_unknown_forbid_denies_and_names_the_missing_fact() -> None:
    """S3.2"""
    decision = decide(facts({"account.frozen": UNKNOWN}), policy_set(SMALL, LARGE, FROZEN))
    assert (decision.outcome, decision.category) == (Outcome.DENY, Category.INSUFFICIENT_CONTEXT)
    assert (decision.trigger, decision.missing) == ("frozen", ("account.frozen",))


def test_an_unknown_review_denies_before_a_failed_forbid_does() -> None:
    """S3.2"""
    broken = rule("broken", "forbid", 'context.ticket == "x"')
    changed = {"action.amount": UNKNOWN, "context.ticket": ABSENT}
    decision = decide(facts(changed), policy_set(LARGE, broken))
    assert (decision.category, decision.determining) == (Category.INSUFFICIENT_CONTEXT, ("large",))


def test_a_forbid_that_failed_denies_as_indeterminate_and_is_reported() -> None:
    """S3.2"""
    broken = rule("broken", "forbid", 'context.ticket == "x"')
    decision = decide(facts({"context.ticket": ABSENT}), policy_set(SMALL, LARGE, broken))
    assert (decision.outcome, decision.category) == (Outcome.DENY, Category.INDETERMINATE)
    assert decision.faults == (("broken", "`context.ticket` is absent"),)


def test_a_permit_that_failed_does_not_permit_and_is_reported() -> None:
    """S3.2"""
    broken = rule("broken", "permit", "10 / action.amount > 0")
    decision = decide(facts({"action.amount": 0}), policy_set(broken))
    assert (decision.outcome, decision.category) == (Outcome.DENY, Category.SCOPE_EXCEEDED)
    assert [name for name, _ in decision.faults] == ["broken"]


def test_a_permit_that_failed_takes_nothing_from_another() -> None:
    """S3.2"""
    broken = rule("broken", "permit", "10 / action.amount > 0")
    decision = decide(facts({"action.amount": 0}), policy_set(broken, SMALL))
    assert (decision.outcome, [name for name, _ in decision.faults]) == (Outcome.ALLOW, ["broken"])


def test_a_true_review_defers_although_a_permit_is_true() -> None:
    """S3.2"""
    decision = decide(facts(), policy_set(SMALL, LARGE))
    assert (decision.outcome, decision.category) == (Outcome.DEFER, Category.REQUIRES_HUMAN)
    assert (decision.trigger, decision.determining) == ("large", ("large",))


def test_a_satisfied_review_stands_in_for_a_permit() -> None:
    """S3.2, S7.1"""
    decision = decide(facts(approvals=(approval(LARGE),)), policy_set(LARGE))
    assert (decision.outcome, decision.satisfied, decision.determining) == (Outcome.ALLOW, ("large",), ("large",))


def test_an_approval_of_an_older_version_of_the_rule_is_ignored() -> None:
    """S7.1"""
    decision = decide(facts(approvals=(approval(LARGE, digest="sha256:older"),)), policy_set(LARGE))
    assert (decision.outcome, decision.satisfied) == (Outcome.DEFER, ())


def test_an_approval_satisfies_only_the_review_it_names() -> None:
    """S7.1"""
    second = rule("second", "review", "risk.score > 0.1")
    decision = decide(facts(approvals=(approval(LARGE),)), policy_set(LARGE, second))
    assert (decision.outcome, decision.determining) == (Outcome.DEFER, ("second",))


def test_two_approvals_together_satisfy_two_reviews() -> None:
    """S7.1"""
    second = rule("second", "review", "risk.score > 0.1")
    approvals = (approval(LARGE), approval(second))
    decision = decide(facts(approvals=approvals), policy_set(LARGE, second))
    assert (decision.outcome, decision.satisfied) == (Outcome.ALLOW, ("large", "second"))


def test_an_approval_cannot_name_a_forbid_or_a_permit() -> None:
    """S7.1"""
    refused = rule("refused", "permit", "action.amount > 500")
    approvals = (approval(FROZEN, refused),)
    decision = decide(facts({"account.frozen": True}, approvals=approvals), policy_set(FROZEN, refused))
    assert (decision.outcome, decision.satisfied) == (Outcome.DENY, ())


def test_a_rule_without_a_digest_cannot_be_approved() -> None:
    """S7.1"""
    unnamed = rule("unnamed", "review", digest="")
    decision = decide(facts(approvals=(approval(unnamed, digest=""),)), policy_set(unnamed))
    assert decision.outcome is Outcome.DEFER


def test_a_forbid_that_came_after_the_approval_wins() -> None:
    """S7.2"""
    decision = decide(facts({"account.frozen": True}, approvals=(approval(LARGE),)), policy_set(LARGE, FROZEN))
    assert decision.category is Category.STATE_CONFLICT


def test_an_unknown_permit_is_insufficient_context_when_nothing_else_permits() -> None:
    """S3.2"""
    both = rule("both", "permit", "account.frozen", "risk.score > 0.5 || account.limit < 10")
    changed = {"account.frozen": UNKNOWN, "risk.score": UNKNOWN, "account.limit": UNKNOWN}
    decision = decide(facts(changed), policy_set(both))
    assert (decision.category, decision.determining) == (Category.INSUFFICIENT_CONTEXT, ("both",))
    assert decision.missing == ("account.frozen", "account.limit", "risk.score")


def test_a_missing_fact_of_a_rule_that_is_false_anyway_is_not_named() -> None:
    """S3.2"""
    away = rule("away", "permit", "account.frozen", "action.amount > 5000")
    decision = decide(facts({"account.frozen": UNKNOWN}), policy_set(away))
    assert (decision.category, decision.missing) == (Category.SCOPE_EXCEEDED, ())


def test_an_unknown_beside_a_failure_is_unknown() -> None:
    """S3.1"""
    mixed = rule("mixed", "forbid", "account.frozen", 'context.ticket == "x"')
    decision = decide(facts({"account.frozen": UNKNOWN, "context.ticket": ABSENT}), policy_set(SMALL, mixed))
    assert (decision.category, decision.faults) == (Category.INSUFFICIENT_CONTEXT, ())


def test_unless_turns_a_condition_around() -> None:
    """S3.1"""
    guarded = rule("guarded", "permit", unless=["account.frozen", any_of("risk.score > 0.9", "usage.today > 5")])
    assert decide(facts(), policy_set(guarded)).outcome is Outcome.ALLOW
    assert decide(facts({"usage.today": 6}), policy_set(guarded)).outcome is Outcome.DENY


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (("indeterminate", "temporal", "categorical"), "categorical"),
        (("quota_exceeded", "policy_violation"), "policy_violation"),
        (("state_conflict", "scope_exceeded"), "scope_exceeded"),
        (("quota_exceeded", "state_conflict"), "state_conflict"),
        (("temporal", "quota_exceeded"), "quota_exceeded"),
        (("insufficient_context", "temporal"), "temporal"),
        (("indeterminate", "insufficient_context"), "insufficient_context"),
    ],
)
def test_the_category_is_the_first_of_the_order(present: tuple[str, ...], expected: str) -> None:
    """S3.4"""
    rules = [rule(f"{index}-{name}", "forbid", category=Category(name)) for index, name in enumerate(present)]
    decision = decide(facts(), policy_set(*rules))
    assert (decision.category, decision.trigger.partition("-")[2]) == (Category(expected), expected)
    assert decision.determining == tuple(item.id for item in rules)


def test_a_forbid_without_a_category_is_a_policy_violation() -> None:
    """S3.4"""
    assert decide(facts(), policy_set(rule("plain", "forbid"))).category is Category.POLICY_VIOLATION


def test_the_trigger_is_the_lowest_id_of_the_category() -> None:
    """S3.4"""
    rules = [
        rule("a", "forbid", category=Category.TEMPORAL),
        rule("c", "forbid", category=Category.CATEGORICAL),
        rule("b", "forbid", category=Category.CATEGORICAL),
    ]
    decision = decide(facts(), policy_set(*rules))
    assert (decision.trigger, decision.determining) == ("b", ("a", "b", "c"))


def test_obligations_of_all_true_permits_and_satisfied_reviews_are_united_once() -> None:
    """S3.5"""
    rules = (
        rule("a", "permit", obligations=(obligation("log", level="full"),)),
        rule("b", "permit", obligations=(obligation("log", level="full"), obligation("notify", to="boss"))),
        rule("c", "review", obligations=(obligation("watermark"),)),
        rule("d", "permit", "action.amount > 500", obligations=(obligation("tell", to="nobody"),)),
    )
    decision = decide(facts(approvals=(approval(rules[2]),)), policy_set(*rules))
    assert [item.type for item in decision.obligations] == ["log", "notify", "watermark"]


def test_contradicting_obligations_deny_and_name_both_rules() -> None:
    """S3.5"""
    rules = (
        rule("a", "permit", obligations=(obligation("log", level="full"),)),
        rule("b", "permit", obligations=(obligation("log", level="short"),)),
    )
    decision = decide(facts(), policy_set(*rules, SMALL))
    assert (decision.outcome, decision.category) == (Outcome.DENY, Category.INDETERMINATE)
    assert (decision.trigger, decision.determining) == ("a", ("a", "b"))
    assert decision.contradictions == (Contradiction("log", ("a", "b")),)
    assert (decision.obligations, decision.narrows, decision.grant_seconds) == ((), (), None)


def test_satisfied_reviews_that_contradict_each_other_are_named() -> None:
    """S3.5"""
    rules = (
        rule("a", "review", obligations=(obligation("log", level="full"),)),
        rule("b", "review", obligations=(obligation("log", level="short"),)),
    )
    decision = decide(facts(approvals=tuple(map(approval, rules))), policy_set(*rules))
    assert (decision.outcome, decision.category) == (Outcome.DENY, Category.INDETERMINATE)
    assert decision.contradictions == (Contradiction("log", ("a", "b")),)


def test_what_a_satisfied_review_obliges_to_beyond_the_caller_is_named() -> None:
    """S6.4"""
    granting = rule("a", "review", obligations=(obligation("log", level="full"), obligation("notify", to="boss")))
    asked = msgspec.structs.replace(facts(approvals=(approval(granting),)), understands=frozenset({"log"}))
    decision = decide(asked, policy_set(granting))
    assert (decision.outcome, decision.category) == (Outcome.DENY, Category.POLICY_VIOLATION)
    assert decision.beyond == ("notify",)


def test_a_permit_that_might_contradict_is_asked_about_first() -> None:
    """S3.3, S3.5: else learning that it holds would make the answer stricter."""
    rules = (
        rule("a", "permit", obligations=(obligation("log", level="full"),)),
        rule("b", "permit", "account.frozen", obligations=(obligation("log", level="short"),)),
    )
    decision = decide(facts({"account.frozen": UNKNOWN}), policy_set(*rules))
    assert (decision.outcome, decision.category) == (Outcome.DENY, Category.INSUFFICIENT_CONTEXT)
    assert (decision.determining, decision.missing) == (("b",), ("account.frozen",))


def test_the_narrowest_limit_and_the_shortest_validity_hold() -> None:
    """S3.5"""
    rules = (
        rule("a", "permit", narrows=(narrow("rows", at_most=100),), grant_seconds=60),
        rule("b", "permit", narrows=(narrow("rows", at_most=20), narrow("mode", set="safe"))),
        rule("c", "permit", narrows=(narrow("rows", at_least=5),), grant_seconds=10),
        rule("d", "permit", "action.amount > 500", narrows=(narrow("rows", at_most=1),), grant_seconds=1),
    )
    decision = decide(facts(), policy_set(*rules))
    expected = (
        Narrowing(argument="mode", set="safe"),
        Narrowing(argument="rows", at_most=20, at_least=5),
    )
    assert (decision.outcome, decision.narrows, decision.grant_seconds) == (Outcome.ALLOW, expected, 10)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"at_most": 5}, {"at_least": 6}),
        ({"set": 1}, {"set": 2}),
        ({"set": 1}, {"set": True}),
        ({"set": 9}, {"at_most": 5}),
        ({"set": 1}, {"at_least": 5}),
        ({"set": "x"}, {"at_most": 5}),
        ({"set": True}, {"at_most": 5}),
    ],
)
def test_limits_that_leave_nothing_deny(one: dict[str, object], other: dict[str, object]) -> None:
    """S3.5"""
    rules = (rule("a", narrows=(narrow("rows", **one),)), rule("b", narrows=(narrow("rows", **other),)))
    decision = decide(facts(), policy_set(*rules))
    assert (decision.category, decision.determining) == (Category.INDETERMINATE, ("a", "b"))
    assert decision.contradictions == (Contradiction("action.rows", ("a", "b")),)


@pytest.mark.parametrize(
    ("one", "other", "left"),
    [
        ({"set": 5}, {"at_most": 5}, Narrowing(argument="rows", set=5)),
        ({"at_most": 5}, {"at_least": 5}, Narrowing(argument="rows", at_most=5, at_least=5)),
        ({"set": 5}, {"at_least": 5}, Narrowing(argument="rows", set=5)),
        ({"set": "x"}, {"set": "x"}, Narrowing(argument="rows", set="x")),
    ],
)
def test_limits_that_meet_in_one_value_leave_it(
    one: dict[str, object], other: dict[str, object], left: Narrowing
) -> None:
    """S3.5"""
    rules = (rule("a", narrows=(narrow("rows", **one),)), rule("b", narrows=(narrow("rows", **other),)))
    assert decide(facts(), policy_set(*rules)).narrows == (left,)


def test_refusals_and_deferrals_carry_the_obligations_of_their_own_true_rules() -> None:
    """S3.5"""
    forbid = rule("no", "forbid", "account.frozen", obligations=(obligation("notify", to="fraud"),))
    review = rule("ask", "review", obligations=(obligation("notify", to="boss"),))
    permit = rule("yes", "permit", obligations=(obligation("log"),))
    rules = policy_set(forbid, review, permit)
    denied = decide(facts({"account.frozen": True}), rules)
    unclear = decide(facts({"account.frozen": UNKNOWN}), rules)
    deferred = decide(facts(), rules)
    assert [item.properties for item in denied.obligations] == [{"to": "fraud"}]
    assert unclear.obligations == ()
    assert [item.properties for item in deferred.obligations] == [{"to": "boss"}]


def test_a_decision_names_its_policies_its_time_and_the_history_it_read() -> None:
    """S2.4, S3.7, S4.2"""
    quota = rule("quota", "forbid", "usage.today >= 100")
    decision = decide(facts(), policy_set(quota, SMALL))
    assert (decision.policy_digest, decision.as_of, decision.history) == ("sha256:set", NOW, ("usage.today",))


@pytest.mark.parametrize("wrong", [True, 1, "true", 1.0, None, ["x"], NOW])
def test_a_wrongly_typed_fact_never_permits_and_never_lifts_a_forbid(wrong: object) -> None:
    """S2.1: a value that is not of its declared type counts as a failure."""
    changed = {"account.frozen": wrong, "subject.role": wrong, "subject.roles": wrong, "account.until": wrong}
    if wrong is True:
        changed["account.frozen"] = "yes"
    if isinstance(wrong, str):
        changed["subject.role"] = 5
    if isinstance(wrong, list):
        changed["subject.roles"] = [["clerk"]]
    if wrong is NOW:
        changed["account.until"] = 5
    rules = policy_set(
        rule("p1", "permit", "!account.frozen"),
        rule("p2", "permit", 'subject.role != "boss"'),
        rule("p3", "permit", '!("boss" in subject.roles)'),
        rule("p4", "permit", 'account.until != timestamp("2026-01-01T00:00:00Z")'),
    )
    decision = decide(facts(changed), rules)  # type: ignore[arg-type]  # wrong on purpose
    assert (decision.outcome, decision.permits) == (Outcome.DENY, ())
    assert decision.faults == (
        ("p1", "expected `account.frozen` to be of type bool, found something else"),
        ("p2", "expected `subject.role` to be of type string, found something else"),
        ("p3", "expected `subject.roles` to be of type list<string>, found something else"),
        ("p4", "expected `account.until` to be of type timestamp, found something else"),
    )


def test_true_is_not_taken_for_one() -> None:
    """S2.1"""
    decision = decide(facts({"action.amount": True}), policy_set(rule("one", "permit", "action.amount == 1")))
    assert decision.outcome is Outcome.DENY


def test_a_nan_is_neither_below_nor_above_nor_equal() -> None:
    """S3.1"""
    nan = facts({"risk.score": float("nan")})
    for text in ("risk.score < 1.0", "risk.score >= 1.0", "risk.score == 1.0", "!(risk.score != 1.0)"):
        assert decide(nan, policy_set(rule("r", "permit", text))).outcome is Outcome.DENY
    assert decide(nan, policy_set(rule("r", "permit", "risk.score != 1.0"))).outcome is Outcome.ALLOW


@pytest.mark.parametrize(("resource", "outcome"), [("invoice", Outcome.DENY), ("record", Outcome.ALLOW)])
def test_a_rule_counts_only_for_the_types_of_resource_that_it_covers(resource: str, outcome: Outcome) -> None:
    """S3.1"""
    invoices = rule("invoices", "forbid", resources=("invoice",))
    assert decide(facts(resource=resource), policy_set(SMALL, invoices)).outcome is outcome
