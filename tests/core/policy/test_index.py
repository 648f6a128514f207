"""Rules are found by action and resource type, in bounded memory, and their needs are known."""

from __future__ import annotations

import sys

import msgspec
import pytest

from demur.core.decision import decide
from demur.core.policy import index
from demur.core.policy.document import Namespace
from demur.core.policy.index import PolicySet
from demur.core.schema import Action
from demur.core.terms import Category, Effect, Outcome
from demur.errors import PolicyError
from tests.core.rulebook import SCHEMA, ZONES, documents, facts, policy_set, rule


def ids(found: tuple[object, ...]) -> list[str]:
    return [getattr(item, "id", "") for item in found]


@pytest.mark.parametrize(
    ("patterns", "action", "is_covered"),
    [
        (("pay",), "pay", True),
        (("pay",), "Pay", False),
        (("pay",), "payment", False),
        (("p*",), "plan", True),
        (("*",), "anything at all\n", True),
        (("*ay",), "pay", True),
        (("p*y*",), "pay", True),
        (("pa*ay",), "pay", False),
        (("x*", "re*"), "read", True),
        ((), "pay", False),
        (("p.y",), "pay", False),
    ],
)
def test_a_rule_covers_the_actions_it_names(patterns: tuple[str, ...], action: str, is_covered: bool) -> None:
    """S3.6"""
    found = policy_set(rule("r", actions=patterns)).candidates(action, "invoice")
    assert ids(found) == (["r"] if is_covered else [])


def test_a_rule_covers_only_the_resource_types_it_names() -> None:
    """S3.6"""
    rules = policy_set(rule("a", resources=("invoice",)), rule("b", resources=("rec*",)), rule("c"))
    assert ids(rules.candidates("pay", "invoice")) == ["a", "c"]
    assert ids(rules.candidates("pay", "record")) == ["b", "c"]
    assert ids(rules.candidates("pay", "recipe")) == ["b", "c"]
    assert ids(rules.candidates("pay", "other")) == ["c"]


def test_permits_and_reviews_end_where_the_namespace_ends_and_forbids_do_not() -> None:
    """S3.6"""
    ward = {"ward": Namespace(name="ward", owns=("re*",))}
    rules = policy_set(
        *(rule(effect.value, effect.value, namespace="ward") for effect in Effect), rule("free"), namespaces=ward
    )
    assert ids(rules.candidates("pay", "invoice")) == ["forbid", "free"]
    assert ids(rules.candidates("read", "invoice")) == ["forbid", "free", "permit", "review"]
    assert ids(rules.candidates("rewrite", "invoice")) == ["forbid", "free", "permit", "review"]
    assert ids(rules.candidates("write", "invoice")) == ["forbid", "free"]


def test_an_action_that_nothing_declares_meets_the_rules_with_patterns() -> None:
    """S3.2"""
    rules = policy_set(rule("all", "forbid"), rule("x", actions=("x*",)), rule("pay", actions=("pay",)))
    assert ids(rules.candidates("xyz", "invoice")) == ["all", "x"]
    decision = decide(facts(action="xyz"), rules)
    assert (decision.outcome, decision.determining, decision.permits) == (Outcome.DENY, ("all",), ("x",))


def test_names_that_a_caller_invents_do_not_grow_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_FOREIGN", 10)
    rules = policy_set(rule("a", actions=("x*",)), rule("b", actions=("*y",)), rule("c", resources=("z*",)))
    for number in range(500):
        assert "a" in ids(rules.candidates(f"x{number}", f"z{number}"))
        rules.candidates("pay", f"z{number}")
    assert (len(rules._foreign), len(rules._named), len(rules._shared)) <= (10, 2, 2)


def test_more_buckets_than_are_kept_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_BUCKETS", 2)
    names = [f"act{number}" for number in range(9)]
    rules = policy_set(*(rule(name, actions=(name,)) for name in names))
    for _ in range(2):
        assert [ids(rules.candidates(name, "invoice")) for name in names] == [[name] for name in names]
    assert len(rules._shared) <= 2


def test_tables_kept_at_once_stay_within_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_BUCKET_BYTES", 10_000)
    names = [f"act{number}" for number in range(9)]
    rules = policy_set(*(rule(name, "permit", "action.amount > 5", actions=(name,)) for name in names))
    for name in names:
        assert decide(facts(action=name), rules).outcome is Outcome.ALLOW
    assert rules._bytes <= 10_000


def test_actions_with_the_same_rules_share_one_bucket() -> None:
    rules = policy_set(rule("a"), rule("b", resources=("*o*",)))
    assert rules.bucket("pay", "invoice")[0] is rules.bucket("read", "record")[0]


def test_the_order_of_rules_is_that_of_their_ids() -> None:
    """S3.4"""
    rules = policy_set(*(rule(name) for name in ("b/2", "a", "b/10", "ä")))
    assert ids(rules.candidates("pay", "invoice")) == ["a", "b/10", "b/2", "ä"]


def test_needs_lists_what_candidates_read_by_source() -> None:
    """S2.2, S4.2"""
    rules = policy_set(
        rule("a", "permit", "account.limit > 5", "risk.score < 0.5", "action.amount > 1", actions=("pay",)),
        rule("b", "forbid", unless=["has(account.until)", "usage.today < 5"], actions=("p*",)),
        rule("c", "forbid", "account.frozen", actions=("read",)),
    )
    expected = {"account": ("account.limit", "account.until"), "risk": ("risk.score",), "usage": ("usage.today",)}
    assert rules.needs("pay", "invoice") == expected
    assert rules.needs("read", "invoice") == {"account": ("account.frozen",)}
    assert rules.needs("refund", "invoice") == {}
    assert rules.columns("read", "invoice") == ("account.frozen",)


