"""Disclosure: what is confidential leaves no trace below operator, and each audience sees what it may (S2.3, S10.1, S10.3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demur.adapters.documents import parse
from demur.core.policy.compiled import decode_compiled, encode_compiled
from demur.core.policy.load import load
from demur.core.refusal import Refusal, refuse
from demur.core.terms import Audience, Missing, State
from demur.errors import PolicyError

from .given_policies import ZONES, decided, policies

BANK = """
demur: 1
namespace: bank
locale: de
sources: {cases: {kind: python}, ledger: {kind: python}}
facts:
  account.investigated: {type: bool, source: cases, confidential: true}
  account.frozen: {type: bool, source: ledger, await: {event: account released}}
  account.limit: {type: int, source: ledger, visible: {agent: hide}}
  account.score: {type: int, source: ledger, visible: {agent: direction}}
actions:
  transfer:
    description: Send money.
    arguments: {amount: {type: int, change: true}}
rules:
  - {id: transfer, effect: permit, actions: [transfer]}
  - id: investigated
    effect: forbid
    category: categorical
    stands_for: frozen
    actions: [transfer]
    when: [{name: investigated, expr: account.investigated, explain: the account is under investigation}]
    obligations: [{id: tell, type: notify, properties: {to: compliance}}]
    messages: {end_user: {en: under investigation}}
  - id: frozen
    effect: forbid
    category: state_conflict
    actions: [transfer]
    when: [{name: frozen, expr: account.frozen, explain: the account is frozen}]
    obligations: [{id: hint, type: notify, properties: {to: desk}}]
    messages: {end_user: {en: your account is frozen}}
  - id: limit
    effect: forbid
    actions: [transfer]
    when: [{name: over, expr: action.amount > account.limit, explain: above the 100 EUR limit}]
  - id: score
    effect: forbid
    actions: [transfer]
    when: [{name: low, expr: account.score < 7, explain: the score is below 7}]
