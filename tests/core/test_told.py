"""Answers on the wire are read back as what they were, and nothing else passes for one (S5.2, S6, S10)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core import told
from demur.core.grant import Grant
from demur.core.refusal import Refusal
from demur.core.terms import Audience, Entity, Outcome, Timestamp
from demur.core.told import Wanted
from demur.errors import AnswerError
from tests.client.answers import ANSWERS, GRANTS, JSON, refusals

WANTED = Wanted("refund", {"amount": 90, "note": "é"}, Entity(type="invoice", id="i-9"))


def wire(answer: Any, audience: Audience = Audience.AGENT) -> dict[str, Any]:
    """What arrives at the other end: JSON, with a member that nobody knows yet."""
    sent: dict[str, Any] = json.loads(json.dumps(answer.to_dict(audience=audience)))
    return sent


@given(ANSWERS, st.sampled_from(Audience))
def test_an_answer_read_back_says_the_same_again(answer: Any, audience: Audience) -> None:
    sent = wire(answer, audience)
    assert told.read(sent, WANTED, audience=audience).to_dict(audience=audience) == sent


@given(ANSWERS)
def test_it_is_of_the_same_kind(answer: Any) -> None:
    found = told.read(wire(answer), WANTED)
    assert isinstance(found, type(answer))
    assert found.outcome is answer.outcome


@given(ANSWERS, JSON)
def test_members_that_nobody_knows_are_ignored(answer: Any, value: object) -> None:
    sent = wire(answer)
    known = told.read(sent, WANTED)
    sent["later"] = value
    sent["context"]["later"] = value
    for part in ("grant", "refusal", "deferral"):
        if part in sent["context"]:
            sent["context"][part]["later"] = value
    assert told.read(sent, WANTED) == known


@given(GRANTS)
def test_a_grant_is_for_the_action_that_was_asked_for_as_narrowed(grant: Grant) -> None:
    found = told.read(wire(grant), WANTED)
    assert isinstance(found, Grant)
    assert (found.action, found.resource) == ("refund", WANTED.resource)
    assert found.arguments == {**WANTED.arguments, **grant.constraints}
    assert (found.token, found.expires_at) == (grant.token, grant.expires_at)


@given(refusals())
def test_what_was_told_to_an_agent_is_not_told_to_an_end_user(refusal: Refusal) -> None:
    """S10: sentences, arguments, conditions and numbers meant for the agent stay with the agent."""
    sent = wire(refusal)
    sent["context"]["refusal"]["refusal_reason"]["explanation"] = "SECRET words"
    sent["context"]["refusal"]["remediation"]["next_step"] = "SECRET step"
    sent["context"]["refusal"]["refused_action"] = {"name": "refund", "properties": {"amount": "SECRET amount"}}
    sent["context"]["refusal"]["remediation"]["suggested_modifications"] = [
        {
            "kind": "change",
            "set": {"action.amount": "SECRET limit"},
            "direction": {"action.amount": "lower"},
            "leads_to": "allow",
            "cost": 1.0,
            "as_of": "2026-11-20T09:00:00Z",
        }
    ]
    sent["context"]["refusal"]["obligations"] = []
    found = told.read_refusal(sent)
    assert "SECRET" in found.explain(audience=Audience.AGENT)
    for text in (
        found.explain(audience=Audience.END_USER),
        json.dumps(found.to_dict(audience=Audience.END_USER)),
        json.dumps(found.to_problem(audience=Audience.END_USER)),
    ):
        assert "SECRET" not in text


def grant() -> dict[str, Any]:
    at = Timestamp(1_795_165_200 * 10**9)
    whole = Grant(
        id="g", token="t", audit_id="l/1", action="a", arguments={}, resource=WANTED.resource, expires_at=at, as_of=at
    )
    return wire(whole)


def mistakes() -> dict[str, Any]:
    """Every way in which something may pass for an allow without being one."""
    sent = grant()["context"]
    inner = sent["grant"]
    return {
        "no context": {"decision": True},
        "no grant": {"decision": True, "context": {**sent, "grant": None}},
        "grant of another outcome": {"decision": True, "context": {**sent, "outcome": "deny"}},
        "outcome unknown": {"decision": True, "context": {**sent, "outcome": "permit"}},
        "decision is text": {"decision": "true", "context": sent},
        "decision is a number": {"decision": 1, "context": sent},
        "decision is false": {"decision": False, "context": sent},
        "decision is missing": {"context": sent},
        "empty token": {"decision": True, "context": {**sent, "grant": {**inner, "token": ""}}},
        "empty id": {"decision": True, "context": {**sent, "grant": {**inner, "id": ""}}},
        "no expiry": {
            "decision": True,
            "context": {**sent, "grant": {k: v for k, v in inner.items() if k != "expires_at"}},
        },
        "expiry is no time": {"decision": True, "context": {**sent, "grant": {**inner, "expires_at": "tomorrow"}}},
        "obligations left out": {
            "decision": True,
            "context": {**sent, "grant": {k: v for k, v in inner.items() if k != "obligations"}},
        },
        "obligation without type": {
            "decision": True,
            "context": {**sent, "grant": {**inner, "obligations": [{"id": "x"}]}},
        },
        "constraints are a list": {"decision": True, "context": {**sent, "grant": {**inner, "constraints": []}}},
    }


@pytest.mark.parametrize("name", mistakes())
def test_what_is_not_wholly_an_allow_is_none(name: str) -> None:
    with pytest.raises(AnswerError):
        told.read(mistakes()[name], WANTED)


@given(refusals(Outcome.DENY))
def test_a_grant_beside_a_refusal_is_neither(refusal: Refusal) -> None:
    for outcome, decision in (("allow", True), ("deny", False), ("allow", False), ("deny", True)):
        sent = wire(refusal)
        sent["decision"] = decision
        sent["context"] |= {"outcome": outcome, "grant": grant()["context"]["grant"]}
        with pytest.raises(AnswerError):
            told.read(sent, WANTED)
