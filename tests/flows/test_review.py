"""Deferrals: an approval is a fact, judged again, for one action, by somebody else, in time (S7)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.errors import RulingError

from .shop import POLICY, Shop, open_shop, refund

if TYPE_CHECKING:
    from pathlib import Path


def defer(shop: Shop, amount: int = 60_000) -> demur.Deferral:
    answer = shop.gate.decide(refund(amount))
    assert isinstance(answer, demur.Deferral)
    return answer


def approve(shop: Shop, review_id: str, credential: str = "") -> Any:
    return shop.gate.rule(review_id, verdict="approve", reason="checked", credential=credential or shop.manager)


def kinds(shop: Shop) -> list[str]:
    return [json.loads(record.leaf)["type"] for record in shop.parts.world.store.records()]


def test_an_approved_action_is_granted_when_it_is_asked_again(shop: Shop) -> None:
    approve(shop, defer(shop).review_id)
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Grant)


def test_an_action_that_waits_already_opens_no_second_review(shop: Shop) -> None:
    assert defer(shop).review_id == defer(shop).review_id
    assert len(shop.gate.reviews()) == 1


def test_an_approval_satisfies_no_other_action(shop: Shop) -> None:
    approve(shop, defer(shop).review_id)
    assert isinstance(shop.gate.decide(refund(60_001)), demur.Deferral)
    assert isinstance(shop.gate.decide(refund(60_000, subject="bob")), demur.Deferral)


def test_an_approval_is_used_by_one_grant(shop: Shop) -> None:
    approve(shop, defer(shop).review_id)
    given = shop.gate.decide(refund(60_000))
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Deferral)
    assert isinstance(shop.gate.redeem(given.token, {"amount": 60_000}), demur.Redemption)
    shop.clock.advance(60)
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Deferral)


def test_an_approval_comes_back_when_its_grant_expires_unredeemed(shop: Shop) -> None:
    approve(shop, defer(shop).review_id)
    shop.gate.decide(refund(60_000))
    shop.clock.advance(31)
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Grant)


def test_an_approval_that_nobody_uses_expires(shop: Shop) -> None:
    approve(shop, defer(shop).review_id)
    shop.clock.advance(3_601)
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Deferral)


def test_a_forbid_that_came_meanwhile_wins_over_an_approval(shop: Shop) -> None:
    approve(shop, defer(shop).review_id)
    shop.account.is_frozen = True
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Refusal)


def test_a_changed_review_rule_defers_again(shop: Shop) -> None:
    from demur.wiring import reload_policies

    approve(shop, defer(shop).review_id)
    folder = shop.parts.settings.policies
    (folder / "shop.yaml").write_text(POLICY.replace("risk: high", "risk: critical"))
    reload_policies(shop.parts)
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Deferral)


def test_nobody_approves_their_own_request(shop: Shop) -> None:
    with pytest.raises(RulingError, match="somebody else must decide"):
        approve(shop, defer(shop).review_id, shop.clerk)


def test_without_a_credential_nobody_rules(shop: Shop) -> None:
    review = defer(shop).review_id
    with pytest.raises(RulingError, match="credential"):
        shop.gate.rule(review, verdict="approve", reason="x", credential="")
    with pytest.raises(RulingError, match="credential"):
        shop.gate.rule(review, verdict="approve", reason="x", credential="mara")


def test_without_the_role_nobody_rules(shop: Shop) -> None:
    guest = shop.parts.book.add("gil", ["guest"])
    with pytest.raises(RulingError, match="`manager`"):
        approve(shop, defer(shop).review_id, guest)


def test_a_verdict_needs_a_reason(shop: Shop) -> None:
    with pytest.raises(RulingError, match="reason"):
        shop.gate.rule(defer(shop).review_id, verdict="approve", reason="  ", credential=shop.manager)


def test_a_late_verdict_is_refused_and_the_expiry_recorded_once(shop: Shop) -> None:
    review = defer(shop).review_id
    shop.clock.advance(3_600)
    for _ in range(2):
        with pytest.raises(RulingError):
            approve(shop, review)
    assert kinds(shop).count("review_expired") == 1
    assert isinstance(shop.gate.decide(refund(60_000)), demur.Deferral)


def test_a_rejected_action_stays_refused(shop: Shop) -> None:
    review = defer(shop).review_id
    shop.gate.rule(review, verdict="reject", reason="no receipt", credential=shop.manager)
    assert not isinstance(shop.gate.decide(refund(60_000)), demur.Grant)
    with pytest.raises(RulingError, match="denied"):
        approve(shop, review)


def test_a_quorum_takes_distinct_people(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, policy=POLICY.replace("quorum: 1", "quorum: 2"))
    try:
        review = defer(shop).review_id
        assert approve(shop, review).state == "pending_review"
        with pytest.raises(RulingError, match="has ruled"):
            approve(shop, review)
        second = shop.parts.book.add("noa", ["manager"])
        assert approve(shop, review, second).state == "approved"
    finally:
        shop.gate.close()


def test_a_reviewer_sees_the_action_and_why_it_was_deferred(shop: Shop) -> None:
    told = shop.gate.review(defer(shop).review_id).to_dict()
    assert told["action_intent"]["properties"] == {"amount": 60_000}
    assert "above 500 EUR" in told["why_deferred"]
    assert (told["timeout_action"], told["timeout_duration"]) == ("deny", "3600s")


def test_the_reason_lies_in_the_vault_and_not_in_the_record(shop: Shop) -> None:
    review = defer(shop).review_id
    shop.gate.rule(review, verdict="approve", reason="receipt of mr. brown seen", credential=shop.manager)
    record = list(shop.parts.world.store.records())[-1]
    assert b"brown" not in record.leaf
    sealed = shop.parts.world.store.read(lambda tx: tx.find_sealed(record.sequence))
    assert sealed is not None
    assert shop.parts.world.vault.unseal(sealed)["reason"] == b"receipt of mr. brown seen"