"""
CALM: dict[str, State] = {
    "account.investigated": False,
    "account.frozen": False,
    "account.limit": 10_000,
    "account.score": 9,
}
BELOW = [Audience.END_USER, Audience.AGENT]
TOKEN = "stands_for: frozen"


def ask(text: str = BANK, amount: int = 5, **learned: State) -> Refusal:
    body: dict[str, object] = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "transfer", "properties": {"amount": amount}},
        "resource": {"type": "account", "id": "a-1"},
    }
    known = CALM | {path.replace("__", "."): state for path, state in learned.items()}
    return refuse(decided(policies(text), body, known))


def refused(refusal: Refusal, audience: Audience, locale: str = "en") -> dict[str, Any]:
    context: Any = refusal.to_dict(audience=audience, locale=locale)["context"]
    found: dict[str, Any] = context["refusal"]
    return found


@pytest.mark.parametrize("audience", BELOW)
@pytest.mark.parametrize("locale", ["en", "de", "fr", "es", "zh", "ar"])
@pytest.mark.parametrize("state", [True, Missing.UNKNOWN])
def test_a_confidential_refusal_is_the_ordinary_one_it_stands_for_to_the_byte(
    audience: Audience, locale: str, state: State
) -> None:
    hidden = ask(account__investigated=state)
    ordinary = ask(account__frozen=True)
    assert json.dumps(hidden.to_dict(audience=audience, locale=locale)) == json.dumps(
        ordinary.to_dict(audience=audience, locale=locale)
    )
    assert json.dumps(hidden.to_problem(audience=audience, locale=locale)) == json.dumps(
        ordinary.to_problem(audience=audience, locale=locale)
    )


@pytest.mark.parametrize("audience", BELOW)
@pytest.mark.parametrize("frozen", [True, Missing.UNKNOWN])
def test_both_together_read_like_the_ordinary_one_alone(audience: Audience, frozen: State) -> None:
    both = ask(account__investigated=True, account__frozen=frozen)
    unsure = ask(account__investigated=Missing.UNKNOWN, account__frozen=frozen)
    ordinary = ask(account__frozen=True)
    told = [item.to_dict(audience=audience) for item in (both, unsure, ordinary)]
    assert told[0] == told[1] == told[2]


def test_beside_another_ordinary_reason_both_ordinary_ones_are_told() -> None:
    hidden = ask(account__investigated=True, account__score=1)
    ordinary = ask(account__frozen=True, account__score=1)
    assert hidden.to_dict() == ordinary.to_dict()
    assert refused(hidden, Audience.AGENT)["refusal_reason"]["category"] == "policy_violation"


@pytest.mark.parametrize("audience", [Audience.OPERATOR, Audience.AUDITOR])
def test_those_who_run_demur_learn_what_it_was(audience: Audience) -> None:
    seen = refused(ask(account__investigated=True), audience)
    assert seen["refusal_reason"]["policy_reference"] == "bank/investigated"
    assert seen["determining_policies"] == ["bank/investigated"]
    assert [item["id"] for item in seen["obligations"]] == ["tell"]


@pytest.mark.parametrize("audience", BELOW)
def test_without_a_stand_in_a_categorical_hold_reads_like_a_default_deny(audience: Audience) -> None:
    hidden = refused(ask(BANK.replace(TOKEN, ""), account__investigated=True), audience)
    reason = hidden["refusal_reason"]
    assert (reason["category"], reason["disposition"], reason["policy_reference"]) == (
        "scope_exceeded",
        "seek_authority",
        None,
    )
    assert (hidden["obligations"], hidden["remediation"]["remediable"]) == ([], False)


@pytest.mark.parametrize(
    ("written", "instead", "found"),
    [
        (TOKEN, "stands_for: frozzen", "`bank/frozzen`"),
        (TOKEN, "stands_for: transfer", "a permit rule"),
        (TOKEN, "stands_for: investigated", "reads a confidential fact itself"),
        ("category: state_conflict\n", "category: state_conflict\n    stands_for: limit\n", "found it on another"),
        ("{id: transfer, effect: permit", "{id: transfer, stands_for: frozen, effect: permit", "only on forbid"),
        (
            "[{name: frozen, expr: account.frozen, explain: the account is frozen}]",
            "[{any: [{name: frozen, expr: account.frozen, explain: x}]}]",
            "an any-of group",
        ),
        (
            "category: state_conflict\n    actions: [transfer]",
            "category: state_conflict\n    resources: [card]\n    actions: [transfer]",
            "does not cover `*`",
        ),
    ],
)
def test_what_cannot_be_stood_for_is_refused_when_the_policy_loads(written: str, instead: str, found: str) -> None:
    assert BANK.count(written) == 1
    with pytest.raises(PolicyError) as caught:
        policies(BANK.replace(written, instead))
    assert found in str(caught.value)


def test_what_a_rule_stands_for_is_part_of_its_digest_and_of_compiled_policies() -> None:
    def read(text: str) -> Any:
        return load([parse(text.encode(), "bank.yaml")], ZONES.is_zone)

    documents = read(BANK)
    assert documents.digest != read(BANK.replace(TOKEN, "")).digest
    assert documents == read(BANK.replace(TOKEN, "stands_for: bank/frozen"))
    assert decode_compiled(encode_compiled(documents)) == documents


def test_a_hidden_fact_takes_the_explanation_and_its_own_name_with_it() -> None:
    seen = refused(ask(amount=20_000), Audience.AGENT)
    assert seen["remediation"]["missing_conditions"] == [
        {"condition": "over", "explanation": "", "facts": ["action.amount"], "state": "holds"}
    ]
    assert seen["refusal_reason"]["explanation"] == (
        "A rule stands against “Send money” as it was asked for. This concerns action.amount."
    )
    assert "100 EUR" not in json.dumps(seen)


def test_a_fact_of_which_only_the_direction_shows_is_named_without_its_number() -> None:
    seen = refused(ask(account__score=1), Audience.AGENT)
    assert [item["facts"] for item in seen["remediation"]["missing_conditions"]] == [["account.score"]]
    assert "7" not in json.dumps(seen["remediation"]) + seen["refusal_reason"]["explanation"]
    assert "the score is below 7" in json.dumps(refused(ask(account__score=1), Audience.OPERATOR))


@pytest.mark.parametrize("audience", BELOW)
def test_one_refusal_is_the_same_whatever_the_hidden_limit(audience: Audience) -> None:
    views = {
        json.dumps(ask(amount=20_000, account__limit=limit).to_dict(audience=audience)) for limit in (1, 700, 19_999)
    }
    assert len(views) == 1


def test_why_not_and_how_to_proceed_are_told_apart_and_together() -> None:
    refusal = ask(account__score=1)
    why = "A rule stands against “Send money” as it was asked for."
    step = "Someone with the authority for it can help."
    seen = refused(refusal, Audience.END_USER)
    assert (seen["refusal_reason"]["explanation"], seen["remediation"]["next_step"]) == (why, step)
    assert refusal.explain(audience=Audience.END_USER) == f"{why} {step}"


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("de", "Eine Regel steht „Send money“ in dieser Form entgegen. Jemand mit der nötigen Befugnis kann Ihnen weiterhelfen."),
        ("sv", "Eine Regel steht „Send money“ in dieser Form entgegen. Jemand mit der nötigen Befugnis kann Ihnen weiterhelfen."),
        ("zh-CN", "按目前的请求方式，有规则不允许“Send money”。具有相应权限的人员可以为您提供帮助。"),
        ("ar", "توجد قاعدة لا تسمح بـ «\u2068Send money\u2069» بالصيغة المطلوبة. يمكن لشخص لديه الصلاحية اللازمة تقديم المساعدة."),
    ],
)  # fmt: skip
def test_words_come_in_the_language_asked_for_or_the_declared_one(locale: str, words: str) -> None:
    assert ask(account__score=1).explain(audience=Audience.END_USER, locale=locale) == words


TILL = """
demur: 1
namespace: till
sources: {cases: {kind: python}, ledger: {kind: python}}
facts:
  case.open: {type: bool, source: cases, confidential: true}
  ledger.full: {type: bool, source: ledger}
  ledger.used: {type: bool, source: ledger}
