"""Deciding: one of three answers, recorded first (S1.4, S1.5, S3.7, S4.1, S4.2, S5.1, S5.4)."""

from __future__ import annotations

import json
from concurrent.futures import wait
from typing import Any

import msgspec
import pytest

import demur
from demur.core.terms import Audience
from demur.errors import IntakeError

from .shop import Shop, refund, said, simple


def leaves(shop: Shop) -> list[dict[str, Any]]:
    return [json.loads(record.leaf) for record in shop.parts.world.store.records()]


def context(answer: Any) -> dict[str, Any]:
    told: dict[str, Any] = answer.to_dict()["context"]
    return told


def test_a_small_refund_is_granted(shop: Shop) -> None:
    answer = shop.gate.decide(refund(100))
    assert isinstance(answer, demur.Grant)
    assert answer.to_dict()["decision"] is True
    assert answer.arguments == {"amount": 100}


def test_the_record_of_an_answer_stands_when_the_answer_arrives(shop: Shop) -> None:
    answer = shop.gate.decide(refund(100))
    last = leaves(shop)[-1]
    assert (last["type"], last["outcome"], last["grant"]) == ("decision", "allow", answer.id)
    assert answer.audit_id == f"default/{last['sequence']}"


def test_nothing_personal_stands_in_a_record(shop: Shop) -> None:
    shop.gate.decide(refund(100, subject="ann-of-green-gables", session="chat-77", request_id="order-66"))
    shop.gate.decide(refund(900_000, subject="ann-of-green-gables"))
    raw = b"".join(record.leaf for record in shop.parts.world.store.records())
    assert not [word for word in (b"ann-of", b"chat-77", b"order-66", b"i-1", b"900000") if word in raw]


def test_the_names_of_the_auditors_stand_in_a_record(shop: Shop) -> None:
    shop.gate.decide(refund(100, role="guest"))
    named = {
        "timestamp", "action_intent", "requesting_entity", "policies_evaluated", "policy_version", "decision_reasoning",
        "refusal_category", "remediation_offered", "escalation_triggered", "previous_hash", "commit_root",
    }  # fmt: skip
    assert named <= set(leaves(shop)[-1])


def test_a_refusal_says_what_is_missing(shop: Shop) -> None:
    told = context(shop.gate.decide(refund(100, role="guest")))["refusal"]
    assert told["refusal_reason"]["category"] == "scope_exceeded"
    assert told["refusal_reason"]["policy_reference"] == "shop/small-refund"
    assert [item["condition"] for item in told["remediation"]["missing_conditions"]] == ["clerk"]


def test_an_action_that_is_never_right_is_refused_for_good(shop: Shop) -> None:
    told = context(shop.gate.decide(simple("erase")))["refusal"]
    assert told["refusal_reason"]["disposition"] == "never_retry"
    assert told["remediation"]["remediable"] is False


def test_a_source_that_is_down_denies_and_names_the_fact(shop: Shop) -> None:
    shop.account.is_down = True
    told = context(shop.gate.decide(refund(100)))["refusal"]
    assert told["refusal_reason"]["category"] == "insufficient_context"
    assert told["remediation"]["missing_conditions"][0]["facts"] == ["account.frozen"]


def test_an_unheard_of_action_is_refused(shop: Shop) -> None:
    assert context(shop.gate.decide(simple("launch")))["outcome"] == "deny"


def test_a_malformed_request_is_an_error_and_leaves_no_record(shop: Shop) -> None:
    before = len(leaves(shop))
    with pytest.raises(IntakeError, match="/action/properties/amuont"):
        shop.gate.decide({**refund(1), "action": {"name": "refund", "properties": {"amuont": 1}}})
    assert len(leaves(shop)) == before


def test_a_secret_argument_is_judged_and_kept_nowhere(shop: Shop) -> None:
    answer = shop.gate.decide(refund(100, role="guest", pin="8812-secret"))
    last = leaves(shop)[-1]["sequence"]
    sealed = shop.parts.world.store.read(lambda tx: tx.find_sealed(last))
    assert sealed is not None
    kept = b"".join(shop.parts.world.vault.unseal(sealed).values())
    assert b"8812-secret" not in kept
    assert "8812-secret" not in json.dumps(answer.to_dict(audience=Audience.AUDITOR))


def test_the_same_request_id_gets_the_same_answer_and_counts_once(shop: Shop) -> None:
    first = shop.gate.decide(refund(100, request_id="r-1"))
    again = shop.gate.decide(refund(100, request_id="r-1"))
    assert said(again) == said(first)
    assert [shop.gate.decide(refund(100)).outcome for _ in range(3)] == ["allow", "allow", "deny"]


def test_a_request_id_used_for_another_action_is_an_error(shop: Shop) -> None:
    shop.gate.decide(refund(100, request_id="r-1"))
    with pytest.raises(IntakeError, match="/request_id"):
        shop.gate.decide(refund(101, request_id="r-1"))


def test_request_ids_of_different_callers_have_nothing_to_do_with_each_other(shop: Shop) -> None:
    first = shop.gate.decide(refund(100, request_id="r-1"), caller=demur.Caller("one"))
    other = shop.gate.decide(refund(101, request_id="r-1"), caller=demur.Caller("two"))
    assert first.audit_id != other.audit_id


def test_a_quota_counts_grants_and_not_refusals(shop: Shop) -> None:
    for _ in range(5):
        shop.gate.decide(refund(100, role="guest"))
    assert [shop.gate.decide(refund(100)).outcome for _ in range(4)] == ["allow", "allow", "allow", "deny"]


def test_a_quota_is_free_again_on_the_next_day_of_the_declared_zone(shop: Shop) -> None:
    for _ in range(3):
        grant = shop.gate.decide(refund(100))
        shop.gate.redeem(grant.token, {"amount": 100})
    shop.clock.advance(13 * 3600 + 59 * 60)
    assert shop.gate.decide(refund(100)).outcome == "deny"
    shop.clock.advance(61)
    assert shop.gate.decide(refund(100)).outcome == "allow"


def test_a_grant_that_expires_unredeemed_no_longer_counts(shop: Shop) -> None:
    for _ in range(3):
        shop.gate.decide(refund(100))
    assert shop.gate.decide(refund(100)).outcome == "deny"
    shop.clock.advance(31)
    assert shop.gate.decide(refund(100)).outcome == "allow"


def test_two_hundred_racing_calls_at_a_limit_of_three_give_three_grants(shop: Shop) -> None:
    futures = [shop.gate.submit(refund(100)) for _ in range(200)]
    wait(futures)
    assert sum(future.result().outcome == "allow" for future in futures) == 3


def test_an_answer_is_the_same_from_bytes_text_and_mapping(shop: Shop) -> None:
    asked = refund(100, role="guest")
    raw = json.dumps(asked)
    answers = [shop.gate.decide(form) for form in (asked, raw, raw.encode())]
    told = [msgspec.structs.replace(answer, audit_id="", repeat_of="", repeats=0) for answer in answers]
    assert told[0] == told[1] == told[2]


def test_every_decision_names_its_policies(shop: Shop) -> None:
    answer = shop.gate.decide(refund(100))
    assert answer.policy_version == shop.gate.policy_version == leaves(shop)[-1]["policy_version"]
