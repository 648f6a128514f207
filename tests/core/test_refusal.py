"""Refusals: category, disposition, what is missing, and who may learn what (S2.3, S3.4, S10)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from demur.core.refusal import Refusal, refuse, unavailable
from demur.core.terms import Audience, Missing, State

from .given_policies import NOW, decided, policies

if TYPE_CHECKING:
    from demur.core.policy.index import PolicySet

BANK = """
demur: 1
namespace: bank
sources: {cases: {kind: python}, ledger: {kind: python}}
facts:
  account.investigated: {type: bool, source: cases, confidential: true}
  account.frozen: {type: bool, source: ledger, await: {event: account released}}
  account.limit: {type: int, source: ledger}
  subject.role: {type: string, obtain: {how: ask for the role, by: supervisor}}
actions:
  transfer:
    arguments:
      amount: {type: int, change: true}
      memo: {type: string, optional: true, visible: {end_user: hide, agent: hide}}
      pin: {type: string, optional: true, secret: true}
  close: {}
  wipe: {}
  view: {}
rules:
  - {id: transfer, effect: permit, actions: [transfer], when: [
      {name: within, expr: action.amount <= account.limit, explain: the amount is within the limit of 100 EUR},
      {name: teller, expr: 'subject.role == "teller"', explain: the requester is a teller}]}
  - id: investigated
    effect: forbid
    category: policy_violation
    actions: [transfer, close]
    when: [{name: investigated, expr: account.investigated, explain: the account is under investigation}]
    obligations: [{id: tell, type: notify, properties: {to: compliance}}]
    messages: {operator: {en: the account is under investigation; do not tell the client}}
  - id: frozen
    effect: forbid
    category: state_conflict
    actions: [transfer, close]
    when: [{name: frozen, expr: account.frozen, explain: the account is frozen}]
    messages: {end_user: {en: your account is frozen, de: Ihr Konto ist gesperrt}}
  - {id: wipe, effect: forbid, category: categorical, actions: [wipe]}
  - {id: close, effect: permit, actions: [close]}
