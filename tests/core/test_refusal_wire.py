"""The JSON of a refusal, name by name: wire.md's for AuthZEN, RFC 9457's for a problem, and what each audience gets of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from demur.core import intake
from demur.core.intake import Caller
from demur.core.obstacles import Obstacle, Standing
from demur.core.phrases import phrase
from demur.core.policy.document import Obligation
from demur.core.refusal import Reason, Refusal, describe, refuse, secrets, unavailable
from demur.core.remedy import Remedies
from demur.core.remedy.chart import Kind
from demur.core.remedy.offers import OtherAction, Part, Repair
from demur.core.schema import Visibility
from demur.core.terms import Audience, Category, Disposition, Outcome

from .given_policies import NOW, decided, policies

BELOW = (Audience.END_USER, Audience.AGENT)
TRUSTED = (Audience.OPERATOR, Audience.AUDITOR)
ACTION: dict[str, object] = {"name": "pay", "properties": {"amount": 9, "memo": "for ann"}}
OPEN = Obstacle(
    rule="t/ask", condition="few", explanation="few were asked", facts=("usage.asked",), state=Standing.HOLDS
)
CLOSED = Obstacle(
    rule="t/held", condition="held", explanation="held back", facts=("account.held",), state=Standing.HOLDS
)
INSTEAD = Obstacle(
    rule="t/calm", condition="calm", explanation="be calm", facts=("account.calm",), state=Standing.HOLDS
)
REFUSAL = Refusal(
    reason=Reason(Category.POLICY_VIOLATION, Disposition.WAIT, "t/held"),
    shown=Reason(Category.QUOTA_EXCEEDED, Disposition.RETRY_AFTER, "t/ask"),
    audit_id="demo/41",
    as_of=NOW,
    policy_version="sha256:p",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    request_id="r-1",
    action=ACTION,
    hidden_arguments={Audience.END_USER: ("memo",)},
    missing_conditions=(OPEN, CLOSED),
    messages={Audience.OPERATOR: {"en": "Held back.", "fr": "Retenu."}},
    shown_messages={Audience.END_USER: {"en": "Too many.", "fr": "Trop."}},
    confidential=("t/held",),
    stand_ins=(INSTEAD,),
    shown_obligations=(Obligation(id="hint", type="notify", properties={"to": "desk"}),),
    wanted="Pay a bill.",
    locale="fr",
    determining=("t/ask", "t/held"),
    obligations=(Obligation(id="tell", type="notify", properties={"to": "chief"}),),
    escalation_roles=("boss", "chief"),
    repeat_of="demo/40",
    repeats=2,
)  # fmt: skip


def context(refusal: Refusal, **told: Any) -> dict[str, Any]:
    answer = refusal.to_dict(**told)
    assert answer["decision"] is False
    found: Any = answer["context"]
    return dict(found)


def refused(refusal: Refusal, **told: Any) -> dict[str, Any]:
    return dict(context(refusal, **told)["refusal"])


def test_every_name_and_value_that_an_agent_gets() -> None:
    """wire.md"""
    assert REFUSAL.to_dict(audience=Audience.AGENT, locale="en") == {
        "decision": False,
        "context": {
            "outcome": "deny",
            "audit_id": "demo/41",
            "confidence": "definite",
            "policy_version": "sha256:p",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "request_id": "r-1",
            "as_of": "2026-11-20T09:00:00Z",
            "refusal": {
                "refused_action": ACTION,
                "refusal_reason": {
                    "category": "quota_exceeded",
                    "disposition": "retry_after",
                    "policy_reference": "t/ask",
                    "explanation": "Too many.",
                },
                "remediation": {
                    "remediable": False,
                    "reason": "none_found",
                    "next_step": phrase("retry_after", "en"),
                    "missing_conditions": [
                        {"condition": "few", "explanation": "few were asked", "facts": ["usage.asked"], "state": "holds"},
                        {"condition": "calm", "explanation": "be calm", "facts": ["account.calm"], "state": "holds"},
                    ],
                    "suggested_modifications": [],
                    "compliant_alternatives": [],
                },
                "escalation_available": True,
                "escalation_context": {"roles": ["boss", "chief"]},
                "obligations": [{"id": "hint", "type": "notify", "properties": {"to": "desk"}}],
                "repeat_of": "demo/40",
                "repeats": 2,
            },
        },
    }  # fmt: skip


@pytest.mark.parametrize("audience", TRUSTED)
def test_those_who_run_demur_get_the_whole_reason_and_the_rules(audience: Audience) -> None:
    found = refused(REFUSAL, audience=audience, locale="fr")
    assert found["refused_action"] == ACTION
    assert found["refusal_reason"] == {
        "category": "policy_violation",
        "disposition": "wait",
        "policy_reference": "t/held",
        "explanation": "Retenu.",
    }
    assert [item["rule"] for item in found["remediation"]["missing_conditions"]] == ["t/ask", "t/held"]
    assert found["remediation"]["next_step"] == phrase("wait", "fr")
    assert found["obligations"] == [{"id": "tell", "type": "notify", "properties": {"to": "chief"}}]
    assert found["determining_policies"] == ["t/ask", "t/held"]


def test_an_end_user_gets_no_reference_no_condition_and_no_hidden_argument() -> None:
    found = refused(REFUSAL, audience=Audience.END_USER, locale="fr")
    assert found["refused_action"] == {"name": "pay", "properties": {"amount": 9}}
    assert found["refusal_reason"] == {
        "category": "quota_exceeded",
        "disposition": "retry_after",
        "policy_reference": None,
        "explanation": "Trop.",
    }
    assert found["remediation"]["missing_conditions"] == []
    assert found["remediation"]["next_step"] == phrase("retry_after", "fr")
    assert "determining_policies" not in found


def test_what_is_not_there_is_null_or_empty() -> None:
    reason = Reason(Category.SCOPE_EXCEEDED, Disposition.SEEK_AUTHORITY)
    bare = context(Refusal(reason=reason, shown=reason, as_of=NOW))
    names = ("audit_id", "policy_version", "trace_id", "request_id")
    assert {name: bare[name] for name in names} == dict.fromkeys(names)
    assert "checkpoint" not in bare
    found = bare["refusal"]
    assert (found["refusal_reason"]["policy_reference"], found["repeat_of"], found["repeats"]) == (None, None, 0)
    assert (found["escalation_available"], found["escalation_context"]) == (False, {})
    assert (found["refused_action"], found["obligations"]) == ({}, [])


def test_the_newest_checkpoint_goes_along() -> None:
    given = msgspec.structs.replace(REFUSAL, checkpoint="demo\n41\nroot")
    assert context(given)["checkpoint"] == "demo\n41\nroot"


@pytest.mark.parametrize(
    ("audience", "category", "is_available"),
    [
        (Audience.AGENT, Category.CATEGORICAL, False),
        (Audience.OPERATOR, Category.CATEGORICAL, True),
        (Audience.AGENT, Category.TEMPORAL, True),
    ],
)
def test_nobody_is_asked_about_what_is_never_allowed(
    audience: Audience, category: Category, *, is_available: bool
) -> None:
    given = msgspec.structs.replace(REFUSAL, shown=Reason(category, Disposition.NEVER_RETRY))
    found = refused(given, audience=audience)
    assert found["escalation_available"] is is_available
    assert found["escalation_context"] == {"roles": ["boss", "chief"]}


def test_an_agent_reading_english_is_meant_where_nothing_is_said() -> None:
    """The policies' own language, French, is for locales that have no words."""
    plain: Any = {"audience": Audience.AGENT, "locale": "en"}
    assert REFUSAL.to_dict() == REFUSAL.to_dict(**plain)
    assert REFUSAL.to_problem() == REFUSAL.to_problem(**plain)
    said = (REFUSAL.explain(), REFUSAL.why(), REFUSAL.next_step())
    assert said == ("Too many.", "Too many.", phrase("retry_after", "en"))


