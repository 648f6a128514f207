"""A refusal offers what would be allowed instead, and doing exactly that is allowed (S9)."""

from __future__ import annotations

from typing import Any

import demur

from .shop import POLICY, Shop, open_shop, refund, said


def offers(answer: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.to_dict()["context"]["refusal"]["remediation"]["suggested_modifications"]
    return found


def test_a_deferred_refund_names_the_amount_that_needs_nobody(shop: Shop) -> None:
    answer = shop.gate.decide(refund(60_000))
    assert isinstance(answer, demur.Deferral)
    offered = offers(answer)[0]
    assert (offered["kind"], offered["set"], offered["leads_to"]) == ("change", {"action.amount": 50_000}, "allow")
    assert isinstance(shop.gate.decide(refund(offered["set"]["action.amount"])), demur.Grant)


def test_the_record_says_that_a_remedy_was_offered(shop: Shop) -> None:
    shop.gate.decide(refund(60_000))
    shop.gate.decide({**refund(1), "action": {"name": "erase"}})
    flags = [b'"remediation_offered":true' in record.leaf for record in shop.parts.world.store.records()]
    assert flags[-2:] == [True, False]


def test_a_used_up_quota_names_the_instant_at_which_it_is_free_again(shop: Shop) -> None:
    for _ in range(3):
        grant = shop.gate.decide(refund(100))
        shop.gate.redeem(grant.token, {"amount": 100})
    offered = offers(shop.gate.decide(refund(100)))[0]
    assert (offered["kind"], offered["earliest"]) == ("await", "2026-11-20T23:00:00Z")
    shop.clock.advance(14 * 3_600)
    assert isinstance(shop.gate.decide(refund(100)), demur.Grant)


def test_nothing_is_offered_for_a_categorical_refusal(shop: Shop) -> None:
    told = shop.gate.decide({**refund(1), "action": {"name": "erase"}}).to_dict()["context"]["refusal"]["remediation"]
    assert (told["remediable"], told["suggested_modifications"], told["compliant_alternatives"]) == (False, [], [])


def test_the_same_request_id_gets_the_same_remedies(shop: Shop) -> None:
    first = shop.gate.decide(refund(60_000, request_id="r-9"))
    assert said(shop.gate.decide(refund(60_000, request_id="r-9"))) == said(first)


def test_an_alternative_that_the_policy_offers_is_judged_before_it_is_named(tmp_path: Any) -> None:
    policy = POLICY.replace(
        "    category: categorical\n",
        "    category: policy_violation\n    alternatives: [{action: list}, {action: erase}]\n",
    )
    shop = open_shop(tmp_path, policy=policy)
    told = shop.gate.decide({**refund(1), "action": {"name": "erase"}}).to_dict()["context"]["refusal"]["remediation"]
    assert [item["action"] for item in told["compliant_alternatives"]] == ["list"]
    shop.gate.close()