"""


@pytest.fixture(scope="module")
def bank() -> PolicySet:
    return policies(BANK)


CALM: dict[str, State] = {"account.investigated": False, "account.frozen": False, "account.limit": 10_000}


def ask(bank: PolicySet, action: str = "transfer", *, role: str = "teller", **learned: Any) -> Refusal:
    arguments: dict[str, object] = {"amount": 20_000, "memo": "for ann", "pin": "4321"} if action == "transfer" else {}
    body = {
        "subject": {"type": "user", "id": "ann", "properties": {"role": role}},
        "action": {"name": action, "properties": arguments},
        "resource": {"type": "account", "id": "a-1"},
    }
    known = CALM | {path.replace("__", "."): state for path, state in learned.items()}
    return refuse(decided(bank, body, known))


def told(refusal: Refusal, audience: Audience = Audience.AGENT, locale: str = "en") -> dict[str, Any]:
    answer: dict[str, Any] = refusal.to_dict(audience=audience, locale=locale)
    refused: dict[str, Any] = answer["context"]["refusal"]
    return refused


def test_a_failed_permit_that_the_requester_can_mend_asks_to_modify(bank: PolicySet) -> None:
    assert told(ask(bank))["refusal_reason"] == {
        "category": "scope_exceeded",
        "disposition": "modify",
        "policy_reference": "bank/transfer",
        "explanation": "Nothing permits “transfer” for this request. This needs that the amount is within the limit of 100 EUR.",
    }


def test_an_action_that_nothing_covers_asks_to_seek_authority(bank: PolicySet) -> None:
    reason = told(ask(bank, "view"))["refusal_reason"]
    assert (reason["category"], reason["disposition"], reason["policy_reference"]) == (
        "scope_exceeded",
        "seek_authority",
        None,
    )


@pytest.mark.parametrize(
    ("action", "learned", "category", "disposition"),
    [
        ("wipe", {}, "categorical", "never_retry"),
        ("transfer", {"account__frozen": True}, "state_conflict", "wait"),
        ("transfer", {"account__frozen": Missing.UNKNOWN}, "insufficient_context", "supply_context"),
        ("transfer", {"account__limit": Missing.UNKNOWN}, "insufficient_context", "supply_context"),
    ],
)
def test_each_category_has_its_disposition(
    bank: PolicySet, action: str, learned: dict[str, Any], category: str, disposition: str
) -> None:
    reason = told(ask(bank, action, **learned))["refusal_reason"]
    assert (reason["category"], reason["disposition"]) == (category, disposition)


def test_missing_conditions_are_complete(bank: PolicySet) -> None:
    found = told(ask(bank, role="guest"))["remediation"]["missing_conditions"]
    assert [(item["condition"], item["facts"]) for item in found] == [
        ("within", ["account.limit", "action.amount"]),
        ("teller", ["subject.role"]),
    ]


def test_nothing_can_mend_a_categorical_refusal(bank: PolicySet) -> None:
    remediation = told(ask(bank, "wipe"))["remediation"]
    assert remediation["remediable"] is False
    assert remediation["reason"]


@pytest.mark.parametrize("audience", [Audience.END_USER, Audience.AGENT])
@pytest.mark.parametrize("state", [True, Missing.UNKNOWN])
def test_a_confidential_reason_reads_like_an_ordinary_deny(bank: PolicySet, audience: Audience, state: State) -> None:
    hidden = ask(bank, "close", account__investigated=state)
    ordinary = ask(bank, "view")
    reason = told(ordinary, audience)["refusal_reason"]
    assert told(hidden, audience)["refusal_reason"] == reason | {
        "explanation": "Nothing permits “close” for this request."
    }
    assert reason["explanation"] == "Nothing permits “view” for this request."
    assert told(hidden, audience)["remediation"] == told(ordinary, audience)["remediation"]
    assert told(hidden, audience)["obligations"] == []
    assert "investigat" not in json.dumps(hidden.to_dict(audience=audience))
    assert "investigat" not in json.dumps(hidden.to_problem(audience=audience))


def test_beside_a_confidential_reason_the_ordinary_one_is_told(bank: PolicySet) -> None:
    refusal = ask(bank, account__investigated=True, account__frozen=True)
    assert told(refusal)["refusal_reason"]["category"] == "state_conflict"
    assert told(refusal)["refusal_reason"]["policy_reference"] == "bank/frozen"
    assert "investigat" not in json.dumps(refusal.to_dict(audience=Audience.AGENT))


def test_an_operator_learns_the_confidential_reason(bank: PolicySet) -> None:
    seen = told(ask(bank, account__investigated=True), Audience.OPERATOR)
    assert seen["refusal_reason"]["policy_reference"] == "bank/investigated"
    assert seen["refusal_reason"]["explanation"] == "the account is under investigation; do not tell the client"
    assert seen["obligations"][0]["type"] == "notify"


def test_an_end_user_learns_no_threshold_and_no_rule_text(bank: PolicySet) -> None:
    assert "100 EUR" not in json.dumps(ask(bank).to_dict(audience=Audience.END_USER))


def test_secret_arguments_are_in_no_view_and_hidden_ones_only_in_trusted_views(bank: PolicySet) -> None:
    refusal = ask(bank)
    views = {audience: json.dumps(refusal.to_dict(audience=audience)) for audience in Audience}
    assert not any("4321" in view for view in views.values())
    assert {audience for audience, view in views.items() if "for ann" in view} == {Audience.OPERATOR, Audience.AUDITOR}


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en", "your account is frozen"),
        ("de", "Ihr Konto ist gesperrt"),
        ("de-CH", "Ihr Konto ist gesperrt"),
        ("fr", "your account is frozen"),
    ],
)
def test_the_words_of_the_author_come_in_the_locale_or_its_fallback(bank: PolicySet, locale: str, words: str) -> None:
    assert ask(bank, account__frozen=True).explain(audience=Audience.END_USER, locale=locale) == words


def test_words_for_a_less_trusted_audience_serve_where_an_audience_has_none(bank: PolicySet) -> None:
    assert ask(bank, account__frozen=True).explain(audience=Audience.AGENT) == "your account is frozen"


def test_a_refusal_is_a_problem_document(bank: PolicySet) -> None:
    problem = ask(bank).to_problem()
    assert (problem["type"], problem["status"]) == ("urn:demur:refusal:scope_exceeded", 403)
    assert unavailable("no disk", now=NOW).to_problem()["status"] == 503


def test_unavailable_is_no_decision() -> None:
    answer = unavailable("no disk", now=NOW)
    assert (answer.outcome, answer.audit_id, answer.reason.category) == ("unavailable", "", "unavailable")
    assert answer.explain(audience=Audience.OPERATOR) == "no disk"
    assert "disk" not in json.dumps(answer.to_dict(audience=Audience.AGENT))


def test_an_end_user_sees_category_words_and_reference_and_no_more(bank: PolicySet) -> None:
    seen = told(ask(bank), Audience.END_USER)
    assert seen["refusal_reason"]["policy_reference"] is None
    assert seen["remediation"]["missing_conditions"] == []
    assert seen["refusal_reason"]["explanation"] == "Nothing permits “transfer” for this request."