@pytest.mark.parametrize(
    ("audience", "locale", "category", "detail"),
    [
        (Audience.AGENT, "en", "quota_exceeded", "Too many."),
        (Audience.AGENT, "fr", "quota_exceeded", "Trop."),
        (Audience.OPERATOR, "en", "policy_violation", "Held back."),
        (Audience.OPERATOR, "fr", "policy_violation", "Retenu."),
    ],
)
def test_a_problem_has_the_members_of_rfc_9457(audience: Audience, locale: str, category: str, detail: str) -> None:
    assert REFUSAL.to_problem(audience=audience, locale=locale) == {
        "type": f"urn:demur:refusal:{category}",
        "title": phrase(category, locale, wanted="Pay a bill"),
        "status": 403,
        "detail": detail,
        "instance": "urn:demur:record:demo/41",
        "refusal": refused(REFUSAL, audience=audience, locale=locale),
    }


def test_a_problem_without_a_record_has_no_instance() -> None:
    assert unavailable("no disk", now=NOW).to_problem()["instance"] is None


def test_without_an_authors_words_each_audience_reads_its_own_reason_and_conditions() -> None:
    given = msgspec.structs.replace(REFUSAL, messages={}, shown_messages={}, wanted="")
    why = {audience: given.why(audience=audience, locale="en") for audience in Audience}
    shown, whole = (phrase(name, "en", wanted="pay") for name in ("quota_exceeded", "policy_violation"))
    assert why[Audience.END_USER] == shown
    assert why[Audience.AGENT].startswith(shown)
    assert [text in why[Audience.AGENT] for text in ("ew were asked", "be calm", "held back")] == [True, True, False]
    assert why[Audience.OPERATOR].startswith(whole)
    assert [text in why[Audience.OPERATOR] for text in ("ew were asked", "be calm", "held back")] == [True, False, True]