actions: {pay: {arguments: {n: {type: int, change: true}}}, lend: {}}
rules:
  - {id: all, effect: permit, actions: [pay]}
  - {id: known, effect: permit, actions: [lend], when: [{name: k, expr: "!case.open", explain: no case}]}
  - {id: case, effect: forbid, actions: [pay], when: [{name: c, expr: case.open, explain: a case is open}]}
  - id: full
    effect: forbid
    category: state_conflict
    disposition: retry_after
    actions: [pay]
    when: [{name: f, expr: ledger.full, explain: it is full}]
    obligations: [{id: tell, type: notify, properties: {to: desk}}]
    messages: {end_user: {en: The till is full.}}
  - {id: used, effect: forbid, category: quota_exceeded, disposition: wait, actions: [pay], when: [
      {name: u, expr: ledger.used, explain: it is used}]}
  - {id: much, effect: forbid, actions: [pay], when: [{name: m, expr: action.n > 3, explain: it is much}]}
"""


def till(action: str = "pay", n: int = 1, text: str = TILL, **learned: State) -> Refusal:
    body: dict[str, object] = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": action, "properties": {"n": n} if action == "pay" else {}},
        "resource": {"type": "till", "id": "t-1"},
    }
    known: dict[str, State] = {"case.open": False, "ledger.full": False, "ledger.used": False}
    return refuse(
        decided(policies(text), body, known | {path.replace("__", "."): item for path, item in learned.items()})
    )


def test_a_rule_says_what_to_do_next_only_where_it_is_known_to_hold() -> None:
    """S2.1, S3.4"""
    holds, unsure = till(ledger__full=True), till(ledger__full=Missing.UNKNOWN)
    assert (holds.reason.category, holds.reason.disposition) == ("state_conflict", "retry_after")
    assert holds.messages == holds.shown_messages == {Audience.END_USER: {"en": "The till is full."}}
    assert (unsure.reason.category, unsure.reason.disposition) == ("insufficient_context", "supply_context")
    assert unsure.messages == unsure.shown_messages == {}


@pytest.mark.parametrize("case", [True, Missing.UNKNOWN])
def test_beside_what_is_confidential_the_first_category_of_s3_4_is_told(case: State) -> None:
    """S3.4: a conflict of states comes before a quota, whatever the order of the rules; each says what to do next."""
    both = till(case__open=case, ledger__full=True, ledger__used=True)
    assert (both.shown.category, both.shown.disposition, both.shown.policy_reference) == (
        "state_conflict",
        "retry_after",
        "till/full",
    )
    quota = till(case__open=case, ledger__used=True)
    assert (quota.shown.category, quota.shown.disposition) == ("quota_exceeded", "wait")
    assert [item.id for item in both.shown_obligations] == ["tell"]


def test_beside_what_is_confidential_a_change_is_advised_where_what_is_told_may_be_changed() -> None:
    refusal = till(case__open=True, n=9)
    assert (refusal.shown.category, refusal.shown.disposition, refusal.shown.policy_reference) == (
        "policy_violation",
        "modify",
        "till/much",
    )
    assert refusal.shown_is_remediable


def test_where_only_unknown_rules_are_told_they_say_and_oblige_nothing() -> None:
    """S2.1: nobody knows whether they hold."""
    refusal = till(case__open=Missing.UNKNOWN, ledger__full=Missing.UNKNOWN)
    assert (refusal.shown.category, refusal.shown.disposition, refusal.shown.policy_reference) == (
        "insufficient_context",
        "supply_context",
        "till/full",
    )
    assert (refusal.shown_messages, refusal.shown_obligations) == ({}, ())


def test_only_a_rule_that_stands_against_it_withholds_the_remedies() -> None:
    """S2.3: that a permit does not hold reads like any default deny, which offers what it offers."""
    assert till(case__open=True).is_withheld is True
    assert till(case__open=True, n=9).is_withheld is True
    assert till("lend", case__open=True).is_withheld is False
    assert till(n=9).is_withheld is False


@pytest.mark.parametrize(("covered", "is_withheld"), [("till", True), ("card", False)])
def test_an_ordinary_refusal_withholds_where_it_is_stood_for_on_this_type(covered: str, *, is_withheld: bool) -> None:
    stood = f"  - {{id: case, effect: forbid, stands_for: much, resources: [{covered}],"
    text = TILL.replace("  - {id: case, effect: forbid,", stood)
    assert text != TILL
    assert till(n=9, text=text).is_withheld is is_withheld