def test_needs_reaches_into_every_kind_of_condition() -> None:
    """S2.2"""
    text = (
        "(account.frozen ? [account.limit, 1] : [usage.today]).exists(x, x > 1 && risk.score > 0.5)"
        ' && size({context.ticket: 1}) == 1 && subject.role.startsWith("a")'
    )
    expected = ("subject.role", "context.ticket", "account.frozen", "account.limit", "risk.score", "usage.today")
    assert policy_set(rule("a", "permit", text)).columns("pay", "invoice") == expected


def test_warming_makes_every_declared_bucket() -> None:
    rules = policy_set(rule("a", actions=("pay",)), rule("b", actions=("read",)))
    rules.warm()
    assert set(rules._named) == {
        (action, kind) for action in ("pay", "refund", "plan", "read") for kind in ("invoice", "record")
    }


def test_warming_reaches_actions_on_any_type_of_resource() -> None:
    anything = msgspec.structs.replace(SCHEMA, actions={"pay": Action(name="pay")})
    written = msgspec.structs.replace(documents(rule("a"), rule("b", resources=("x",))), schema=anything)
    rules = PolicySet.build(written, ZONES)
    rules.warm()
    assert set(rules._named) == {("pay", None), ("pay", "x")}


def test_a_thousand_limits_are_judged_at_below_and_above_each() -> None:
    """S3.1"""
    limits = range(0, 2_000, 2)
    rules = PolicySet.build(
        documents(*(rule(f"{limit:04}", "permit", f"action.amount == {limit}") for limit in limits)), ZONES
    )
    for amount in (-1, 0, 1, 2, 999, 1_000, 1_998, 1_999):
        expected = (f"{amount:04}",) if amount in limits else ()
        assert decide(facts({"action.amount": amount}), rules).permits == expected


def test_wide_integers_and_doubles_are_compared_exactly() -> None:
    """S3.1"""
    rules = policy_set(rule("a", "permit", "risk.score < 9007199254740993.0"), rule("b", "permit", "risk.score > 0.1"))
    assert decide(facts({"risk.score": 9007199254740992.0}), rules).permits == ("b",)
    assert decide(facts({"risk.score": 0.1}), rules).permits == ("a",)
    assert decide(facts({"risk.score": 0.1 + sys.float_info.epsilon}), rules).permits == ("a", "b")


def test_a_rule_can_need_several_members_of_a_list_and_bear_none_of_others() -> None:
    """S3.1"""
    both = rule("both", "permit", '"clerk" in subject.roles', '"nurse" in subject.roles')
    neither = rule("neither", "permit", '!("boss" in subject.roles || "thief" in subject.roles)')
    rules = policy_set(both, neither)
    assert decide(facts({"subject.roles": ["nurse", "clerk", "clerk"]}), rules).permits == ("both", "neither")
    assert decide(facts({"subject.roles": ["nurse", "thief"]}), rules).permits == ()
    assert decide(facts({"subject.roles": []}), rules).permits == ("neither",)


def test_a_shared_program_runs_only_for_rules_that_are_still_possible() -> None:
    """A costly condition behind a cheap one that fails costs nothing."""
    rules = policy_set(rule("a", "permit", "action.amount > 5000", "10 / account.limit > 0"))
    decision = decide(facts({"account.limit": 0}), rules)
    assert (decision.category, decision.faults) == (Category.SCOPE_EXCEEDED, ())


def test_an_unknown_rule_id_is_a_key_error() -> None:
    rules = policy_set(rule("a"))
    assert rules.rule("a").id == "a"
    with pytest.raises(KeyError):
        rules.rule("b")
    with pytest.raises(KeyError):
        rules.slot("never.declared")


def test_instants_beyond_64_bits_of_nanoseconds_can_be_compared() -> None:
    """S3.1"""
    far = 'timestamp("9999-12-31T23:59:59Z")'
    rules = policy_set(
        rule("plain", "permit", f"account.until < {far}"),
        rule("computed", "permit", f"account.frozen || account.until < {far}"),
    )
    assert decide(facts(), rules).permits == ("computed", "plain")


def test_two_rules_of_one_id_that_differ_are_refused() -> None:
    """S3.3: which of them counts would depend on their order."""
    assert ids(policy_set(rule("a"), rule("a")).candidates("pay", "invoice")) == ["a"]
    with pytest.raises(PolicyError, match="expected one rule `a`, found two that differ"):
        policy_set(rule("a"), rule("a", "forbid"))


@pytest.mark.parametrize("count", [3, 64, 65, 500])
def test_conditions_with_many_constants_are_judged_like_those_with_few(count: int) -> None:
    """S3.1: a list of options is one look; very long chains of comparisons are evaluated as programs."""
    numbers = range(0, 2 * count, 2)
    options = ", ".join(map(str, numbers))
    rules = policy_set(
        rule("in", "permit", f"action.amount in [{options}]"),
        rule("not", "permit", f"!(action.amount in [{options}])"),
        rule("or", "permit", " || ".join(f"action.amount == {number}" for number in numbers)),
        rule("and", "permit", " && ".join(f"action.amount != {number}" for number in numbers)),
        rule("mixed", "permit", " || ".join(f"action.amount > {number}" for number in numbers)),
    )
    last = 2 * count - 2
    expected = {
        -1: ("and", "not"),
        0: ("in", "or"),
        1: ("and", "mixed", "not"),
        last: ("in", "mixed", "or"),
        last + 1: ("and", "mixed", "not"),
    }
    assert {amount: decide(facts({"action.amount": amount}), rules).permits for amount in expected} == expected
