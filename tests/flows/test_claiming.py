"""What came of a review, for whoever asked: the grant of an approval, judged again, or what stands in its way (S7)."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

import demur
from demur import wiring
from demur.core.intake import Caller
from demur.core.terms import Audience
from demur.errors import AccessError, ConfigurationError, IntakeError, RulingError, StoreError

from .shop import POLICY, Shop, open_shop, refund

BOT, RIVAL = Caller("bot"), Caller("rival")
REASON = "the receipt was checked with Ms Käthe Groß"


def defer(shop: Shop, amount: int = 60_000, **more: Any) -> Any:
    answer = shop.gate.decide(refund(amount, **more), caller=BOT)
    assert isinstance(answer, demur.Deferral)
    return answer


def rule(shop: Shop, review_id: str, verdict: str = "approve", reason: str = REASON) -> None:
    shop.gate.rule(review_id, verdict=verdict, reason=reason, credential=shop.manager)


def claim(shop: Shop, review_id: str, caller: Caller = BOT) -> Any:
    return shop.gate.claim(review_id, caller=caller)


def records(shop: Shop) -> list[Any]:
    return [json.loads(record.leaf) for record in shop.parts.world.store.records()]


def why(answer: Any, locale: str = "en") -> str:
    return answer.to_dict(locale=locale)["context"]["refusal"]["refusal_reason"]["explanation"]


def test_an_approval_is_claimed_as_the_grant_of_the_very_action_that_was_deferred(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    grant = claim(shop, review_id)
    assert isinstance(grant, demur.Grant)
    assert (grant.action, grant.arguments) == ("refund", {"amount": 60_000})
    assert isinstance(shop.gate.redeem(grant.token, {"amount": 60_000}), demur.Redemption)


def test_claiming_again_gives_the_same_grant_while_it_lives_and_costs_no_approval(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    first, before = claim(shop, review_id), len(records(shop))
    assert claim(shop, review_id) == first
    assert len(records(shop)) == before
    shop.clock.advance(60)
    second = claim(shop, review_id)
    assert isinstance(second, demur.Grant)
    assert second.id != first.id
    assert isinstance(shop.gate.redeem(first.token, {"amount": 60_000}), demur.Refusal)
    assert isinstance(shop.gate.redeem(second.token, {"amount": 60_000}), demur.Redemption)


def test_a_grant_that_was_given_for_asking_again_is_the_one_that_is_claimed(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    asked = shop.gate.decide(refund(60_000), caller=BOT)
    assert claim(shop, review_id).id == asked.id


def test_racing_claims_get_one_grant(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(claim(shop, review_id))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {grant.id for grant in found} == {found[0].id}
    assert [leaf["outcome"] for leaf in records(shop) if leaf["type"] == "decision"] == ["defer", "allow"]


def test_once_the_grant_is_redeemed_there_is_no_second_one(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    shop.gate.redeem(claim(shop, review_id).token, {"amount": 60_000})
    refused = claim(shop, review_id)
    assert isinstance(refused, demur.Refusal)
    assert why(refused).startswith("The approval of “refund” counts once")
    assert len(shop.gate.reviews()) == 0


def test_nobody_claims_what_was_opened_for_another_caller(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    with pytest.raises(RulingError, match="opened for this caller"):
        claim(shop, review_id, RIVAL)
    with pytest.raises(RulingError, match="opened for this caller"):
        claim(shop, "0" * 16)
    with pytest.raises(RulingError, match="opened for this caller"):
        claim(shop, "\x00\ud800" * 40)


def test_an_approval_that_another_callers_grant_holds_is_not_given_twice(shop: Shop) -> None:
    asked = refund(60_000, actor={"type": "agent", "id": "bot"})
    review_id = shop.gate.decide(asked, caller=BOT).review_id
    rule(shop, review_id)
    assert isinstance(shop.gate.decide(asked, caller=RIVAL), demur.Grant)
    refused = claim(shop, review_id)
    assert isinstance(refused, demur.Refusal)
    assert "in use" in why(refused)


def test_a_subject_whom_the_caller_may_not_speak_for_any_more_is_refused(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)

    def nobody(subject: Any) -> None:
        raise AccessError(f"not for {subject.id}")

    with pytest.raises(AccessError, match="not for ann"):
        shop.gate.claim(review_id, caller=BOT, may_speak_for=nobody)


def test_a_forbid_that_came_meanwhile_wins(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    shop.account.is_frozen = True
    refused = claim(shop, review_id)
    assert isinstance(refused, demur.Refusal)
    assert refused.reason.category.value == "state_conflict"
    assert records(shop)[-1]["outcome"] == "deny"
    shop.account.is_frozen = False
    assert isinstance(claim(shop, review_id), demur.Grant)


def test_a_review_rule_that_came_meanwhile_defers_again(shop: Shop, tmp_path: Path) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    (tmp_path / "policies" / "shop.yaml").write_text(
        POLICY.replace("role: manager, quorum: 1", "role: manager, quorum: 2")
    )
    wiring.reload_policies(shop.parts)
    deferred = claim(shop, review_id)
    assert isinstance(deferred, demur.Deferral)
    assert deferred.review_id != review_id


def test_what_is_open_is_still_deferred_and_nothing_is_recorded(shop: Shop) -> None:
    deferral, before = defer(shop), len(records(shop))
    assert claim(shop, deferral.review_id) == deferral
    assert len(records(shop)) == before


@pytest.mark.parametrize("audience", [Audience.AGENT, Audience.END_USER, Audience.OPERATOR])
def test_a_denial_carries_what_the_reviewer_wrote(shop: Shop, audience: Audience) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id, "reject")
    refused = claim(shop, review_id)
    assert isinstance(refused, demur.Refusal)
    told: Any = refused.to_dict(audience=audience, locale="de")
    reason = told["context"]["refusal"]["refusal_reason"]
    assert reason["category"] == "requires_human"
    assert reason["explanation"] == (
        f"„refund“ wurde von einem Menschen geprüft und abgelehnt. Begründung der prüfenden Person: {REASON}"
    )
    assert shop.gate.task(review_id, caller=BOT.id).reason == REASON


def test_what_an_erased_reviewer_wrote_is_told_to_nobody(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id, "reject")
    operator = shop.parts.book.add("olga", ["operator"])
    assert not shop.gate.erase("reviewer:mara", credential=operator, reason="she left").why
    assert why(claim(shop, review_id)) == "“refund” was looked at by a person, who refused it."
    assert shop.gate.task(review_id, caller=BOT.id).reason == ""


def test_nothing_is_claimed_for_an_erased_person(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    operator = shop.parts.book.add("olga", ["operator"])
    shop.gate.erase("user:ann", credential=operator, reason="she asked for it")
    with pytest.raises(RulingError, match="erased"):
        claim(shop, review_id)


def test_silence_is_denial_whenever_it_is_asked_and_is_recorded_once(shop: Shop) -> None:
    review_id = defer(shop).review_id
    shop.clock.advance(3_600)
    assert why(claim(shop, review_id)).startswith("Nobody decided about “refund” in time")
    assert why(claim(shop, review_id)).startswith("Nobody decided about “refund” in time")
    assert [leaf["type"] for leaf in records(shop)].count("review_expired") == 1


def test_an_approval_that_nobody_used_in_time_is_worth_nothing(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    claim(shop, review_id)
    shop.clock.advance(3_601)
    assert why(claim(shop, review_id)).startswith("Nobody decided about “refund” in time")


def test_what_was_given_up_is_told_as_such(shop: Shop) -> None:
    review_id = defer(shop).review_id
    shop.gate.cancel_request(review_id, caller=BOT.id)
    assert why(claim(shop, review_id)) == "The review of “refund” ended before anybody decided."


def test_a_request_with_secret_arguments_has_to_be_asked_again(shop: Shop) -> None:
    deferral = defer(shop, pin="1234")
    rule(shop, deferral.review_id)
    with pytest.raises(IntakeError, match="put together again") as error:
        claim(shop, deferral.review_id)
    assert "1234" not in str(error.value)
    assert isinstance(shop.gate.decide(refund(60_000, pin="1234"), caller=BOT), demur.Grant)


def test_a_request_id_is_not_answered_with_the_deferral_again(shop: Shop) -> None:
    review_id = defer(shop, request_id="r-1").review_id
    rule(shop, review_id)
    assert isinstance(claim(shop, review_id), demur.Grant)


def test_a_stop_covers_claims_too(shop: Shop) -> None:
    review_id = defer(shop).review_id
    rule(shop, review_id)
    operator = shop.parts.book.add("olga", ["operator"])
    shop.gate.kill(actions=["refund"], credential=operator, reason="an incident")
    assert isinstance(claim(shop, review_id), demur.Refusal)


def test_what_was_approved_while_nobody_ran_is_claimed_after_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = open_shop(tmp_path, home=home)
    review_id = defer(first).review_id
    rule(first, review_id)
    lost = claim(first, review_id)
    first.gate.close()
    second = open_shop(tmp_path, home=home)
    second.clock.advance(10)
    assert claim(second, review_id).token == lost.token
    second.gate.close()


class Away:
    """A store that cannot be read for a while, and then again."""

    def __init__(self, store: Any, times: int) -> None:
        self._store = store
        self.times = times

    def read(self, query: Any) -> Any:
        self.times -= 1
        if self.times >= 0:
            raise StoreError("the store is away")
        return self._store.read(query)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_store_that_cannot_be_read_is_no_grant(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    deferral = defer(shop)
    rule(shop, deferral.review_id)
    away = Away(shop.parts.world.store, 1)
    object.__setattr__(shop.parts.world, "store", away)
    refused = claim(shop, deferral.review_id)
    assert refused.outcome.value == "unavailable"
    assert isinstance(claim(shop, deferral.review_id), demur.Grant)


def test_a_deferral_is_waited_for_until_people_have_decided(shop: Shop) -> None:
    deferral = defer(shop)
    approver = threading.Timer(0.05, rule, (shop, deferral.review_id))
    approver.start()
    grant = deferral.wait(30)
    approver.join()
    assert isinstance(grant, demur.Grant)
    assert isinstance(shop.gate.redeem(grant.token, {"amount": 60_000}), demur.Redemption)


def test_where_nobody_decides_in_time_the_deferral_still_stands(shop: Shop) -> None:
    deferral = defer(shop)
    assert deferral.wait(0) == deferral
    assert deferral.wait(0.05) == deferral


def test_a_denial_is_waited_for_too(shop: Shop) -> None:
    deferral = defer(shop)
    rule(shop, deferral.review_id, "reject")
    assert REASON in why(deferral.wait(5))


def test_a_store_that_comes_back_ends_the_wait_well_and_one_that_does_not_in_unavailable(shop: Shop) -> None:
    deferral, other = defer(shop), defer(shop, 70_000)
    rule(shop, deferral.review_id)
    object.__setattr__(shop.parts.world, "store", Away(shop.parts.world.store, 1))
    assert isinstance(deferral.wait(30), demur.Grant)
    object.__setattr__(shop.parts.world, "store", Away(shop.parts.world.store, 10_000))
    assert other.wait(0.05).outcome.value == "unavailable"


def test_a_deferral_of_a_future_can_be_waited_for(shop: Shop) -> None:
    deferral = shop.gate.submit(refund(60_000), caller=BOT).result(10)
    rule(shop, deferral.review_id)
    assert isinstance(deferral.wait(5), demur.Grant)


def test_a_deferral_that_knows_its_gate_is_the_same_value_as_one_that_does_not(shop: Shop) -> None:
    deferral = defer(shop)
    plain = demur.Deferral(review_id=deferral.review_id, deadline=deferral.deadline, refusal=deferral.refusal)
    assert deferral == plain
    assert plain == deferral
    assert deferral != msgspec.structs.replace(plain, review_id="other")
    assert hash(deferral) == hash(copy.copy(deferral))
    assert deferral.to_dict() == plain.to_dict()
    assert msgspec.json.encode(deferral) == msgspec.json.encode(plain)
    moved = pickle.loads(pickle.dumps(deferral))
    assert moved == plain
    assert type(moved) is demur.Deferral


def test_a_copy_that_knows_no_gate_says_how_to_go_on(shop: Shop) -> None:
    deferral = msgspec.structs.replace(defer(shop), review_id="other")
    with pytest.raises(ConfigurationError, match="found a copy") as error:
        deferral.wait(1)
    assert "claim" in (error.value.hint or "")