def test_what_has_no_name_is_called_nothing() -> None:
    reason = Reason(Category.SCOPE_EXCEEDED, Disposition.SEEK_AUTHORITY)
    assert Refusal(reason=reason, shown=reason, as_of=NOW).why() == phrase("scope_exceeded", "en", wanted="")


HIDDEN_FROM_USERS = Repair(
    parts=(Part(kind=Kind.CHANGE, path="action.amount", value=3, visible={Audience.END_USER: Visibility.HIDE}),),
    leads_to=Outcome.ALLOW, cost=1.0, as_of=NOW,
)  # fmt: skip
ASK = OtherAction(action="ask", leads_to=Outcome.ALLOW, as_of=NOW)
WHISPER = OtherAction(action="whisper", leads_to=Outcome.ALLOW, as_of=NOW, is_confidential=True)


@pytest.mark.parametrize(
    ("remedies", "audience", "step", "is_remediable"),
    [
        (Remedies(alternatives=(ASK, WHISPER), as_of=NOW), Audience.AGENT, ("alternative", ("ask",)), True),
        (Remedies(alternatives=(ASK, WHISPER), as_of=NOW), Audience.OPERATOR, ("alternative", ("ask", "whisper")), True),
        (Remedies(alternatives=(WHISPER,), as_of=NOW), Audience.AGENT, ("retry_after", ()), False),
        (Remedies(modifications=(HIDDEN_FROM_USERS,), as_of=NOW), Audience.END_USER, ("retry_after", ()), False),
        (Remedies(modifications=(HIDDEN_FROM_USERS,), as_of=NOW), Audience.AGENT, ("change", ()), True),
    ],
)  # fmt: skip
def test_the_next_step_is_the_best_that_this_audience_may_know(
    remedies: Remedies, audience: Audience, step: tuple[str, tuple[str, ...]], *, is_remediable: bool
) -> None:
    given = msgspec.structs.replace(REFUSAL, remedies=remedies)
    name, actions = step
    places: Any = {"alternative": {"actions": actions}, "change": {"facts": ("amount = 3",)}}.get(name, {})
    remediation = refused(given, audience=audience)["remediation"]
    assert remediation["next_step"] == phrase(name, "en", **places)
    assert remediation["remediable"] is is_remediable


@pytest.mark.parametrize(
    ("whole", "shown", "conditions", "expected"),
    [
        (True, False, (OPEN,), (False, True)),
        (False, True, (OPEN,), (True, False)),
        (True, True, (), (False, False)),
    ],
)
def test_remediable_is_what_may_change_among_what_is_told(
    *, whole: bool, shown: bool, conditions: tuple[Obstacle, ...], expected: tuple[bool, bool]
) -> None:
    given = msgspec.structs.replace(
        REFUSAL, is_remediable=whole, shown_is_remediable=shown, missing_conditions=conditions, stand_ins=()
    )
    found = [refused(given, audience=item)["remediation"]["remediable"] for item in (Audience.AGENT, Audience.OPERATOR)]
    assert tuple(found) == expected


def test_where_nothing_was_looked_for_that_is_what_those_who_run_demur_read() -> None:
    assert refused(REFUSAL, audience=Audience.OPERATOR)["remediation"]["reason"] == "none_found"
    assert REFUSAL.offered(Audience.AGENT).as_of == NOW


DESK = """
demur: 1
namespace: t
locale: fr
sources: {core: {kind: python}}
facts:
  core.held: {type: bool, source: core}
actions:
  pay:
    description: Pay a bill.
    arguments:
      amount: {type: int, visible: {agent: direction}}
      pin: {type: string, optional: true, secret: true}
      code: {type: string, optional: true, secret: true}
rules:
  - {id: p, effect: permit, actions: [pay]}
  - {id: r, effect: review, actions: [pay], review: {role: boss}, when: [{name: r, expr: action.amount > 5, explain: much}]}
  - {id: f, effect: forbid, category: categorical, actions: [pay], when: [{name: f, expr: core.held, explain: held}]}
"""
BODY: dict[str, object] = {
    "subject": {"type": "user", "id": "ann"},
    "actor": {"type": "agent", "id": "bot"},
    "action": {"name": "pay", "properties": {"amount": 9, "pin": "4321"}},
    "resource": {"type": "bill", "id": "b-1"},
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "request_id": "r-1",
}


def test_what_was_asked_is_described_without_secrets() -> None:
    """S1.5"""
    policy_set = policies(DESK)
    request = intake.read(BODY, policy_set.schema, caller=Caller())
    assert describe(request, policy_set.schema) == {
        "subject": {"type": "user", "id": "ann"},
        "actor": {"type": "agent", "id": "bot"},
        "name": "pay",
        "properties": {"amount": 9},
        "resource": {"type": "bill", "id": "b-1"},
    }
    assert secrets(request, policy_set.schema) == ("pin",)


@pytest.mark.parametrize(
    ("is_held", "outcome", "is_available"), [(False, Outcome.DEFER, True), (True, Outcome.DENY, False)]
)
def test_a_decision_becomes_a_refusal_with_all_that_it_hangs_on(
    *, is_held: bool, outcome: Outcome, is_available: bool
) -> None:
    policy_set = policies(DESK)
    decision = decided(policy_set, BODY, {"core.held": is_held})
    remedies = Remedies(as_of=NOW)
    found = refuse(decision, remedies)
    assert (found.outcome, found.policy_version, found.as_of) == (outcome, policy_set.digest, NOW)
    assert (found.trace_id, found.request_id) == ("4bf92f3577b34da6a3ce929d0e0e4736", "r-1")
    assert (found.escalation_available, found.escalation_roles) == (is_available, ("boss",))
    assert (found.wanted, found.locale, found.remedies) == ("Pay a bill.", "fr", remedies)
    assert found.is_remediable is found.shown_is_remediable is False
    assert found.marks == ({} if is_held else {"action.amount": {Audience.AGENT: Visibility.DIRECTION}})


def test_a_rule_that_nobody_reviews_has_no_role() -> None:
    text = DESK.replace("  - {id: r, ", "  - {id: r, resources: [letter], ")
    found = refuse(decided(policies(text), BODY, {"core.held": True}))
    assert (found.escalation_available, found.escalation_roles) == (False, ())


def test_what_cannot_be_decided_names_the_request() -> None:
    """S5.2"""
    policy_set = policies(DESK)
    request = intake.read(BODY, policy_set.schema, caller=Caller())
    named, nameless = unavailable("x", now=NOW, request=request), unavailable("x", now=NOW)
    assert (named.trace_id, named.request_id, named.as_of) == ("4bf92f3577b34da6a3ce929d0e0e4736", "r-1", NOW)
    assert (nameless.trace_id, nameless.request_id) == ("", "")
    assert (named.reason, named.shown) == (Reason(Category.UNAVAILABLE, Disposition.RETRY_AFTER),) * 2


def test_one_name_in_two_actions_is_marked_as_the_action_asked_says() -> None:
    """S9.4"""
    text = DESK.replace("rules:", "  lend: {arguments: {amount: int}}\nrules:").replace(
        "actions: [pay], review", "actions: [pay, lend], review"
    )
    policy_set = policies(text)
    asked = {**BODY, "action": {"name": "lend", "properties": {"amount": 9}}}
    assert refuse(decided(policy_set, asked, {"core.held": False})).marks == {}


def test_what_the_caller_cannot_carry_out_is_named_and_changing_the_request_is_not_advised() -> None:
    """S6.4: what it would be obliged to may itself be confidential."""
    open_, held = (
        msgspec.structs.replace(
            REFUSAL, messages={}, shown_messages={}, not_understood=("notify", "log"), confidential=names
        )
        for names in ((), ("t/held",))
    )
    said = phrase("not_understood", "en", wanted="Pay a bill.", types=("notify", "log"))
    assert refused(open_)["missing_obligations"] == refused(held, audience=Audience.OPERATOR)["missing_obligations"]
    assert refused(open_)["missing_obligations"] == ["notify", "log"]
    assert [open_.why(), held.why(audience=Audience.OPERATOR), held.why() == said] == [said, said, False]
    assert "missing_obligations" not in refused(held)
    assert "missing_obligations" not in refused(REFUSAL)
